"""What waits in outboxes, in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from .delivery.outbox.database import OutboxGone, OutboxTooNew, OutboxUnavailable
from .delivery.outbox.store import Outbox
from .summary import counted

MIB = 1024 * 1024

# Seconds that a look at whether a session is alive may take: somebody else may look at the same moment.
_GLANCE = 0.3


def describe(directory: Path) -> Iterator[str]:
    """The lines that say what waits of one session: by run, with age and size."""
    try:
        outbox = Outbox.open(directory)
    except OutboxGone:
        return
    except (OutboxTooNew, OutboxUnavailable) as error:
        yield f"{directory.name}: {error}"
        return
    with outbox:
        try:
            yield from _of(outbox)
        except (OutboxTooNew, OutboxUnavailable) as error:
            yield f"  {error}"


def is_under_way(outbox: Outbox) -> bool:
    """Whether the session still runs. Raises OutboxUnavailable."""
    presence = outbox.presence_lock()
    if not presence.acquire(_GLANCE):
        return True
    presence.release()
    return False


def run_named(project: str, run_id: int) -> str:
    """A run of a session, in words; a number below 0 stands for one that has yet to be created."""
    return f"{project}, run {run_id}" if run_id > 0 else f"{project}, a run that has yet to be created"


def _of(outbox: Outbox) -> Iterator[str]:
    ledger = outbox.ledger()
    under_way = is_under_way(outbox)
    created = outbox.meta().get("created", time.time())
    remark = ", still under way" if under_way else ""
    yield f"{outbox.directory.name}, {_age(time.time() - created)} old{remark}"
    counts = outbox.count_pending(ledger)
    rejected = ledger.rejected()
    for (project, run_id), entry in counts.items():
        files = f", {counted(entry.files, 'file')} ({entry.file_bytes / MIB:.1f} MiB)" if entry.files else ""
        name = run_named(project, ledger.real_run(project, run_id) or run_id)
        yield f"  {name}: {counted(entry.results, 'result')}{files}"
    for rejection in rejected:
        yield f"  {run_named(rejection.project, rejection.run_id)}: refused, and kept: {rejection.reason}"
    unfinished = 0 if under_way else len(outbox.unfinished())
    if unfinished:
        yield f"  {counted(unfinished, 'test')} in which the process ended"
    for problem in outbox.unreadable.values():
        yield f"  {problem}"
    if not (counts or rejected or unfinished or outbox.unreadable or under_way):
        yield "  no results"
    for entry in ledger.state().get("blocked") or ():
        yield f"  {entry['message']}"


def _age(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return counted(int(seconds / size), unit)
    return counted(max(0, int(seconds)), "second")
