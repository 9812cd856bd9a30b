"""The one place where the parts of delivery are put together, from settings."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .delivery.controller import ControllerTransport
from .delivery.models import MIB
from .delivery.outbox.database import OutboxGone, OutboxTooNew, OutboxUnavailable
from .delivery.outbox.directory import make_private, sessions
from .delivery.outbox.store import Outbox
from .delivery.outbox.writer import Writer
from .delivery.relay.process import Link, RelayProcess
from .delivery.worker import WorkerTransport
from .settings.model import Settings

if TYPE_CHECKING:
    from .delivery.api.base import ReportingClient
    from .delivery.api.client import Attempt
    from .delivery.outbox.ledger import Ledger
    from .delivery.screening import Screening

# Where the outbox is, below pytest's rootdir.
OUTBOX = Path(".famacase", "outbox")

# Where it is, below the directory for temporary files, if rootdir cannot be written.
SPARE = "famacase-outbox"

# Seconds that taking the lock of one's own session may take.
_PRESENCE = 10.0

# Earlier sessions that a new one looks at.
_LOOKED_AT = 20

Tell = Callable[[str], None]


def controller_transport(
    settings: Settings,
    rootdir: Path,
    environ: Mapping[str, str],
    tell: Tell,
    tell_now: Tell,
    note_request: Tell,
    link: Link | None = None,
) -> ControllerTransport:
    """The transport of a session's controller, or of a session without workers.

    Args:
        settings: the session's; its mode needs a back end.
        rootdir: pytest's.
        environ: the process environment.
        tell: takes a line for the user.
        tell_now: takes one that is of use at this moment only.
        note_request: takes a line about a request to the back end, with FAMACASE_DEBUG.
        link: of a relay that has been launched already.
    """
    outbox, ledger, writer = _open_outbox(settings, rootdir, tell)
    relay = RelayProcess(relay_briefing(settings, outbox), environ, link, note_request)
    relay.ensure()
    return ControllerTransport(
        outbox,
        ledger,
        writer,
        relay,
        drain_timeout=settings.drain_timeout.value,
        start_timeout=settings.start_timeout.value,
        falls_back=settings.fallback.value == "report",
        tell=tell,
        tell_now=tell_now,
        run_source=settings.run_source,
        screening=_screening(settings, environ),
    )


def worker_transport(
    settings: Settings, handover: Mapping[str, Any], worker: str, environ: Mapping[str, str], tell: Tell
) -> WorkerTransport:
    """The transport of an xdist worker, which asks the back end for nothing.

    Args:
        settings: the session's.
        handover: what the controller handed over; ``outbox`` is its directory, or None.
        worker: xdist's id of it.
        environ: the process environment.
        tell: takes a line for the user.
    """
    directory = handover.get("outbox")
    outbox = writer = None
    if directory:
        try:
            outbox = Outbox.open(Path(directory))
            writer = _writer(settings, outbox, worker)
            outbox.rest()
        except OutboxUnavailable as error:
            tell(str(error))
    return WorkerTransport(outbox, writer, handover, tell, _screening(settings, environ))


def _screening(settings: Settings, environ: Mapping[str, str]) -> Screening | None:
    """What the settings change in results; None if they change nothing."""
    if not settings.screens:
        return None
    from .delivery.masking import Mask
    from .delivery.screening import Screening

    mask = Mask(settings.mask.value, settings.mask_env.value, environ) if settings.masks else None
    muted = settings.muted_status
    return Screening(mask, settings.attachments.value, muted.value if muted else None)


def open_api(
    settings: Settings, observe: Callable[[Attempt], None] | None = None, **limits: Any
) -> ReportingClient:
    """The calls to the back end, for commands; pytest's process never opens a connection.

    Args:
        settings: with the address and the tokens.
        observe: told of each attempt at a call; None: they are logged.
        limits: in the place of those of the settings; see `ReporterApi`.
    """
    client = client_briefing(settings)
    if client is not None:
        from .delivery.api.own import open_client

        return open_client(client)
    from .delivery.api.client import ReporterApi

    return ReporterApi(
        settings.base_url,
        settings.tokens.for_project,
        connections=settings.attachment_workers.value + 2,
        observe=observe or log_request,
        **{"timeout": settings.timeout.value, "attempts": settings.retry_attempts.value, **limits},
    )


def log_request(attempt: Attempt) -> None:
    """Log an attempt at a call, which commands show with FAMACASE_DEBUG."""
    logging.getLogger("famacase_pytest.requests").debug("%s", attempt)


def client_briefing(settings: Settings) -> dict[str, Any] | None:
    """What `delivery.api.base` makes a back end of the team's own from; None where there is none."""
    if settings.client_class is None:
        return None
    config = settings.client_config
    return {
        "class": settings.client_class.value,
        "setting": str(settings.client_class.source),
        "directory": str(settings.directory),
        "config": {} if config is None else config.value,
        "config_setting": "famacase.client.config" if config is None else str(config.source),
    }


