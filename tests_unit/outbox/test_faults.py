"""A disk that is full, a place that cannot be written, a format of another release."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from famacase_pytest.delivery.models import Attachment, StoredFile
from famacase_pytest.delivery.outbox.database import (
    Database,
    OutboxGone,
    OutboxTooNew,
    OutboxUnavailable,
    Schema,
    create_database,
)
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY


def test_a_full_disk_is_said_and_what_was_stored_stays(tiny_disk: Callable[[str], Path]):
    with Outbox.create(tiny_disk("size=1m") / "outbox", {}) as outbox:
        writer, ledger = outbox.writer("gw0", max_bytes=MANY), outbox.ledger()
        stored = []
        with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):  # noqa: PT012
            for number in range(1000):
                writer.put("P", 1, str(number), "x" * 5000)
                stored.append(str(number))
        assert stored
        dropped = writer.store(Attachment("r", "n", content=bytes(200_000)))
        assert dropped.problem == "No space left on device"
        assert "full" in (writer.store(Attachment("r", "n", content=bytes(30_000))).problem or "")
        assert [item.result_id for item in outbox.pending(ledger, 1000)] == stored

        # Once there is room again, it goes on.
        subprocess.run(["mount", "-o", "remount,size=8m", str(outbox.directory.parent.parent)], check=True)
        writer.put("P", 1, "late", "x" * 5000)
        assert outbox.pending(ledger, 1000)[-1].result_id == "late"


_LIMITED = """
import resource, sys
from pathlib import Path
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.database import OutboxUnavailable
from famacase_pytest.delivery.models import Attachment

with Outbox.create(Path(sys.argv[1]), {}) as outbox:
    writer = outbox.writer("gw0", max_bytes=1 << 40)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    stored = 0
    try:
        while True:
            writer.put("P", 1, str(stored), "x" * 5000)
            stored += 1
    except OutboxUnavailable:
        pass
    assert writer.store(Attachment("r", "n", content=bytes(300_000))).problem
    assert list((outbox.directory / "files").iterdir()) == []
    assert len(outbox.pending(outbox.ledger(), 1000)) == stored > 0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_file_that_may_not_grow(base: Path):
    subprocess.run([sys.executable, "-W", "error", "-c", _LIMITED, str(base)], check=True)


def test_a_place_that_cannot_be_written(tiny_disk: Callable[[str], Path]):
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(tiny_disk("ro") / ".famacase" / "outbox", {})


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everywhere")
def test_a_place_without_permission(base: Path):
    base.mkdir(parents=True)
    base.chmod(0o500)
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(base, {})


def test_a_place_below_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(tmp_path / "file" / "outbox", {})


def test_a_disk_that_is_full_from_the_start_leaves_nothing_behind(tiny_disk: Callable[[str], Path]):
    disk = tiny_disk("size=16k")
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(disk / ".famacase" / "outbox", {})
    assert list(disk.iterdir()) == []


def test_an_outbox_that_is_not_there(base: Path):
    with pytest.raises(OutboxGone, match="no outbox in"):
        Outbox.open(base / "session")


@pytest.mark.parametrize("name", ["session", "ledger", "main-1"])
def test_a_newer_format_is_refused(outbox: Outbox, writer: Writer, ledger: Ledger, name: str):
    directory = outbox.directory
    outbox.close()
    connection = sqlite3.connect(directory / f"{name}.db")
    connection.execute("PRAGMA user_version=1000")
    connection.close()

    def deliver() -> None:
        with Outbox.open(directory) as newer:
            newer.pending(newer.ledger(), 1)

    with pytest.raises(OutboxTooNew, match="Upgrade famacase-pytest"):
        deliver()


def test_an_older_format_is_brought_up_to_date(tmp_path: Path):
    path = str(tmp_path / "one.db")
    old = Schema("CREATE TABLE t (a)", version=1)
    new = Schema(
        "CREATE TABLE t (a, b, c)",
        upgrades={
            1: "ALTER TABLE t ADD COLUMN b DEFAULT 'x;y'",
            2: "ALTER TABLE t ADD COLUMN c; UPDATE t SET c = 3",
        },
        version=3,
    )
    create_database(path, old)
    first = Database(path, old)
    first.change("INSERT INTO t VALUES (1)")
    # The older release goes on with what it has opened.
    second = Database(path, new)
    assert second.rows("SELECT * FROM t") == [(1, "x;y", 3)]
    second.close()
    first.close()
    third = Database(path, new)
    assert third.rows("PRAGMA user_version") == [(3,)]
    third.close()


def test_a_file_that_is_no_outbox(tmp_path: Path):
    sqlite3.connect(tmp_path / "session.db").close()
    (tmp_path / "session.db").touch()
    with pytest.raises(OutboxUnavailable, match="no database of an outbox"):
        Outbox.open(tmp_path)


def test_a_transaction_that_fails_leaves_nothing(outbox: Outbox, writer: Writer, ledger: Ledger):
    broken = StoredFile("r", None, object(), "n", "t/t")  # type: ignore[arg-type]
    with pytest.raises(OutboxUnavailable):
        writer.put("P", 1, "a", "{}", [broken])
    writer.put("P", 1, "b", "{}")
    assert [item.result_id for item in outbox.pending(ledger, 9)] == ["b"]
