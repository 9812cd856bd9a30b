"""Each result in our hands before the next test starts, and each file when it is attached.

Upstream collects up to 200 results and hands them over in a thread, with the files read at that moment:
whatever a worker holds when it dies is lost, and so is a file that a test has deleted. Here a result is
handed over when its test has finished, on the test's thread, which only has to store it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable

from .payload import COPIED, PayloadOptions, file_source, wire_result

if TYPE_CHECKING:
    from ..delivery.transport import Transport


class InlineThreading:
    """The module ``threading`` with threads that run at once, in the place of upstream's sending threads.

    A thread that has not run yet is lost with its process.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    class Thread:
        """What upstream needs of a thread: its target is called by ``start``."""

        def __init__(self, *, target: Callable[..., Any], args: Any = ()) -> None:
            self._target = target
            self._args = args

        def start(self) -> None:
            """Call the target, on this thread."""
            self._target(*self._args)


def copying_attachments(original: Callable[..., None], transport: Callable[[], Transport | None]) -> Any:
    """Upstream's ``Runtime.add_attachment``, which copies the file as it is at this moment.

    Args:
        original: upstream's.
        transport: the session's, or None where nothing is sent, as in mode ``report``.
    """

    def add_attachment(runtime: Any, attachment: Any) -> None:
        copies_to = transport()
        if copies_to is not None:
            copied = copies_to.copy(file_source(attachment, ref=""))
            if copied is not None:
                # Upstream copies the results of several projects deeply, and serialises them for its log: a
                # function is one and the same for both, the copy is not.
                setattr(attachment, COPIED, lambda: copied)
                if not attachment.file_path and not copied.problem:
                    # The content is safe; upstream would hold it in memory to the end of the test.
                    attachment.content = ""
        original(runtime, attachment)

    return add_attachment


class TestCapture:
    """Follows the tests of a session, from one to the next.

    Args:
        config: pytest's; upstream keeps its plugin there.
        transport: stores the results.
    """

    __test__ = False  # for pytest, which would otherwise collect a class of this name

    def __init__(self, config: Any, transport: Transport) -> None:
        self._config = config
        self._transport = transport
        self._options: PayloadOptions | None = None

    def started(self) -> None:
        """Store the unfinished result of the test that begins, in case the process does not survive it."""
        plugin = getattr(self._config, "qase", None)
        if plugin is None:
            return
        if self._options is None:
            self._options = PayloadOptions.from_config(plugin.reporter.config)
        for code, run_id, result in begun(plugin):
            self._transport.begin(code, run_id, wire_result(result, self._options).payload)

    def finished(self) -> None:
        """Hand over the result of the test that has ended."""
        plugin = getattr(self._config, "qase", None)
        if plugin is not None:
            flush(plugin)
            # What upstream did not hand over now, it will not: its filter dropped it.
            self._transport.forget_begun()


def flush(plugin: Any) -> None:
    """Hand over what the reporter has collected.

    Args:
        plugin: upstream's ``QasePytestPlugin``.
    """
    reporter = plugin.reporter.reporter
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
        # Upstream keeps every result, with its files, to the end, for a fallback that is not needed any more.
        reporter.processed.clear()


def _drop_filtered(results: list[Any], statuses: Any) -> bool:
    """Leave out what upstream's filter would drop, since it logs a line for nothing; True if some is left."""
    if statuses:
        results[:] = [
            result for result in results if result.get_status() and result.get_status() not in statuses
        ]
    return bool(results)


def begun(plugin: Any) -> Iterator[tuple[str, int, Any]]:
    """The unfinished result of the test that has just begun: project, run and upstream's ``Result``.

    Args:
        plugin: upstream's ``QasePytestPlugin``.
    """
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
