"""What is posted again, what is not, and what an error may show."""

from __future__ import annotations

import json
import re
import threading

import pytest
import requests
import responses

from famacase_pytest.integrations import http
from famacase_pytest.integrations.http import Failed, post

URL = "https://user:pass@hooks.example/secret-path?token=secret"
ADDRESS = re.compile(r"https://.*hooks\.example/secret-path")


@pytest.fixture
def waits(monkeypatch):
    """The seconds between attempts, which nobody waits for."""
    waited = []

    class Event(threading.Event):
        def wait(self, timeout=None):
            waited.append(timeout)
            return False

    monkeypatch.setattr(http.threading, "Event", Event)
    return waited


def answer(*statuses, **more):
    for status in statuses:
        if isinstance(status, int):
            responses.post(ADDRESS, status=status, **more)
        else:
            responses.post(ADDRESS, body=status)


@responses.activate
def test_json_is_posted_once_and_the_answer_read(waits):
    answer(201, json={"ok": 1})
    assert post(URL, body=b'{"a": 1}', headers={"X": "y"}, auth=("u", "p")) == {"ok": 1}
    [call] = responses.calls
    assert json.loads(call.request.body) == {"a": 1}
    assert (call.request.headers["Content-Type"], call.request.headers["X"]) == ("application/json", "y")
    assert call.request.headers["Authorization"].startswith("Basic ")
    assert waits == []


@responses.activate
def test_an_answer_that_is_no_json_is_none(waits):
    answer(200, body="ok")
    assert post(URL, body=b"{}") is None


@pytest.mark.parametrize(
    "passing", [429, 500, 502, 503, 504, requests.ConnectionError(URL), requests.Timeout(URL)]
)
@responses.activate
def test_what_may_pass_is_tried_three_times(waits, passing):
    answer(passing, passing, 200)
    post(URL, body=b"{}")
    assert (len(responses.calls), len(waits)) == (3, 2)
    assert all(0 <= seconds <= 2 for seconds in waits)


@pytest.mark.parametrize("passing", [503, requests.ConnectionError(f"Max retries exceeded with url: {URL}")])
@responses.activate
def test_then_it_has_failed_and_the_error_names_the_host_alone(waits, passing):
    answer(passing, passing, passing, 200)
    with pytest.raises(Failed, match=r"^hooks\.example .*, in 3 attempts$") as raised:
        post(URL, body=b"{}")
    assert len(responses.calls) == 3
    assert "secret" not in str(raised.value)
    assert "pass" not in str(raised.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 301, 307])
@responses.activate
def test_a_refusal_is_final_and_nothing_is_sent_elsewhere(waits, status):
    answer(status, body="no such channel " * 100, headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(Failed, match=f"hooks.example answered {status} no such channel") as raised:
        post(URL, body=b"{}")
    assert len(responses.calls) == 1
    assert len(str(raised.value)) < 250


@responses.activate
def test_a_service_is_given_the_time_that_it_asks_for_within_what_a_call_may_take(waits):
    answer(429, headers={"Retry-After": "3"})
    answer(429, headers={"Retry-After": "3600"})
    answer(200)
    post(URL, body=b"{}")
    assert waits == [3, 6]
