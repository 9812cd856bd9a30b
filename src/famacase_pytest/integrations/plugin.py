"""Where integrations meet pytest: which ones a session has, and what they are told of it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from ..delivery.system import System
from ..errors import PASSING, SettingsError
from ..resolver import load, resolve_class
from .base import Integration, TestCase, TestResult, registry
from .lifecycle import Lifecycle

GROUP = "famacase_pytest.integrations"
LIST = "CUSTOM_INTEGRATIONS"

# The attribute of a report in which its test's markers travel from an xdist worker to the controller.
_MARKERS = "famacase_markers"

# Of the context, where the session reports to Famacase.
Context = Callable[[], dict[str, Any]]


class WorkerIntegrations:
    """Registered where tests run and integrations may be: reports take the markers of their tests along."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        report = yield
        if report.when == "setup":
            setattr(report, _MARKERS, _markers(item))
        return report


class SessionIntegrations:
    """Registered by a session with integrations, unless it is an xdist worker.

    Args:
        config: pytest's.
        named: what the setting names, each with the place where that stands.
        offered: what plugins answer to ``pytest_famacase_integrations``.
        tell: takes a line for the user.
        context: gives what on_run_end is told of the run.
        hidden: masks what is secret in a text.
    """

    def __init__(
        self,
        config: pytest.Config,
        named: Sequence[tuple[str, str]],
        offered: object,
        tell: Callable[[str], None],
        context: Context,
        hidden: Callable[[str], str],
    ) -> None:
        self._config = config
        self._named = named
        self._offered = offered
        self._tell = tell
        self._context = context
        self._hidden = hidden
        self._lifecycle: Lifecycle | None = None
        self._reports: dict[tuple[str, str], list[Any]] = {}
        self._results: list[TestResult] = []
        self._began = System.monotonic()

    def begin(self) -> None:
        """Before the first test: call all integrations for the first time.

        Raises:
            pytest.UsageError: the session must not run.
        """
        integrations = self._integrations()
        if integrations:
            self._lifecycle = Lifecycle(integrations, self._tell)
            self._lifecycle.start()
            if self._lifecycle.reason:
                raise pytest.UsageError(self._lifecycle.reason)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if self._lifecycle is not None:
            self._reports.setdefault(_key(report), []).append(report)

    # The outermost: once the test's result is stored.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> Generator[None, object, object]:
        answer = yield
        if self._lifecycle is not None:
            # xdist hands over the end of a test without its worker: of those that run it, the first.
            key = next((key for key in self._reports if key[0] == nodeid), None)
            if key is not None:
                self._ended(self._reports.pop(key))
        return answer

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            if self._lifecycle is not None and not self._lifecycle.reason:
                # A test whose worker died has no end.
                for reports in self._reports.values():
                    self._ended(reports)
                elapsed = System.monotonic() - self._began
                log_path = getattr(self._config.option, "log_file", None) or None
                self._lifecycle.end(self._results, elapsed, log_path, self._context())

    def _ended(self, reports: list[Any]) -> None:
        assert self._lifecycle is not None
        result = self._masked(_result(reports))
        self._results.append(result)
        self._lifecycle.test_ended(result)

    def _masked(self, result: TestResult) -> TestResult:
        """The result without what is secret; a marker is written for others to read."""
        case = result.test_case
        return replace(
            result,
            test_case=replace(case, nodeid=self._hidden(case.nodeid), title=self._hidden(case.title)),
            message=result.message and self._hidden(result.message),
            details=result.details and self._hidden(result.details),
        )

    def _integrations(self) -> list[Integration]:
        """All that are registered in any way, each once.

        Raises:
            pytest.UsageError: a name stands for none.
        """
        found: list[Integration] = []
        try:
            for source, name in self._named:
                found.extend(self._made(_named(name, source, self._config), source))
            found.extend(self._made(self._offered, "pytest_famacase_integrations"))
        except SettingsError as error:
            raise pytest.UsageError(str(error)) from None
        return list(dict.fromkeys([*registry, *found]))

    def _made(self, given: object, source: str) -> Iterator[Integration]:
        """The integrations that an object stands for."""
        if isinstance(given, Integration):
            yield given
        elif inspect.isclass(given) and issubclass(given, Integration):
            try:
                yield given()
            except PASSING:
                raise
            except BaseException as error:
                what = f"the integration {given.__name__} cannot be made ({type(error).__name__}: {error})."
                if given.required:
                    raise SettingsError(f"{what} It is required, so no test is run.") from error
                self._tell(f"{what} The tests and reporting go on without it.")
        elif isinstance(given, ModuleType) and hasattr(given, LIST):
            yield from self._made(getattr(given, LIST), f"{LIST} of {given.__name__}")
        elif isinstance(given, str):
            yield from self._made(_named(given, source, self._config), source)
        elif isinstance(given, Iterable) and not isinstance(given, Mapping):
            for one in given:
                yield from self._made(one, source)
        elif given is not None:
            raise SettingsError(
                f"{source} gives {given!r}, which is no integration: no test is run. Give subclasses of "
                f"famacase_pytest.Integration, instances, or a module with a list {LIST}."
            )


