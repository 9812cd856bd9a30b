"""Replacements for upstream code that would stop a session or corrupt its results.

Each replacement calls upstream's own code wherever that works, so that a release without the defect is not
affected.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from .views import View

# The reports of a test that may have run in another process.
_REPORTS: pytest.StashKey[list[Any]] = pytest.StashKey()


# Defects that mix sessions, or keep one from starting


def is_controller(session: Any) -> bool:
    """Whether a session runs in the xdist controller, or without xdist.

    Upstream asks xdist, which fails under ``-p no:xdist`` because it reads an option of its own.
    """
    return not hasattr(session.config, "workerinput")


class NoLock:
    """Replaces upstream's file lock in the working directory, which may be read-only.

    The lock guards the run file, through which workers learn their run. Each session has its own run file,
    complete before the first worker starts, so no lock is needed. Where no disk takes that file, a session
    without workers does not miss it.
    """

    def __init__(self, path: Any) -> None:
        pass

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, OSError)


def nowhere() -> Path:
    """The path of a run file that never exists.

    A session inside a test removes its run file at the end, and must not remove the outer session's.
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
    """Upstream's ``load_run_from_lock``, which reads a worker's run from the run file.

    The first releases with several projects write one run for each project, read them back as a single run,
    and then let the worker start runs of its own.
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


def titled(original: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    """Upstream's ``_get_title``, for items of any kind.

    Upstream reads ``originalname``, which only test functions have. Doctests and other items get their name.
    """

    def _get_title(plugin: Any, item: Any) -> str:
        if not hasattr(item, "originalname"):
            item = View(item, originalname=item.name)
        return original(plugin, item)

    return _get_title


def with_plain_marks(original: Callable[..., None]) -> Callable[..., None]:
    """Upstream's ``pytest_collection_modifyitems``, for every form of ``parametrize`` that pytest takes.

    Upstream expects exactly two positional arguments, or the names as a keyword. pytest also takes one
    positional argument with the values as a keyword, and more than two positional arguments.
    """

    def pytest_collection_modifyitems(plugin: Any, session: Any, config: Any, items: list[Any]) -> None:
        views: list[Any] = [View(item, iter_markers=_plain_marks(item)) for item in items]
        original(plugin, session, config, views)
        # Upstream may have left items out.
        items[:] = [view._real for view in views]

    return pytest_collection_modifyitems


def _plain_marks(item: Any) -> Callable[..., Iterator[Any]]:
    def iter_markers(name: str | None = None) -> Iterator[Any]:
        for mark in item.iter_markers(name=name):
            if mark.name == "parametrize" and len(mark.args) != 2:
                names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
                yield View(mark, args=(names, None))
            else:
                yield mark

    return iter_markers


def with_reason(original: Callable[..., None]) -> Callable[..., None]:
    """Upstream's ``_process_test_result``, for a skip in the test itself.

    Upstream takes the reason only of one in the set-up.
    """

    def _process_test_result(plugin: Any, report: Any, call: Any, item: Any) -> None:
        original(plugin, report, call, item)
        if report.skipped and call.when == "call" and _has_reason(report.longrepr):
            plugin.runtime.result.add_message(reason_of_skip(report.longrepr))

    return _process_test_result


class _NoException:
    """The exception info of a failure that no exception caused."""

    typename = ""

    def exconly(self) -> str:
        return "Test failed"


def failing_without_exception(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Upstream's ``_handle_failed_test``, for a failure that no exception caused.

    A test that passes although it was strictly expected to fail is one. Later releases of upstream call it
    "Test failed"; earlier ones end the session.
    """

    def _handle_failed_test(plugin: Any, call: Any) -> None:
        if call.excinfo is None:
            call = View(call, excinfo=_NoException())
        original(plugin, call)

    return _handle_failed_test


