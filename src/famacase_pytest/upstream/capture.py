"""Each result is stored before the next test starts, and each file when it is attached.

Upstream collects up to 200 results and sends them in a thread, which reads the files only then. A worker
that dies loses the results it holds, and a file that a test has deleted is lost. Here each result is handed
over when its test has finished, on the test's thread, which only stores it.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

import pytest

from ..delivery.models import end_at
from ..delivery.system import System
from .attempts import Attempts
from .guards import note_report, uncollected
from .payload import PayloadOptions, file_source, keep, wire_result

if TYPE_CHECKING:
    from ..delivery.models import CapturedResult
    from ..delivery.transport import Transport


# The name under which `CallWatch` is registered.
_CALLS = "famacase-calls"


class InlineThread:
    """Replaces the thread that upstream sends in: a thread that has not run yet is lost with its process."""

    def __init__(self, *, target: Callable[..., Any], args: Any = ()) -> None:
        self._target = target
        self._args = args

    def start(self) -> None:
        """Call the target, on this thread."""
        self._target(*self._args)


def copying_attachments(original: Callable[..., None], transport: Callable[[], Transport | None]) -> Any:
    """Upstream's ``Runtime.add_attachment``, which also copies the file as it is now.

    Args:
        original: upstream's.
        transport: returns the session's, or None where nothing is sent, as in mode ``report``.
    """

    def add_attachment(runtime: Any, attachment: Any) -> None:
        # First, since a conftest may have wrapped it, to rename what is attached.
        original(runtime, attachment)
        copies_to = transport()
        copied = copies_to.copy(file_source(attachment, ref="")) if copies_to is not None else None
        if copied is not None:
            keep(attachment, lambda: copied)
            if not attachment.file_path and not copied.problem:
                # The content is stored; upstream would hold it in memory to the end of the test.
                attachment.content = ""

    return add_attachment


def ending(original: Callable[..., None], end_with: Callable[..., None]) -> Callable[..., None]:
    """Upstream's ``pytest_sessionfinish``, which completes the run; hooks after it may finish files.

    Args:
        original: upstream's.
        end_with: takes what is to be done, now or later, and the runs that are completed by it: project, id,
            and whether in public.
    """

    def pytest_sessionfinish(plugin: Any, session: Any, exitstatus: Any) -> None:
        end_with(partial(original, plugin, session, exitstatus), _completed(plugin.reporter.reporter))

    return pytest_sessionfinish


def _completed(reporter: Any) -> Iterator[tuple[str, int, bool]]:
    """The runs that upstream's reporter completes at the end of the session."""
    if not hasattr(reporter, "client"):
        return  # a local report, or none
    public = bool(getattr(reporter.config.testops, "show_public_report_link", False))
    if hasattr(reporter, "project_runs"):
        for code, project in getattr(reporter, "project_configs", {}).items():
            run_id = reporter.project_runs.get(code)
            if run_id and project.get("complete_after_run"):
                yield code, int(run_id), public
    elif reporter.run_id and reporter.complete_after_run:
        yield reporter.project_code, int(reporter.run_id), public


