"""Replacements for code of upstream that would stop a session or corrupt its results.

Each replacement calls upstream's own code wherever that works, so that a release without the defect goes on
as it would without us.
"""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest

# The reports of a test that may have run in another process.
_REPORTS: pytest.StashKey[list[Any]] = pytest.StashKey()


# Sessions that would mix, or not start


def is_controller(session: Any) -> bool:
    """Whether this is no xdist worker.

    Upstream asks xdist, which looks for an option that is missing under ``-p no:xdist``. A worker is known
    by what xdist gives it.
    """
    return not hasattr(session.config, "workerinput")


class NoLock:
    """Takes the place of upstream's file lock in the working directory.

    The lock guards the file by which a run passes from controller to workers. That file is this session's
    own and is complete before the first worker starts, so there is nothing to guard; and a working directory
    may be read-only.
    """

    def __init__(self, path: Any) -> None:
        pass

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: Any) -> None:
        return None


def nowhere() -> Path:
    """A run file that nobody has written, for a session inside another one's test.

    Such a session removes the run file at its end; that of the outer session has to stay.
    """
    return Path(os.devnull, "no-run")


def dropping_run_file(original: Any) -> Any:
    """Upstream's ``drop_run_id``, by which a controller removes the run file before it completes the run.

    A file that cannot be removed, after a test has changed rights or used up all descriptors, would end the
    session; and as long as upstream sees one it does not complete the run.
    """

    def drop_run_id() -> None:
        from qase.pytest.plugin import QasePytestPlugin

        try:
            original.__func__()
        except OSError:
            # To the end of the session; the rows are undone then.
            QasePytestPlugin.meta_run_file = nowhere()

    return staticmethod(drop_run_id)


