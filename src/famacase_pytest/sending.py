"""Sending what a session left behind: what a relay does, when nobody waits for it."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from . import wiring
from .delivery.api.retry import Clock
from .delivery.models import Waiting
from .delivery.outbox.database import OutboxGone
from .delivery.outbox.ledger import Ledger
from .delivery.outbox.store import Outbox, finish_all, is_anything_left
from .delivery.relay.deliver import with_environment
from .delivery.relay.main import open_api, open_loop
from .errors import FamacaseError, SettingsError
from .listing import is_under_way, run_named
from .settings.address import host_of
from .settings.model import Settings
from .summary import counted

# Seconds that sending one session's results may take; each call has its own, much shorter limits.
_DEADLINE = 24 * 3600.0

# Rounds that may fail in a row although the back end answers, with growing pauses between them.
_ROUNDS = 6

# Seconds between two changes of the line that shows how far it came.
_PAUSE = 0.2

RunKey = tuple[str, int]


def send(directory: Path, settings: Settings, to_run: str | None) -> bool:
    """Send what waits of one session, and say what became of it. One at a time sends; others wait for it.

    Args:
        directory: the session's.
        settings: hold the address and the tokens.
        to_run: ``new``, or the id of the run that its results are to go to; None for their own.

    Returns:
        Whether something of it is left.
    """
    try:
        with Outbox.open(directory) as outbox:
            return _Sending(outbox, settings).send(to_run)
    except OutboxGone:
        print(f"{directory.name}: nothing is left of it; another process has delivered it.")
        return False
    except FamacaseError as error:
        # What is wrong with one session is no reason to leave the others.
        print(f"{directory.name}: {error}")
        return True


class _Sending:
    def __init__(self, outbox: Outbox, settings: Settings) -> None:
        self._outbox = outbox
        self._settings = settings
        self._name = outbox.directory.name

    def send(self, to_run: str | None) -> bool:
        outbox = self._outbox
        if is_under_way(outbox):
            self._say("the session is still under way, and delivers its results by itself.")
            return True
        self._check_address()
        right = outbox.delivery_lock()
        if not right.acquire():
            self._say("waiting for the process that is delivering it.")
            right.acquire(None)
        ledger = outbox.ledger()
        finish_all(outbox)
        ledger.retry_rejected()
        counts = outbox.count_pending(ledger)
        if to_run is not None:
            self._redirect(ledger, to_run, counts)
        return self._report(ledger, counts, self._deliver(ledger, counts))

    def _check_address(self) -> None:
        # A token goes to no host that only a file in the working tree names.
        meant, given = self._outbox.meta()["api_url"], self._settings.base_url
        if host_of(meant) != host_of(given):
            raise SettingsError(
                f"It was recorded for {meant}, but the address is set to {given}: nothing of it is sent. "
                "Set FAMACASE_API_URL to the address that it is meant for."
            )

    def _redirect(self, ledger: Ledger, to_run: str, counts: Mapping[RunKey, Waiting]) -> None:
        """Point the runs for which something waits to others, all of them or none."""
        runs = {(run.project, run.run_id): run for run in self._outbox.runs()}
        targets = {}
        with wiring.open_api(self._settings) as api:
            for project, run_id in counts:
                if to_run != "new":
                    api.get_run(project, int(to_run))
                    targets[project, run_id] = int(to_run)
                    continue
                run = runs.get((project, run_id))
                body = {"title": f"Resent from run {run_id}", "is_autotest": True}
                if run is not None and run.body:
                    body = with_environment(run, api)
                targets[project, run_id] = target = api.create_run(project, body, str(uuid.uuid4()))
                self._say(f"created run {target} of {project}, {self._url(target)}")
        for (project, run_id), target in targets.items():
            ledger.record_run(project, run_id, target)

    def _deliver(self, ledger: Ledger, counts: Mapping[RunKey, Waiting]) -> str | None:
        """Deliver what can be; returns what stands in the way of the rest, where the ledger does not."""
        outbox = self._outbox
        projects = sorted({project for project, _ in counts} | {run.project for run in outbox.runs()})
        if not projects:
            return None
        briefing = wiring.relay_briefing(self._settings, outbox, projects=projects)
        cancelled = threading.Event()
        api = open_api(briefing, cancelled)
        loop = open_loop(outbox, ledger, {**briefing, "flush_interval": 0.0}, api, cancelled)
        loop.delivery.completes = outbox.meta().get("ended") == "normal"
        progress = _Progress(
            sum(entry.results for entry in counts.values()),
            lambda: sum(entry.results for entry in outbox.count_pending(ledger).values()),
        )
        loop.start()
        try:
            loop.drain(_DEADLINE, threading.Event(), progress.show, rounds=_ROUNDS)
        except KeyboardInterrupt:
            progress.clear()
            self._say("interrupted; what was not delivered waits on.")
            raise
        finally:
            loop.stop()
            progress.clear()
        if loop.failure is not None:
            raise loop.failure
        return loop.away or loop.trouble

    def _report(self, ledger: Ledger, counts: Mapping[RunKey, Waiting], trouble: str | None) -> bool:
        left = self._outbox.count_pending(ledger)
        rejected = ledger.rejected()
        for key, entry in counts.items():
            project, run_id = key
            refused = sum((one.project, one.run_id) == key for one in rejected)
            remaining = left[key].results if key in left else 0
            delivered = entry.results - remaining - refused
            real = ledger.real_run(project, run_id)
            if delivered and real is not None:
                self._say(f"{counted(delivered, 'result')} delivered to {self._url(real)}")
            if remaining:
                wait = "waits" if remaining == 1 else "wait"
                self._say(
                    f"{counted(remaining, 'result')} still {wait}: {run_named(project, real or run_id)}"
                )
        for rejection in rejected:
            self._say(f"a result was refused by the back end, and is kept: {rejection.reason}")
        for entry in ledger.state().get("blocked") or ():
            self._say(entry["message"])
        for problem in (trouble, *self._outbox.unreadable.values()):
            if problem:
                self._say(problem)
        if is_anything_left(self._outbox, ledger):
            return True
        if not counts:
            self._say("no results were left of it.")
        self._outbox.remove()
        return False

    def _url(self, run_id: int) -> str:
        return f"{self._settings.base_url}/runs/{run_id}"

    def _say(self, line: str) -> None:
        print(f"{self._name}: {line}", flush=True)


class _Progress:
    """One line that counts up, on a terminal.

    Args:
        total: results that are to be delivered.
        left: counts those that still wait.
    """

    def __init__(self, total: int, left: Callable[[], int]) -> None:
        self._total = total
        self._left = left
        self._next = 0.0
        self._width = 0

    def show(self) -> None:
        """Renew the line, if it is time to."""
        if not sys.stdout.isatty() or Clock.monotonic() < self._next:
            return
        self._next = Clock.monotonic() + _PAUSE
        line = f"{self._total - self._left()} of {counted(self._total, 'result')} delivered"
        print(f"\r{line:<{self._width}}", end="", flush=True)
        self._width = len(line)

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", flush=True)
            self._width = 0
