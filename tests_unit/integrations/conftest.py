from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of an integration is set."""
    for name in list(os.environ):
        if name.startswith(("SLACK_", "TESTRAIL_", "JSON_WEBHOOK_")):
            monkeypatch.delenv(name)
