"""The result of a test that its process did not survive."""

from __future__ import annotations

from .outbox import Outbox
from .records import Item
from .system import System

# What is said of a test whose process ended without a word, such as by ``os._exit``.
PROCESS_ENDED = "the process ended during this test"


def finish(outbox: Outbox, item: Item, status: str, message: str, *, at: float | None = None) -> None:
    """Turn an unfinished result into one that can be delivered.

    Args:
        outbox: holds the result.
        item: the result as it stood when its test began.
        status: of the result.
        message: what became of its process.
        at: when it ended, in seconds since the epoch; None for now.
    """
    payload = System.loads(item.payload)
    execution = payload["execution"]
    end = System.time() if at is None else at
    start = execution.get("start_time")
    execution.update(status=status, end_time=end)
    if start is not None and end >= start:
        execution["duration"] = int((end - start) * 1000)
    payload["message"] = message
    outbox.finish_unfinished(item, System.dumps(payload, ensure_ascii=False))


def finish_all(outbox: Outbox) -> int:
    """Finish what a dead session left unfinished, as ``invalid``; returns how many there were."""
    items = outbox.unfinished()
    for item in items:
        finish(outbox, item, "invalid", PROCESS_ENDED)
    return len(items)