def skipping_in_setup(original: Callable[..., Iterator[None]]) -> Callable[..., Any]:
    """Upstream's ``pytest_runtest_makereport``, for a skip without a reason, or an xfail, in the set-up.

    Early releases expect a reason in the report's text.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(plugin: Any, item: Any, call: Any) -> Generator[None, Any, Any]:
        steps: Any = original(plugin, item, call)
        next(steps)
        report = yield
        seen = report
        if call.when == "setup" and report.skipped and not _has_reason(report.longrepr):
            reason = getattr(report, "wasxfail", "") or "no reason was given"
            seen = View(report, longrepr=("", 0, f"Skipped: {reason}"))
        # Upstream's is an old-style hook wrapper: it is sent an outcome, and ends.
        with contextlib.suppress(StopIteration):
            steps.send(SimpleNamespace(get_result=lambda: seen))
        return report

    return pytest_runtest_makereport


def _has_reason(longrepr: Any) -> bool:
    return isinstance(longrepr, (tuple, list)) and ":" in str(longrepr[2])


def uncollected(plugin: Any, report: Any) -> Any:
    """Upstream's ``Result`` for what cannot be collected, with upstream's own suite and signature.

    Args:
        plugin: upstream's.
        report: pytest's ``CollectReport`` of a failure.
    """
    from qase.commons.models.result import Result

    # Before pytest 8 a conftest below the root makes the session fail, which has no id; "." is the root's.
    node = SimpleNamespace(nodeid=report.nodeid or ".")
    result = plugin.runtime.result = Result(title=node.nodeid, signature="")
    try:
        if node.nodeid != ".":
            plugin._get_suite(node)
        plugin._get_signature(node)
    finally:
        plugin.runtime.clear()
    result.execution.status = "invalid"
    result.execution.stacktrace = report.longreprtext
    result.add_message(failure_of(report))
    result.execution.complete()
    return result


# Statuses


def note_report(plugin: Any, report: Any) -> None:
    """Remember a report of the running test; a test that ran in another process has no other outcome."""
    result = plugin.runtime.result
    if result is not None and result.execution.status is not None:
        return  # the test ran in this process
    item = plugin._current_item
    # A controller gets the reports of its workers' tests too, but does not run those.
    if item is not None and report.nodeid == item.nodeid:
        item.stash.setdefault(_REPORTS, []).append(report)


def with_status(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Upstream's ``finish_pytest_item``, for tests that ran in another process.

    Upstream takes the outcome where the report is made, which is the child process under pytest-forked.
    """

    def finish_pytest_item(plugin: Any) -> None:
        result = plugin.runtime.result
        item = plugin._current_item
        if item is not None and result is not None and result.execution.status is None:
            for report in item.stash.get(_REPORTS, ()):
                _take_outcome(result, report, plugin.config.framework.pytest.xfail_status)
            # The test may run once more.
            item.stash[_REPORTS] = []
        original(plugin)

    return finish_pytest_item


def _take_outcome(result: Any, report: Any, expected: Any) -> None:
    """Set a result's status, message and stack trace from the report of one phase.

    Args:
        result: upstream's.
        report: pytest's; the phase is "???" if the child process died.
        expected: the user's statuses for tests that were expected to fail.
    """
    execution = result.execution
    reason = getattr(report, "wasxfail", None)
    if report.failed:
        if execution.status == "failed":
            return  # the first failure counts
        execution.status = "invalid" if report.when in ("setup", "teardown") else "failed"
        execution.stacktrace = report.longreprtext
        result.add_message(failure_of(report))
    elif report.skipped:
        execution.status = "skipped" if reason is None else expected.xfail
        result.add_message(reason_of_skip(report.longrepr) if reason is None else reason)
    elif execution.status is None and report.when == "call":
        execution.status = "passed" if reason is None else expected.xpass


def failure_of(report: Any) -> str:
    """The message of the exception that failed a phase, or else the report's text."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message)
    # A report from another process may be plain text, in which pytest marks the exception with "E".
    text = str(report.longreprtext).strip()
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E  ")]
    return "\n".join(marked) or text or "Test failed"


def reason_of_skip(longrepr: Any) -> str:
    """The reason of a skip, from its report's ``longrepr``; pytest's own word if there is none."""
    text = str(longrepr[2]) if isinstance(longrepr, (tuple, list)) else str(longrepr)
    return text.partition(": ")[2] or text


# Parameters


def with_texts_of_parameters(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Upstream's ``_set_params``, with pytest's own id for each parameter that has no plain value.

    Where it cannot tell which part of the test's id is whose, upstream takes ``str(value)``, which holds an
    address in memory for most objects, and has another order in each process for a set. It would be another
    test case in each run.
    """

    def _set_params(plugin: Any, item: Any) -> None:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and not all(map(_is_plain, callspec.params.values())):
            ids = _ids_of_parameters(item, callspec)
            texts = {
                name: value if _is_plain(value) else ids[name] for name, value in callspec.params.items()
            }
            item = View(item, callspec=View(callspec, params=texts))
        original(plugin, item)

    return _set_params


def _is_plain(value: Any, depth: int = 5) -> bool:
    """Whether ``str(value)`` is the same in every process."""
    if value is None or isinstance(value, (str, bytes, int, float, complex, enum.Enum)):
        return True
    if depth and isinstance(value, (list, tuple)):
        return all(_is_plain(item, depth - 1) for item in value)
    if depth and isinstance(value, dict):
        return all(_is_plain(item, depth - 1) for pair in value.items() for item in pair)
    return False


def _ids_of_parameters(item: Any, callspec: Any) -> dict[str, str]:
    """Pytest's id for each parameter; those of one ``parametrize`` are one id, joined by "-"."""
    together: dict[str, tuple[str, ...]] = {}
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        split = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
        together.update(dict.fromkeys(split, tuple(split)))
    groups = list(dict.fromkeys(together.get(name, (name,)) for name in callspec.params))
    parts = getattr(callspec, "_idlist", ())
    if len(parts) != len(groups):
        # One of them is hidden.
        return {name: f"{name}{callspec.indices.get(name, 0)}" for name in callspec.params}
    found: dict[str, str] = {}
    for group, part in zip(groups, parts):
        single = part.split("-")
        found.update(zip(group, single) if len(single) == len(group) else dict.fromkeys(group, part))
    return found
