"""Delivery that goes on beside everything else: when to send, when the back end is away, when to give up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial

from famacase_pytest.delivery.api import ReporterApi
from famacase_pytest.delivery.database import OutboxUnavailable
from famacase_pytest.delivery.ledger import Ledger
from famacase_pytest.delivery.relay.deliver import Delivery
from famacase_pytest.delivery.system import System
from famacase_pytest.errors import Refused, Rejected, Unreachable

# Seconds between two looks at an outbox in which nothing was waiting.
_POLL = 0.1

# Seconds between two looks at whether all is delivered: each session waits half of them at its end.
_TICK = 0.01

# Seconds between two tries at a back end that is away, at the most.
_MAX_PAUSE = 30.0

# Asked to be left alone for a while: a back end that says so is there.
_TOO_MANY = 429

# Rounds that may fail at the end of a session because the outbox cannot be read or written.
_FAILED_ROUNDS = 2

# Seconds that the last try at a back end that seems away may take; nobody sits through a deadline for a dead
# host.
LAST_TRY = 5.0


class DeliveryLoop:
    """Delivers in a thread of its own, from ``start`` to ``stop``.

    Args:
        delivery: does one round.
        ledger: takes the state that other processes read: ``away``, the reason why the back end cannot be
            reached.
        api: the back end, for the last try.
        project: any project of the session, for the last try.
        flush_interval: seconds that a result waits for others to be sent with.
        batch_size: results that make a batch, which is sent at once.
        cancelled: the event that ends the calls of ``api``.

    Attributes:
        failure: what ended the thread before its time, a defect; None as long as nothing has.
        trouble: what was last wrong with the outbox; None as long as nothing was.
    """

    def __init__(
        self,
        delivery: Delivery,
        ledger: Ledger,
        api: ReporterApi,
        *,
        project: str,
        flush_interval: float,
        batch_size: int,
        cancelled: threading.Event,
    ) -> None:
        self.delivery = delivery
        self._ledger = ledger
        self._api = api
        self._project = project
        self._flush_interval = flush_interval
        self._batch_size = batch_size
        self._cancelled = cancelled
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = System.thread(target=self._work, name="famacase-delivery", daemon=True)
        self._lock = threading.Lock()
        self._asked = 0
        self._settled = 0
        self._away: str | None = None
        self._noted = False
        self._fruitless = 0
        self._retry_at = 0.0
        self._progress_at = System.monotonic()
        self._working = False
        self._failed_rounds = 0
        self.failure: BaseException | None = None
        self.trouble: str | None = None
        delivery.on_progress = self._note_progress

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    @property
    def away(self) -> str | None:
        """Why the back end cannot be reached; None while it answers."""
        return self._away

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
            on_wait: called again and again meanwhile, at each look.
            rounds: after so many that failed in a row, although the back end answers, nothing more is
                expected of it; None: until the deadline.

        Returns:
            Whether everything was done that can be done now; what the back end refuses does not count.
        """
        deadline = System.monotonic() + seconds
        self._failed_rounds = 0
        revived = False
        with self._lock:
            self._asked += 1
            asked = self._asked
        self._wake.set()
        while self._thread.is_alive():
            if self._settled >= asked:
                return True
            on_wait()
            if stop.wait(_TICK) or System.monotonic() >= deadline:
                return self._settled >= asked
            if self._failed_rounds >= _FAILED_ROUNDS:
                return False
            # A call that is under way since before the end counts from its beginning.
            silent = System.monotonic() - self._progress_at if self._working else 0.0
            if self._away is not None or silent > LAST_TRY:
                if not self._answers(min(LAST_TRY, max(0.1, deadline - System.monotonic()))):
                    return self._settled >= asked
                if rounds is not None and self._fruitless >= rounds:
                    return False
                self._away = None
                self._progress_at = System.monotonic()
                if not revived:
                    # It may have come back just now. If it fails again, the growing pauses are kept.
                    revived = True
                    self._retry_at = 0.0
                    self._wake.set()
        return self._settled >= asked

    def stop(self) -> None:
        """End at once; calls in flight are abandoned, and what they carried stays in the outbox."""
        self._stopped.set()
        self._cancelled.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def _answers(self, seconds: float) -> bool:
        """Whether the back end answers anything at all within a few seconds."""
        try:
            self._api.with_limits(timeout=seconds, attempts=1, total=seconds).get_project(self._project)
        except Unreachable as error:
            if error.status == _TOO_MANY:
                return True
            self._note_away(error)
            return False
        except (Refused, Rejected):
            return True
        return True

    def _work(self) -> None:
        try:
            self._deliver_until_stopped()
        except BaseException as error:  # noqa: BLE001 (whoever waits for this thread tells it to the user)
            self.failure = error

    def _deliver_until_stopped(self) -> None:
        waiting_since: float | None = None
        pause = 0.5
        while not self._stopped.is_set():
            self._wake.clear()
            asked = self._asked
            draining = asked > self._settled
            if System.monotonic() < self._retry_at:
                self._wake.wait(min(_POLL, self._retry_at - System.monotonic()))
                continue
            try:
                items = self.delivery.waiting()
                if items:
                    waiting_since = waiting_since or System.monotonic()
                    full = len(items) >= self._batch_size
                    if draining or full or System.monotonic() - waiting_since >= self._flush_interval:
                        self._call(partial(self.delivery.deliver, items))
                        waiting_since = None
                        pause = 0.5
                        continue
                elif draining:
                    self._call(self.delivery.complete_runs)
                    self._settled = asked
                    continue
            except Unreachable as error:
                if self._stopped.is_set():
                    return
                self._went_away(error, pause)
                pause = min(_MAX_PAUSE, pause * 2)
                continue
            except OutboxUnavailable as error:
                self.trouble = str(error)
                # A full disk, for instance: what the back end got is sent again, which changes nothing there.
                self._failed_rounds += 1
                self._retry_at = System.monotonic() + pause
                pause = min(_MAX_PAUSE, pause * 2)
                continue
            self._wake.wait(_POLL)

    def _call(self, work: Callable[[], None]) -> None:
        self._note_progress()
        self._working = True
        try:
            work()
        finally:
            self._working = False
        self._answered()

    def _note_progress(self) -> None:
        self._progress_at = System.monotonic()

    def _answered(self) -> None:
        self._note_progress()
        self._fruitless = 0
        self._away = None
        if self._noted:
            self._ledger.set_state(away=None)
            self._noted = False

    def _went_away(self, error: Unreachable, pause: float) -> None:
        self._retry_at = System.monotonic() + max(pause, error.retry_after or 0.0)
        self._fruitless += 1
        # Who asks for patience has answered: the end of the session waits for it, up to its deadline.
        self._away = None if error.status == _TOO_MANY else str(error)
        self._note_away(error)

    def _note_away(self, error: Unreachable) -> None:
        if not self._noted:
            # Noted before it is written, which may fail.
            self._noted = True
            with contextlib.suppress(OutboxUnavailable):
                self._ledger.set_state(away=str(error))
