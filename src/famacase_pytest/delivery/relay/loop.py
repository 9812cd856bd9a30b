"""When delivery sends, when it takes the back end for away, and when it gives up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from ...errors import Refused, Rejected, Unreachable
from ..api.base import ReportingClient
from ..outbox.database import OutboxUnavailable
from ..outbox.ledger import Ledger
from ..system import System, SystemClock
from .deliver import Delivery

# Seconds between two looks at an outbox in which nothing was due.
POLL = 0.1

# Seconds between two looks at whether all is delivered: each session waits half of them at its end.
TICK = 0.01

# Seconds between two tries at a back end that is away: the first pause, and the longest.
FIRST_PAUSE = 0.5
MAX_PAUSE = 30.0

# Rounds that may fail at the end of a session because the outbox cannot be read or written.
FAILED_ROUNDS = 2

# Seconds that the last try at a back end that seems away may take; nobody sits through a deadline for a dead
# host.
LAST_TRY = 5.0

# Seconds in which a call that is under way at the end may still be answered.
LAST_WORDS = 0.5

# A back end that asks to be left alone for a while is there.
_TOO_MANY = 429


class Clock(Protocol):
    """The time that the loop goes by."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, for so many seconds at most; returns whether it is set."""
        ...


class DeliveryLoop:
    """Delivers one session's results in a thread, from ``start`` to ``stop``.

    ``step`` is what the thread does again and again. All its decisions are made there and in ``drain``.

    Args:
        delivery: does the work of one round.
        ledger: takes the state that other processes read: ``away``, the reason why the back end cannot be
            reached.
        api: the back end, for the last try.
        project: any project of the session, for the last try.
        flush_interval: seconds that a result waits for others to be sent with.
        cancelled: the event that ends the calls of ``api``.
        clock: the time.

    Attributes:
        failure: what ended the thread before its time, a defect; None as long as nothing has.
        trouble: what was last wrong with the outbox; None as long as nothing was.
        away: why the back end cannot be reached; None while it answers.
    """

    def __init__(
        self,
        delivery: Delivery,
        ledger: Ledger,
        api: ReportingClient,
        *,
        project: str,
        flush_interval: float,
        cancelled: threading.Event,
        clock: Clock = SystemClock(),  # noqa: B008 (it has no state)
    ) -> None:
        self.delivery = delivery
        self.failure: BaseException | None = None
        self.trouble: str | None = None
        self.away: str | None = None
        self._ledger = ledger
        self._api = api
        self._project = project
        self._flush_interval = flush_interval
        self._cancelled = cancelled
        self._clock = clock
        self._thread = System.thread(target=self._run, name="famacase-delivery", daemon=True)
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._ended = threading.Event()
        # Drains by number: the last one that was asked for, and the last one that is done.
        self._asked = 0
        self._done = 0
        self._waiting_since: float | None = None
        self._pause = FIRST_PAUSE
        self._retry_at = 0.0
        # Rounds in a row in which the back end took nothing, and those of a drain that the outbox failed.
        self._fruitless = 0
        self._failed_rounds = 0
        # Whether a round is under way, and when it began or last got something done.
        self._working = False
        self._progress_at = 0.0
        self._away_noted = False
        delivery.on_progress = self._note_progress

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """End; a call in flight that is not answered soon is abandoned, and what it carried stays."""
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(LAST_WORDS)
        self._cancelled.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def drain(
        self,
        seconds: float,
        stop: threading.Event,
        on_wait: Callable[[], None] = lambda: None,
        *,
        rounds: int | None = None,
    ) -> bool:
        """Deliver all that waits and complete the runs of which it was asked.

        A back end that answers is waited for up to the deadline. One that does not is given one last try.

        Args:
            seconds: the deadline.
            stop: ends the wait at once.
            on_wait: called at each look.
            rounds: after so many that failed in a row, although the back end answers, nothing more is
                expected of it; None: until the deadline.

        Returns:
            Whether everything was done that can be done now; what the back end refuses does not count.
        """
        deadline = self._clock.monotonic() + seconds
        revived = False
        self._failed_rounds = 0
        self._asked += 1
        self._wake.set()
        while self._done < self._asked and not self._ended.is_set():
            on_wait()
            if self._clock.wait(stop, TICK):
                break
            left = deadline - self._clock.monotonic()
            if left <= 0 or self._failed_rounds >= FAILED_ROUNDS:
                break
            if not self._seems_away():
                continue
            if not self._answers(min(LAST_TRY, max(0.1, left))):
                break
            if rounds is not None and self._fruitless >= rounds:
                break
            self.away = None
            self._progress_at = self._clock.monotonic()
            if not revived:
                # It may have come back just now. If it fails again, the growing pauses are kept.
                revived = True
                self._retry_at = 0.0
                self._wake.set()
        return self._done >= self._asked

    def step(self) -> float:
        """Do what is due now: deliver, complete runs, or nothing.

        Returns:
            Seconds until the next step is due, 0 for at once.

        Raises:
            Exception: a defect. A back end that is away or an outbox that fails are no exceptions here.
        """
        now = self._clock.monotonic()
        if now < self._retry_at:
            return self._retry_at - now
        asked = self._asked
        draining = self._done < asked
        try:
            items = self.delivery.waiting()
            if items:
                if self._waiting_since is None:
                    self._waiting_since = now
                flush_in = self._waiting_since + self._flush_interval - now
                if flush_in > 0 and not draining and not self.delivery.is_full(items):
                    return min(POLL, flush_in)
                self._call(lambda: self.delivery.deliver(items))
                self._waiting_since = None
                self._pause = FIRST_PAUSE
                return 0
            if draining:
                self._call(self.delivery.complete_runs)
                self._done = asked
                return 0
        except Unreachable as error:
            # Calls fail when they are cancelled, too.
            if not self._stopped.is_set():
                self._went_away(error)
            return 0
        except OutboxUnavailable as error:
            # A full disk, for instance: what the back end got is sent again, which changes nothing there.
            self.trouble = str(error)
            self._failed_rounds += 1
            self._back_off()
            return 0
        return POLL

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                # Cleared first: what is asked for during the step is seen by the next one.
                self._wake.clear()
                wait = self.step()
                if wait > 0:
                    self._clock.wait(self._wake, wait)
        except BaseException as error:  # noqa: BLE001 (whoever waits for this thread tells it to the user)
            self.failure = error
        finally:
            self._ended.set()

    def _call(self, work: Callable[[], None]) -> None:
        self._progress_at = self._clock.monotonic()
        self._working = True
        try:
            work()
        finally:
            self._working = False
        self.away = None
        if self._away_noted:
            self._ledger.set_state(away=None)
            self._away_noted = False

    def _note_progress(self) -> None:
        self._fruitless = 0
        self._progress_at = self._clock.monotonic()

    def _went_away(self, error: Unreachable) -> None:
        self._fruitless += 1
        self._back_off(error.retry_after or 0.0)
        # Who asks for patience has answered: the end of the session waits for it, up to its deadline.
        self.away = None if error.status == _TOO_MANY else str(error)
        self._note_away(error)

    def _back_off(self, at_least: float = 0.0) -> None:
        self._retry_at = self._clock.monotonic() + max(self._pause, at_least)
        self._pause = min(MAX_PAUSE, self._pause * 2)

    def _seems_away(self) -> bool:
        """Whether the last call failed, or the one under way has got nothing done for a while."""
        silent = self._working and self._clock.monotonic() - self._progress_at > LAST_TRY
        return self.away is not None or silent

    def _answers(self, seconds: float) -> bool:
        """Whether the back end answers anything at all within a few seconds."""
        try:
            self._api.with_limits(timeout=seconds, attempts=1, total=seconds).get_project(self._project)
        except Unreachable as error:
            if error.status == _TOO_MANY:
                return True
            self.away = str(error)
            self._note_away(error)
            return False
        except (Refused, Rejected):
            return True
        return True

    def _note_away(self, error: Unreachable) -> None:
        if not self._away_noted:
            # Noted before it is written, which may fail.
            self._away_noted = True
            with contextlib.suppress(OutboxUnavailable):
                self._ledger.set_state(away=str(error))