def check_client(settings: Settings) -> None:
    """Find out whether the team's own back end, if there is one, is there and takes its configuration.

    Raises:
        SettingsError: it is not, or does not.
    """
    client = client_briefing(settings)
    if client is not None:
        from .delivery.api.base import resolve_client

        resolve_client(client)


def run_url(settings: Settings, code: str, run_id: int | None) -> str:
    """The page of a run; without an id, of all runs."""
    client = client_briefing(settings)
    if client is not None:
        from .delivery.api.own import page_of_run

        return page_of_run(client, code, run_id)
    runs = f"{settings.base_url}/runs"
    return f"{runs}/{run_id}" if run_id else runs


def relay_briefing(
    settings: Settings, outbox: Outbox | None, projects: Sequence[str] | None = None
) -> dict[str, Any]:
    """What whoever delivers has to know; see ``delivery.relay.main``.

    Args:
        settings: hold the address and the tokens.
        outbox: what is to be delivered; None where there is none.
        projects: those that it reports to; None for those of the settings.
    """
    codes = settings.projects if projects is None else projects
    return {
        "outbox": None if outbox is None else str(outbox.directory),
        "parent": os.getpid(),
        "api_url": settings.base_url,
        "client": client_briefing(settings),
        "tokens": {}
        if settings.client_class
        else {code: settings.tokens.for_project(code) for code in codes},
        "project": codes[0],
        "timeout": settings.timeout.value,
        "attempts": settings.retry_attempts.value,
        "upload_threads": settings.attachment_workers.value,
        "batch_size": settings.batch_size.value,
        "flush_interval": settings.flush_interval.value,
        # A relay that outlives its session is not told any deadline.
        "drain_timeout": settings.drain_timeout.value or 300.0,
        "debug": settings.debug.value,
    }


def outbox_base(settings: Settings, rootdir: Path) -> Path:
    """The directory that holds the outboxes of all sessions."""
    return settings.outbox_dir.value if settings.outbox_dir else rootdir / OUTBOX


def spare_bases() -> list[Path]:
    """Where outboxes are if the usual place cannot be written; a base that is not private is not used."""
    names = [SPARE] if os.name == "nt" else [SPARE, f"{SPARE}-{os.getuid()}"]
    return [Path(tempfile.gettempdir()) / name for name in names]


def waiting_sessions(base: Path, tell: Tell) -> tuple[list[int], int]:
    """How many results each of the earlier sessions has left behind that left any.

    A session that is under way, or whose relay still works, is none of them.

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
                if outbox.presence_lock().acquire() and outbox.delivery_lock().acquire():
                    ledger = outbox.ledger()
                    waiting = sum(entry.results for entry in outbox.count_pending(ledger).values())
                    found.append(waiting + len(outbox.unfinished()) + len(ledger.rejected()))
        except OutboxGone:
            continue  # it was delivered this very moment
        except (OutboxTooNew, OutboxUnavailable) as error:
            tell(str(error))
    return [waiting for waiting in found if waiting], max(0, len(directories) - _LOOKED_AT)


def _open_outbox(
    settings: Settings, rootdir: Path, tell: Tell
) -> tuple[Outbox, Ledger, Writer] | tuple[None, None, None]:
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
            outbox.presence_lock().acquire(_PRESENCE)
            writer = _writer(settings, outbox, "main")
            ledger = outbox.ledger()
        except OutboxUnavailable as error:
            problem = problem or error
            if outbox is not None:
                with contextlib.suppress(OutboxUnavailable):
                    # First, since there may be no descriptors left to remove it with.
                    outbox.close()
                    outbox.remove()
            continue
        if problem is not None:
            tell(f"{problem} Results of this session go to {base} instead.")
        if outbox.warning:
            tell(outbox.warning)
        return outbox, ledger, writer
    tell(
        f"{problem} Results of this session are held in memory and sent after the last test; if the back end "
        "is away then, they are lost."
    )
    return None, None, None


def _bases(settings: Settings, rootdir: Path) -> Iterator[Path]:
    yield outbox_base(settings, rootdir)
    # One at a time: a base is made when it is asked for.
    yield from filter(make_private, spare_bases())


def _writer(settings: Settings, outbox: Outbox, process: str) -> Writer:
    return outbox.writer(f"{process}-{os.getpid()}", max_bytes=settings.outbox_max_mb.value * MIB)
