"""When events occur: one monotonic clock, a thread for each occurrence, an end that comes whatever hangs."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ..delivery.system import System, SystemClock
from .descriptions import Description, Event
from .record import Occurrence, Record
from .reporter import occurrence as current

if TYPE_CHECKING:
    from ..delivery.relay.loop import Clock

# Seconds between two looks at the kill switch, which other processes may set.
_LOOK = 0.5

# Seconds that an event without a timeout may go on for after the end.
_GRACE = 60.0


@dataclass
class Scheduler:
    """Runs one description.

    Args:
        functions: of the events, by key, without arguments.
        kill_switch: set at the end, and by whoever wants it to come.
        report: called each ``report_every`` seconds, and at the end.

    Attributes:
        stopped: why it ended before its time; None if it did not.
        interrupted: the same, if it was the session that was ended, such as by Ctrl-C.
    """

    description: Description
    functions: Mapping[str, Callable[[], object]]
    kill_switch: Any
    report: Callable[[], object] = lambda: None
    report_every: float = 30.0
    clock: Clock = field(default_factory=SystemClock)
    record: Record = field(default_factory=Record)
    running: set[Occurrence] = field(default_factory=set)
    stopped: str | None = None
    interrupted: str | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        # By event, the number of the occurrence that is due next: due n intervals after the start.
        self._next = {event.key: 0 if event.at_startup else 1 for event in self.description.events}

    def so_far(self) -> Mapping[str, Any]:
        """Steps and fields of the result; its status and message too if the session was interrupted."""
        end = {"status": "invalid", "message": self.interrupted} if self.interrupted else {}
        return {**self.record.so_far(), **end}

    def run(self) -> None:
        """Run to the end. What is raised meanwhile, such as by Ctrl-C, is raised after the end's events."""
        start = self.clock.monotonic()
        try:
            self._run_until_end(start)
            if self.stopped is None and self.kill_switch.is_set():
                self.stopped = f"the kill switch was set after {self.clock.monotonic() - start:.1f} s"
        except BaseException as error:
            self.stopped = f"{type(error).__name__} after {self.clock.monotonic() - start:.1f} s"
            if isinstance(error, (KeyboardInterrupt, SystemExit, pytest.exit.Exception)):
                self.interrupted = f"the session was interrupted: {self.stopped}"
            raise
        finally:
            self._end()

    def _run_until_end(self, start: float) -> None:
        end = start + self.description.seconds
        report_at = start + self.report_every
        while self.stopped is None and not self.kill_switch.is_set():
            self._wake.clear()
            now = self.clock.monotonic()
            due = [self._start_due(event, start, now) for event in self.description.events]
            self._give_up(now)
            if now >= end:
                return
            if now >= report_at:
                self.report()
                report_at = max(report_at + self.report_every, now)
            until = min(*due, end, report_at, now + _LOOK)
            self.clock.wait(self._wake, max(0.0, until - self.clock.monotonic()))

    def _start_due(self, event: Event, start: float, now: float) -> float:
        """Start what is due; returns when the next one is. What is too late for that is counted."""
        interval, last = event.interval_sec or math.inf, 0
        if event.interval_sec:
            # The small number is far above the error of the division, and far below any interval.
            last = math.ceil(self.description.seconds / interval - 1e-6) - 1
        number = self._next[event.key]
        latest = min(last, math.floor((now - start) / interval + 1e-6))
        if latest >= number:
            with self._lock:
                overlap = sum(occurrence.event is event for occurrence in self.running)
            is_late = now >= start + self.description.seconds or overlap >= event.max_overlap
            if not is_late:
                self._start(event, now + (event.timeout_sec or math.inf))
            self.record.miss(event, latest - number + is_late)
            self._next[event.key] = number = latest + 1
        return start + number * interval if number <= last else math.inf

    def _start(self, event: Event, limit: float) -> None:
        occurrence = self.record.begin(event, self.clock.monotonic(), limit)
        with self._lock:
            self.running.add(occurrence)
        System.thread(target=self._work, args=(occurrence,), name=event.key, daemon=True).start()

    def _work(self, occurrence: Occurrence) -> None:
        current.set(occurrence.number)
        status, message = "passed", ""
        try:
            self.functions[occurrence.event.key]()
        except pytest.skip.Exception as error:
            status, message = "skipped", str(error)
        except BaseException as error:  # noqa: BLE001 (an event may raise anything)
            status, message = "failed", _described(error)
        self._finish(occurrence, status, message)
        with self._lock:
            self.running.discard(occurrence)
        self._wake.set()

    def _finish(self, occurrence: Occurrence, status: str, message: str) -> None:
        self.record.end(occurrence, self.clock.monotonic(), status, message)
        if status == "failed" and occurrence.event.on_error == "stop" and self.stopped is None:
            self.stopped = f"{occurrence.event.key} failed"

    def _end(self) -> None:
        """Let the events of the end occur, set the kill switch, and wait for all as long as they may take."""
        if self.stopped is not None:
            self.kill_switch.set()
        now = self.clock.monotonic()
        with self._lock:
            before = set(self.running)
        for occurrence in before:
            occurrence.limit = min(occurrence.limit, now + (occurrence.event.timeout_sec or _GRACE))
        for event in self.description.events:
            if event.at_teardown:
                self._start(event, now + (event.timeout_sec or _GRACE))
        self._wait(without=before)
        self.kill_switch.set()
        self._wait()
        self.report()

    def _wait(self, without: Collection[Occurrence] = ()) -> None:
        """Wait until nothing else runs any more that has not been given up."""
        while True:
            self._wake.clear()
            now = self.clock.monotonic()
            self._give_up(now)
            with self._lock:
                running = self.running.difference(without)
            limits = [one.limit for one in running if one.status == "in_progress"]
            if not limits:
                return
            self.clock.wait(self._wake, min(_LOOK, max(0.0, max(limits) - now)))

    def _give_up(self, now: float) -> None:
        """Let what runs for too long have failed; a thread cannot be ended, so it is left to itself."""
        with self._lock:
            late = [one for one in self.running if now >= one.limit and one.status == "in_progress"]
        for one in late:
            self._finish(one, "failed", f"still running after {now - one.started:.1f} s; left to itself")


def _described(error: BaseException) -> str:
    """The error, and the line of the event that it comes from."""
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return f"{text}\n{frames[0].filename}:{frames[0].lineno}" if frames else text
