"""One synchronisation with the real JSONL client of the TestBench Defect Service."""

from __future__ import annotations

import json

import pytest
from sanic.exceptions import Forbidden
from testbench_defect_service.clients.jsonl.client import JsonlDefectClient
from testbench_defect_service.clients.jsonl.config import JsonlDefectClientConfig
from testbench_defect_service.models.defects import ProtocolCode, Results

from famacase_pytest.defects.filing import Finding, Report, check, file

FIELDS = {
    "status": ["Draft", "Open", "Closed"],
    "priority": ["High", "Medium"],
    "classification": ["Question", "Bug"],
}


class Tracker:
    """A folder with the defects of the project P, and the client for it."""

    def __init__(self, folder, kind=JsonlDefectClient, **config):
        self.folder = folder / "P"
        self.folder.mkdir(exist_ok=True)
        (self.folder / "defects.jsonl").touch()
        self.client = kind(
            JsonlDefectClientConfig(defects_path=folder, **{"control_fields": FIELDS, **config})
        )

    def defects(self):
        return [json.loads(line) for line in (self.folder / "defects.jsonl").read_text().splitlines()]

    def file(self, *findings, close=False):
        report = Report()
        file(self.client, findings, report, close=close)
        return report


def finding(signature="s1", *, failed=True, run=1):
    return Finding("P", signature, "test_pay", failed, "AssertionError: no", "12", f"http://f/runs/{run}")


@pytest.fixture
def tracker(tmp_path):
    return Tracker(tmp_path)


def test_a_failed_test_has_one_open_defect(tracker):
    report = tracker.file(finding(), finding("s2", failed=False))
    assert (report.created, report.updated, report.numbers, report.lines) == (
        1,
        0,
        {("P", "s1"): "BUG-1"},
        [],
    )
    (defect,) = tracker.defects()
    assert {name: defect[name] for name in ("id", "title", "status", "priority", "classification")} == {
        "id": "BUG-1",
        "title": "test_pay fails",
        "status": "Open",
        "priority": "Medium",
        "classification": "Bug",
    }
    assert "AssertionError: no" in defect["description"]
    assert "Test signature: s1" in defect["description"]
    assert defect["references"] == ["http://f/runs/1"]
    report = tracker.file(finding(run=2))
    assert (report.created, report.updated, report.numbers) == (0, 1, {("P", "s1"): "BUG-1"})
    (defect,) = tracker.defects()
    assert defect["description"].endswith("failed again in http://f/runs/2")


def test_a_test_that_passes_again_leaves_a_note_or_closes(tracker):
    tracker.file(finding())
    assert tracker.file(finding(failed=False, run=2)).updated == 1
    assert tracker.file(finding(failed=False, run=3)).updated == 0
    (defect,) = tracker.defects()
    assert defect["status"] == "Open"
    assert defect["description"].endswith("passed again in http://f/runs/2")
    # What was left open is closed once that is wanted.
    tracker.file(finding(failed=False, run=5), close=True)
    assert tracker.defects()[0]["status"] == "Closed"
    # A closed one is not opened again.
    assert tracker.file(finding(run=6)).numbers == {("P", "s1"): "BUG-2"}


def test_notes_do_not_grow_for_ever(tracker):
    for run in range(30):
        tracker.file(finding(run=run))
    description = tracker.defects()[0]["description"]
    assert description.count("failed again") == 20
    assert description.endswith("http://f/runs/29")


def test_attributes_that_the_tracker_has(tracker):
    attributes = [{"name": name, "valueType": "STRING"} for name in ("Signature", "Case ID", "Colour")]
    (tracker.folder / "UserDefinedAttributes.json").write_text(json.dumps(attributes))
    tracker.file(finding())
    (defect,) = tracker.defects()
    fields = {one["name"]: one["value"] for one in defect["userDefinedFields"]}
    assert fields == {"Signature": "s1", "Case ID": "12"}
    # It is found by it, whatever became of the description.
    (tracker.folder / "defects.jsonl").write_text(json.dumps({**defect, "description": "rewritten"}) + "\n")
    assert tracker.file(finding(run=2)).updated == 1


def test_what_the_client_says_and_corrects(tmp_path):
    class Strict(JsonlDefectClient):
        calls: list = []  # noqa: RUF012

        def before_sync(self, project, sync_type, sync_context):
            protocol = super().before_sync(project, sync_type, sync_context)
            protocol.add_general_warning("the licence ends soon", ProtocolCode.LICENSE_PROBLEM)
            self.calls.append(("before", sync_type, sync_context.iTBProject))
            return protocol

        def after_sync(self, project, sync_type, sync_context):
            self.calls.append(("after", sync_type))
            return super().after_sync(project, sync_type, sync_context)

        def correct_sync_results(self, project, body):
            kept = [one for one in body.remote.create if one.localPk != "s2"]
            return Results(local=None, remote=body.remote.model_copy(update={"create": kept}))

    tracker = Tracker(tmp_path, Strict)
    report = tracker.file(finding(), finding("s2"))
    assert report.numbers == {("P", "s1"): "BUG-1"}
    assert report.lines == ["the tracker says of project P: the licence ends soon"]
    assert Strict.calls == [("before", "partial", "P"), ("after", "partial")]


def test_a_client_that_fails_costs_a_line_and_leaves_the_rest(tmp_path):
    class Failing(JsonlDefectClient):
        def create_defect(self, project, defect, sync_context):
            if len(tracker.defects()) == 1:
                raise Forbidden("no right to create")
            return super().create_defect(project, defect, sync_context)

    tracker = Tracker(tmp_path, Failing)
    report = tracker.file(finding(), finding("s2"), finding("s3", failed=False))
    assert report.numbers == {("P", "s1"): "BUG-1"}
    assert report.lines == ["the tracker failed on project P: Forbidden: no right to create"]
    assert [one.signature for one in report.left] == ["s2"]


def test_a_client_that_may_not_write_or_log_in(tmp_path):
    tracker = Tracker(tmp_path, readonly=True)
    assert check(tracker.client, ["P"]) == "the tracker JSONL is read-only"
    assert check(tracker.client, ["Q"]) == "the tracker refuses its login for project Q"
    assert check(Tracker(tmp_path).client, ["P"]) is None
