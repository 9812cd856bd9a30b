"""What is sent of reports, to which run, and how often. The back end is played; the outbox is a real one."""

from __future__ import annotations

import contextlib
import json

import pytest

from famacase_pytest.cli import upload
from famacase_pytest.cli.main import main
from famacase_pytest.delivery.outbox.store import Outbox

SUITE = '<testsuite name="Nightly"><testcase name="a"/><testcase name="b"/></testsuite>'


class BackEnd:
    """Makes runs as the contract says, one for each key, and notes what each outbox holds."""

    def __init__(self):
        self.runs = {}
        self.completed = set()
        self.sent = []
        self.is_away = False

    def create_run(self, project, body, key):
        return self.runs.setdefault((project, key), (len(self.runs) + 1, body))[0]

    def get_run(self, project, number):
        return {"status": "completed" if number in self.completed else "in_progress"}

    def send(self, directory, settings, target):
        with Outbox.open(directory) as outbox:
            titles = sorted(json.loads(item.payload)["title"] for item in outbox.results())
            [run] = outbox.runs()
            self.sent.append((run.run_id, titles, run.requested, outbox.meta()["scope"]))
        return self.is_away


@pytest.fixture
def back_end(monkeypatch, directory):
    """A back end that the settings name, and a report to send there."""
    back_end = BackEnd()
    monkeypatch.setattr(upload, "asking", lambda _settings: contextlib.nullcontext(back_end))
    monkeypatch.setattr(upload, "send", back_end.send)
    monkeypatch.setenv("FAMACASE_API_URL", "h.example")
    monkeypatch.setenv("FAMACASE_REPORTER_TOKEN", "rep_for_an_upload")
    monkeypatch.setenv("FAMACASE_TESTOPS_PROJECT", "SMOKE")
    (directory / "a.xml").write_text(SUITE)
    return back_end


def test_a_report_becomes_a_run_that_is_completed(back_end):
    assert main(["upload", "a.xml"]) == 0
    [((project, _), (number, body))] = back_end.runs.items()
    assert (project, body) == ("SMOKE", {"title": "Nightly", "is_autotest": True})
    assert [one[:3] for one in back_end.sent] == [(number, ["a", "b"], True)]


def test_the_same_reports_are_the_same_run_and_other_ones_another(back_end, directory):
    (directory / "b.xml").write_text(SUITE.replace('"b"', '"c"'))
    for arguments in (["a.xml"], ["a.xml", "a.xml"], ["b.xml"], ["b.xml", "a.xml"], ["a.xml", "b.xml"]):
        main(["upload", *arguments])
    assert [one[0] for one in back_end.sent] == [1, 1, 2, 3, 3]
    # A test that is in two files is sent once.
    assert [len(one[1]) for one in back_end.sent[:2]] == [2, 2]
    # Keys of files are made of the scope: they are the same where the run is.
    assert [one[3] for one in back_end.sent].count(back_end.sent[0][3]) == 2
    main(["upload", "a.xml", "--title", "Other"])
    main(["upload", "a.xml", "--project", "OTHER"])
    assert [one[0] for one in back_end.sent[-2:]] == [4, 5]


def test_what_a_completed_run_has_is_not_sent_again(back_end, capsys):
    main(["upload", "a.xml"])
    back_end.completed.add(1)
    capsys.readouterr()
    assert main(["upload", "a.xml"]) == 0
    assert len(back_end.sent) == 1
    assert "The run has all of it already: https://h.example/runs/1" in capsys.readouterr().out


def test_a_run_that_is_named_stays_open_and_has_to_be(back_end, capsys):
    assert main(["upload", "a.xml", "--run", "7"]) == 0
    assert back_end.runs == {}
    assert [one[:3] for one in back_end.sent] == [(7, ["a", "b"], False)]
    back_end.completed.add(7)
    assert main(["upload", "a.xml", "--run", "7"]) == 1
    assert "Run 7 of SMOKE is completed: nothing is sent." in capsys.readouterr().err
    assert len(back_end.sent) == 1


@pytest.mark.parametrize(
    ("arguments", "variable", "report", "title"),
    [
        (["--title", "Given"], "Set", SUITE, "Given"),
        ([], "Set", SUITE, "Set"),
        ([], "", SUITE, "Nightly"),
        ([], "", "<testsuite><testcase name='a'/></testsuite>", "a"),
    ],
)
def test_a_title_is_that_of_the_nearest_source(
    back_end, monkeypatch, directory, arguments, variable, report, title
):
    if variable:
        monkeypatch.setenv("FAMACASE_TESTOPS_RUN_TITLE", variable)
    (directory / "a.xml").write_text(report)
    main(["upload", "a.xml", *arguments])
    assert [body["title"] for _, body in back_end.runs.values()] == [title]


def test_one_object_is_all_that_is_printed_where_json_is_asked_for(back_end, capsys):
    for is_away in (False, True):
        back_end.is_away = is_away
        assert main(["upload", "a.xml", "--json"]) == int(is_away)
        assert json.loads(capsys.readouterr().out) == {
            "run": 1,
            "url": "https://h.example/runs/1",
            "results": 2,
            "files": 0,
            "complete": not is_away,
        }


def test_reports_without_results_make_no_run(back_end, directory, capsys):
    (directory / "a.xml").write_text("<testsuite/>")
    assert main(["upload", "a.xml"]) == 1
    assert "The reports hold no results: nothing is sent." in capsys.readouterr().err
    assert back_end.runs == {}
