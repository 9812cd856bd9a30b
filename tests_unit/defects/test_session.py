"""What a session files, and what becomes of it if the tracker is away; with the service's JSONL client."""

from __future__ import annotations

import json

import pytest
from testbench_defect_service.clients.jsonl.client import JsonlDefectClient

from famacase_pytest.defects import session, waiting
from famacase_pytest.defects.filing import Finding
from famacase_pytest.defects.session import SessionDefects, file_waiting
from famacase_pytest.delivery.models import Item
from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.model import Defects
from famacase_pytest.settings.sources import BY_DEFAULT, Value

FIELDS = {"status": ["Open", "Closed"], "priority": ["High"], "classification": ["Bug"]}


class Away(JsonlDefectClient):
    """A tracker that cannot be reached."""

    def check_login(self, project):
        raise ConnectionError("no route")


@pytest.fixture
def tracker(tmp_path):
    """Where the tracker has its projects P and Q, and its settings."""
    for project in "PQ":
        (tmp_path / "bugs" / project).mkdir(parents=True)
        (tmp_path / "bugs" / project / "defects.jsonl").touch()

    class Tracker:
        def settings(self, client=JsonlDefectClient, project=None, close=False, **config):
            config = {"defects_path": str(tmp_path / "bugs"), "control_fields": FIELDS, **config}
            name = f"{client.__module__}.{client.__name__}"
            return Defects(
                Value(name, BY_DEFAULT),
                Value(config, BY_DEFAULT),
                None,
                project and Value(project, BY_DEFAULT),
                close,
            )

        def defects(self, project="P"):
            lines = (tmp_path / "bugs" / project / "defects.jsonl").read_text().splitlines()
            return [json.loads(line) for line in lines]

    return Tracker()


def item(status="failed", signature="s", project="P", run_id=1, **members):
    payload = {"title": "test_pay", "signature": signature, "execution": {"status": status}, **members}
    return Item("main", 1, project, run_id, "id", json.dumps(payload))


def filed(settings, tmp_path, *items, base=None):
    """Files what a session has; returns the numbers and what was said."""
    said = []
    defects = SessionDefects(settings, tmp_path, dict.fromkeys(one.project for one in items))
    defects.begin()
    numbers = defects.file(items, lambda project, run: f"http://f/{project}/{run}", base, said.append)
    return numbers, said


def test_what_failed_is_filed_under_its_project_and_told_with_numbers(tracker, tmp_path):
    numbers, said = filed(
        tracker.settings(),
        tmp_path,
        item(message="no money", testops_ids=[1, 2]),
        item("invalid", "t", "Q"),
        item("skipped", "u"),
        item("passed", "v"),
        item("failed", None),
    )
    assert numbers == {("P", "s"): "BUG-1", ("Q", "t"): "BUG-1"}
    assert said == ["defects: 2 created, 0 updated"]
    [defect] = tracker.defects()
    assert "no money" in defect["description"]
    assert defect["references"] == ["http://f/P/1"]


def test_nothing_to_file_asks_nobody(tracker, tmp_path):
    assert filed(tracker.settings(Away), tmp_path, item("skipped")) == ({}, [])


@pytest.mark.parametrize(
    "statuses", [("passed", "failed"), ("failed", "passed"), ("passed", "failed", "passed")]
)
def test_of_several_results_of_one_test_a_failure_counts(tracker, tmp_path, statuses):
    items = [item(status, message=f"{number}") for number, status in enumerate(statuses)]
    numbers, _ = filed(tracker.settings(), tmp_path, *items)
    assert numbers == {("P", "s"): "BUG-1"}
    failure = statuses.index("failed")
    assert tracker.defects()[0]["description"].startswith(f"{failure}\n")


def test_one_project_of_the_tracker_may_be_that_of_all(tracker, tmp_path):
    numbers, _ = filed(tracker.settings(project="Q"), tmp_path, item(), item(project="OTHER", signature="t"))
    # The numbers are found by the projects of Famacase.
    assert {("P", "s"), ("OTHER", "t")} <= set(numbers)
    assert len(tracker.defects("Q")) == 2


