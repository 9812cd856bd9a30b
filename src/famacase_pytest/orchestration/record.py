"""What a long test came to so far: some of its occurrences as steps, all of them as numbers."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..delivery.models import text_step
from ..delivery.system import System
from .descriptions import Event

# Occurrences that become steps: the first and the last of each event, failures of all; and how much one says.
_ENDS = 20
_FAILURES = 200
_CHARACTERS = 2000


@dataclass(eq=False)
class Occurrence:
    """One of an event's many: it has started, and has failed at the limit, by the scheduler's clock."""

    event: Event
    number: int
    started: float
    limit: float
    start_time: float = field(default_factory=System.time)
    status: str = "in_progress"
    duration: int | None = None
    message: str = ""
    id: str = field(default_factory=lambda: str(System.uuid4()))

    def say(self, text: str) -> None:
        """Add to the message what there is room for."""
        self.message = "\n".join(filter(None, (self.message, text)))[:_CHARACTERS]

    def step(self) -> dict[str, Any]:
        """The contract's Step."""
        params = self.event.params
        given = json.dumps(params, ensure_ascii=False, default=str) if params else ""
        when: dict[str, Any] = {"start": self.start_time, "duration": self.duration}
        return text_step(self.id, self.event.key, self.status, input_data=given, message=self.message, **when)


class _Tally:
    """The numbers of one event. Durations are counted by three digits, so that there is an end of them."""

    def __init__(self) -> None:
        self.count = self.failed = self.missed = 0
        self.durations: Counter[int] = Counter()
        self.first: list[Occurrence] = []
        self.last: deque[Occurrence] = deque(maxlen=_ENDS)

    def numbers(self) -> Iterator[tuple[str, int]]:
        yield from (("count", self.count), ("failed", self.failed), ("missed", self.missed))
        for name, part in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
            left = part * sum(self.durations.values())
            for duration in sorted(self.durations):
                left -= self.durations[duration]
                if left <= 0:
                    yield name, duration
                    break


class Record:
    """Collects what occurs, for several threads at once; ``failures`` are the first ones."""

    def __init__(self) -> None:
        self.count = self.failed = 0
        self.failures: list[Occurrence] = []
        self._tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._lock = threading.Lock()

    def begin(self, event: Event, started: float, limit: float) -> Occurrence:
        """Note that an event occurs now."""
        with self._lock:
            self.count += 1
            tally = self._tallies[event.key]
            tally.count += 1
            occurrence = Occurrence(event, self.count, started, limit)
            (tally.first if len(tally.first) < _ENDS else tally.last).append(occurrence)
        return occurrence

    def end(self, occurrence: Occurrence, now: float, status: str, message: str) -> None:
        """Note how it ended, once: what ends after it was given up stays as it was."""
        with self._lock:
            if occurrence.status != "in_progress":
                return
            occurrence.status = status
            occurrence.duration = max(0, int((now - occurrence.started) * 1000))
            occurrence.say(message)
            tally = self._tallies[occurrence.event.key]
            tally.durations[int(float(f"{occurrence.duration:.2e}"))] += 1
            if status == "failed":
                self.failed += 1
                tally.failed += 1
                self.failures += [occurrence] if len(self.failures) < _FAILURES else []

    def miss(self, event: Event, count: int) -> None:
        """Note occurrences that did not come about when they were due."""
        with self._lock:
            self._tallies[event.key].missed += count

    def report(self, number: int | None, text: str) -> None:
        """Add what was reported to the occurrence of a number, if it is kept as a step."""
        with self._lock:
            for occurrence in self._kept():
                if occurrence.number == number:
                    occurrence.say(text)

    def so_far(self) -> dict[str, Any]:
        """``steps`` in their order, and the numbers of each event as ``fields``, durations in ms."""
        with self._lock:
            steps = [one.step() for one in sorted(self._kept(), key=lambda one: one.number)]
            fields = {f"{key}.{n}": v for key, tally in self._tallies.items() for n, v in tally.numbers()}
        return {"steps": steps, "fields": fields}

    def _kept(self) -> set[Occurrence]:
        return {*self.failures}.union(*((*tally.first, *tally.last) for tally in self._tallies.values()))