class TestCapture:
    """Hands the results of one session to its transport, test by test.

    Args:
        config: pytest's; upstream keeps its plugin there.
        transport: stores the results.
        merges: whether the attempts of a test that is repeated become one result.
    """

    __test__ = False  # pytest would otherwise collect a class of this name

    def __init__(self, config: Any, transport: Transport, *, merges: bool) -> None:
        self._config = config
        self._transport = transport
        self._options: PayloadOptions | None = None
        self._attempts = Attempts(transport) if merges else None
        # Whether the set-up of the test that runs has begun.
        self._is_set_up = False
        # Upstream's result of the test that runs.
        self._running: Any = None
        self._uncollected: set[str] = set()

    def collection_failed(self, report: Any) -> None:
        """Report a file or package whose tests nobody knows, once: upstream completes an empty run.

        Args:
            report: pytest's ``CollectReport``.
        """
        plugin = getattr(self._config, "qase", None)
        # pytest collects a file with doctests twice, and each of xdist's workers collects all files.
        if plugin is None or report.nodeid in self._uncollected:
            return
        self._uncollected.add(report.nodeid)
        plugin.reporter.add_result(uncollected(plugin, report))
        self.finished()

    def started(self) -> None:
        """Store the unfinished result of the test that starts, in case the process dies in it."""
        plugin = getattr(self._config, "qase", None)
        if plugin is None:
            return
        if self._options is None:
            self._options = PayloadOptions.from_config(plugin.reporter.config)
        self._is_set_up = False
        result, item = plugin.runtime.result, plugin._current_item
        self._running = result
        if self._attempts is not None and item is not None and result is not None and not plugin.ignore:
            self._attempts.begin(item, result)
        for code, run_id, result in _begun(plugin):
            payload = wire_result(result, self._options).payload
            if self._attempts is not None:
                payload = self._attempts.begun(code, payload)
            self._transport.begin(code, run_id, payload)

    def set_up(self, item: pytest.Item) -> None:
        """The set-up of a test begins. If that is not the first time, the test is repeated.

        Most plugins that repeat tests say that each attempt starts and ends. Some only call it again, and
        upstream has the first attempt alone.
        """
        if not self._is_set_up:
            self._is_set_up = True
            return
        plugin = getattr(self._config, "qase", None)
        if self._attempts is None or plugin is None or plugin.ignore or plugin._current_item is not item:
            return
        if not self._config.pluginmanager.has_plugin(_CALLS):
            self._config.pluginmanager.register(CallWatch(plugin), _CALLS)
        plugin.finish_pytest_item()
        # It is this that tells upstream's own second call, whose result is discarded, from one that counts.
        plugin._current_item = None
        plugin.start_pytest_item(item)
        plugin._current_item = item
        self.finished()
        self.started()
        self._is_set_up = True

    def progressed(
        self, extra: Callable[[], Mapping[str, Any]], lets_through: Callable[[dict[str, Any]], bool]
    ) -> None:
        """Store what the test that runs has come to so far, so that it is sent under the result's id.

        Args:
            extra: gives ``steps`` and ``fields`` beside upstream's, and, if it is known already how the test
                ends, ``status`` and ``message``. It is called for the finished result too.
            lets_through: lets plugins change what is sent; False: it is not sent.
        """
        plugin = getattr(self._config, "qase", None)
        if plugin is None or plugin.runtime.result is None or self._options is None:
            return
        keep(plugin.runtime.result, extra)
        # What upstream's filter will drop must not be there before.
        sends = not getattr(plugin.reporter.config.testops, "status_filter", None)
        for code, run_id, result in _begun(plugin):
            captured = wire_result(result, self._options)
            execution = captured.payload["execution"]
            end_at(execution, System.time())
            if "status" not in extra():
                execution.update(status="in_progress", end_time=None)
            if self._attempts is not None:
                captured = self._attempts.in_progress(code, captured)
            may_go = sends and lets_through(captured.payload)
            self._transport.progress(code, run_id, captured, sends=may_go)

    def finished(self) -> None:
        """Hand over the result of the test that has ended."""
        plugin = getattr(self._config, "qase", None)
        if plugin is not None:
            self._flush(plugin.reporter.reporter)
            # Upstream's filter dropped whatever it did not hand over now.
            self._transport.forget_begun()
            self._running = None

    def broken_off(self) -> None:
        """Hand over the result of the test in which an internal error, such as a hook's, has ended pytest."""
        plugin, result = getattr(self._config, "qase", None), self._running
        if plugin is None or result is None:
            return
        # Upstream may have come to its end, and have begun the same test once more.
        if plugin.runtime.result is result and not plugin.ignore:
            if result.execution.status is None:
                result.execution.status = "invalid"
                result.message = "pytest was ended by an internal error in this test"
            plugin.finish_pytest_item()
        self.finished()

    def ended(self, code: str, captured: CapturedResult) -> CapturedResult:
        """A result as it is to be stored: of a test that was repeated, together with its earlier attempts."""
        return captured if self._attempts is None else self._attempts.ended(code, captured)

    def _flush(self, reporter: Any) -> None:
        """Hand over what upstream's reporter has collected."""
        if not hasattr(reporter, "client"):
            return  # a local report, or none
        testops = reporter.config.testops
        statuses = getattr(testops, "status_filter", None) or ()
        if statuses:
            # All is filtered here: upstream would drop an attempt that replaces one that is stored.
            testops.status_filter = []
        try:
            if hasattr(reporter, "project_results"):
                for code, results in reporter.project_results.items():
                    if self._drop_filtered(code, results, statuses):
                        reporter._send_results_for_project(code)
                for processed in reporter.processed.values():
                    processed.clear()
            else:
                if self._drop_filtered(reporter.project_code, reporter.results, statuses):
                    reporter._send_results()
                # Upstream keeps every result, with its files, for a fallback that is no longer needed.
                reporter.processed.clear()
        finally:
            if statuses:
                testops.status_filter = statuses

    def _drop_filtered(self, code: str, results: list[Any], statuses: Any) -> bool:
        """Drop what upstream's filter would drop; upstream logs a line even for an empty batch.

        Returns:
            Whether any result is left.
        """
        if statuses:
            results[:] = [result for result in results if self._passes(code, result, statuses)]
        return bool(results)

    def _passes(self, code: str, result: Any, statuses: Any) -> bool:
        if result.get_status() and result.get_status() not in statuses:
            return True
        # It replaces what says otherwise.
        return self._attempts is not None and self._attempts.is_stored(code, result.id)


class CallWatch:
    """Notes how a test fails that is called without a report being made, once it is known to be repeated.

    Args:
        plugin: upstream's.
    """

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Called by pytest, and by what repeats tests."""
        try:
            return (yield)
        except BaseException as error:
            call = pytest.CallInfo.from_call(partial(_raise, error), "call", reraise=(pytest.exit.Exception,))
            note_report(self._plugin, pytest.TestReport.from_item_and_call(item, call))
            raise


def _raise(error: BaseException) -> None:
    raise error


def _begun(plugin: Any) -> Iterator[tuple[str, int, Any]]:
    """Project, run and upstream's unfinished ``Result`` of the test that has just started."""
    reporter = plugin.reporter.reporter
    result = plugin.runtime.result
    if result is None or plugin.ignore or not hasattr(reporter, "client"):
        return
    if not hasattr(reporter, "project_results"):
        if reporter.run_id:
            yield reporter.project_code, int(reporter.run_id), result
        return
    mapping = result.get_testops_project_mapping() or {_default_project(reporter): result.testops_ids}
    for code, ids in mapping.items():
        run_id = reporter.project_runs.get(code)
        if run_id:
            own = copy.copy(result)
            own.testops_ids = ids or None
            yield code, int(run_id), own


def _default_project(reporter: Any) -> Any:
    projects = reporter.multi_config.projects
    return reporter.multi_config.default_project or (projects[0].code if projects else None)
