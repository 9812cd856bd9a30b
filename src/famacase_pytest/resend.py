"""``famacase resend``: what waits in outboxes, and sending it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import wiring
from .commands import command_settings
from .delivery.outbox.directory import sessions
from .delivery.outbox.store import Outbox
from .errors import FamacaseError, SettingsError
from .listing import describe, is_under_way
from .sending import send
from .settings.model import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `run` understands."""
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="D",
        help=f"directory that holds the outboxes (default: FAMACASE_OUTBOX_DIR, or {wiring.OUTBOX} here)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show what waits, and send nothing")
    what.add_argument(
        "--to-run",
        type=_target,
        metavar="ID|new",
        help="send to another run, or to a new one, instead of the run that the results were meant for",
    )
    what.add_argument(
        "--discard", metavar="SESSION", help="throw away what waits of a session, given its name in --list"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say.

    Returns:
        0 if nothing is left (with ``--list`` always), 1 if something is.
    """
    if arguments.discard:
        return _discard(arguments)
    settings = None if arguments.list else command_settings()
    directories = list(_directories(arguments, settings))
    if not directories:
        print("Nothing waits." if arguments.dir is None else f"Nothing waits in {arguments.dir}.")
        return 0
    if settings is None:
        for directory in directories:
            for line in describe(directory):
                print(line)
        return 0
    # A list, since all are to be tried, whatever becomes of the first.
    return 1 if any([send(directory, settings, arguments.to_run) for directory in directories]) else 0


def _directories(arguments: argparse.Namespace, settings: Settings | None) -> Iterator[Path]:
    if arguments.dir is not None:
        bases = [arguments.dir]
    else:
        usual = wiring.outbox_base(settings, Path.cwd()) if settings else _base_without_settings()
        bases = [usual, Path(tempfile.gettempdir()) / wiring.SPARE]
    for base in bases:
        yield from sessions(base)


def _base_without_settings() -> Path:
    try:
        return wiring.outbox_base(command_settings(), Path.cwd())
    except SettingsError:
        return Path.cwd() / wiring.OUTBOX


def _discard(arguments: argparse.Namespace) -> int:
    for directory in _directories(arguments, None):
        if directory.name == arguments.discard:
            with Outbox.open(directory) as outbox:
                if is_under_way(outbox) or not outbox.delivery_lock().acquire():
                    raise FamacaseError(
                        f"The session {directory.name} is under way, or is being sent: nothing is discarded. "
                        "Wait for its end."
                    )
                outbox.remove()
            print(f"Discarded {directory}.")
            return 0
    raise FamacaseError(
        f"There is no session {arguments.discard}: nothing is discarded. See 'famacase resend --list'."
    )


def _target(text: str) -> str:
    if text != "new" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither the id of a run nor 'new'")
    return text
