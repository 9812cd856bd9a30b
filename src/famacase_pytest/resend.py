"""``famacase resend``: what waits in outboxes, and sending it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import channels
from .delivery.courier import dispatch, is_anything_left
from .delivery.ledger import Ledger
from .delivery.outbox import Outbox, OutboxGone, OutboxTooNew, OutboxUnavailable, sessions
from .delivery.unfinished import finish_all
from .errors import FamacaseError, SettingsError
from .settings.address import host_of
from .settings.model import Settings

MIB = 1024 * 1024

# Seconds that sending one session's results may take; each call has its own, much shorter limits.
_DEADLINE = 24 * 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `run` understands."""
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="D",
        help=f"directory that holds the outboxes (default: FAMACASE_OUTBOX_DIR, or {channels.OUTBOX} here)",
    )
    parser.add_argument("--list", action="store_true", help="show what waits, and send nothing")
    parser.add_argument(
        "--to-run",
        type=_target,
        metavar="ID|new",
        help="send to another run, or to a new one, instead of the run that the results were meant for",
    )
    parser.add_argument(
        "--discard", metavar="SESSION", help="throw away what waits of a session, given its name in --list"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say.

    Returns:
        0 if nothing is left (with ``--list`` always), 1 if something is.
    """
    if arguments.discard:
        return _discard(arguments)
    from .commands import command_settings

    settings = None if arguments.list else command_settings()
    directories = list(_directories(arguments, settings))
    if not directories:
        print("Nothing waits.")
        return 0
    if arguments.list or settings is None:
        for directory in directories:
            _show(directory)
        return 0
    # A list, since all are to be tried, whatever becomes of the first.
    return 1 if any([_send(directory, settings, arguments.to_run) for directory in directories]) else 0


def _directories(arguments: argparse.Namespace, settings: Settings | None) -> Iterator[Path]:
    if arguments.dir is not None:
        bases = [arguments.dir]
    else:
        usual = channels.outbox_base(settings, Path.cwd()) if settings else _base_without_settings()
        bases = [usual, Path(tempfile.gettempdir()) / channels.SPARE]
    for base in bases:
        yield from sessions(base)


def _base_without_settings() -> Path:
    from .commands import command_settings

    try:
        return channels.outbox_base(command_settings(), Path.cwd())
    except SettingsError:
        return Path.cwd() / channels.OUTBOX


def _show(directory: Path) -> None:
    try:
        outbox = Outbox.open(directory)
    except OutboxTooNew as error:
        print(error)
        return
    try:
        under_way = not outbox.presence().acquire()
        ledger = outbox.ledger()
        meta = outbox.meta()
        age = _age(time.time() - meta["created"])
        print(f"{directory.name}  {age} old" + ("  (the session is under way)" if under_way else ""))
        counts = outbox.count_pending(ledger)
        for (project, run_id), entry in counts.items():
            name = f"run {run_id}" if run_id > 0 else "a run that is to be created"
            size = f", {entry.files} files of {entry.file_bytes / MIB:.1f} MiB" if entry.files else ""
            print(f"  {project}, {name}: {entry.results} results{size}")
        unfinished = len(outbox.unfinished())
        if unfinished and not under_way:
            print(f"  {unfinished} tests in which the process ended")
        for rejection in ledger.rejected():
            print(f"  {rejection.project}, run {rejection.run_id}: refused: {rejection.reason}")
        for entry in ledger.state().get("blocked") or ():
            print(f"  {entry['message']}")
    finally:
        outbox.close()


def _discard(arguments: argparse.Namespace) -> int:
    for directory in _directories(arguments, None):
        if directory.name == arguments.discard:
            outbox = Outbox.open(directory)
            try:
                if not outbox.presence().acquire() or not outbox.delivery_right().acquire():
                    raise FamacaseError(
                        f"The session {directory.name} is under way, or is being sent: nothing is discarded. "
                        "Wait for its end."
                    )
                outbox.remove()
            finally:
                outbox.close()
            print(f"Discarded {directory}.")
            return 0
    raise FamacaseError(
        f"There is no session {arguments.discard}: nothing is discarded. See 'famacase resend --list'."
    )


@dataclass
class _Progress:
    """One line that counts down, on a terminal."""

    outbox: Outbox
    ledger: Ledger
    shown: bool = False

    def show(self) -> None:
        if sys.stdout.isatty():
            left = sum(entry.results for entry in self.outbox.count_pending(self.ledger).values())
            print(f"\r  {left} results left ", end="", flush=True)
            self.shown = True

    def close(self) -> None:
        if self.shown:
            print()


def _send(directory: Path, settings: Settings, to_run: str | None) -> bool:
    """Send one session's results; True if something of it is left."""
    try:
        outbox = Outbox.open(directory)
    except OutboxGone:
        return False
    try:
        return _send_from(outbox, settings, to_run)
    except OutboxGone:
        return False
    except OutboxUnavailable as error:
        print(error)
        return True
    finally:
        outbox.close()


def _send_from(outbox: Outbox, settings: Settings, to_run: str | None) -> bool:
    name = outbox.directory.name
    if not outbox.presence().acquire():
        print(f"{name}: the session is under way and delivers by itself.")
        return True
    right = outbox.delivery_right()
    if not right.acquire():
        print(f"{name}: waiting for the process that delivers it.")
        right.acquire(None)
    meta = outbox.meta()
    if host_of(meta["api_url"]) != host_of(settings.base_url):
        # A token goes to no host that only a file in the working tree names.
        raise SettingsError(
            f"{name} was recorded for {meta['api_url']}, but the address is set to {settings.base_url}: "
            "nothing of it is sent. Set FAMACASE_API_URL to the address that it is meant for."
        )
    ledger = outbox.ledger()
    finish_all(outbox)
    ledger.retry_rejected()
    ledger.set_state(blocked=[], away=None)
    counts = outbox.count_pending(ledger)
    briefing = {**channels.briefing(settings, outbox, projects=_projects(outbox)), "flush_interval": 0.0}
    if to_run is not None:
        _redirect(outbox, ledger, settings, to_run)
    dispatcher = dispatch(outbox, ledger, briefing)
    dispatcher.deliverer.completes = meta.get("ended") == "normal"
    progress = _Progress(outbox, ledger)
    dispatcher.start()
    try:
        dispatcher.drain(_DEADLINE, threading.Event(), progress.show)
    finally:
        dispatcher.stop()
        progress.close()
    return _report(outbox, ledger, settings, sum(entry.results for entry in counts.values()), dispatcher.away)


def _report(outbox: Outbox, ledger: Ledger, settings: Settings, were: int, away: str | None) -> bool:
    name = outbox.directory.name
    left = sum(entry.results for entry in outbox.count_pending(ledger).values())
    rejected = ledger.rejected()
    for run in outbox.runs():
        real = ledger.real_run(run.project, run.run_id)
        if real is not None and were:
            print(
                f"{name}: {were - left - len(rejected)} results delivered to {settings.base_url}/runs/{real}"
            )
    for rejection in rejected:
        print(f"{name}: a result was refused by the back end and is kept: {rejection.reason}")
    reasons = [entry["message"] for entry in ledger.state().get("blocked") or ()] + ([away] if away else [])
    for reason in reasons:
        print(f"{name}: {reason}")
    if left:
        print(f"{name}: {left} results wait.")
    if is_anything_left(outbox, ledger):
        return True
    outbox.remove()
    return False


def _redirect(outbox: Outbox, ledger: Ledger, settings: Settings, to_run: str) -> None:
    """Point the runs of a session to others."""
    with channels.open_api(settings) as api:
        for run in outbox.runs():
            if to_run == "new":
                body = dict(run.body or {"title": f"Resent from run {run.run_id}", "is_autotest": True})
                target = api.create_run(run.project, body, str(uuid.uuid4()))
                print(f"{run.project}: created run {target}, {settings.base_url}/runs/{target}")
            else:
                target = int(to_run)
                api.get_run(run.project, target)
            ledger.record_run(run.project, run.run_id, target)


def _projects(outbox: Outbox) -> list[str]:
    return sorted({run.project for run in outbox.runs()} | set(outbox.meta()["projects"]))


def _target(text: str) -> str:
    if text != "new" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither the id of a run nor 'new'")
    return text


def _age(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
