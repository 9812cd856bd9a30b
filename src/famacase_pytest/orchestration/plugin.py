"""The fixtures of long tests, and how pytest collects them."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from multiprocessing.managers import SyncManager
from pathlib import Path
from tempfile import gettempdir
from types import FunctionType, ModuleType
from typing import Any

import pytest

from .. import upstream
from ..errors import SettingsError
from ..settings.located import Location
from ..settings.names import nearest
from .descriptions import Description, Event, find
from .reporter import MarkedQueue, ResultReporter, monitoring
from .scheduler import Scheduler

# Takes a function that gives steps, fields, and perhaps a status and a message of the result.
PROGRESS: pytest.StashKey[Callable[[Callable[[], Mapping[str, Any]]], None]] = pytest.StashKey()
_SOURCES: pytest.StashKey[list[Path]] = pytest.StashKey()
_DESCRIPTIONS: pytest.StashKey[list[Description]] = pytest.StashKey()


@pytest.fixture
def kill_switch() -> Iterator[Any]:
    """A ``multiprocessing.Event``, set when the test ends, so that what it has started ends too."""
    event = multiprocessing.Event()
    yield event
    event.set()


@pytest.fixture
def report_queue() -> Iterator[Any]:
    """What events report, from whatever process: a manager's queue."""
    # The path of a Unix socket has 107 bytes at most, of which multiprocessing adds some 35.
    manager = SyncManager(("127.0.0.1", 0) if len(os.fsencode(gettempdir())) > 70 else None)
    manager.start(_end_with_parent)
    with manager:
        yield MarkedQueue(manager.Queue())


@pytest.fixture
def result_reporter(report_queue: Any) -> ResultReporter:
    """Takes what events report."""
    return ResultReporter(report_queue)


def prepare(config: pytest.Config) -> None:
    """Read the descriptions that are asked for, and have nothing else collected. Raises UsageError."""
    base = config.inipath.parent if config.inipath else config.rootpath
    folder = base / config.getini("orchestration_descriptions")
    sources = [base / name for name in _names([config.getini("orchestration_sources")])]
    config.stash[_SOURCES], config.stash[_DESCRIPTIONS] = sources, []
    names = _names(config.option.run_orch)
    if not names and not config.option.load_orch:
        return
    for key in ("orchestration_descriptions", "orchestration_sources"):
        missing = [name for name in _names([config.getini(key)]) or ["nothing"] if not (base / name).exists()]
        if missing:
            raise pytest.UsageError(
                f"The ini key {key} names {missing[0]}; it has to name what is in {base}."
            )
    try:
        config.stash[_DESCRIPTIONS] = find(folder, names)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    config.option.collectonly |= config.option.load_orch
    config.args[:] = map(str, sources)


