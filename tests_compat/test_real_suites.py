"""Suites as they are found in the wild: the same results with qase-pytest alone and with this package beside.

The second session has two variables more than the first one, address and token. Nothing else is changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from qase_recorder import RecordedRun
from two_ways import compare, ours_of, theirs_of

from conftest import NAMED_RUN

SUITES = Path(__file__).parent / "real_suites"

QASE = {
    "QASE_MODE": "testops",
    "QASE_TESTOPS_PROJECT": "SMOKE",
    "QASE_TESTOPS_API_TOKEN": "qase_token_51ce",
    **NAMED_RUN,
}

AsItIs = Callable[..., list[RecordedRun]]


@pytest.fixture
def as_it_is(project, recording, layer, pair) -> AsItIs:
    """Runs a suite with qase-pytest alone, then with this package beside, and gives the runs that agree."""
    # Of several projects each has a token of its own.
    given = ("FAMACASE_API_URL", "FAMACASE_REPORTER_TOKEN", "FAMACASE_REPORTER_TOKENS")
    ours_alone = {name: project.environ[name] for name in given if name in project.environ}
    for name in [name for name in project.environ if name.startswith("FAMACASE_")]:
        del project.environ[name]
    project.environ["COMPAT_RECORDER"] = recording.url
    project.environ["QASE_TESTOPS_API_HOST"] = recording.url.partition("//")[2]

    def run(suite: str, *sessions: Sequence[str], results: int, settings=QASE) -> list[RecordedRun]:
        """Compare.

        Args:
            suite: name of its directory.
            sessions: the arguments of each.
            results: that there have to be in all.
            settings: variables of both sessions.
        """
        shutil.copytree(SUITES / suite, project.directory, dirs_exist_ok=True)
        for arguments in sessions or ((),):
            alone = ("-p", "towards_recorder", "-p", "no:famacase")
            reference = project.run(*alone, *arguments, leaves=None, **settings)
            outcome = project.run(*arguments, leaves=None, **settings, **ours_alone)
            assert outcome.notices == []
            assert outcome.counts == reference.counts, f"{reference.output}\n{outcome.output}"
            assert outcome.code == reference.code, f"{reference.output}\n{outcome.output}"
        theirs, ours = theirs_of(recording, list(recording.runs.values())), ours_of(layer)
        compare(pair, theirs, ours)
        assert sum(len(found.results) for found in ours) == results
        return ours

    return run


def titles(run: RecordedRun) -> set[str]:
    return {result["title"] for result in run.results}


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "workers"])
def test_conftests_that_reach_into_upstream(arguments, as_it_is):
    """Imports of upstream's modules, guards on QASE_MODE, screenshots of failures, playwright's artefacts."""
    (run,) = as_it_is("conftests", arguments, results=10)
    files = {
        result["title"] + str(result["params"].get("user", "")): [
            entry["file_name"] for entry in result["attachments"]
        ]
        for result in run.results
    }
    assert "Another title" in files
    assert {"call.png", "source.html"} <= set(files["test_screenshotbob"])
    assert "setup.png" in files["test_screenshot_of_setup"]
    assert {"video.webm", "trace.zip"} <= set(files["A page"])
    assert files["test_page_passed"] == []


def test_a_conftest_that_wraps_upstream(as_it_is):
    """What it replaces is called with what upstream gives it, and what it changes arrives."""
    (run,) = as_it_is("wrapping", results=1)
    (result,) = run.results
    assert result["title"] == "test shown"
    assert result["params"] == {"host": "ci"}


def test_a_suite_of_features(as_it_is):
    as_it_is("bdd", results=4)


def test_a_django_project(as_it_is):
    (run,) = as_it_is("django", results=4)
    assert run.created["title"] == "From the settings"


def test_a_suite_in_two_parts(as_it_is):
    parts = [("-p", "splitting", "--splits", "2", "--group", group) for group in ("1", "2")]
    first, second = as_it_is("shards", *parts, results=7)
    assert first.results
    assert second.results


def test_a_suite_in_any_order(as_it_is):
    """Where ``random`` begins anew with each phase of each test, all ids stay different."""
    (run,) = as_it_is("shards", ("-p", "shuffling"), results=7)
    assert len({result["id"] for result in run.results}) == 7


FLAGS = {
    "--qase-mode": "testops",
    "--qase-testops-project": "SMOKE",
    "--qase-testops-api-token": QASE["QASE_TESTOPS_API_TOKEN"],
    "--qase-testops-run-title": "By-flag",
    "--qase-testops-run-description": "Described",
    "--qase-testops-batch-size": "2",
    "--qase-root-suite": "Root",
    "--qase-environment": "staging",
}


@pytest.mark.parametrize("place", ["pytest.ini", "pyproject.toml", "PYTEST_ADDOPTS"])
def test_flags_that_do_not_stand_on_the_command_line(place, as_it_is, project):
    flags = " ".join(f"{flag}={value}" for flag, value in FLAGS.items())
    settings = {}
    if place == "PYTEST_ADDOPTS":
        settings[place] = f"{project.environment({})[place]} {flags}"
    elif place == "pytest.ini":
        (project.directory / place).write_text(f"[pytest]\naddopts = {flags}\n", encoding="utf-8")
    else:
        (project.directory / "pytest.ini").unlink()
        text = f"[tool.pytest.ini_options]\naddopts = '{flags}'\n"
        (project.directory / place).write_text(text, encoding="utf-8")
    (run,) = as_it_is("shards", results=7, settings=settings)
    assert run.created["title"] == "By-flag"


def test_variables_from_pytest_ini_and_a_file(as_it_is, project):
    """pytest-env and dotenv set them when the plugins are loaded already."""
    mode, *others = [f"{name}={value}" for name, value in QASE.items()]
    ini = f"[pytest]\naddopts = -p env_files\nenv =\n    {mode}\nenv_files =\n    .env\n"
    (project.directory / "pytest.ini").write_text(ini, encoding="utf-8")
    (project.directory / ".env").write_text("\n".join(others), encoding="utf-8")
    (run,) = as_it_is("shards", results=7, settings={})
    assert run.created["title"] == "A run"


def test_the_address_from_a_file_too(project, layer, runs):
    """A suite may have all of its variables in such a file."""
    address = {name: value for name, value in project.environ.items() if name.startswith("FAMACASE_")}
    lines = [f"{name}={value}" for name, value in address.items()]
    (project.directory / ".env").write_text("\n".join(lines), encoding="utf-8")
    ini = "[pytest]\naddopts = -p env_files\nenv_files =\n    .env\n"
    (project.directory / "pytest.ini").write_text(ini, encoding="utf-8")
    shutil.copytree(SUITES / "shards", project.directory, dirs_exist_ok=True)
    outcome = project.run(**dict.fromkeys(address))
    assert (outcome.code, outcome.notices) == (1, []), outcome.output
    assert len(runs.results(runs.only())) == 7


def test_several_projects(several, as_it_is):
    """Each result once in each of its projects, with the token of each."""
    settings = {**NAMED_RUN, "QASE_TESTOPS_API_TOKEN": QASE["QASE_TESTOPS_API_TOKEN"]}
    runs = as_it_is("several", results=4, settings=settings)
    assert {run.project: len(run.results) for run in runs} == {"SMOKE": 2, "SHOP": 2}