def _named(name: str, source: str, config: pytest.Config) -> object:
    """What a name stands for: an entry point, or what the resolver finds."""
    entries = {entry.name: entry for entry in _entry_points()} if name.isidentifier() else {}
    if name in entries:
        try:
            return entries[name].load()
        except PASSING:
            raise
        except BaseException as error:
            raise SettingsError(
                f"{source} is {name!r}, an entry point that cannot be loaded "
                f"({type(error).__name__}: {error}): no test is run. "
                "Mend the package that it is from, or leave it out."
            ) from error
    place = config.invocation_params.dir
    found = load(name, setting=source, directory=place, known=entries)
    if isinstance(found, ModuleType) and not hasattr(found, LIST):
        return resolve_class(name, Integration, setting=source, directory=place)
    return found


def _entry_points() -> Iterable[Any]:
    from importlib.metadata import entry_points

    if sys.version_info >= (3, 10):
        return entry_points(group=GROUP)
    return entry_points().get(GROUP, ())


def _key(report: Any) -> tuple[str, str]:
    node = getattr(report, "node", None)
    return report.nodeid, str(getattr(getattr(node, "gateway", None), "id", ""))


def _markers(item: pytest.Item) -> dict[str, list[tuple[list[Any], dict[str, Any]]]]:
    """The markers of a test whose arguments can travel between processes; the nearest first."""
    found: dict[str, list[tuple[list[Any], dict[str, Any]]]] = {}
    for mark in item.iter_markers():
        if mark.name != "parametrize" and _is_plain([mark.args, mark.kwargs]):
            found.setdefault(mark.name, []).append((list(mark.args), dict(mark.kwargs)))
    return found


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def _result(reports: list[Any]) -> TestResult:
    """The result of a test from its reports; of a test that was run again, the last of each phase counts."""
    last = {report.when: report for report in reports}
    markers: dict[str, Any] = next(
        (getattr(report, _MARKERS) for report in reports if hasattr(report, _MARKERS)), {}
    )
    status, decisive = "passed", last.get("call") or reports[-1]
    # The call has the last word; "???" is what xdist says of a test in which a worker died.
    for when in ("teardown", "setup", "call", "???"):
        report = last.get(when)
        if report is None:
            continue
        if report.failed:
            status, decisive = ("error" if when in ("setup", "teardown") else "failed"), report
        elif report.skipped and status == "passed":
            status, decisive = ("xfailed" if hasattr(report, "wasxfail") else "skipped"), report
        elif when == "call" and status == "passed" and hasattr(report, "wasxfail"):
            status = "xpassed"
    nodeid = reports[0].nodeid
    details = decisive.longreprtext or None
    return TestResult(
        TestCase(nodeid, _title(nodeid), markers),
        status,
        sum(report.duration for report in reports),
        _message(decisive),
        details if decisive.failed else None,
    )


def _title(nodeid: str) -> str:
    # Parameters may contain colons.
    head, bracket, parameters = nodeid.partition("[")
    return f"{head.rpartition('::')[2]}{bracket}{parameters}"


def _message(report: Any) -> str | None:
    """What is said of a test that did not simply pass."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail) or None
    if report.passed:
        return None
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).replace("Skipped: ", "", 1)
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    lines = report.longreprtext.splitlines()
    return lines[-1] if lines else None
