"""One database: its format, its transactions, and what happens to it in a fork."""

from __future__ import annotations

import builtins
import importlib.util
import sqlite3
from pathlib import Path

import pytest

from famacase_pytest.delivery.models import (
    StoredFile,
)
from famacase_pytest.delivery.outbox import database
from famacase_pytest.delivery.outbox.database import (
    Database,
    OutboxTooNew,
    OutboxUnavailable,
    Schema,
    Sqlite,
    create_database,
)
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY, ids


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


def test_without_a_write_ahead_log(base: Path, monkeypatch: pytest.MonkeyPatch):
    def connect(path: str, **arguments: object) -> sqlite3.Connection:
        # A file system layer without shared memory, as some network file systems are.
        return sqlite3.connect(f"file:{path}?vfs=unix-dotfile", uri=True, **arguments)

    monkeypatch.setattr(database.Sqlite, "connect", connect)
    with Outbox.create(base, {}) as outbox:
        writer = outbox.writer("main-1", max_bytes=MANY)
        assert "write-ahead log" in (outbox.warning or "")
        assert "FAMACASE_OUTBOX_DIR" in (writer.warning or "")
        writer.begin("P", 1, "a", "{}")
        writer.put("P", 1, "a", "{}")
        assert ids(outbox.pending(outbox.ledger(), 9)) == ["a"]


def test_with_a_write_ahead_log_there_is_no_warning(outbox: Outbox, writer: Writer):
    assert (outbox.warning, writer.warning) == (None, None)


def test_what_a_test_replaces_is_not_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def replaced(*_: object, **__: object) -> None:
        raise AssertionError("a test's own function was called")

    monkeypatch.setattr(sqlite3, "connect", replaced)
    create_database(str(tmp_path / "one.db"), Schema("CREATE TABLE one (id INTEGER);"))
    with pytest.raises(AssertionError):
        sqlite3.connect(tmp_path / "one.db")


def test_a_python_without_sqlite_has_no_outbox_and_says_why(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without_sqlite(name, *more, **options):
        if name == "sqlite3":
            raise ImportError("No module named '_sqlite3'")
        return real(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without_sqlite)
    name = "famacase_pytest.delivery.outbox.without_sqlite"
    spec = importlib.util.spec_from_file_location(name, database.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.undo()
    with pytest.raises(module.Sqlite.error, match="this Python has no sqlite3"):
        module.Sqlite.connect("any.db", isolation_level=None)
    # Callers catch it as what goes wrong with a file.
    assert (module.Sqlite.error, Sqlite.error) == (OSError, sqlite3.Error)
