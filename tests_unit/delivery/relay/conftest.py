"""One session's outbox and ledger, a scripted back end, and a clock that only the test moves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from famacase_pytest.delivery.models import Attachment, Run
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.relay.deliver import Delivery
from famacase_pytest.delivery.relay.loop import DeliveryLoop

from .scripted_api import ScriptedApi


class Clock:
    """Stands still but for the waits, which take no time; `meanwhile` is what happens during each of them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.meanwhile: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.meanwhile()
            self.now += seconds
        return event.is_set()


class Relay:
    """Whoever delivers one session's results; `again` is the next one, as after a death."""

    def __init__(self, outbox: Outbox, api: ScriptedApi, **options: Any) -> None:
        self.outbox = outbox
        self.ledger = outbox.ledger()
        self.api = cast("Any", api)
        self.clock = Clock()
        self._busy = False
        self.cancelled = threading.Event()
        options = {
            "batch_size": 10,
            "upload_threads": 1,
            "flush_interval": 1.0,
            "clock": self.clock,
            **options,
        }
        self.delivery = Delivery(
            outbox,
            self.ledger,
            self.api,
            batch_size=options.pop("batch_size"),
            upload_threads=options.pop("upload_threads"),
        )
        self.loop = DeliveryLoop(
            self.delivery, self.ledger, self.api, project="P", cancelled=self.cancelled, **options
        )

    def again(self, **options: Any) -> Relay:
        """Another relay for the same outbox, which knows only what is recorded."""
        return Relay(self.outbox, self.api, **options)

    def put(
        self, result_id: str, project: str = "P", run: int = 1, *, writer: str = "main-1", **more: Any
    ) -> None:
        """Store a result; `files` are its attachments: names, or pairs of name and content."""
        store = self.outbox.writer(writer, max_bytes=1 << 40)
        sources = [
            Attachment(name, name, "text/plain", content=content)
            for name, content in (
                (file, file.encode()) if isinstance(file, str) else file for file in more.pop("files", ())
            )
        ]
        payload = {
            "id": result_id,
            "attachments": [{"id": source.ref, "file_name": source.file_name} for source in sources],
            **more,
        }
        text = json.dumps(payload, ensure_ascii=False)
        store.put(project, run, result_id, text, [store.store(source) for source in sources])

    def want_completed(self, project: str = "P", run: int = 1, **more: Any) -> None:
        """The session has ended, and wants the run completed."""
        self.outbox.add_run(Run(project, run, **{"requested": True, **more}))

    def round(self) -> None:
        """Deliver what comes next."""
        self.delivery.deliver(self.delivery.waiting())

    def rounds(self) -> None:
        """Deliver all that waits."""
        while items := self.delivery.waiting():
            self.delivery.deliver(items)

    def left(self) -> list[str]:
        """The ids of the results that wait."""
        return [item.result_id for item in self.outbox.pending(self.ledger, 1000)]

    def catch_up(self) -> None:
        """Do what is due, as the thread would, without any time passing."""
        if self._busy:
            return  # this is in the middle of a step
        self._busy = True
        try:
            for _ in range(1000):
                if self.loop.step() > 0:
                    return
            raise AssertionError("it never comes to rest")
        finally:
            self._busy = False

    def pass_time(self, seconds: float) -> None:
        """Let the thread work for so long."""
        ends = self.clock.now + seconds
        while self.clock.now < ends:
            self.clock.now = min(ends, self.clock.now + self.loop.step())

    def drain(self, seconds: float = 60.0, stop: threading.Event | None = None, **options: Any) -> bool:
        """Wait for the end, while the thread works."""
        self.clock.meanwhile = self.catch_up
        return self.loop.drain(seconds, stop or threading.Event(), **options)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox.create(tmp_path / "outbox", {"created": "today"}) as outbox:
        yield outbox


@pytest.fixture
def make_relay(outbox: Outbox) -> Callable[..., Relay]:
    """Makes a relay of its own settings: batch_size, upload_threads, flush_interval, clock."""
    return lambda **options: Relay(outbox, ScriptedApi(), **options)


@pytest.fixture
def relay(make_relay: Callable[..., Relay]) -> Relay:
    return make_relay()
