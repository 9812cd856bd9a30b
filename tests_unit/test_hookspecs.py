"""What plugins are promised: the hooks, and the objects that they are handed."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from famacase_pytest import hookspecs
from famacase_pytest.hookspecs import Run, Summary

HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("pytest_")}
PAGES = (Path(__file__).parents[1] / "docs" / name for name in ("hooks.md", "integrations.md"))
DOCS = "".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_a_run_is_looked_up_when_it_is_asked_for():
    """It is handed out before the first test, and created with the first result."""
    known = [None, "https://f.example/runs"]
    run = Run("SHOP", lambda: tuple(known))
    assert (run.id, run.url) == (None, "https://f.example/runs")
    known[:] = [7, "https://f.example/runs/7"]
    assert (run.id, run.url) == (7, "https://f.example/runs/7")
    assert repr(run) == "Run(project='SHOP', id=7, url='https://f.example/runs/7')"


def test_runs_can_be_kept_in_a_dict():
    """The summary of a job keeps their titles so."""
    run, other = (Run("SHOP", lambda: (7, "")) for _ in range(2))
    assert {run: 1, other: 2}[run] == 1


def test_a_summary_names_its_members():
    """Integrations get it as a dict, so a name that changes breaks them."""
    assert Summary()._asdict() == {
        "delivered": 0,
        "waiting": 0,
        "rejected": (),
        "lost": 0,
        "kept_back": 0,
        "reason": None,
    }


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_described(name):
    assert name.startswith("pytest_famacase_")
    text = inspect.getdoc(HOOKS[name])
    assert ".. versionadded::" in text
    for argument in inspect.signature(HOOKS[name]).parameters:
        assert f"    {argument}: " in text
    # With an example.
    assert f"def {name}(" in DOCS


def test_defaults_are_those_of_the_first_plugin_that_has_any():
    pluginmanager = pytest.PytestPluginManager()
    pluginmanager.add_hookspecs(hookspecs)

    class Answers:
        def __init__(self, answer):
            self.answer = answer

        def pytest_famacase_defaults(self):
            return self.answer

    for answer in ({"mode": "off"}, {"mode": "report"}, None):
        pluginmanager.register(Answers(answer))
    assert pluginmanager.hook.pytest_famacase_defaults() == {"mode": "report"}
