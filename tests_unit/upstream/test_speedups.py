"""The replacements mean the same as what they replace."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import _pytest.faulthandler
import _pytest.runner
import freezegun
import pytest
import qase.commons.utils
from qase.commons.models import Result
from qase.commons.models.basemodel import BaseModel
from qase.commons.reporters.core import QaseCoreReporter
from qase.commons.util import host_data

from famacase_pytest.upstream import speedups

time_machine = pytest.importorskip("time_machine")


host_info = speedups.host_info_like(host_data.get_host_info)


def test_host_info_has_the_keys_of_upstream(monkeypatch):
    monkeypatch.setattr(host_data, "exec_command", lambda command, default_value="": "Version: 1")
    theirs = host_data.get_host_info("pytest", "qase-pytest")
    ours = host_info("pytest", "qase-pytest")
    assert set(ours) == set(theirs)
    told_by_a_process = {
        "packageManager",
        "pip",
        "framework",
        "reporter",
        "commons",
        "apiClientV1",
        "apiClientV2",
    }
    for key in set(theirs) - told_by_a_process:
        assert ours[key] == theirs[key], key


def test_host_info_tells_the_versions_of_this_environment_and_starts_nothing(monkeypatch):
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("no process is needed")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    found = host_info("pytest", "qase-pytest")
    assert found["framework"] == pytest.__version__
    assert found["reporter"]
    assert found["commons"]
    assert set(map(type, found.values())) == {str}
    unknown = host_info(None, "a distribution that is not installed")
    assert (unknown["framework"], unknown["reporter"]) == ("", "")


@pytest.fixture
def clock() -> Any:
    theirs = vars(qase.commons.utils.QaseUtils)["get_real_time"]
    return speedups.real_time(theirs).__func__


def test_the_clock_tells_the_time(clock):
    assert isinstance(clock(), float)
    readings = [time.time(), clock(), time.time()]
    assert same_order(readings)


def same_order(readings: list[float]) -> bool:
    """Whether they came one after the other, by clocks that count in microseconds at least."""
    return all(one <= other + 1e-5 for one, other in zip(readings, readings[1:]))


def test_no_library_moves_the_clock(clock):
    readings = [time.time()]
    with freezegun.freeze_time("2001-01-01"):
        assert time.time() < 10**9
        readings.append(clock())
    with time_machine.travel(0, tick=False):
        assert time.time() == 0
        readings.append(clock())
    assert same_order([*readings, time.time()])


def test_a_python_without_ctypes_keeps_upstreams_clock(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert speedups.real_time("theirs") == "theirs"


@pytest.mark.parametrize("error", [OSError("static"), AttributeError("gettimeofday")])
def test_a_libc_that_cannot_be_had_keeps_upstreams_clock(error, monkeypatch):
    def refuse(name: Any) -> Any:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert speedups.real_time("theirs") == "theirs"


def test_the_clock_uses_one_handle_of_the_process_itself(monkeypatch):
    loaded = []
    real = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name: loaded.append(name) or real(name))
    clock = speedups.real_time("theirs").__func__
    for _ in range(3):
        clock()
    # A library's file name would be another one under musl.
    assert loaded == [None]


def test_host_info_has_the_names_of_the_release():
    def older() -> dict[str, str]:
        return {"python": "", "pip": ""}

    def newer() -> dict[str, str]:
        return {"language": "", "packageManager": ""}

    names = {"python", "pip", "language", "packageManager"}
    assert names & set(speedups.host_info_like(older)("pytest", None)) == {"python", "pip"}
    assert names & set(speedups.host_info_like(newer)("pytest", None)) == {"language", "packageManager"}


def test_host_info_has_no_v_before_a_version(monkeypatch):
    monkeypatch.setattr(speedups.importlib.metadata, "version", lambda name: "v1.2")
    monkeypatch.setattr(speedups.platform, "release", lambda: "v6.1")
    found = host_info("pytest", "qase-pytest")
    assert (found["framework"], found["release"]) == ("1.2", "6.1")


class Log:
    """Upstream's logger, as far as a result passes it."""

    def __init__(self, *, debug: bool) -> None:
        self.debug = debug
        self.lines: list[str] = []

    def log_debug(self, message: str) -> None:
        if self.debug:
            self.lines.append(message)

    def log(self, message: Any, level: str) -> None:
        raise AssertionError(message)


