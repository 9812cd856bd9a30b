"""What lists show of a result, and when two failures are one."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from famacase_pytest.server.summaries import (
    attempt_number,
    cause_of,
    is_flaky,
    mentioned_files,
    summary_of,
    title_stem,
)


def result_of(**members: object) -> dict[str, Any]:
    return {"id": "ID-1", "title": "A test", "execution": {"status": "passed"}, **members}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("order 7312 costs 1190", "order 1 costs 2", True),
        ("<Page object at 0x7f3a10b2>", "<Page object at 0x7f99ffee>", True),
        (
            "no user 123e4567-e89b-42d3-a456-426614174000",
            "no user 9b2e4567-e89b-42d3-a456-426614174abc",
            True,
        ),
        ("commit deadbee1 is gone", "commit 0badcafe1234 is gone", True),
        ("the decade is gone", "the facade is gone", False),
        ("TimeoutError: page\nlong log 1", "TimeoutError: page\nlong log 1", True),
        ("AssertionError: the total is wrong\ndetails", "AssertionError: the total is wrong\nothers", True),
        ("AssertionError\nleft is red", "AssertionError\nleft is blue", False),
        ("", "x", False),
    ],
)
def test_failures_have_one_cause_if_they_say_the_same(one: str, other: str, is_same: bool) -> None:
    assert (cause_of(one) == cause_of(other)) is is_same


def test_only_failures_have_a_cause() -> None:
    for status in ("failed", "invalid", "blocked"):
        assert summary_of(result_of(execution={"status": status}, message="x"))["cause"]
    assert summary_of(result_of(message="x"))["cause"] == ""


def test_sqlite_can_hold_a_summary_of_whatever_the_contract_allows() -> None:
    hard = result_of(
        title="\ud800\0",
        testops_ids=[10**4000],
        execution={"status": None, "duration": 10**4000},
        params={"\0": "\ud800"},
        message="\0\ud800" * 5000,
        tags=["\ud800"],
        relations={"suite": {"data": [{"title": "\0"}]}},
        signature="\ud800",
    )
    summary = summary_of(hard)
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE summary ({', '.join(summary)})")
    marks = ", ".join("?" * len(summary))
    database.execute(f"INSERT INTO summary VALUES ({marks})", list(summary.values()))
    assert list(database.execute("SELECT * FROM summary").fetchone()) == [*summary.values()]
    database.close()
    assert summary["status"] == "untested"
    assert len(summary["text"]) == 3000


def test_a_test_is_known_by_its_signature_or_else_by_its_names() -> None:
    signed = summary_of(result_of(signature="a::b"))
    assert signed["test"] == "a::b"
    first, second = (summary_of(result_of(params={"x": x})) for x in "12")
    assert first["test"] != second["test"]


def test_a_summary_is_of_the_id_in_lower_case_and_has_its_tags_as_json() -> None:
    summary = summary_of(result_of(tags=["b", 'a "x"']))
    assert summary["id"] == "id-1"
    assert json.loads(summary["tags"]) == ["b", 'a "x"']


def test_files_are_found_in_steps_of_steps() -> None:
    inner = {"execution": {"status": "passed", "attachments": [{"id": "B"}]}, "steps": []}
    outer = {"execution": {"status": "passed"}, "steps": [inner]}
    result = result_of(attachments=[{"id": "a"}], steps=[outer])
    assert list(mentioned_files(result)) == ["a", "b"]
    assert summary_of(result)["has_files"]
    assert not summary_of(result_of())["has_files"]


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), (True, True), ("false", False), (None, False)]
)
def test_flaky_is_a_field(value: object, expected: bool) -> None:
    assert is_flaky(result_of(fields={"flaky": value})) is expected


def test_an_attempt_is_told_by_its_title() -> None:
    titles = {"Attempt 2 of 3": 2, "Attempt to pay": None, "Attempt 1 of 2 or so": None, "": None}
    for title, number in titles.items():
        assert attempt_number({"data": {"action": title}}) == number
    assert attempt_number({}) is None


def test_titles_of_runs_have_one_stem_if_only_dates_and_numbers_differ() -> None:
    assert title_stem("Nightly 2026-11-10 (build 7)") == title_stem("Nightly 2026-11-11 (build 12)")
    assert title_stem("Nightly") != title_stem("Smoke")
