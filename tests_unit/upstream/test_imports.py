"""How workers are asked to load this plugin first; ``tests_e2e/test_startup.py`` shows that they do."""

from __future__ import annotations

import sys
from types import ModuleType

import execnet
import pytest

from famacase_pytest.upstream.imports import CLIENTS, answered, ask_workers


@pytest.fixture
def imported(monkeypatch):
    """One of the clients was imported here."""
    monkeypatch.setitem(sys.modules, CLIENTS[0], ModuleType(CLIENTS[0]))


@pytest.mark.parametrize("given", [None, "", "-q -p no:doctest", "--url=http://one//two"])
def test_a_worker_finds_the_variable_as_it_was(given, imported):
    environ = {"HOME": "/home", **({} if given is None else {"PYTEST_ADDOPTS": given})}
    spec = execnet.XSpec("popen")
    ask_workers([spec], environ)
    in_worker = {**environ, **spec.env}
    assert in_worker["PYTEST_ADDOPTS"].split()[:2] == ["-p", "famacase"]
    assert in_worker["PYTEST_ADDOPTS"].endswith(given or "")
    answered(in_worker)
    assert in_worker == environ


@pytest.mark.parametrize(
    "spec",
    [
        "popen//python=python3.12",
        "popen//via=proxy",
        "ssh=somewhere",
        "socket=host:8888",
        "popen//env:PYTEST_ADDOPTS=-q",
    ],
)
def test_others_are_left_alone(spec, imported):
    """Another interpreter, another machine, a variable that somebody has set for the worker."""
    asked = execnet.XSpec(spec)
    before = dict(asked.env)
    ask_workers([asked], {})
    assert asked.env == before


def test_where_the_controller_was_spared_so_are_its_workers(monkeypatch):
    for name in CLIENTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = execnet.XSpec("popen")
    ask_workers([spec], {})
    assert spec.env == {}


def test_whoever_was_not_asked_changes_nothing():
    environ = {"PYTEST_ADDOPTS": "-q"}
    answered(environ)
    assert environ == {"PYTEST_ADDOPTS": "-q"}
