"""The sample suite arrives, in every detail that its decorators give."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fault_layer import Exchange
from sessions import Outcome, Runs, copy_sample, new_project, recording, stored_content

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
)

# A result without anything: what a test has on top of it stands in the test below.
NOTHING: dict[str, Any] = {
    "testops_ids": None,
    "fields": {},
    "params": {},
    "param_groups": [],
    "attachments": [],
    "steps": [],
    "message": None,
    "muted": False,
}


@dataclass(frozen=True)
class Reported:
    """One session of the sample, and what the back end holds of it."""

    outcome: Outcome
    url: str
    run: dict[str, Any]
    results: list[dict[str, Any]]
    exchanges: list[Exchange]
    began: float
    ended: float

    def named(self, title: str) -> list[dict[str, Any]]:
        return [result for result in self.results if result["title"] == title]

    def one(self, title: str) -> dict[str, Any]:
        (result,) = self.named(title)
        return result


@pytest.fixture(scope="module")
def reported(server, api, tmp_path_factory) -> Iterator[Reported]:
    with recording(server) as layer:
        sample = copy_sample(new_project(tmp_path_factory.mktemp("sample") / "project", layer.url))
        sample.as_found = True
        runs = Runs(api)
        began = time.time()
        outcome = sample.run()
        ended = time.time()
        run = runs.only()
        yield Reported(outcome, layer.url, run, runs.results(run), layer.exchanges(), began, ended)


def suites(result: dict[str, Any]) -> list[str]:
    return [suite["title"] for suite in result["relations"]["suite"]["data"]]


def outline(steps: list[dict[str, Any]]) -> list[Any]:
    """What the steps say and how they ended, children below."""
    return [(step["data"]["action"], step["execution"]["status"], outline(step["steps"])) for step in steps]


def test_the_run(reported):
    assert reported.outcome.code == 1
    assert reported.run["status"] == "completed"
    assert reported.run["stats"] == {"passed": 16, "failed": 3, "skipped": 2, "invalid": 1}
    assert len({result["id"] for result in reported.results}) == 22


def test_the_links_open_on_famacase(reported):
    link = f"{reported.url}/runs/{reported.run['id']}"
    assert reported.outcome.lines(f"famacase: 22 results delivered to {link}")
    assert not reported.outcome.lines("See why this test failed:")
    assert "qase.io" not in reported.outcome.output


def test_plain(reported):
    result = reported.one("test_without_decorators")
    execution = result.pop("execution")
    assert {key: result[key] for key in NOTHING} == NOTHING
    assert result["signature"] == "test_plain.py::test_without_decorators"
    assert suites(result) == ["test_plain"]
    assert execution["status"] == "passed"
    assert execution["stacktrace"] is None
    assert "MainThread" in execution["thread"]
    assert reported.began < execution["start_time"] < execution["end_time"] < reported.ended
    assert execution["duration"] == int((execution["end_time"] - execution["start_time"]) * 1000)


def test_ignored_tests_do_not_arrive(reported):
    assert reported.named("test_ignored") == []


def test_title_id_suite_and_fields(reported):
    result = reported.one("A title with ümlauts and 漢字")
    assert result["testops_ids"] == [101]
    assert suites(result) == ["Shop", "Cart"]
    assert result["fields"] == {
        "severity": "critical",
        "priority": "high",
        "layer": "e2e",
        "description": "Adds **one** item",
    }


def test_two_ids_author_and_muted(reported):
    result = reported.one("test_two_cases")
    assert result["testops_ids"] == [102, 103]
    assert result["fields"]["author"] == "jane"
    assert result["fields"]["muted"] == "true"


def test_classes_are_suites(reported):
    assert suites(reported.one("test_in_a_class")) == ["test_plain", "TestGroup"]
    assert reported.one("test_in_a_class")["testops_ids"] == [110]
    assert suites(reported.one("test_another")) == ["test_plain", "TestGroup"]


def test_failure_and_error(reported):
    failure = reported.one("Expected to be wrong")
    assert failure["execution"]["status"] == "failed"
    assert failure["message"] == "AssertionError: arithmetic still works\nassert 4 == 5"
    assert "> " in failure["execution"]["stacktrace"]
    assert 'assert total == 5, "arithmetic still works"' in failure["execution"]["stacktrace"]
    error = reported.one("test_error_in_setup")
    assert error["execution"]["status"] == "invalid"
    assert error["message"] == "RuntimeError: the fixture broke"
    assert "def broken_fixture():" in error["execution"]["stacktrace"]


def test_skip_and_xfail(reported):
    assert reported.one("test_skipped")["execution"]["status"] == "skipped"
    assert "not today" in reported.one("test_skipped")["message"]
    assert reported.one("test_expected_failure")["execution"]["status"] == "skipped"
    assert reported.one("test_expected_failure")["message"] == "known defect"
    assert reported.one("test_unexpected_pass")["execution"]["status"] == "passed"


def test_parameters(reported):
    found = [result["params"] for result in reported.named("test_parameters")]
    assert sorted(found, key=str) == sorted(
        [
            {"user": user, "role": role, "browser": browser}
            for user, role in (("ann", "admin"), ("bob", "empty"))
            for browser in ("firefox", "chromium")
        ],
        key=str,
    )
    signatures = {result["signature"] for result in reported.named("test_parameters")}
    assert len(signatures) == 4


def test_steps_below_steps(reported):
    result = reported.one("test_nested_steps")
    number = ("Check the number", "passed", [])
    assert outline(result["steps"]) == [
        ("Open the shop", "passed", []),
        ("Pay", "passed", [("Enter the card", "passed", [number]), ("Confirm", "passed", [])]),
    ]
    shop, pay = result["steps"]
    assert shop["data"] == {"action": "Open the shop", "expected_result": "The shop is open"}
    assert shop["step_type"] == "text"
    assert shop["parent_id"] is None
    card = pay["steps"][0]
    assert card["parent_id"] == pay["id"]
    times = [card["execution"]["start_time"], card["steps"][0]["execution"]["start_time"]]
    assert times == sorted(times)


def test_a_step_that_fails(reported):
    result = reported.one("test_failing_step")
    assert outline(result["steps"]) == [
        ("A step that works", "passed", []),
        ("A step that does not", "failed", []),
    ]
    assert result["message"] == "ValueError: no such article"


def test_attachments_byte_by_byte(reported, server):
    held = [
        (entry["file_name"], stored_content(server.url, "SMOKE", entry["id"]))
        for entry in reported.one("test_attachments")["attachments"]
    ]
    report = ("report.html", b"<h1>Report</h1>")
    assert held == [report, report, ("pixel.png", PIXEL), ("data.json", b'{"a": 1}')]
    steps = reported.one("test_nested_steps")["steps"]
    (request,) = steps[0]["execution"]["attachments"]
    (check,) = steps[1]["steps"][0]["steps"][0]["execution"]["attachments"]
    assert stored_content(server.url, "SMOKE", request["id"]) == b"GET /shop"
    assert stored_content(server.url, "SMOKE", check["id"]) == b"number is fine"


def test_equal_files_are_uploaded_once(reported):
    pictures = {
        entry["id"]
        for title in ("test_attachments", "test_same_picture")
        for result in reported.named(title)
        for entry in result["attachments"]
        if entry["file_name"] == "pixel.png"
    }
    assert len(pictures) == 1
    uploads = [exchange for exchange in reported.exchanges if exchange.operation == "uploadAttachments"]
    sent = [file for exchange in uploads for file in exchange.files]
    assert sorted((file.file_name, file.mime_type) for file in sent) == [
        ("check.txt", "text/plain"),
        ("data.json", "application/json"),
        ("pixel.png", "image/png"),
        ("report.html", "text/html"),
        ("request.txt", "text/plain"),
    ]


def test_pytest_bdd(reported):
    right = reported.one("Two articles")
    assert outline(right["steps"]) == [
        ("Given an empty basket", "passed", []),
        ("When I put in 2 articles", "passed", []),
        ("Then the basket holds 2 articles", "passed", []),
    ]
    assert {step["step_type"] for step in right["steps"]} == {"gherkin"}
    assert right["steps"][0]["data"]["keyword"] == "Given"
    wrong = reported.one("A wrong count")
    assert wrong["execution"]["status"] == "failed"
    assert [step["execution"]["status"] for step in wrong["steps"]] == ["passed", "passed", "failed"]


def test_calls_that_may_not_happen_twice_carry_a_key(reported):
    """The keys' form is part of the contract, which each request is held against."""
    keys = [
        exchange.headers.get("idempotency-key")
        for exchange in reported.exchanges
        if exchange.operation in ("createRun", "uploadAttachments")
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys) >= 2


def test_each_call_is_made_by_this_package_with_its_projects_token(reported):
    assert {exchange.headers["authorization"] for exchange in reported.exchanges} == {"Token <SMOKE>"}
    assert all(
        exchange.headers["user-agent"].startswith("famacase-pytest/") for exchange in reported.exchanges
    )
