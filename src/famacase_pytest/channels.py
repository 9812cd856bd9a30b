"""How a session opens its way to the back end: through an outbox if there can be one, else directly."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .delivery.api import ReporterApi
from .delivery.channel import Channel
from .delivery.direct import DirectChannel
from .delivery.outbox import Outbox, OutboxGone, OutboxTooNew, OutboxUnavailable, sessions
from .delivery.outbox_channel import OutboxChannel
from .delivery.sink import Sink
from .delivery.spawn import Courier
from .delivery.worker import WorkerChannel
from .settings.model import Settings

MIB = 1024 * 1024

# Where the outbox is, below pytest's rootdir.
OUTBOX = Path(".famacase", "outbox")

# Where it is, below the directory for temporary files, if rootdir cannot be written.
SPARE = "famacase-outbox"

# Seconds that taking the lock of one's own session may take.
_PRESENCE = 10.0

# Earlier sessions that a new one looks at.
_LOOKED_AT = 20

Tell = Callable[[str], None]


def for_controller(settings: Settings, rootdir: Path, environ: Mapping[str, str], tell: Tell) -> Channel:
    """The channel of a session's controller, or of a session without workers.

    Args:
        settings: the session's; its mode needs a back end.
        rootdir: pytest's.
        environ: the process environment.
        tell: takes a line for the user.
    """
    api = open_api(settings)
    opened = _open_outbox(settings, rootdir, tell)
    if opened is None:
        return DirectChannel(api, workers=settings.attachment_workers.value)
    outbox, sink = opened
    courier = Courier(outbox.directory, briefing(settings, outbox), environ)
    courier.ensure()
    return OutboxChannel(
        api,
        outbox,
        sink,
        courier,
        drain_timeout=settings.drain_timeout.value,
        keep_when_away=settings.fallback.value != "report",
        tell=tell,
    )


def for_worker(settings: Settings, brief: Mapping[str, Any], worker: str, tell: Tell) -> WorkerChannel:
    """The channel of an xdist worker, which asks the back end for nothing.

    Args:
        settings: the session's.
        brief: what the controller handed over; ``outbox`` is its directory, or None.
        worker: xdist's id of it.
        tell: takes a line for the user.
    """
    directory = brief.get("outbox")
    if directory:
        try:
            outbox = Outbox.open(Path(directory))
            return WorkerChannel(_sink(settings, outbox, f"{worker}-{os.getpid()}", tell), brief)
        except OutboxUnavailable as error:
            tell(str(error))
    return WorkerChannel(DirectChannel(open_api(settings), workers=settings.attachment_workers.value), brief)


def open_api(settings: Settings, **options: Any) -> ReporterApi:
    """The REST calls, as the settings say."""
    return ReporterApi(
        settings.base_url,
        settings.tokens.for_project,
        timeout=settings.timeout.value,
        attempts=settings.retry_attempts.value,
        connections=settings.attachment_workers.value + 2,
        **options,
    )


def briefing(settings: Settings, outbox: Outbox, projects: Sequence[str] | None = None) -> dict[str, Any]:
    """What whoever delivers an outbox has to know; see ``delivery.courier.main``.

    Args:
        settings: hold the address and the tokens.
        outbox: what is to be delivered.
        projects: those that it reports to; None for those of the settings.
    """
    codes = settings.projects if projects is None else projects
    return {
        "outbox": str(outbox.directory),
        "api_url": settings.base_url,
        "tokens": {code: settings.tokens.for_project(code) for code in codes},
        "project": codes[0],
        "timeout": settings.timeout.value,
        "attempts": settings.retry_attempts.value,
        "workers": settings.attachment_workers.value,
        "batch_size": settings.batch_size.value,
        "flush_interval": settings.flush_interval.value,
        # A courier that outlives its session is not told any deadline.
        "drain_timeout": settings.drain_timeout.value or 300.0,
    }


def outbox_base(settings: Settings, rootdir: Path) -> Path:
    """The directory that holds the outboxes of all sessions."""
    return settings.outbox_dir.value if settings.outbox_dir else rootdir / OUTBOX


def waiting_sessions(base: Path, tell: Tell) -> tuple[list[int], int]:
    """How many results each of the earlier sessions has left behind that left any.

    A session that is under way, or whose courier still works, is none of them.

    Args:
        base: holds the outboxes.
        tell: takes a line for the user about what cannot be read.

    Returns:
        The numbers of results, and how many sessions are there beyond those that were looked at.
    """
    found = []
    try:
        directories = sessions(base)
    except OutboxUnavailable as error:
        tell(str(error))
        return [], 0
    # The newest: each look takes some milliseconds of the start of a session.
    for directory in directories[-_LOOKED_AT:]:
        try:
            with Outbox.open(directory) as outbox:
                if outbox.presence().acquire() and outbox.delivery_right().acquire():
                    ledger = outbox.ledger()
                    found.append(sum(entry.results for entry in outbox.count_pending(ledger).values()))
                    found[-1] += len(outbox.unfinished()) + len(ledger.rejected())
        except OutboxGone:
            continue  # it was delivered this very moment
        except (OutboxTooNew, OutboxUnavailable) as error:
            tell(str(error))
    return [waiting for waiting in found if waiting], max(0, len(directories) - _LOOKED_AT)


def _sink(settings: Settings, outbox: Outbox, name: str, tell: Tell) -> Sink:
    return Sink(
        outbox.writer(name, max_bytes=settings.outbox_max_mb.value * MIB),
        lambda: DirectChannel(open_api(settings), workers=settings.attachment_workers.value),
        lambda code, run_id: outbox.ledger().real_run(code, run_id),
        tell,
    )


def _open_outbox(settings: Settings, rootdir: Path, tell: Tell) -> tuple[Outbox, Sink] | None:
    meta = {
        "api_url": settings.base_url,
        "projects": list(settings.projects),
        "rootdir": str(rootdir),
        "created": time.time(),
    }
    problem = None
    for base in _bases(settings, rootdir):
        outbox = None
        try:
            outbox = Outbox.create(base, meta)
            # Another session that begins now may look for a moment whether this one is alive.
            outbox.presence().acquire(_PRESENCE)
            sink = _sink(settings, outbox, f"main-{os.getpid()}", tell)
        except OutboxUnavailable as error:
            problem = problem or error
            if outbox is not None:
                with contextlib.suppress(OutboxUnavailable):
                    outbox.remove()
            continue
        if problem is not None:
            tell(f"{problem} Results of this session go to {base} instead.")
        if outbox.warning:
            tell(outbox.warning)
        return outbox, sink
    tell(f"{problem} Results of this session are sent directly, and are lost if the back end is away.")
    return None


def _bases(settings: Settings, rootdir: Path) -> Iterator[Path]:
    yield outbox_base(settings, rootdir)
    yield Path(tempfile.gettempdir()) / SPARE
