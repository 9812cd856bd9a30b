"""The environment of the sample suite, and what is said of what arrived."""

from __future__ import annotations

import pytest

from famacase_pytest.cli import demo
from famacase_pytest.errors import FamacaseError
from famacase_pytest.settings.resolve import resolve
from famacase_pytest.settings.sources import ConfigFiles


def test_nothing_but_four_variables_says_where_results_go(directory):
    around = {
        "PATH": "/bin",
        "QASE_MODE": "off",
        "QASE_TESTOPS_PROJECT": "MINE",
        "FAMACASE_ENABLED": "false",
        "FAMACASE_REPORTER_TOKEN": "mine",
        "PYTEST_ADDOPTS": "-x",
        "PYTHONPATH": "kept",
    }
    environ = demo.demo_environment(around, "http://127.0.0.1:1")
    assert {name for name in environ if not name.startswith("FAMACASE_")} == {"PATH", "PYTHONPATH"}
    # As a session reads them, they are enough.
    settings = resolve(environ, {}, ConfigFiles(directory)).settings
    assert (settings.base_url, settings.tokens.for_project(demo.PROJECT)) == (
        "http://127.0.0.1:1",
        demo.TOKEN,
    )
    assert settings.project.value == demo.PROJECT
    assert around["QASE_MODE"] == "off"


def test_the_sample_is_the_one_of_this_tree_or_its_absence_is_said(monkeypatch, directory):
    assert list(demo.sample_project().rglob("test_*.py"))
    monkeypatch.setattr(demo, "_SAMPLES", (directory / "a", directory / "b"))
    with pytest.raises(FamacaseError, match="Install the package again"):
        demo.sample_project()
    (directory / "b").mkdir()
    assert demo.sample_project() == directory / "b"


@pytest.mark.parametrize(
    ("status", "results", "is_complete"),
    [
        ("completed", [{"title": "t", "params": {"a": "1"}, "execution": {"status": "passed"}}], True),
        ("in_progress", [{"title": "t", "execution": {"status": "failed"}}], False),
        ("completed", [], False),
    ],
)
def test_it_went_well_if_the_run_is_complete_and_has_results(
    monkeypatch, capsys, status, results, is_complete
):
    answers = {
        "/runs/1": {"status": status, "stats": {"passed": 1, "failed": 2}},
        "/runs/1/results?limit=1000": {"results": results},
    }
    base = "http://h/api/v1/reporter/v1/projects/SMOKE"
    monkeypatch.setattr(demo, "_read", lambda address: answers[address.replace(base, "")])
    assert demo._show("http://h") is is_complete
    said = capsys.readouterr().out
    assert f"Run 1, {status}: http://h/runs/1" in said
    assert f"{len(results)} results arrived: 1 passed, 2 failed" in said
    assert ("  passed   t [a=1]\n" in said) == is_complete
