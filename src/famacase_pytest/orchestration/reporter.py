"""What events report while they run, from any thread or process, and which occurrence it belongs to."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

logger = logging.getLogger(__name__)

# The number of the occurrence that runs in this thread; a child process that it forks has it too.
occurrence: contextvars.ContextVar[int | None] = contextvars.ContextVar("occurrence", default=None)


class _Entry(tuple):  # type: ignore[type-arg]
    """What was put, after the number of the occurrence that has put it."""


class MarkedQueue:
    """A queue whose entries bear the number of the occurrence that has put them, from other processes too."""

    def __init__(self, queue: Any, number: int | None = None) -> None:
        self._queue = queue
        self._number = number
        # What the entry bore that was taken last.
        self.last: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (MarkedQueue, (self._queue, occurrence.get() or self._number))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def put(self, entry: Any, *args: Any, **options: Any) -> None:
        """Put an entry."""
        self._queue.put(_Entry((occurrence.get() or self._number, entry)), *args, **options)

    def put_nowait(self, entry: Any) -> None:
        """Put an entry, without waiting for room."""
        self.put(entry, block=False)

    def get(self, *args: Any, **options: Any) -> Any:
        """Take the next entry, as it was put."""
        entry = self._queue.get(*args, **options)
        self.last, entry = entry if isinstance(entry, _Entry) else (None, entry)
        return entry

    def get_nowait(self) -> Any:
        """Take the next entry; raises ``queue.Empty`` if there is none."""
        return self.get(block=False)


class ResultReporter:
    """Takes what events report, and logs it. Extend it, and override ``on_result``, to do something else."""

    def __init__(self, report_queue: Any) -> None:
        self.report_queue = report_queue

    def add_result(self, result: Any) -> None:
        """Report something, from an event or a process that it has started."""
        self.report_queue.put(result)

    def monitor(self, kill_switch: Any) -> None:
        """Call ``on_result`` for each entry, until the kill switch is set; runs in a thread of its own."""
        while not kill_switch.is_set():
            if self.report_queue.empty():
                time.sleep(0.05)
            else:
                self.on_result()

    def on_result(self) -> Any:
        """Take one entry and log it. What is returned or logged here is added to the step of who reported."""
        result = str(self.report_queue.get_nowait())
        logger.log(logging.ERROR if "error" in result.lower() else logging.INFO, "%s", result)
        return result


@contextlib.contextmanager
def monitoring(reporter: Any, kill_switch: Any, note: Callable[[int | None, str], None]) -> Iterator[None]:
    """Have a reporter at work in the background; ``note`` takes what it made of each entry."""
    if reporter is None:
        yield
        return
    if not isinstance(reporter.report_queue, MarkedQueue):
        reporter.report_queue = MarkedQueue(reporter.report_queue)
    queue, on_result = reporter.report_queue, reporter.on_result
    logged: list[str] = []
    ended = threading.Event()

    def observed() -> Any:
        logged.clear()
        try:
            returned = on_result()
        except Exception as error:  # noqa: BLE001 (the code of others; it is told in the step)
            returned = f"on_result failed: {type(error).__name__}: {error}"
            logger.error("%s", returned)
            time.sleep(0.05)
        lines = [*logged, *([] if returned is None else [str(returned)])]
        note(queue.last, "\n".join(dict.fromkeys(lines)))
        return returned

    def work() -> None:
        reporter.monitor(kill_switch)
        ended.wait()
        while not queue.empty():
            observed()

    # Here, so that a ``monitor`` of the user's own is observed too.
    reporter.on_result = observed
    thread = threading.Thread(target=work, daemon=True)
    handler = logging.Handler()
    handler.addFilter(lambda record: record.thread == thread.ident)
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    thread.start()
    try:
        yield
    finally:
        kill_switch.set()
        ended.set()
        thread.join(5)
        logging.getLogger().removeHandler(handler)
