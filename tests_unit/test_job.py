"""What the next steps of a CI job get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from famacase_pytest.delivery.models import Outcome
from famacase_pytest.delivery.transport import Leftovers
from famacase_pytest.hookspecs import Run
from famacase_pytest.job import JobFiles
from famacase_pytest.settings.resolve import resolve
from famacase_pytest.settings.sources import ConfigFiles
from famacase_pytest.summary import SHOWN, Line

from .settings.resolving import COMPLETE


@pytest.fixture(autouse=True)
def github(tmp_path, monkeypatch):
    """The files of a job of GitHub; deleting a variable takes one away."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)

    def is_github(**files):
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        for name, path in {
            "STEP_SUMMARY": tmp_path / "steps",
            "OUTPUT": tmp_path / "output",
            **files,
        }.items():
            if path is not None:
                monkeypatch.setenv(f"GITHUB_{name}", str(path))

    return is_github


@pytest.fixture
def told():
    return []


@pytest.fixture
def job(tmp_path, told):
    """The job's files, by the settings of some variables."""

    def make(**environ):
        settings = resolve({**COMPLETE, **environ}, {}, ConfigFiles(tmp_path)).settings
        return JobFiles(settings, told.append)

    return make


def run_of(project, run_id=7):
    return Run(project, lambda: (run_id, f"https://f.example/{project}/{run_id}"))


def page(project, run_id, result_id):
    return f"https://f.example/{project}/{run_id}/{result_id}"


def written(job, *, left=None, lines=(), runs=None):
    job.write_summary(left or Leftovers(), lines, lambda: runs or {run_of("SHOP"): "Nightly"}, page)


# The file with the run's id


def test_one_run_is_a_document_of_its_own(job, tmp_path):
    job(FAMACASE_RUN_FILE=str(tmp_path / "run.json")).write_runs([run_of("SHOP")])
    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"project": "SHOP", "id": 7, "url": "https://f.example/SHOP/7"}
    assert text.endswith("}\n")


def test_several_runs_are_a_list_and_replace_what_was_there(job, tmp_path):
    files = job(FAMACASE_RUN_FILE=str(tmp_path / "run.json"))
    files.write_runs([run_of("SHOP", None)])
    files.write_runs([run_of("SHOP"), run_of("BANK", None)])
    document = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert [(run["project"], run["id"]) for run in document["runs"]] == [("SHOP", 7), ("BANK", None)]


def test_nothing_is_written_unasked_or_without_a_run(job, tmp_path):
    job().write_runs([run_of("SHOP")])
    job(FAMACASE_RUN_FILE=str(tmp_path / "run.json")).write_runs([])
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_said_once(job, tmp_path, told):
    files = job(FAMACASE_RUN_FILE=str(tmp_path / "nowhere" / "run.json"))
    for _ in range(2):
        files.write_runs([run_of("SHOP")])
    (line,) = told
    assert line.startswith(f"FAMACASE_RUN_FILE in the environment names {tmp_path / 'nowhere' / 'run.json'}")
    assert "No such file or directory" in line
    assert "does not get the run's id" in line


# The summary


def test_nobody_asks_for_the_runs_where_there_is_no_place(job):
    def runs():
        raise AssertionError("the runs were looked up")

    job().write_summary(Leftovers(), (), runs, page)


def test_the_summary_is_text_that_is_shown_as_it_is(job, tmp_path):
    left = Leftovers(
        statuses={"passed": 2, "failed": 1, "": 4},
        failed=(Outcome("SHOP", 7, "r1", "failed", "A | [strange]\n<b>title</b>"),),
    )
    lines = [Line("2 results delivered to *somewhere*"), Line("1 result was lost_here", good=False)]
    runs = {run_of("SHOP"): "Nightly #1", run_of("BANK"): None}
    written(job(FAMACASE_JOB_SUMMARY=str(tmp_path / "s.md")), left=left, lines=lines, runs=runs)
    assert (tmp_path / "s.md").read_text(encoding="utf-8").splitlines() == [
        "### Famacase: [Nightly \\#1](https://f.example/SHOP/7), [run](https://f.example/BANK/7)",
        "",
        "| status | results |",
        "|---|---:|",
        "| failed | 1 |",
        "| passed | 2 |",
        "",
        "Did not pass:",
        "",
        "- [A \\| \\[strange\\] \\<b\\>title\\</b\\>](https://f.example/SHOP/7/r1)",
        "",
        "> 1 result was lost\\_here",
    ]


@pytest.mark.parametrize("more", [0, 3])
def test_a_long_list_of_failures_ends(job, tmp_path, more):
    failed = tuple(Outcome("SHOP", 7, f"r{n}", "failed", f"test {n}") for n in range(SHOWN + more))
    written(job(FAMACASE_JOB_SUMMARY=str(tmp_path / "s.md")), left=Leftovers(failed=failed))
    lines = [line for line in (tmp_path / "s.md").read_text("utf-8").splitlines() if line[:2] == "- "]
    assert len(lines) == SHOWN + bool(more)
    assert (lines[-1] == "- and 3 more") == bool(more)


def test_no_token_is_in_the_summary(job, tmp_path):
    lines = [Line("the back end said rep_complete_token is wrong", good=False)]
    written(job(FAMACASE_JOB_SUMMARY=str(tmp_path / "s.md")), lines=lines)
    text = (tmp_path / "s.md").read_text(encoding="utf-8")
    assert "> the back end said \\*\\*\\* is wrong" in text
    assert "complete" not in text


def test_the_page_of_a_job_is_added_to_and_the_file_that_is_asked_for_replaced(job, tmp_path, github):
    github()
    for name in ("steps", "s.md"):
        (tmp_path / name).write_text("before\n", encoding="utf-8")
    written(job(FAMACASE_JOB_SUMMARY=str(tmp_path / "s.md")))
    own, steps = ((tmp_path / name).read_text(encoding="utf-8") for name in ("s.md", "steps"))
    assert own.startswith("### Famacase")
    assert steps == f"before\n{own}"


def test_outputs_name_the_runs_that_there_are(job, tmp_path, github):
    github(STEP_SUMMARY=None)
    runs = {run_of("SHOP"): "t", run_of("NONE", None): "t", run_of("BANK", 9): "t"}
    written(job(), runs=runs)
    assert (tmp_path / "output").read_text(encoding="utf-8") == (
        "run-id=7,9\nrun-url=https://f.example/SHOP/7,https://f.example/BANK/9\n"
    )


def test_there_are_no_outputs_without_a_run(job, tmp_path, github):
    github()
    written(job(), runs={run_of("SHOP", None): "t"})
    assert (tmp_path / "steps").exists()
    assert not (tmp_path / "output").exists()


def test_a_job_of_github_can_be_left_alone(job, tmp_path, github):
    github()
    written(job(FAMACASE_CI="off"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_lost_with_each_file_is_said(job, tmp_path, github, told):
    nowhere = Path(tmp_path, "nowhere")
    github(STEP_SUMMARY=nowhere / "steps", OUTPUT=nowhere / "output")
    written(job())
    summary, output = told
    assert summary.startswith("GITHUB_STEP_SUMMARY names ")
    assert "the job has no summary of this session" in summary
    assert output.startswith("GITHUB_OUTPUT names ")
    assert "do not get the run's id" in output
