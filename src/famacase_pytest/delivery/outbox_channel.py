"""The usual way of a result: into the outbox at once, and from there by the courier."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from famacase_pytest.delivery.api import ReporterApi
from famacase_pytest.delivery.channel import Channel, Leftovers, Parcel
from famacase_pytest.delivery.courier import dispatch, is_anything_left, open_runs
from famacase_pytest.delivery.outbox import Outbox, OutboxUnavailable
from famacase_pytest.delivery.parts import Attachment
from famacase_pytest.delivery.records import Run, StoredFile
from famacase_pytest.delivery.relay.deliver import finish_unfinished
from famacase_pytest.delivery.sink import Sink
from famacase_pytest.delivery.spawn import Courier
from famacase_pytest.delivery.system import System
from famacase_pytest.errors import ApiError, Refused

_wait = threading.Event().wait

# Seconds between two looks at what the courier has done.
_LOOK = 0.01

# Seconds beyond its deadline that the courier has to say how far it came.
_GRACE = 2.0


class OutboxChannel(Channel):
    """The channel of a session's controller, or of a session without workers.

    The questions at the start of a session go to the back end directly; from the first test on, nothing here
    uses the network.

    Args:
        api: the back end.
        outbox: the session's.
        sink: stores this process's results in it.
        courier: delivers.
        drain_timeout: seconds that completing a run may wait for delivery.
        keep_when_away: whether a session goes on without a back end; otherwise upstream's fallback takes
            over.
        tell: takes a line for the user.
    """

    def __init__(
        self,
        api: ReporterApi,
        outbox: Outbox,
        sink: Sink,
        courier: Courier,
        *,
        drain_timeout: float,
        keep_when_away: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._api = api
        self._outbox = outbox
        self._ledger = outbox.ledger()
        self._sink = sink
        self._courier = courier
        self._drain_timeout = drain_timeout
        self._keep_when_away = keep_when_away
        self._tell = tell
        self._away: ApiError | None = None
        self._slugs: dict[str, str] = {}
        self._gave_up = False
        self._drained = False
        self._late = False
        self._in_background = False
        self._told: set[str] = set()
        self.directory = outbox.directory

    # Before the first test

    def open_project(self, code: str) -> None:
        try:
            self._api.get_project(code)
        except ApiError as error:
            self._without_back_end(error)

    def environment_id(self, code: str, slug: str) -> int | None:
        if not self._away:
            try:
                return self._api.environment_id(code, slug)
            except ApiError as error:
                self._without_back_end(error)
        self._slugs[code] = slug
        return None

    def is_environment_open(self, code: str) -> bool:
        return code in self._slugs

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        if self._away is not None:
            raise self._away  # nobody waits for the same silence twice
        return self._api.plan_cases(code, plan_id)

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        """Create a run, or promise one: a negative number stands for a run that the courier creates later.

        The outbox holds the body and the key before the first request, so that whoever repeats it gets the
        run that the first one created, where the server keeps keys.
        """
        provisional = -1 - len(self._outbox.runs())
        run = Run(
            code, provisional, body=dict(body), key=str(uuid.uuid4()), environment_slug=self._slugs.get(code)
        )
        self._note(lambda: self._outbox.add_run(run))
        if not self._away:
            try:
                run_id = self._api.create_run(code, body, str(run.key))
            except ApiError as error:
                # With a fallback too: at this point upstream does not use it any more, it reports nothing.
                self._go_without(error)
            else:
                self._note(lambda: self._outbox.replace_run(code, provisional, run_id))
                return run_id
        return provisional

    def check_run(self, code: str, run_id: int) -> bool:
        self._note(lambda: self._outbox.add_run(Run(code, run_id)))
        if self._away:
            return True
        try:
            self._api.get_run(code, run_id)
        except Refused as error:
            if error.status == 404:
                return False
            self._without_back_end(error)
        except ApiError as error:
            self._without_back_end(error)
        return True

    # While tests run

    def begin(self, code: str, run_id: int, result: Mapping[str, Any]) -> None:
        self._sink.begin(code, run_id, result)

    def forget_begun(self) -> None:
        self._sink.forget_begun()

    def keep(self, source: Attachment) -> StoredFile:
        return self._sink.keep(source)

    def put(self, code: str, run_id: int, parcels: Sequence[Parcel]) -> None:
        self._drained = False
        self._sink.put(code, run_id, parcels)
        self._courier.ensure()

    def finish_crashed(self, worker: str, status: str, message: str) -> None:
        for item in self._outbox.unfinished():
            if item.writer.startswith(f"{worker}-"):
                self._note(partial(finish_unfinished, self._outbox, item, status, message))

    # After the last test

    def complete_run(self, code: str, run_id: int, *, publish: bool = False) -> bool:
        with self._interruptible():
            self._sink.settle()
        if self._sink.lost or self.worker_losses:
            self.drain()
            return False
        noted = self._note(lambda: self._outbox.request_completion(code, run_id, publish=publish))
        self._drained = False
        self.drain()
        return self._ledger.is_completed(code, run_id) if noted else self._complete_from_here(code, run_id)

    def _complete_from_here(self, code: str, run_id: int) -> bool:
        """Complete a run where the outbox, which is full, could not take note that this is wanted."""
        real = self._ledger.real_run(code, run_id)
        if real is None or self._sink.lost or self._count_waiting() or self._ledger.rejected():
            return False
        self._api.complete_run(code, real)
        return True

    def publish_run(self, code: str, run_id: int) -> str | None:
        return self._ledger.public_url(code, run_id)

    def real_run(self, code: str, run_id: int) -> int:
        return self._ledger.real_run(code, run_id) or run_id

    def drain(self) -> None:
        """Wait for the courier to deliver everything, up to the deadline; Ctrl-C ends the wait."""
        if self._gave_up or self._drained:
            return
        deadline = System.monotonic() + self._drain_timeout
        with self._interruptible():
            self._sink.settle()
            self._drained = self._drained_by(deadline)
            self._gave_up = not self._drained

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Around what may take long after the last test: Ctrl-C ends it, and so does an outbox that fails."""
        try:
            yield
        except OutboxUnavailable as error:
            self._gave_up = True
            self._tell_once(str(error))
        except KeyboardInterrupt:
            self._courier.stop()
            self._gave_up = True
            self._tell("Interrupted while results were being delivered: what is left waits in the outbox.")

    def _drained_by(self, deadline: float) -> bool:
        """Whether everything was done that can be done."""
        if self._drain_timeout == 0:
            self._in_background = self._courier.ensure()
            return False
        while self._courier.ensure():
            number = self._courier.drain(max(0.0, deadline - System.monotonic()))
            while self._courier.is_alive():
                state = self._ledger.state()
                if state.get("drained", 0) >= number:
                    self._late = not state["done"] and System.monotonic() >= deadline
                    return bool(state["done"])
                if System.monotonic() > deadline + _GRACE:
                    self._courier.stop()
                    self._late = True
                    return False
                self._waiting(deadline)
                _wait(_LOOK)
        self._tell(f"{self._courier.fate}; results are delivered from here.")
        return self._deliver_from_here(deadline)

    def _deliver_from_here(self, deadline: float) -> bool:
        """What the courier does, in this process, by the same code as ``famacase resend``."""
        right = self._outbox.delivery_right()
        if not right.acquire(max(0.0, deadline - System.monotonic())):
            return False
        loop = dispatch(self._outbox, self._ledger, self._courier.briefing)
        loop.start()
        try:
            done = loop.drain(
                max(0.0, deadline - System.monotonic()), threading.Event(), lambda: self._waiting(deadline)
            )
            if loop.failure is not None:
                self._tell(f"Delivery ended with {loop.failure!r}. Please report it with this line.")
            return done
        finally:
            loop.stop()
            right.release()

    def _waiting(self, deadline: float) -> None:
        self.on_wait(self._count_waiting, max(0.0, deadline - System.monotonic()))

    def _count_waiting(self) -> int:
        return sum(entry.results for entry in self._outbox.count_pending(self._ledger).values())

    def leftovers(self) -> Leftovers:
        """What the session leaves behind, as it stands now."""
        state = self._ledger.state()
        reasons = [entry["message"] for entry in state.get("blocked") or ()]
        if state.get("away"):
            reasons.append(state["away"])
        if self._late:
            reasons.append(f"it took longer than the {self._drain_timeout:g} s of FAMACASE_DRAIN_TIMEOUT")
        rejected = self._ledger.rejected()
        return Leftovers(
            delivered=self._ledger.settled_count() - len(rejected) + self._sink.sent + self.worker_sent,
            waiting=self._count_waiting(),
            rejected=tuple(entry.reason for entry in rejected),
            lost=self._sink.lost + self.worker_losses,
            open_runs=len(open_runs(self._outbox, self._ledger)),
            reason=reasons[0] if reasons else None,
            in_background=self._in_background and not reasons,
            dropped=self._outbox.count_dropped(),
        )

    def note_end(self, how: str) -> None:
        # Whoever sends what is left later completes the runs of a session that ended normally, and no others.
        self._note(lambda: self._outbox.set_meta(ended=how))

    def close(self) -> None:
        """Let the courier go; an outbox in which nothing is left goes too."""
        self._sink.close()
        self._note(self._forget_workers)
        if self._in_background:
            # Nobody waits: the courier goes on by itself, as long as the usual deadline, and cleans up.
            self._courier.leave()
        else:
            self._courier.end(_GRACE)
            # If not even that can be found out, which was told before, it stays for `famacase resend`.
            with contextlib.suppress(OutboxUnavailable):
                if self._left_nothing():
                    self._outbox.remove()
        self._outbox.close()

    def _forget_workers(self) -> None:
        """Drop the tests of xdist workers that were stopped: whoever died by himself was reported."""
        for item in self._outbox.unfinished():
            self._outbox.drop_unfinished(item)

    def _left_nothing(self) -> bool:
        right = self._outbox.delivery_right()
        return right.acquire(0.0) and not is_anything_left(self._outbox, self._ledger)

    # Without a back end, or without room

    def _note(self, change: Callable[[], object]) -> bool:
        """Change the outbox; that it takes nothing more is said once, and is no reason to end a session."""
        try:
            change()
        except OutboxUnavailable as error:
            self._tell_once(str(error))
            return False
        return True

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    def _without_back_end(self, error: ApiError) -> None:
        if not self._keep_when_away:
            raise error
        self._go_without(error)

    def _go_without(self, error: ApiError) -> None:
        if self._away is None:
            self._away = error
            self._tell(f"{error} Until then results wait in {self._outbox.directory}.")
