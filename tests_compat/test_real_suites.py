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

from conftest import NAMED_RUN, PAIR, RUN_BY_NOX, addopts
from sessions import TOKENS

SUITES = Path(__file__).parent / "real_suites"

QASE = {
    "QASE_MODE": "testops",
    "QASE_TESTOPS_PROJECT": "SMOKE",
    "QASE_TESTOPS_API_TOKEN": "qase_token_51ce",
    **NAMED_RUN,
}

WORKERS = ("-n", "2")

AsItIs = Callable[..., list[RecordedRun]]


@pytest.fixture
def as_it_is(project, recording, layer, pair) -> AsItIs:
    """Runs a suite with qase-pytest alone, then with this package beside, and gives the runs that agree."""
    # Of several projects each has a token of its own.
    names = ("FAMACASE_API_URL", "FAMACASE_REPORTER_TOKEN", "FAMACASE_REPORTER_TOKENS")
    ours_alone = {name: project.environ[name] for name in names if name in project.environ}
    for name in [name for name in project.environ if name.startswith("FAMACASE_")]:
        del project.environ[name]
    project.environ["COMPAT_RECORDER"] = recording.url
    project.environ["QASE_TESTOPS_API_HOST"] = recording.url.partition("//")[2]

    def run(
        suite: str,
        *sessions: Sequence[str],
        results: int,
        settings=QASE,
        beside=ours_alone,
        plugins=(),
        ways=((),),
    ) -> list[RecordedRun]:
        """Compare.

        Args:
            suite: name of its directory.
            sessions: the arguments of each.
            results: that there have to be in all.
            settings: variables of both sessions; PYTEST_ADDOPTS is added to what is there.
            beside: variables of the second one.
            plugins: what the suite has beside, by the names of the entry points.
            ways: what the second session has for further arguments, each time that it runs.
        """
        if not RUN_BY_NOX and not PAIR.plugins.issuperset(plugins):
            pytest.skip(f"one of {', '.join(plugins)} is not installed here; nox installs them")
        given = settings.get("PYTEST_ADDOPTS", "")
        settings = {**settings, "PYTEST_ADDOPTS": f"{addopts(*plugins)} {given}"}
        shutil.copytree(SUITES / suite, project.directory, dirs_exist_ok=True)
        alone = ("-p", "towards_recorder", "-p", "no:famacase")
        for arguments in sessions or ((),):
            reference = project.run(*alone, *arguments, leaves=None, **settings)
            for added in ways:
                outcome = project.run(*arguments, *added, leaves=None, **settings, **beside)
                assert outcome.notices == []
                assert outcome.counts == reference.counts, f"{reference.output}\n{outcome.output}"
                assert outcome.code == reference.code, f"{reference.output}\n{outcome.output}"
        theirs, ours = theirs_of(recording, list(recording.runs.values())), ours_of(layer)
        compare(pair, theirs * len(ways), ours)
        assert sum(len(found.results) for found in theirs) == results
        return ours

    return run


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


def as_text(flags) -> str:
    return " ".join(f"{flag}={value}" for flag, value in flags)


def test_conftests_that_reach_into_upstream(as_it_is):
    """Imports of upstream's modules, guards on QASE_MODE, screenshots of failures, playwright's artefacts."""
    run, _ = as_it_is("conftests", results=10, ways=((), WORKERS))
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


def test_a_suite_of_features_with_flags_in_pyproject(as_it_is, project):
    (project.directory / "pytest.ini").unlink()
    text = f"[tool.pytest.ini_options]\naddopts = '{as_text(FLAGS.items())}'\n"
    (project.directory / "pyproject.toml").write_text(text, encoding="utf-8")
    (run,) = as_it_is("bdd", results=4, settings={})
    assert run.created["title"] == "By-flag"


def test_a_django_project_with_variables_from_files(as_it_is, project, layer):
    """pytest-env and pytest-dotenv set them when the plugins are loaded already; our own two as well."""
    others = [f"{name}={value}" for name, value in QASE.items() if name != "QASE_MODE"]
    others += [f"FAMACASE_API_URL={layer.url}", f"FAMACASE_REPORTER_TOKEN={TOKENS['SMOKE']}"]
    (project.directory / ".env").write_text("\n".join(others), encoding="utf-8")
    plugins = ("django", "env", "dotenv")
    (run,) = as_it_is("django", results=5, settings={}, beside={}, plugins=plugins)
    assert run.created["title"] == "From the settings"


def test_a_part_of_a_suite_in_any_order(as_it_is, project):
    """Flags from a file and from a variable. ``random`` begins anew with each phase; all ids differ."""
    first, *rest = FLAGS.items()
    (project.directory / "pytest.ini").write_text(f"[pytest]\naddopts = {as_text(rest)}\n", encoding="utf-8")
    settings = {"PYTEST_ADDOPTS": as_text([first])}
    part = ("--splits", "2", "--group", "1", "--randomly-seed", "1234")
    plugins = ("pytest-split", "randomly")
    (run,) = as_it_is("shards", part, results=4, settings=settings, plugins=plugins, ways=(WORKERS,))
    assert len({result["id"] for result in run.results}) == 4
    assert run.created["title"] == "By-flag"


def test_several_projects(several, as_it_is):
    """Each result once in each of its projects, with the token of each."""
    settings = {**NAMED_RUN, "QASE_TESTOPS_API_TOKEN": QASE["QASE_TESTOPS_API_TOKEN"]}
    runs = as_it_is("several", results=4, settings=settings)
    assert {run.project: len(run.results) for run in runs} == {"SMOKE": 2, "SHOP": 2}
