"""What is made of ini keys, flags, and the functions that a description names."""

from __future__ import annotations

import inspect
import json
from types import SimpleNamespace

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.orchestration import plugin
from famacase_pytest.orchestration.descriptions import find
from famacase_pytest.orchestration.plugin import _DESCRIPTIONS, _SOURCES, PROGRESS, _names, _Test, prepare


class Config:
    """As much of pytest's configuration as is asked for."""

    def __init__(self, folder, ini=None, inipath=None, names=(), everything=False):
        given = {
            "orchestration_descriptions": "descriptions",
            "orchestration_sources": "events.py",
            **(ini or {}),
        }
        self.getini = lambda key: given.get(key, "")
        self.option = SimpleNamespace(run_orch=list(names), load_orch=everything, collectonly=False)
        self.rootpath, self.inipath = folder, inipath
        self.stash = pytest.Stash()
        self.args = ["tests"]
        self.pluginmanager = SimpleNamespace(get_plugins=list)


@pytest.fixture
def folder(tmp_path):
    """A folder with two descriptions and the files of their events."""
    (tmp_path / "descriptions" / "below").mkdir(parents=True)
    for name in ("a", "below/b"):
        described = {"test_name": name[-1], "total_seconds": 1, "events": [{"name": "work"}]}
        (tmp_path / "descriptions" / f"{name}.json").write_text(json.dumps(described))
    for name in ("events.py", "more.py"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("texts", "names"),
    [([], []), ([""], []), (["a"], ["a"]), (["a, b,", " c "], ["a", "b", "c"]), ([" , "], [])],
)
def test_names_stand_apart_or_together(texts, names):
    assert _names(texts) == names


def test_without_a_flag_the_collection_stays_as_it_is(folder):
    config = Config(folder, {"orchestration_sources": "gone.py"})
    prepare(config)
    assert (config.args, config.stash[_DESCRIPTIONS]) == (["tests"], [])
    assert plugin.pytest_pycollect_makemodule(folder / "gone.py", SimpleNamespace(config=config)) is None


def test_what_is_named_is_collected_from_the_sources_and_nothing_else(folder):
    config = Config(folder, {"orchestration_sources": "events.py, more.py"}, names=["b,a", "b"])
    prepare(config)
    assert [one.name for one in config.stash[_DESCRIPTIONS]] == ["b", "a"]
    assert config.args == [str(folder / "events.py"), str(folder / "more.py")]
    assert config.stash[_SOURCES] == [folder / "events.py", folder / "more.py"]
    assert config.option.collectonly is False
    parent = SimpleNamespace(config=config)
    assert plugin.pytest_pycollect_makemodule(folder / "conftest.py", parent) is None


def test_all_are_shown_and_not_run_where_that_is_asked_for(folder):
    config = Config(folder, everything=True)
    prepare(config)
    assert [one.name for one in config.stash[_DESCRIPTIONS]] == ["a", "b"]
    assert config.option.collectonly is True


def test_paths_are_below_the_file_that_names_them(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    config = Config(elsewhere, inipath=folder / "pytest.ini", names=["a"])
    prepare(config)
    assert config.stash[_SOURCES] == [folder / "events.py"]


@pytest.mark.parametrize(
    ("ini", "names", "said"),
    [
        ({"orchestration_sources": ""}, ["a"], "orchestration_sources names nothing;"),
        ({"orchestration_sources": "events.py,evnts.py"}, ["a"], "orchestration_sources names evnts.py;"),
        ({"orchestration_descriptions": "nowhere"}, ["a"], "orchestration_descriptions names nowhere;"),
        ({}, ["c"], "There is no description 'c'"),
    ],
)
def test_what_is_not_there_ends_the_session(folder, ini, names, said):
    with pytest.raises(pytest.UsageError, match=said):
        prepare(Config(folder, ini, names=names))


def made(folder, event, functions, config=None, **more):
    """The test that is made of a description with one event."""
    described = {"test_name": "a", "total_seconds": 0.001, "events": [event], **more}
    (folder / "descriptions" / "a.json").write_text(json.dumps(described))
    [description] = find(folder / "descriptions", ["a"])
    return _Test(description, functions, config or Config(folder))


def work(first, second=2, *, third, fourth=4):
    """An event."""


async def later():
    """No event: a call of it runs nothing."""


def steps():
    """Nor is this one."""
    yield


def anything(**options):
    """Takes whatever it is given."""


FUNCTIONS = {"work": work, "later": later, "steps": steps, "anything": anything, "Class": Config, "number": 5}


def test_what_an_event_needs_and_is_not_given_is_a_fixture(folder):
    test = made(
        folder, {"name": "work", "params": {"third": 3}}, FUNCTIONS, unref_setup_fixtures=["database"]
    )
    # In the order in which they are said, after those that every such test has.
    assert list(inspect.signature(test.function).parameters) == [
        "request",
        "kill_switch",
        "database",
        "first",
    ]
    assert test.function.place_as is work
    test.check({"request", "kill_switch", "database", "first"})
    with pytest.raises(SettingsError, match="'first' is neither a fixture nor one of the params"):
        test.check({"request", "kill_switch", "database"})
    with pytest.raises(SettingsError, match=r"'database' is neither .* Did you mean databases"):
        test.check({"request", "kill_switch", "first", "databases"})


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"name": "wrok"}, "no function 'wrok'.*Did you mean work"),
        ({"name": "Class"}, "no function 'Class'"),
        ({"name": "number"}, "no function 'number'"),
        ({"name": "later"}, "a coroutine or a generator"),
        ({"name": "steps"}, "a coroutine or a generator"),
        ({"name": "work", "params": {"frist": 1}}, "work does not take 'frist'.*Did you mean first"),
    ],
)
def test_what_is_no_event_is_named(folder, event, said):
    with pytest.raises(SettingsError, match=said):
        made(folder, event, FUNCTIONS)


def test_an_event_of_any_parameters_takes_all_of_them(folder):
    test = made(folder, {"name": "anything", "params": {"x": 1}}, FUNCTIONS)
    assert list(inspect.signature(test.function).parameters) == ["request", "kill_switch"]


class Switch:
    """A kill switch of this process."""

    def __init__(self):
        self.is_on = False

    def is_set(self):
        return self.is_on

    def set(self):
        self.is_on = True


def run(test, *, fixtures=(), **given):
    """Runs it as pytest would."""
    switch = Switch()
    test.function(request=SimpleNamespace(fixturenames=list(fixtures)), kill_switch=switch, **given)
    assert switch.is_on


def test_events_are_given_their_fixtures_and_params(folder):
    calls = []

    def pay(customer, amount):
        calls.append((customer, amount))

    config, seen = Config(folder), []
    config.stash[PROGRESS] = lambda so_far: seen.append(so_far()["fields"]["pay.count"])
    test = made(folder, {"name": "pay", "params": {"amount": 5}}, {"pay": pay}, config)
    run(test, customer="the fixture")
    assert calls == [("the fixture", 5)]
    # At least once, at the end.
    assert seen[-1] == 1


def test_a_test_has_failed_if_an_event_has_and_says_how_often_and_why(folder):
    def pay():
        raise ValueError("no money")

    with pytest.raises(pytest.fail.Exception) as raised:
        run(made(folder, {"name": "pay"}, {"pay": pay}))
    lines = str(raised.value).splitlines()
    assert lines[:2] == ["1 of 1 occurrences failed", "pay: ValueError: no money"]
    assert raised.value.pytrace is False
    with pytest.raises(pytest.fail.Exception, match="stopped: pay failed"):
        run(made(folder, {"name": "pay", "on_error": "stop"}, {"pay": pay}))