class Taker:
    """A reporter that makes a text of what it gets, as upstream's local report does."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add_result(self, result: Any) -> None:
        self.texts.append(str(result))


@pytest.fixture
def result() -> Any:
    return Result("A test", "its::signature")


def added(result: Any, *, debug: bool, reports: bool = True) -> tuple[Log, Taker, list[Any]]:
    """Adds a result to upstream's core reporter; returns also of which models a text was made."""
    core = QaseCoreReporter.__new__(QaseCoreReporter)
    core.logger, core.overhead = Log(debug=debug), 0
    core.reporter = taker = Taker()
    if not reports:
        core.reporter = None
    core.status_mapping = SimpleNamespace(is_empty=lambda: True)
    made = []

    def counting(original: Any) -> Any:
        def __str__(model: Any, *args: Any, **kwargs: Any) -> str:
            made.append(model)
            return original(model, *args, **kwargs)

        return __str__

    with pytest.MonkeyPatch.context() as monkeypatch:
        debug_text = speedups.DebugText()
        monkeypatch.setattr(BaseModel, "__str__", debug_text.writing(counting(BaseModel.__str__)))
        monkeypatch.setattr(QaseCoreReporter, "add_result", debug_text.adding(QaseCoreReporter.add_result))
        core.add_result(result)
        # Whoever asks afterwards gets the text.
        assert json.loads(f"{result}") == json.loads(str(result))
        del made[-2:]
    return core.logger, taker, made


def test_no_text_is_made_for_a_debug_line_that_is_not_printed(result):
    log, taker, made = added(result, debug=False)
    assert log.lines == []
    # The one that the reporter makes is its own, and whole.
    assert made == [result]
    assert taker.texts == [str(result)]


def test_the_debug_line_is_as_it_was(result):
    log, taker, made = added(result, debug=True)
    assert log.lines[0] == f"Adding result {result}"
    assert json.loads(log.lines[0][len("Adding result ") :])["title"] == "A test"
    assert made == [result, result]
    assert taker.texts == [str(result)]


def test_without_a_reporter_nothing_is_made(result):
    assert added(result, debug=False, reports=False)[2] == []


class Plugin:
    """Upstream's plugin, as far as the start of a test goes: it keeps the items that it was given."""

    def __init__(self) -> None:
        self.runtime = SimpleNamespace(result=None)
        self._current_item: Any = None
        self.started: list[Any] = []

    def start(self, item: Any) -> Any:
        def upstreams(plugin: Any, item: Any) -> None:
            plugin.started.append(item)
            plugin.runtime.result = Result(title="of upstream", signature="")

        speedups.starting(upstreams)(self, item)
        return self.runtime.result


@pytest.mark.filterwarnings("error:of the class")
@pytest.mark.usefixtures("result")
class TestMarks:
    @pytest.mark.filterwarnings("error:of the test")
    @pytest.mark.filterwarnings("error:above")
    @pytest.mark.parametrize("number", [1])
    def test_an_item_answers_as_it_did(self, number, request):
        plugin = Plugin()
        plugin.start(request.node)
        (item,) = plugin.started
        assert list(item.iter_markers()) == list(request.node.iter_markers())
        for name in ("filterwarnings", "usefixtures", "parametrize", "qase_id"):
            assert list(item.iter_markers(name)) == list(request.node.iter_markers(name))
            assert list(item.iter_markers(name=name)) == list(request.node.iter_markers(name=name))
            assert item.get_closest_marker(name) == request.node.get_closest_marker(name)
        assert len(list(item.iter_markers("filterwarnings"))) == 3
        assert item.get_closest_marker("qase_id", "none") == "none"
        assert item.nodeid == request.node.nodeid
        assert item.callspec.id == request.node.callspec.id
        assert not hasattr(item, "no such thing")

    def test_marks_that_a_test_gives_itself_are_seen_at_the_next_start(self, request):
        plugin = Plugin()
        plugin.start(request.node)
        request.node.add_marker(pytest.mark.skip(reason="now known"))
        plugin.start(request.node)
        seen = [item.get_closest_marker("skip") for item in plugin.started]
        assert [mark and mark.kwargs["reason"] for mark in seen] == [None, "now known"]


def implementations(*plugins: Any) -> Any:
    hook = SimpleNamespace(get_hookimpls=lambda: [SimpleNamespace(plugin=plugin) for plugin in plugins])
    return SimpleNamespace(hook=SimpleNamespace(pytest_runtest_protocol=hook), stash=pytest.Stash())


def test_a_test_that_nobody_runs_again_is_not_started_in_full_when_it_has_ended():
    plugin = Plugin()
    config = implementations(_pytest.runner, _pytest.faulthandler, plugin)
    items = [SimpleNamespace(name=name, config=config, iter_markers=list) for name in ("one", "two")]
    for item in items:
        plugin._current_item = None
        assert plugin.start(item).title == "of upstream"
        plugin._current_item = item
        spare = plugin.start(item)
        assert spare.title == item.name
        # What hooks still add goes nowhere, as it did.
        spare.add_attachment("something")
    assert len(plugin.started) == 2


@pytest.mark.parametrize("other", [sys, SimpleNamespace()], ids=["a module", "an object"])
def test_where_others_run_tests_each_start_is_upstreams(other):
    plugin = Plugin()
    config = implementations(_pytest.runner, plugin, other)
    item = SimpleNamespace(name="one", config=config, iter_markers=list)
    for current in (None, item):
        plugin._current_item = current
        assert plugin.start(item).title == "of upstream"
