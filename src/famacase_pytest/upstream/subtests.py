"""Subtests become steps of their test: pytest's own, those of pytest-subtests and of ``unittest``.

Upstream takes the report of a subtest for that of the test: the test ends with what the last subtest said,
and nothing tells which ones there were.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import pytest
from _pytest._io.saferepr import saferepr  # as pytest itself shows them

from .attempts import FAILED
from .guards import failure_of, reason_of_skip

# Seconds: upstream's clock counts in microseconds.
_TICK = 0.000002


class _State(NamedTuple):
    """What a result says before upstream has seen a report, to undo what upstream makes of a subtest's."""

    status: str | None
    message: str | None
    stacktrace: str | None
    attachments: list[Any]
    kept: int


_BEFORE: pytest.StashKey[_State] = pytest.StashKey()
# The steps of the subtests so far, each with its stack trace.
_SUBTESTS: pytest.StashKey[list[tuple[Any, str]]] = pytest.StashKey()


def keeping_state(original: Callable[..., None]) -> Callable[..., None]:
    """Upstream's ``_process_test_result``, of which `noting` can undo what it does.

    That a report is of a subtest shows only later, when it is logged.
    """

    def _process_test_result(plugin: Any, report: Any, call: Any, item: Any) -> None:
        if call.when == "call":
            result = plugin.runtime.result
            attachments = _attachments(plugin.runtime)
            item.stash[_BEFORE] = _State(
                result.execution.status,
                result.message,
                result.execution.stacktrace,
                attachments,
                len(attachments),
            )
        original(plugin, report, call, item)

    return _process_test_result


def noting(other: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A ``pytest_runtest_logreport`` that makes a step of a subtest.

    Args:
        other: what to do with any other report.
    """

    def pytest_runtest_logreport(plugin: Any, report: Any) -> None:
        if not hasattr(getattr(report, "context", None), "kwargs"):
            other(plugin, report)
            return
        item = plugin._current_item
        # A controller gets the reports of its workers' tests too, but does not run those.
        if item is not None and plugin.runtime.result is not None and report.nodeid == item.nodeid:
            _take(plugin, item, report)

    return pytest_runtest_logreport


def with_subtests(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Upstream's ``finish_pytest_item``, for a test with subtests: it has failed if one of them has."""

    def finish_pytest_item(plugin: Any) -> None:
        item = plugin._current_item
        subtests = None if item is None else item.stash.get(_SUBTESTS, None)
        if subtests:
            del item.stash[_SUBTESTS]
            _count(plugin.runtime.result, subtests)
        original(plugin)

    return finish_pytest_item


def _take(plugin: Any, item: Any, report: Any) -> None:
    runtime = plugin.runtime
    before = item.stash.get(_BEFORE, None)
    if before is not None:
        del item.stash[_BEFORE]
        runtime.result.execution.status = before.status
        runtime.result.execution.stacktrace = before.stacktrace
        runtime.result.message = before.message
        # Logs of the set-up, once more, and recordings that are not complete yet.
        del before.attachments[before.kept :]
    step = _step(report)
    step.parent_id = runtime.step_id
    begin = step.execution.start_time
    for other in runtime.steps.values():
        # What was done in the subtest is below it. One of unittest does not tell when it began.
        is_beside = other.parent_id == runtime.step_id and other.id != runtime.step_id
        if begin and is_beside and (other.execution.start_time or 0) >= begin - _TICK:
            other.parent_id = step.id
    runtime.steps[step.id] = step
    item.stash.setdefault(_SUBTESTS, []).append((step, str(report.longreprtext)))
    if plugin.reporter.config.framework.pytest.capture_logs:
        _attach_logs(plugin, step, report)


def _step(report: Any) -> Any:
    from qase.commons.models.step import Step, StepTextData, StepType

    message, parameters = report.context.msg, _parameters(report.context)
    title = " ".join(filter(None, [message and str(message), parameters and f"({parameters})"]))
    step = Step(StepType.TEXT, None, StepTextData(title or "subtest"))
    step.data.input_data = parameters or None
    step.data.expected_result = _text(report)
    step.execution.set_status(report.outcome)
    step.execution.start_time = getattr(report, "start", 0) or None
    step.execution.end_time = getattr(report, "stop", 0) or None
    step.execution.duration = int(report.duration * 1000)
    return step


def _text(report: Any) -> str | None:
    if report.failed:
        return failure_of(report)
    if report.skipped:
        return getattr(report, "wasxfail", None) or reason_of_skip(report.longrepr)
    return None


def _parameters(context: Any) -> str:
    # pytest's own are texts already; values of pytest-subtests are what the test has given.
    shown = str if type(context).__module__.startswith("_pytest.") else saferepr
    return ", ".join(f"{name}={shown(value)}" for name, value in context.kwargs.items())


def _attachments(runtime: Any) -> list[Any]:
    """Where an attachment goes now; releases differ in where a step has them."""
    if not runtime.step_id:
        return runtime.result.attachments  # type: ignore[no-any-return]
    step = runtime.steps[runtime.step_id]
    return (step if hasattr(step, "attachments") else step.execution).attachments  # type: ignore[no-any-return]


def _attach_logs(plugin: Any, step: Any, report: Any) -> None:
    """Attach what the subtest has logged and printed, as upstream does for a test."""
    current, plugin.runtime.step_id = plugin.runtime.step_id, step.id
    try:
        for kind, name in (("log", "log.txt"), ("stdout", "stdout.txt"), ("stderr", "stderr.txt")):
            content = "".join(text for _, text in report.get_sections(f"Captured {kind} call"))
            if content:
                plugin.add_attachments((content, "text/plain", name))
    finally:
        plugin.runtime.step_id = current


def _count(result: Any, subtests: list[tuple[Any, str]]) -> None:
    """Make a result tell how many of its subtests have failed."""
    failed = [(step, trace) for step, trace in subtests if step.execution.status == "failed"]
    if not failed:
        return
    lines = [f"{len(failed)} of {len(subtests)} subtests failed"]
    for step, _ in failed:
        reason = (step.data.expected_result or "").partition("\n")[0]
        lines.append(f"{step.data.action}: {reason}")
    if result.execution.status in FAILED:
        # The test itself has failed too.
        lines[:0] = [str(result.message), ""] if result.message else []
    else:
        result.execution.status = "failed"
        result.execution.stacktrace = failed[0][1]
    result.add_message("\n".join(lines))
