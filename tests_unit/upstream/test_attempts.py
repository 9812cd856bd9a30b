"""Several attempts at a test as one result."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from famacase_pytest.delivery.models import Attachment, CapturedResult
from famacase_pytest.upstream.attempts import DIED, merge, split

ID = "2c8f3d0e-90a4-4f2c-b1a6-0c9d3a7f5e11"


def attempt(
    status: str | None, message: str | None = None, start: float = 0.0, **more: Any
) -> CapturedResult:
    execution = {
        "status": status,
        "start_time": start,
        "end_time": start + 1,
        "duration": 1000,
        "stacktrace": message and f"trace of {message}",
    }
    return CapturedResult({"id": ID, "title": "T", "execution": execution, "message": message, **more})


def expected_results(merged: CapturedResult) -> list[Any]:
    return [step["data"].get("expected_result") for step in merged.payload["steps"]]


@pytest.mark.parametrize(
    ("attempts", "status", "message", "flaky"),
    [
        ([("failed", "a"), ("passed", None)], "passed", "a", True),
        ([("invalid", "a"), ("failed", "b"), ("passed", None)], "passed", "a", True),
        ([("failed", "a"), ("failed", "a")], "failed", "a", False),
        ([("failed", "a"), ("failed", "b")], "failed", "a\n\nAttempt 2 of 2: b", False),
        ([("failed", "a"), ("skipped", "why")], "skipped", "a\n\nAttempt 2 of 2: why", False),
        ([("passed", None), ("failed", "a")], "failed", "a", False),
        ([("passed", None), ("passed", None)], "passed", None, False),
        ([("skipped", "why"), ("failed", "a"), ("passed", None)], "passed", "a", True),
    ],
)
def test_status_and_message(attempts, status, message, flaky):
    merged = merge([attempt(*one) for one in attempts]).payload
    assert (merged["execution"]["status"], merged["message"]) == (status, message)
    assert merged["fields"].get("flaky") == ("true" if flaky else None)
    assert merged["fields"]["attempts"] == str(len(attempts))
    assert [step["execution"]["status"] for step in merged["steps"]] == [one for one, _ in attempts]


def test_times_are_those_of_all_attempts():
    execution = merge([attempt("failed", "a", 10.0), attempt("passed", None, 20.0)]).payload["execution"]
    assert (execution["start_time"], execution["end_time"], execution["duration"]) == (10.0, 21.0, 2000)
    assert execution["stacktrace"] == "trace of a"


def test_steps_and_files_go_with_their_attempt():
    def with_file(ref: str) -> CapturedResult:
        one = attempt("failed", ref, steps=[{"id": ref, "parent_id": None}], attachments=[{"id": ref}])
        return CapturedResult(one.payload, (Attachment(ref, "a.txt", content=b"1"),))

    merged = merge([with_file("x"), with_file("y")])
    assert [file.ref for file in merged.files] == ["x", "y"]
    assert merged.payload["attachments"] == []
    for ref, step in zip("xy", merged.payload["steps"]):
        assert step["execution"]["attachments"] == [{"id": ref}]
        assert step["steps"] == [{"id": ref, "parent_id": step["id"]}]


def test_an_attempt_is_the_same_step_whenever_it_is_merged():
    attempts = [attempt("failed", "a"), attempt("failed", "b"), attempt("passed")]
    before = copy.deepcopy(attempts)
    first, second = merge(attempts[:2]), merge(attempts)
    assert [step["id"] for step in first.payload["steps"]] == [
        step["id"] for step in second.payload["steps"][:2]
    ]
    assert attempts == before


def test_an_attempt_that_has_only_begun():
    merged = merge([attempt("failed", "a"), attempt(None)], is_over=False)
    assert merged.payload["execution"]["status"] is None
    assert merged.payload["message"] == "a"
    assert expected_results(merged) == ["a", DIED]
    assert [step["execution"]["status"] for step in merged.payload["steps"]] == ["failed", "invalid"]


def test_what_could_not_be_translated_is_an_attempt_too():
    remains = CapturedResult({"id": ID, "title": "T", "execution": {"status": "failed"}, "message": "a"})
    merged = merge([remains, remains]).payload
    assert merged["fields"] == {"attempts": "2"}
    assert merged["execution"]["duration"] == 0


def test_attempts_are_had_back():
    attempts = [
        attempt("failed", "a", 1.0, steps=[{"id": "s", "parent_id": None}], attachments=[{"id": "x"}]),
        attempt("invalid", "b", 3.0, steps=[], attachments=[], fields={"own": "kept"}),
    ]
    files = CapturedResult(attempts[0].payload, (Attachment("x", "a.txt", content=b"1"),))
    merged = merge([files, attempts[1]])
    again = split(merged)
    assert merge(again) == merged
    assert [one.payload["fields"] for one in again] == [{"own": "kept"}] * 2
    assert merge([*again, attempt("passed")]).payload["fields"] == {"attempts": "3", "flaky": "true"}


@pytest.mark.parametrize("steps", [[], [{"id": "s", "steps": []}]])
def test_what_was_not_merged_is_an_attempt(steps):
    one = attempt("failed", "a", steps=steps)
    assert split(one) == [one]
