"""The document that is posted, and how its receiver knows it."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from famacase_pytest.integrations import webhook
from famacase_pytest.integrations.webhook import JsonWebhook

from .played import Service, result


@pytest.fixture
def service(monkeypatch):
    service = Service()
    monkeypatch.setattr(webhook, "post", service.post)
    monkeypatch.setattr(webhook.time, "time", lambda: 1700000000.9)
    return service


def test_there_has_to_be_an_address(monkeypatch):
    with pytest.raises(ValueError, match=r"^set JSON_WEBHOOK_URL$"):
        JsonWebhook().on_run_start()
    monkeypatch.setenv("JSON_WEBHOOK_URL", "https://h/")
    JsonWebhook().on_run_start()


def test_the_document_has_all_that_is_known_of_the_run(service):
    failed = result("test_b", "failed", cases=["C1"], message="no", details="all")
    context = {"famacase_run_id": 7, "folder": Path("of another integration")}
    JsonWebhook("https://h/").on_run_end([result(), failed], 7, 1.5, context=context)
    [posted] = service.posted
    document = posted.json()
    assert document.pop("totals")["failed"] == 1
    assert document.pop("results")[1] == {
        "test_case": {
            "nodeid": "test_a.py::test_b",
            "title": "test_b",
            "markers": {"testrail": [[["C1"], {}]]},
        },
        "status": "failed",
        "duration": 0.1,
        "message": "no",
        "details": "all",
    }
    assert document == {
        "event": "run_end",
        "run_id": 7,
        "elapsed_time": 1.5,
        # What JSON cannot hold is given as text.
        "context": {"famacase_run_id": 7, "folder": "of another integration"},
    }
    assert posted.headers["X-Famacase-Timestamp"] == "1700000000"
    assert "X-Famacase-Signature" not in posted.headers


def test_the_signature_is_over_time_and_body(service, monkeypatch):
    monkeypatch.setenv("JSON_WEBHOOK_SECRET", "sécret")
    for _ in range(2):
        JsonWebhook("https://h/").on_run_end([], None, 0.0)
    first, second = service.posted
    signed = hmac.new("sécret".encode(), b"1700000000." + first.body, hashlib.sha256).hexdigest()
    assert first.headers["X-Famacase-Signature"] == f"sha256={signed}"
    assert first.json()["context"] == {}
    # Each run is a delivery of its own.
    assert first.headers["X-Famacase-Delivery"] != second.headers["X-Famacase-Delivery"]
