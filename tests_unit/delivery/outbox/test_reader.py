"""The readers of writers' databases: few are open at a time, and none is read for nothing."""

from __future__ import annotations

import math
import threading

import pytest

from famacase_pytest.delivery.models import (
    Attachment,
)
from famacase_pytest.delivery.outbox import reader
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.reader import Pending, Reader, Readers
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY


def test_more_writers_than_may_be_open(outbox: Outbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reader, "MAX_OPEN", 2)
    monkeypatch.setattr(reader, "COARSEST_STAMP", 0.0)
    readers = Readers(str(outbox.directory))
    pending = Pending(readers)
    writers = [outbox.writer(f"gw{number}", max_bytes=MANY) for number in range(6)]
    for round_ in range(5):
        for number, writer in enumerate(writers):
            writer.put("P", 1, f"{number}-{round_}", "{}")
        found = pending.take(ledger, 100, (), math.inf)
        assert sorted(item.result_id for item in found) == [f"{number}-{round_}" for number in range(6)]
        ledger.acknowledge(found)
        for _ in range(3):
            assert pending.take(ledger, 100, (), math.inf) == []
        assert sum(one.is_open for one in readers.all()) <= 2
    readers.close()


def test_a_change_that_bears_the_stamp_of_the_one_before(
    outbox: Outbox, writer: Writer, monkeypatch: pytest.MonkeyPatch
):
    now = 100.0
    monkeypatch.setattr(reader.System, "monotonic", lambda: now)
    one = Reader(str(outbox.directory), "main-1")

    def is_opened() -> bool:
        """Whether a change cannot be ruled out from outside."""
        one.close()
        one.has_changed()
        return one.is_open

    writer.close()
    assert one.has_changed()
    assert is_opened()
    now += 2.9
    assert is_opened()
    now += 60
    # The one look that comes later than any such change.
    assert is_opened()
    assert not is_opened()
    (outbox.directory / "main-1.db-wal").touch()
    assert is_opened()
    one.close()


def test_contents_are_read_while_databases_come_and_go(outbox: Outbox, ledger: Ledger):
    files = []
    for number in range(40):
        writer = outbox.writer(f"gw{number}", max_bytes=MANY)
        stored = writer.store(Attachment("r", "n", content=b"%d" % number))
        writer.put("P", 1, str(number), "{}", [stored])
        writer.close()
    for item in outbox.pending(ledger, 100):
        files += outbox.attachments(item)
    problems: list[BaseException] = []

    def read() -> None:
        try:
            for file in files:
                with file.open() as content:
                    assert content.read()
        except BaseException as error:  # noqa: BLE001 (shown below)
            problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        outbox.pending(ledger, 100)
    for thread in threads:
        thread.join()
    assert problems == []
