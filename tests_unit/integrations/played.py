"""Results of tests, and a service that is played: what was posted to it, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from famacase_pytest.integrations.base import TestCase, TestResult


def result(
    name: str = "test_a",
    status: str = "passed",
    cases: Sequence[object] = (),
    duration: float = 0.1,
    **said: str,
) -> TestResult:
    """How a test ended; `cases` are what its marker ``testrail`` was given."""
    markers: dict[str, Any] = {"testrail": [(list(cases), {})]} if cases else {}
    return TestResult(TestCase(f"test_a.py::{name}", name, markers), status, duration, **said)


class Posted(NamedTuple):
    """One request."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    auth: Any

    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """Takes the place of `post`; answers in turn, and the last answer again and again."""

    def __init__(self, *answers: Any) -> None:
        self.posted: list[Posted] = []
        self._answers = list(answers) or [None]

    def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str] | None = None, auth: Any = None
    ) -> Any:
        self.posted.append(Posted(url, body, headers or {}, auth))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
