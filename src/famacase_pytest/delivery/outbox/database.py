"""One SQLite file of the outbox: how it is made, opened, written in transactions and let go after a fork.

In WAL mode with synchronous=NORMAL, once a transaction's call has returned, the death of this process, by
whatever signal, loses none of it. A power failure or a crash of the operating system may lose the
transactions of the last moments, and leaves the file sound.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Callable, ClassVar, NamedTuple

from ...errors import PASSING, FamacaseError
from ..descriptors import clear_of_others
from ..system import System

try:
    import sqlite3
except ImportError:  # a Python that was built without it, or a suite that forbids it
    sqlite3 = None  # type: ignore[assignment]

FORMAT = 1  # of all databases of a session; any change of a table counts it up and adds a row of upgrades

_BUSY_TIMEOUT = 5.0  # seconds to wait for another process's transaction
_CHECKPOINT_PAGES = 4000  # 16 MiB of log between checkpoints: each waits for the disk, on the test's thread


class OutboxUnavailable(FamacaseError):
    """The outbox cannot be made, opened, read or written: a full disk, missing permissions, a damaged file.

    What was to be stored is not stored. Free space, or point FAMACASE_OUTBOX_DIR to another directory.
    """


class OutboxGone(OutboxUnavailable):
    """The session's directory was removed meanwhile: somebody else has delivered all of it. Do nothing."""


class OutboxTooNew(FamacaseError):
    """A newer release of famacase-pytest has written this outbox. Upgrade famacase-pytest, then send it."""


def _no_connection(*args: object, **options: object) -> Any:
    raise OSError("this Python has no sqlite3")


class Sqlite:
    """As `System`: taken when this module is imported, since tests rebind `sqlite3.connect`."""

    connect: ClassVar[Callable[..., Any]] = staticmethod(sqlite3.connect if sqlite3 else _no_connection)
    error: type[Exception] = sqlite3.Error if sqlite3 else OSError


class Schema(NamedTuple):
    """The tables of one kind of database.

    Attributes:
        tables: the SQL script that makes them.
        upgrades: the script that leads from a version, the key, to the next.
        version: what `tables` makes, kept in `PRAGMA user_version`.
    """

    tables: str
    upgrades: Mapping[int, str] = {}
    version: int = FORMAT


def create_database(path: str, schema: Schema) -> None:
    """Make an empty database; nobody sees it under its name before it is complete.

    Raises:
        OutboxUnavailable: the directory cannot be written.
    """
    fresh = f"{path}.new"
    with _translated(path), clear_of_others():
        for leftover in (fresh, f"{fresh}-journal", f"{fresh}-wal", f"{fresh}-shm"):
            with contextlib.suppress(FileNotFoundError):
                System.unlink(leftover)
        with contextlib.closing(Sqlite.connect(fresh, isolation_level=None)) as connection:
            # No waiting for the disk: a session that dies in a power failure now has nothing to lose yet.
            connection.execute("PRAGMA synchronous=OFF")
            connection.executescript(f"BEGIN; {schema.tables}; PRAGMA user_version={schema.version}; COMMIT;")
            connection.execute("PRAGMA journal_mode=WAL")
        System.replace(fresh, path)


def is_database(path: str) -> bool:
    """Whether there is a file that begins as one of SQLite. Raises OutboxUnavailable if it is unreadable."""
    with _translated(path):
        try:
            with System.open_file(path, "rb") as file:
                return bool(file.read(16) == b"SQLite format 3\0")
        except FileNotFoundError:
            return False