def loading_several_runs(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Upstream's ``load_run_from_lock``, by which a worker learns its run.

    The releases that came with several projects write the runs of all of them into the file, read them back
    as one, and start runs of the worker's own.
    """

    def load_run_from_lock(plugin: Any) -> None:
        reporter = plugin.reporter.reporter
        runs = getattr(reporter, "project_runs", None)
        path = Path(plugin.meta_run_file)
        if runs is None or hasattr(reporter, "set_run_ids") or not path.exists():
            original(plugin)
            return
        written = ast.literal_eval(path.read_text(encoding="utf-8"))
        plugin.run_id = {code: int(run_id) for code, run_id in written.items()}
        runs.update(plugin.run_id)

    return load_run_from_lock


# The debug log


def logging_anywhere(original: Callable[..., None], tell: Callable[[str], None]) -> Callable[..., None]:
    """Upstream's ``Logger.__init__``, where the file of its debug log cannot be made.

    Args:
        original: upstream's.
        tell: takes a line for the user.
    """

    def __init__(logger: Any, *args: Any, **options: Any) -> None:
        try:
            original(logger, *args, **options)
        except OSError as error:
            tell(
                f"The debug log of qase-pytest cannot be written ({error}): it goes to the terminal alone. "
                "Make the working directory writable."
            )
            type(logger)._log_file = os.devnull
            original(logger, *args, **options)

    return __init__


def logging_or_not(original: Callable[..., None]) -> Callable[..., None]:
    """Upstream's ``Logger.log``: its file has a relative path, and tests change the working directory."""

    def log(logger: Any, message: str, level: str = "info") -> None:
        with contextlib.suppress(OSError):
            original(logger, message, level)

    return log


# Tests that upstream does not expect


class _View:
    """An object of pytest's with some attributes replaced; everything else, writing included, is its own."""

    def __init__(self, real: Any, replaced: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_real", real)
        for name, value in replaced.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)


def titled(original: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    """Upstream's ``_get_title``, for items of any kind.

    It reads an attribute that only test functions have; doctests and other items go by their name.
    """

    def _get_title(plugin: Any, item: Any) -> str:
        if not hasattr(item, "originalname"):
            item = _View(item, {"originalname": item.name})
        return original(plugin, item)

    return _get_title


def with_plain_marks(original: Callable[..., None]) -> Callable[..., None]:
    """Upstream's ``pytest_collection_modifyitems``, for every form of ``parametrize`` that pytest takes.

    It expects two positional arguments, or none and the names as text. A name is the first argument or a
    keyword, the values follow or are a keyword, and further positional arguments are allowed.
    """

    def pytest_collection_modifyitems(plugin: Any, session: Any, config: Any, items: list[Any]) -> None:
        views: list[Any] = [_View(item, {"iter_markers": _plain_marks(item)}) for item in items]
        original(plugin, session, config, views)
        # Upstream may have left items out.
        items[:] = [view._real for view in views]

    return pytest_collection_modifyitems


def _plain_marks(item: Any) -> Callable[..., Iterator[Any]]:
    def iter_markers(name: str | None = None) -> Iterator[Any]:
        for mark in item.iter_markers(name=name):
            if mark.name == "parametrize" and len(mark.args) != 2:
                names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
                yield _View(mark, {"args": (names, None)})
            else:
                yield mark

    return iter_markers


class _NoException:
    """Stands for the exception that a failure without one does not have."""

    typename = ""

    def exconly(self) -> str:
        return "Test failed"


def failing_without_exception(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Upstream's ``_handle_failed_test``, for a failure that no exception caused.

    A test that was expected to fail, strictly, and passed is one. Later releases of upstream call it
    "Test failed"; earlier ones end the session.
    """

    def _handle_failed_test(plugin: Any, call: Any) -> None:
        if call.excinfo is None:
            call = _View(call, {"excinfo": _NoException()})
        original(plugin, call)

    return _handle_failed_test


def skipping_in_setup(original: Callable[..., Iterator[None]]) -> Callable[..., Any]:
    """Upstream's ``pytest_runtest_makereport``, for a skip in the set-up that says no reason, or an xfail.

    Early releases take such a report's text apart without looking.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(plugin: Any, item: Any, call: Any) -> Generator[None, Any, Any]:
        steps: Any = original(plugin, item, call)
        next(steps)
        report = yield
        seen = report
        if call.when == "setup" and report.skipped and not _has_reason(report.longrepr):
            reason = getattr(report, "wasxfail", "") or "no reason was given"
            seen = _View(report, {"longrepr": ("", 0, f"Skipped: {reason}")})
        # Upstream's is a wrapper of the old kind, which is sent an outcome and ends.
        with contextlib.suppress(StopIteration):
            steps.send(SimpleNamespace(get_result=lambda: seen))
        return report

    return pytest_runtest_makereport


def _has_reason(longrepr: Any) -> bool:
    return isinstance(longrepr, (tuple, list)) and ":" in str(longrepr[2])


# Statuses


def note_report(plugin: Any, report: Any) -> None:
    """Remember a report of the test under way: where a test ran elsewhere, nothing else tells its outcome."""
    result = plugin.runtime.result
    if result is not None and result.execution.status is not None:
        return  # it ran here, as almost all tests do
    item = plugin._current_item
    # A controller hears the reports of its workers' tests too; none of those is under way here.
    if item is not None and report.nodeid == item.nodeid:
        item.stash.setdefault(_REPORTS, []).append(report)


def with_status(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Upstream's ``finish_pytest_item``, for tests that ran in a process of their own.

    Upstream takes the outcome from where a report is made, which pytest-forked does in the child.
    """

    def finish_pytest_item(plugin: Any) -> None:
        result = plugin.runtime.result
        item = plugin._current_item
        if item is not None and result is not None and result.execution.status is None:
            for report in item.stash.get(_REPORTS, ()):
                _take_outcome(result, report, plugin.config.framework.pytest.xfail_status)
            # The test may be run once more.
            item.stash[_REPORTS] = []
        original(plugin)

    return finish_pytest_item


def _take_outcome(result: Any, report: Any, expected: Any) -> None:
    """Give a result what one report says: status, message, stack trace.

    Args:
        result: upstream's.
        report: of one phase; of a child that died the phase is "???".
        expected: the statuses of tests that were expected to fail, as the user has set them.
    """
    execution = result.execution
    reason = getattr(report, "wasxfail", None)
    if report.failed:
        if execution.status == "failed":
            return  # what breaks after a failure does not replace it
        execution.status = "invalid" if report.when in ("setup", "teardown") else "failed"
        execution.stacktrace = report.longreprtext
        result.add_message(_failure(report))
    elif report.skipped:
        execution.status = "skipped" if reason is None else expected.xfail
        result.add_message(_skip_reason(report.longrepr) if reason is None else reason)
    elif execution.status is None and report.when == "call":
        execution.status = "passed" if reason is None else expected.xpass


def _failure(report: Any) -> str:
    """The exception of a failed phase, in its own words where they can be found."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    # A report that has come from another process may be text alone, in which pytest marks the exception.
    text = str(report.longreprtext).strip()
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E  ")]
    return "\n".join(marked) or text or "Test failed"


def _skip_reason(longrepr: Any) -> str:
    text = str(longrepr[2]) if isinstance(longrepr, (tuple, list)) else str(longrepr)
    return text.partition(": ")[2] or text
