"""`famacase resend`: list, send or discard what earlier sessions could not deliver."""

from __future__ import annotations

import argparse
import sys
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from .. import wiring
from ..defects import waiting
from ..delivery.models import MIB, Waiting
from ..delivery.outbox.database import OutboxGone, OutboxTooNew, OutboxUnavailable
from ..delivery.outbox.directory import is_private, sessions
from ..delivery.outbox.ledger import Ledger
from ..delivery.outbox.store import Outbox, finish_all, is_anything_left
from ..delivery.relay.deliver import with_environment
from ..delivery.relay.main import open_api, open_loop
from ..errors import FamacaseError, SettingsError
from ..settings.address import host_of, normalise, scrubbed
from ..settings.model import Settings
from ..summary import command_progress, counted
from .settings import asking, command_settings

# Seconds to wait for a session's lock, which another process may hold for a moment to check it.
_LOCK_WAIT = 0.3

# Seconds that sending one session's results may take; each call has its own, much shorter timeout.
_DEADLINE = 24 * 3600.0

# Rounds that may fail in a row, with growing pauses between them, while the back end answers.
_ROUNDS = 6

RunKey = tuple[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `resend`."""
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="D",
        help=f"directory that holds the outboxes (default: FAMACASE_OUTBOX_DIR, or {wiring.OUTBOX} here)",
    )
    parser.add_argument(
        "--project",
        type=_projects,
        default={},
        metavar="[OLD=]CODE",
        help="send to this project instead; OLD=CODE[,OLD2=CODE2] names those that are replaced",
    )
    parser.add_argument(
        "--to-address",
        type=_address,
        metavar="URL",
        help="send to this address instead; the token that is set goes there: set one of that address",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show what waits, and send nothing")
    what.add_argument(
        "--to-run",
        type=_target,
        metavar="ID|new",
        help="send to this run, or to a new one, instead of the session's own run",
    )
    what.add_argument(
        "--discard", metavar="SESSION", help="delete the waiting results of one session, named as in --list"
    )


def _projects(text: str) -> dict[str, str]:
    """Projects by the code that they take the place of; "" stands for any."""
    found = {}
    for part in text.split(","):
        old, _, new = part.rpartition("=")
        if not new.strip() or old.strip() in found:
            raise argparse.ArgumentTypeError(f"{text!r} is neither a project's code nor OLD=CODE")
        found[old.strip()] = new.strip()
    return found


def _address(text: str) -> str:
    try:
        return normalise(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{scrubbed(text)!r}: {error}") from None


def _target(text: str) -> str:
    if text != "new" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither the id of a run nor 'new'")
    return text


def run(arguments: argparse.Namespace) -> int:
    """List, send or discard, as the arguments say.

    Returns:
        1 if something is left after sending, else 0.

    Raises:
        FamacaseError: a setting is wrong, or a session cannot be discarded.
    """
    if arguments.discard:
        return _discard(arguments)
    if arguments.dir is not None and not arguments.dir.is_dir():
        print(
            f"famacase: There is no directory {arguments.dir}. Nothing is sent. Correct --dir.",
            file=sys.stderr,
        )
        return 2
    settings = None if arguments.list else command_settings(arguments.to_address)
    directories = list(_directories(arguments, settings))
    defects = waiting.files(_base(arguments, settings))
    if not directories and not defects:
        print("Nothing waits." if arguments.dir is None else f"Nothing waits in {arguments.dir}.")
        return 0
    if settings is None:
        for directory in directories:
            for line in _describe(directory):
                print(line)
        for path in defects:
            try:
                print(f"{path}: {counted(len(waiting.read(path)), 'defect')} to be filed")
            except waiting.Unreadable as error:
                print(error)
        return 0
    # A list, so that all sessions are tried even if the first one fails.
    target = Target(arguments.to_run, arguments.project, bool(arguments.to_address))
    left = any([send(directory, settings, target) for directory in directories])
    return 1 if _file_defects(defects, settings) or left else 0


def _file_defects(paths: list[Path], settings: Settings) -> bool:
    """File the defects that earlier sessions could not; whether some are left."""
    if not paths:
        return False
    if settings.defects is None:
        print("famacase: Defects wait, and no tracker is set: none is filed. Set it as for pytest.")
        return True
    from ..defects.session import file_waiting

    return file_waiting(settings.defects, Path.cwd(), paths, lambda line: print(f"famacase: {line}"))


def _directories(arguments: argparse.Namespace, settings: Settings | None) -> Iterator[Path]:
    """The directories of the sessions that left results."""
    places = () if arguments.dir is not None else filter(is_private, wiring.spare_bases())
    for place in (_base(arguments, settings), *places):
        yield from sessions(place)


def _base(arguments: argparse.Namespace, settings: Settings | None) -> Path:
    """The directory that holds the outboxes."""
    if arguments.dir is not None:
        return Path(arguments.dir)
    try:
        return wiring.outbox_base(settings or command_settings(), Path.cwd())
    except SettingsError:
        # Listing and discarding need no valid settings.
        return Path.cwd() / wiring.OUTBOX


def _discard(arguments: argparse.Namespace) -> int:
    for directory in _directories(arguments, None):
        if directory.name == arguments.discard:
            with Outbox.open(directory) as outbox:
                if _is_running(outbox) or not outbox.delivery_lock().acquire():
                    raise FamacaseError(
                        f"The session {directory.name} is still running, or another process is sending its "
                        "results: nothing is discarded. Try again when that has ended."
                    )
                outbox.remove()
            print(f"Discarded {directory}.")
            return 0
    raise FamacaseError(
        f"There is no session {arguments.discard}: nothing is discarded. See 'famacase resend --list'."
    )


def _is_running(outbox: Outbox) -> bool:
    """Whether the session of an outbox still runs."""
    presence = outbox.presence_lock()
    if not presence.acquire(_LOCK_WAIT):
        return True
    presence.release()
    return False


# The list


def _describe(directory: Path) -> Iterator[str]:
    """The lines about one session: its age, and what waits for each run."""
    try:
        with Outbox.open(directory) as outbox:
            yield from _describe_outbox(outbox)
    except OutboxGone:
        return
    except (OutboxTooNew, OutboxUnavailable) as error:
        yield f"{directory.name}: {error}"


def _describe_outbox(outbox: Outbox) -> Iterator[str]:
    ledger = outbox.ledger()
    running = _is_running(outbox)
    age = time.time() - outbox.meta().get("created", time.time())
    yield f"{outbox.directory.name}, {_duration(age)} old{', still running' if running else ''}"
    counts = outbox.count_pending(ledger)
    rejected = ledger.rejected()
    for (project, run_id), entry in counts.items():
        files = f", {counted(entry.files, 'file')} ({entry.file_bytes / MIB:.1f} MiB)" if entry.files else ""
        name = _run_named(project, ledger.real_run(project, run_id) or run_id)
        yield f"  {name}: {counted(entry.results, 'result')}{files}"
    for rejection in rejected:
        yield f"  {_run_named(rejection.project, rejection.run_id)}: refused, and kept: {rejection.reason}"
    unfinished = 0 if running else len(outbox.unfinished())
    if unfinished:
        yield f"  {counted(unfinished, 'test', 'was/were')} running when the process ended"
    for problem in outbox.unreadable.values():
        yield f"  {problem}"
    if not (counts or rejected or unfinished or outbox.unreadable or running):
        yield "  no results"
    for entry in ledger.state().get("blocked") or ():
        yield f"  {entry['message']}"


def _duration(seconds: float) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return counted(int(seconds / size), unit)
    return counted(max(0, int(seconds)), "second")


def _run_named(project: str, run_id: int) -> str:
    """A run in words; the id of a run that is not created yet is below 0."""
    return f"{project}, run {run_id}" if run_id > 0 else f"{project}, a run that is not created yet"


# Sending


class Target(NamedTuple):
    """Where results go instead of where their session meant them to.

    Attributes:
        run: ``new`` or the id of another run; None for the session's own.
        projects: other projects, by the code of the one that they take the place of; "" stands for any.
        by_hand: whether the address was given on the command line, and so may be another one.
    """

    run: str | None = None
    projects: Mapping[str, str] = {}
    by_hand: bool = False


def send(directory: Path, settings: Settings, target: Target) -> bool:
    """Send the waiting results of one session, and print how many were delivered.

    Args:
        directory: the session's.
        settings: with the address and the tokens.
        target: where to.

    Returns:
        Whether something is left.
    """
    try:
        with Outbox.open(directory) as outbox:
            return _Sending(outbox, settings, target).send()
    except OutboxGone:
        print(f"{directory.name}: another process has delivered its results.")
        return False
    except FamacaseError as error:
        # The other sessions are still tried.
        print(f"{directory.name}: {error}")
        return True


class _Sending:
    """Sends the results in one outbox; only one process does so at a time."""

    def __init__(self, outbox: Outbox, settings: Settings, target: Target) -> None:
        self._outbox = outbox
        self._settings = settings
        self._target = target

    def send(self) -> bool:
        outbox = self._outbox
        if _is_running(outbox):
            self._say("the session is still running and sends its results itself.")
            return True
        is_elsewhere = self._is_elsewhere()
        lock = outbox.delivery_lock()
        if not lock.acquire():
            self._say("waiting for another process that is sending its results.")
            lock.acquire(None)
        ledger = outbox.ledger()
        finish_all(outbox)
        ledger.retry_rejected()
        counts = outbox.count_pending(ledger)
        self._redirect(ledger, counts, is_elsewhere)
        return self._report(ledger, counts, self._deliver(ledger, counts))

    def _is_elsewhere(self) -> bool:
        """Whether the address is another one than the session's; only by the user's own hand."""
        recorded, given = self._outbox.meta()["api_url"], self._settings.base_url
        if self._target.by_hand:
            return bool(recorded != given)
        # A token must not go to a host that only a file in the working tree names.
        if host_of(recorded) != host_of(given):
            own = self._settings.client_class
            if own is not None:
                raise SettingsError(
                    f"Its results were recorded for another back end than {own.source}, {own.value!r}: none "
                    "of them is sent. Name the one that they are meant for, or, if that one was wrong, send "
                    f"them with: famacase resend --to-address {given}"
                )
            raise SettingsError(
                f"Its results were recorded for {recorded}, but the address is set to {given}: none of them "
                "is sent. Set FAMACASE_API_URL to the address that they are meant for, or, if that one was "
                f"wrong, send them with: famacase resend --to-address {given}"
            )
        return False

    def _redirect(self, ledger: Ledger, counts: Mapping[RunKey, Waiting], is_elsewhere: bool) -> None:
        """Note where results go instead; if one of the places does not exist, nothing is changed.

        What was created or uploaded in the place that it was meant for first counts no more.
        """
        known = ledger.state().get("targets") or {}
        targets = {**known, **self._other_projects({project for project, _ in counts}, known)}
        if targets == known and not is_elsewhere and self._target.run is None:
            return
        runs = {(run.project, run.run_id): run for run in self._outbox.runs()}
        found = {}
        created = []
        try:
            with asking(self._settings) as api:
                for project in sorted({targets.get(project, project) for project, _ in counts}):
                    api.get_project(project)
                for project, run_id in counts if self._target.run else ():
                    target = targets.get(project, project)
                    if self._target.run != "new":
                        found[project, run_id] = int(str(self._target.run))
                        api.get_run(target, found[project, run_id])
                        continue
                    run = runs.get((project, run_id))
                    body = {"title": f"Resent from run {run_id}", "is_autotest": True}
                    if run is not None and run.body:
                        body = with_environment(run._replace(project=target), api)
                    real = found[project, run_id] = api.create_run(target, body, str(uuid.uuid4()))
                    created.append(f"created run {real} of {target}, {self._url(target, real)}")
        finally:
            for line in created:
                self._say(line)
        for project, run_id in runs:
            if is_elsewhere or targets.get(project) != known.get(project):
                ledger.forget_created(project, run_id)
        if is_elsewhere:
            ledger.forget_uploads()
            self._outbox.set_meta(api_url=self._settings.base_url)
        ledger.set_state(targets=targets)
        for (project, run_id), real in found.items():
            ledger.record_run(project, run_id, real)

    def _other_projects(self, waiting: Collection[str], known: Mapping[str, str]) -> dict[str, str]:
        """The projects that the user has named, by the code that the session gave.

        Args:
            waiting: the session's projects for which results wait.
            known: where an earlier call has sent some of them.
        """
        wanted = self._target.projects
        if "" in wanted and len(waiting) > 1:
            raise SettingsError(
                f"Its results are for the projects {', '.join(sorted(waiting))}, and one of them has to be "
                f"named: none is sent. Say --project OLD={wanted['']}."
            )
        found = {}
        for project in waiting:
            # It may be named as the session knew it, or as it was sent last.
            for name in ("", known.get(project, project), project):
                if name in wanted:
                    found[project] = wanted[name]
        return found

    def _deliver(self, ledger: Ledger, counts: Mapping[RunKey, Waiting]) -> str | None:
        """Deliver what can be delivered.

        Returns:
            Why something is left, if that is not in the ledger.
        """
        outbox = self._outbox
        projects = {project for project, _ in counts} | {run.project for run in outbox.runs()}
        if not projects:
            return None
        targets = ledger.state().get("targets") or {}
        codes = sorted({targets.get(project, project) for project in projects})
        briefing = wiring.relay_briefing(self._settings, outbox, projects=codes)
        cancelled = threading.Event()
        api = open_api(briefing, cancelled, wiring.log_request)
        loop = open_loop(outbox, ledger, {**briefing, "flush_interval": 0.0}, api, cancelled)
        loop.delivery.completes = outbox.meta().get("ended") == "normal"
        progress = command_progress()
        look = partial(progress.show, partial(outbox.progress, ledger))
        loop.start()
        try:
            loop.drain(_DEADLINE, threading.Event(), look, rounds=_ROUNDS)
        except KeyboardInterrupt:
            progress.clear()
            self._say("interrupted. Results that were not delivered are kept.")
            raise
        finally:
            loop.stop()
            progress.clear()
        if loop.failure is not None:
            raise loop.failure
        return loop.away or loop.trouble

    def _report(self, ledger: Ledger, counts: Mapping[RunKey, Waiting], trouble: str | None) -> bool:
        """Print how many results were delivered, refused and left; returns whether any are left."""
        left = self._outbox.count_pending(ledger)
        rejected = ledger.rejected()
        for key, entry in counts.items():
            project, run_id = key
            refused = sum((one.project, one.run_id) == key for one in rejected)
            remaining = left[key].results if key in left else 0
            delivered = entry.results - remaining - refused
            real = ledger.real_run(project, run_id)
            if delivered and real is not None:
                self._say(f"{counted(delivered, 'result')} delivered to {self._url(project, real)}")
            if remaining:
                still = counted(remaining, "result", "still waits/still wait")
                self._say(f"{still}: {_run_named(project, real or run_id)}")
        for rejection in rejected:
            self._say(f"a result was refused by the back end and is kept: {rejection.reason}")
        for entry in ledger.state().get("blocked") or ():
            self._say(entry["message"])
        for problem in (trouble, *self._outbox.unreadable.values()):
            if problem:
                self._say(problem)
        if is_anything_left(self._outbox, ledger):
            return True
        if not counts:
            self._say("it has no results to send.")
        self._outbox.remove()
        return False

    def _url(self, project: str, run_id: int) -> str:
        return wiring.run_url(self._settings, project, run_id)

    def _say(self, line: str) -> None:
        print(f"{self._outbox.directory.name}: {line}", flush=True)