def test_the_number_of_its_defect_is_added_to_what_failed(tracker, tmp_path):
    defects = SessionDefects(tracker.settings(), tmp_path, ["P"])
    items = [
        item(fields={"owner": "me"}),
        item("passed"),
        item(signature="t"),
        item("invalid"),
        item(project="Q"),
    ]
    found = list(defects.numbered(items, {("P", "s"): "BUG-7"}))
    assert [(one, payload["fields"]) for one, payload in found] == [
        (items[0], {"owner": "me", "defect": "BUG-7"}),
        (items[3], {"defect": "BUG-7"}),
    ]
    assert list(defects.numbered(items, {})) == []


def test_what_a_tracker_that_is_away_cannot_take_waits(tracker, tmp_path):
    base = tmp_path / "outbox"
    numbers, said = filed(tracker.settings(Away), tmp_path, item(), item("passed", "t"), base=base)
    [path] = waiting.files(base)
    assert numbers == {}
    assert said == [
        "the tracker failed: ConnectionError: no route: no defect is filed",
        f"1 defects wait in {path}. File them with: famacase resend",
    ]
    # What passed was to be noted at a defect that there may not even be.
    assert [one["signature"] for one in waiting.read(path)] == ["s"]
    # It is filed later, and then gone.
    said = []
    assert file_waiting(tracker.settings(), tmp_path, [path], said.append) is False
    assert said == ["defects: 1 created, 0 updated"]
    assert (waiting.files(base), len(tracker.defects())) == ([], 1)


def test_without_a_place_to_wait_it_is_only_told(tracker, tmp_path):
    assert filed(tracker.settings(Away), tmp_path, item()) == (
        {},
        ["the tracker failed: ConnectionError: no route: no defect is filed"],
    )


def test_a_tracker_that_is_read_only_stays_so_and_nothing_waits(tracker, tmp_path):
    base = tmp_path / "outbox"
    _, said = filed(tracker.settings(readonly=True), tmp_path, item(), base=base)
    assert said == ["the tracker JSONL is read-only: no defect is filed"]
    assert waiting.files(base) == []


def test_a_tracker_that_does_not_answer_is_not_waited_for(tracker, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "_PATIENCE", 0.0)
    base = tmp_path / "outbox"
    defects = SessionDefects(tracker.settings(), tmp_path, ["P"])  # it never begins to ask
    monkeypatch.setattr(defects._start, "join", lambda _seconds: None)
    said = []
    assert defects.file([item()], lambda *_: "http://f", base, said.append) == {}
    assert any("answer" in line for line in said)
    assert len(waiting.files(base)) == 1


def finding(signature="s"):
    return Finding("P", signature, "test_pay", True, "no", "", "http://f/1")


def test_what_is_still_not_taken_waits_on(tracker, tmp_path):
    paths = [waiting.keep(tmp_path / "outbox", [finding(name)]) for name in "st"]
    said = []
    assert file_waiting(tracker.settings(Away), tmp_path, paths, said.append) is True
    assert said == ["the tracker failed: ConnectionError: no route: no defect is filed"] * 2
    left = [one["signature"] for path in waiting.files(tmp_path / "outbox") for one in waiting.read(path)]
    assert sorted(left) == ["s", "t"]


def test_a_file_that_cannot_be_read_holds_up_no_other(tracker, tmp_path):
    good, bad = (waiting.keep(tmp_path / "outbox", [finding()]) for _ in range(2))
    bad.write_text('[{"project": "P", "sig')
    said = []
    assert file_waiting(tracker.settings(), tmp_path, [bad, good], said.append) is True
    assert said[0].startswith(f"{bad} cannot be read")
    assert said[1:] == ["defects: 1 created, 0 updated"]
    # Somebody may want to look at it.
    assert waiting.files(tmp_path / "outbox") == [bad]


def test_a_wrong_setting_leaves_what_waits_as_it_is(tracker, tmp_path):
    path = waiting.keep(tmp_path / "outbox", [finding()])
    with pytest.raises(SettingsError):
        file_waiting(tracker.settings(control_fields=3), tmp_path, [path], print)
    assert waiting.files(tmp_path / "outbox") == [path]
