"""What the tests of settings share; a module of its own name, since each directory has a `conftest`."""

from __future__ import annotations

from collections.abc import Callable

from famacase_pytest.settings.model import Resolution

Resolve = Callable[..., Resolution]

COMPLETE = {
    "FAMACASE_API_URL": "https://famacase.example.com",
    "FAMACASE_REPORTER_TOKEN": "rep_complete_token",
    "FAMACASE_MODE": "testops",
    "FAMACASE_TESTOPS_PROJECT": "SMOKE",
}
"""The environment of a session that lacks nothing."""
