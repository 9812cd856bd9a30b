"""Each result is stored before the next test starts, and each file when it is attached.

Upstream collects up to 200 results and sends them in a thread, which reads the files only then. A worker
that dies loses the results it holds, and a file that a test has deleted is lost. Here each result is handed
over when its test has finished, on the test's thread, which only stores it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable

from .guards import uncollected
from .payload import COPIED, PayloadOptions, file_source, wire_result

if TYPE_CHECKING:
    from ..delivery.transport import Transport


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
        copies_to = transport()
        copied = copies_to.copy(file_source(attachment, ref="")) if copies_to is not None else None
        if copied is not None:
            # Upstream deep-copies the results of several projects and serialises them for its log. A function
            # survives both, the copy itself does not.
            setattr(attachment, COPIED, lambda: copied)
            if not attachment.file_path and not copied.problem:
                # The content is stored; upstream would hold it in memory to the end of the test.
                attachment.content = ""
        original(runtime, attachment)

    return add_attachment


class TestCapture:
    """Hands the results of one session to its transport, test by test.

    Args:
        config: pytest's; upstream keeps its plugin there.
        transport: stores the results.
    """

    __test__ = False  # pytest would otherwise collect a class of this name

    def __init__(self, config: Any, transport: Transport) -> None:
        self._config = config
        self._transport = transport
        self._options: PayloadOptions | None = None
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
        for code, run_id, result in _begun(plugin):
            self._transport.begin(code, run_id, wire_result(result, self._options).payload)

    def finished(self) -> None:
        """Hand over the result of the test that has ended."""
        plugin = getattr(self._config, "qase", None)
        if plugin is not None:
            _flush(plugin.reporter.reporter)
            # Upstream's filter dropped whatever it did not hand over now.
            self._transport.forget_begun()


def _flush(reporter: Any) -> None:
    """Hand over what upstream's reporter has collected."""
    if not hasattr(reporter, "client"):
        return  # a local report, or none
    statuses = getattr(reporter.config.testops, "status_filter", None) or ()
    if hasattr(reporter, "project_results"):
        for code, results in reporter.project_results.items():
            if _drop_filtered(results, statuses):
                reporter._send_results_for_project(code)
        for processed in reporter.processed.values():
            processed.clear()
    else:
        if _drop_filtered(reporter.results, statuses):
            reporter._send_results()
        # Upstream keeps every result, with its files, for a fallback that is no longer needed.
        reporter.processed.clear()


def _drop_filtered(results: list[Any], statuses: Any) -> bool:
    """Drop what upstream's filter would drop; upstream logs a line even for an empty batch.

    Returns:
        Whether any result is left.
    """
    if statuses:
        results[:] = [
            result for result in results if result.get_status() and result.get_status() not in statuses
        ]
    return bool(results)


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