class Database:
    """An open database, for any number of threads of one process.

    A connection must not cross a fork: SQLite's picture of who holds which lock would be wrong on both sides.
    In a forked child every call raises OutboxUnavailable, and `close` lets go without touching the file.

    A connection must not be used or closed either once a test has closed its descriptors, whose numbers may
    be another file's by now: see `abandon`.

    Args:
        path: absolute; the file exists.
        schema: its tables. An older file is upgraded.

    Attributes:
        warning: None, or one line for people: the file system refuses the write-ahead log.

    Raises:
        OutboxUnavailable: there is no such file, or it cannot be used. So does every method.
        OutboxTooNew: it has a newer format.
    """

    def __init__(self, path: str, schema: Schema) -> None:
        self.warning: str | None = None
        self._path = path
        self._schema = schema
        self._pid = System.getpid()
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False
        self._open()

    def connection(self) -> AbstractContextManager[sqlite3.Connection]:
        """The connection, this thread's alone as long as the context lasts."""
        return _Using(self)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        # Fetched at once: a query that stays open holds its snapshot, and the log could not be shortened.
        with self.connection() as connection:
            return connection.execute(sql, values).fetchall()

    def number(self, sql: str, values: Sequence[Any] = ()) -> int:
        """The number in a query's only row."""
        return int(self.rows(sql, values)[0][0])

    def change(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement as its own transaction."""
        with self.connection() as connection:
            connection.execute(sql, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed at the end of the block, undone if it raises."""
        with self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has rolled back by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def rest(self) -> None:
        """Close the file until it is used again."""
        if System.getpid() != self._pid:
            self.abandon()
            return
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def close(self) -> None:
        """Close the file; once more does nothing."""
        self._is_closed = True
        self.rest()

    def abandon(self) -> None:
        """Let go of the file without touching it.

        This process cannot open it again: SQLite would share with a connection to the same file what it
        knows of this one's descriptors.
        """
        if self._connection is not None:
            keep_for_ever(self._connection)
            self._connection = None
            if System.getpid() == self._pid:
                _abandoned_paths.add(self._path)

    def _open(self) -> None:
        if self._is_closed or self._path in _abandoned_paths:
            raise _unavailable(self._path, "it was closed" if self._is_closed else "a test has closed it")
        with _translated(self._path):
            System.stat(self._path)  # connect would make an empty file in the place of a missing one
            self._connection = Sqlite.connect(
                self._path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        try:
            # SQLite opens its files when they are first used.
            with clear_of_others():
                self._set_up(self._schema)
        except BaseException:
            self._connection.close()
            self._connection = None
            raise

    def _set_up(self, schema: Schema) -> None:
        version = self.number("PRAGMA user_version")
        if version > schema.version:
            raise OutboxTooNew(
                f"The outbox {self._path} has format {version}; this release reads up to {schema.version}. "
                "Its results stay where they are. Upgrade famacase-pytest and send them again."
            )
        if version == 0:
            raise OutboxUnavailable(
                f"{self._path} is no database of an outbox. It is left as it is. Remove its directory if it "
                "has no use, or point FAMACASE_OUTBOX_DIR to another one."
            )
        self.change("PRAGMA synchronous=NORMAL")
        self.change("PRAGMA temp_store=MEMORY")  # the directory for temporary files may vanish during a test
        self.change(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        if version < schema.version:
            self._upgrade(schema)
        ((mode,),) = self.rows("PRAGMA journal_mode")
        if mode != "wal":
            self.warning = (
                f"The file system of {self._path} has no support for SQLite's write-ahead log (the mode is "
                f"{mode!r}). Results are stored all the same, more slowly. "
                "Point FAMACASE_OUTBOX_DIR to a local disk."
            )

    def _upgrade(self, schema: Schema) -> None:
        with self.transaction() as connection:
            # Read again inside: another process may have been faster.
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for step in range(version, schema.version):
                # Not executescript: that would commit first.
                for statement in _statements(schema.upgrades[step]):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={max(version, schema.version)}")


class _Using:
    """See `Database.connection`.

    A class, since each test passes here: a context made of a generator costs as much as a statement.
    """

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        database = self._database
        # First of all: after a fork even the lock may be in a state that never ends.
        if System.getpid() != database._pid:
            raise OutboxUnavailable(
                f"{database._path} was opened before this process was forked. Nothing is read or written. "
                "Open the outbox anew in the child."
            )
        database._lock.acquire()
        if database._connection is None:
            try:
                database._open()
            except BaseException:
                database._lock.release()
                raise
        assert database._connection is not None
        return database._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._database._lock.release()
        if isinstance(error, (Sqlite.error, OSError)):
            raise _unavailable(self._database._path, error) from error


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except (FamacaseError, *PASSING):
        raise
    except BaseException as error:  # a guard of a suite may raise anything
        raise _unavailable(path, error) from error


def _unavailable(path: str, error: BaseException | str) -> OutboxUnavailable:
    return OutboxUnavailable(
        f"The outbox database {path} cannot be used: {error}. What it was to take is not stored. "
        "Free disk space, correct the permissions, or point FAMACASE_OUTBOX_DIR to another directory."
    )


def _statements(script: str) -> Iterable[str]:
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement) and statement.strip("; \n"):
            yield statement
            statement = ""


_abandoned: list[sqlite3.Connection] = []
_abandoned_paths: set[str] = set()


def keep_for_ever(connection: sqlite3.Connection) -> None:
    """Keep a connection from being closed, even when the interpreter ends.

    Closing a parent's in its child would have SQLite look after the parent's log file; closing one whose
    descriptors are gone would close other files.
    """
    try:
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    except (ImportError, AttributeError):  # not CPython
        _abandoned.append(connection)
