"""The courier: a process beside pytest that takes from the outbox and delivers.

Tests patch ``requests``, ``socket``, ``time`` and ``open``, block the network, fork, hog the interpreter
lock, and die; none of that reaches another process. ``spawn.py`` starts it; ``main`` is what it runs.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from famacase_pytest.delivery.api import ReporterApi
from famacase_pytest.delivery.ledger import Ledger
from famacase_pytest.delivery.outbox import Outbox
from famacase_pytest.delivery.records import Run
from famacase_pytest.delivery.relay.deliver import Delivery, finish_all_unfinished
from famacase_pytest.delivery.relay.loop import DeliveryLoop

# Seconds that the workers of a dead controller have to store their last results: they end when its pipe
# closes.
_LAST_WORDS = 1.0


class _Orders:
    """What the session says on standard input, one JSON object a line; its end is the session's end."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._condition = threading.Condition()
        self._drains: list[dict[str, Any]] = []
        self._closed = False
        self.ended = False
        self.left_alone = False
        self.stop = threading.Event()
        threading.Thread(target=self._read, name="famacase-orders", daemon=True).start()

    def _read(self) -> None:
        for line in iter(sys.stdin.buffer.readline, b""):
            order = json.loads(line)
            with self._condition:
                if order["do"] == "drain":
                    self._drains.append(order)
                elif order["do"] == "stop":
                    self.stop.set()
                elif order["do"] == "end":
                    self.ended = True
                elif order["do"] == "leave":
                    self.left_alone = True
                self._condition.notify_all()
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @property
    def orphaned(self) -> bool:
        """Whether the session's process is gone. A forked child of a test can hold the pipe open."""
        return not self.ended and (self._closed or os.getppid() != self._parent)

    def next_drain(self, timeout: float) -> Any:
        """The next order to drain, or None after a while."""
        with self._condition:
            if not self._drains and not self.ended and not self._closed:
                self._condition.wait(timeout)
            return self._drains.pop(0) if self._drains else None


def main(briefing: Mapping[str, Any]) -> None:
    """Deliver until the session has ended, or its process is gone.

    Args:
        briefing: the first line that the session sent: ``outbox``, ``api_url``, ``tokens`` by project,
            ``project``,
            ``timeout``, ``attempts``, ``workers``, ``batch_size``, ``flush_interval``, ``drain_timeout``.
    """
    orders = _Orders()
    outbox = Outbox.open(Path(briefing["outbox"]))
    right = outbox.delivery_right()
    if not right.acquire(None, orders.stop):
        outbox.close()
        return
    ledger = outbox.ledger()
    loop = dispatch(outbox, ledger, briefing)
    loop.start()
    while not orders.ended and not orders.orphaned:
        order = orders.next_drain(1.0)
        if order is not None:
            done = loop.drain(order["seconds"], orders.stop)
            ledger.set_state(drained=order["number"], done=done)
        if loop.failure is not None:
            # The session sees it die and starts another one; the log has the reason.
            raise loop.failure
    if orders.orphaned:
        _see_to_what_is_left(outbox, loop, orders, float(briefing["drain_timeout"]))
    loop.stop()
    if orders.orphaned and not is_anything_left(outbox, ledger):
        outbox.remove()
    outbox.close()


def is_anything_left(outbox: Outbox, ledger: Ledger) -> bool:
    """Whether an outbox holds what somebody may still want: results, refused ones, a run to complete."""
    return bool(
        outbox.count_pending(ledger)
        or outbox.unreadable
        or outbox.unfinished()
        or ledger.rejected()
        or open_runs(outbox, ledger)
    )


def open_runs(outbox: Outbox, ledger: Ledger) -> list[Run]:
    """The runs of an outbox that are still to be completed: none if its session was interrupted."""
    if outbox.meta().get("ended") != "normal":
        return []
    return [
        run for run in outbox.runs() if run.requested and not ledger.is_completed(run.project, run.run_id)
    ]


def dispatch(outbox: Outbox, ledger: Ledger, briefing: Mapping[str, Any]) -> DeliveryLoop:
    """The delivery loop for one outbox, as the briefing says. Only for who holds the delivery right."""
    # What an earlier courier said of the back end may not hold any more.
    ledger.set_state(blocked=[], away=None)
    cancelled = threading.Event()
    tokens: dict[str, str] = dict(briefing["tokens"])
    api = ReporterApi(
        briefing["api_url"],
        tokens,
        timeout=briefing["timeout"],
        attempts=briefing["attempts"],
        connections=briefing["workers"] + 2,
        cancelled=cancelled,
    )
    delivery = Delivery(outbox, ledger, api, batch_size=briefing["batch_size"], workers=briefing["workers"])
    return DeliveryLoop(
        delivery,
        ledger,
        api,
        project=briefing["project"],
        flush_interval=briefing["flush_interval"],
        cancelled=cancelled,
    )


def _see_to_what_is_left(outbox: Outbox, loop: DeliveryLoop, orders: _Orders, drain_timeout: float) -> None:
    """Deliver what a session stored that died, the test that it died in as well, and complete nothing.

    A session that ended well without waiting has its runs completed.
    """
    if not orders.left_alone:
        loop.delivery.completes = False
        threading.Event().wait(_LAST_WORDS)
        finish_all_unfinished(outbox)
    loop.drain(drain_timeout, orders.stop)