def _names(texts: list[str]) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect the descriptions, and nothing else, where the sources are collected."""
    if not parent.config.stash[_DESCRIPTIONS] or module_path not in parent.config.stash[_SOURCES]:
        return None
    return Sources.from_parent(parent, path=module_path)


class Sources(pytest.Module):
    """A file of events. The first one has an item for each description."""

    def collect(self) -> list[Any]:
        """The descriptions that were asked for."""
        first, *others = self.config.stash[_SOURCES]
        if self.path != first:
            return []
        # A copy: the tests are put beside the events, and the fixtures of all files.
        content = ModuleType(self.obj.__name__)
        modules = [pytest.Module.from_parent(self.parent, path=path).obj for path in others]
        for module in (*reversed(modules), self.obj):
            vars(content).update(vars(module))
        self.obj = content
        try:
            descriptions = self.config.stash[_DESCRIPTIONS]
            self._tests = {one.name: _Test(one, dict(vars(content)), self.config) for one in descriptions}
            vars(content).update((name, test.function) for name, test in self._tests.items())
            items: list[Any] = list(super().collect())
            for item in items:
                self._tests[item.originalname].check({*item._fixtureinfo.name2fixturedefs, "request"})
        except SettingsError as error:
            raise self.CollectError(str(error)) from None
        return items

    def istestfunction(self, obj: object, name: str) -> bool:
        """Descriptions alone are tests here."""
        return name in self._tests

    def istestclass(self, obj: object, name: str) -> bool:
        """No class is one."""
        return False


class _Test:
    """What pytest takes for a test function, with all fixtures that the events need as arguments."""

    def __init__(self, description: Description, functions: Mapping[str, Any], config: pytest.Config) -> None:
        self._description = description
        self._config = config
        self._calls: dict[str, tuple[Any, list[str], Mapping[str, Any]]] = {}
        # The fixtures that are needed, and where that is said.
        self._needed: dict[str, Location] = {
            name: ("unref_setup_fixtures", index) for index, name in enumerate(description.fixtures)
        }
        for event in description.events:
            self._bind(event, functions)
        names = dict.fromkeys(["request", "kill_switch", *self._needed])
        parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
        function: Any = lambda **given: self._run(**given)  # noqa: E731 (its attributes are what pytest reads)
        function.__signature__ = inspect.Signature(parameters)
        # Where pytest says that the test is.
        function.place_as = self._calls[description.events[0].key][0]
        if upstream.is_loaded(config.pluginmanager):
            function.pytestmark = upstream.marks(**description.qase)
        self.function = function

    def check(self, known: set[str]) -> None:
        for name, at in self._needed.items():
            if name not in known:
                problem = f"{name!r} is neither a fixture nor one of the params.{nearest(name, known)}"
                self._description.file.fail(at, problem)

    def _bind(self, event: Event, functions: Mapping[str, Any]) -> None:
        function = functions.get(event.name)
        if not isinstance(function, FunctionType):
            known = [name for name, value in functions.items() if isinstance(value, FunctionType)]
            problem = f"orchestration_sources has no function {event.name!r}.{nearest(event.name, known)}"
            self._description.file.fail((*event.at, "name"), problem)
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            problem = f"{event.name} is a coroutine or a generator, of which a call runs nothing."
            self._description.file.fail((*event.at, "name"), problem)
        parameters = inspect.signature(function).parameters.values()
        named = {
            one.name: one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        }
        for name in event.params:
            if name not in named and not any(one.kind == one.VAR_KEYWORD for one in parameters):
                problem = f"{event.name} does not take {name!r}.{nearest(name, named)}"
                self._description.file.fail((*event.at, "params", name), problem)
        taken = [name for name, one in named.items() if one.default is one.empty and name not in event.params]
        self._needed.update((name, (*event.at, "name")) for name in taken)
        self._calls[event.key] = (function, taken, event.params)

    def _run(self, request: pytest.FixtureRequest, kill_switch: Any, **given: Any) -> None:
        """One attempt. Raises what `pytest.fail` does if anything has failed."""
        fixtures = {"request": request, "kill_switch": kill_switch, **given}
        progress = self._config.stash.get(PROGRESS, None)
        scheduler = Scheduler(
            self._description,
            {
                key: partial(function, **{name: fixtures[name] for name in taken}, **params)
                for key, (function, taken, params) in self._calls.items()
            },
            kill_switch,
            report=lambda: progress(scheduler.so_far) if progress else None,
            report_every=float(self._config.getini("orchestration_report_sec") or 30),
        )
        record = scheduler.record
        is_used = "result_reporter" in request.fixturenames
        reporter = request.getfixturevalue("result_reporter") if is_used else None
        with monitoring(reporter, kill_switch, record.report):
            scheduler.run()
        if record.failed or scheduler.stopped:
            lines = [f"{record.failed} of {record.count} occurrences failed"]
            lines += [f"stopped: {scheduler.stopped}"] if scheduler.stopped else []
            lines += [f"{one.event.key}: {one.message}" for one in record.failures[:3]]
            pytest.fail("\n".join(lines), pytrace=False)


def _end_with_parent() -> None:
    """In a manager's process: end it when the process is gone that it serves, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(0)), daemon=True).start()  # type: ignore
