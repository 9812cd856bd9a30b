"""The writing side of the outbox: one writer, and one database, for each process that runs tests."""

from __future__ import annotations

import hashlib
import itertools
import mimetypes
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Callable

from ...errors import PASSING
from ..descriptors import Descriptors
from ..models import MIB, Attachment, StoredFile, clean_mime_type, clean_name, reason_of, sendable
from ..system import System
from .blobs import (
    FULL,
    SMALL,
    Blobs,
    OpenFile,
    Unstorable,
    bytes_below,
    check_size,
    has_changed,
    open_file,
    origin_of,
)
from .database import Database, OutboxUnavailable, Schema, create_database

if TYPE_CHECKING:
    import sqlite3

WRITER = Schema(
    """
    CREATE TABLE result (
        seq INTEGER PRIMARY KEY,
        project TEXT NOT NULL,
        run_id INTEGER NOT NULL,
        result_id TEXT NOT NULL,
        payload TEXT NOT NULL
    );
    CREATE TABLE begun (
        project TEXT NOT NULL,
        run_id INTEGER NOT NULL,
        result_id TEXT NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (project, run_id, result_id)
    ) WITHOUT ROWID;
    -- A statement that is a transaction of its own: half the cost of two of them in one.
    CREATE TRIGGER finished AFTER INSERT ON result BEGIN
        DELETE FROM begun
        WHERE project = NEW.project AND run_id = NEW.run_id AND result_id = NEW.result_id;
    END;
    CREATE TABLE file (
        seq INTEGER NOT NULL,
        position INTEGER NOT NULL,
        ref TEXT NOT NULL,
        sha256 TEXT,
        size INTEGER NOT NULL,
        file_name TEXT NOT NULL,
        mime_type TEXT NOT NULL,
        problem TEXT,
        PRIMARY KEY (seq, position)
    ) WITHOUT ROWID;
    CREATE TABLE content (
        sha256 TEXT PRIMARY KEY,
        bytes BLOB NOT NULL
    )
    """
)
_INSERT = "INSERT INTO result (project, run_id, result_id, payload) VALUES (?, ?, ?, ?)"
# Of a result: its project, run and id.
Key = tuple[str, int, str]

RESERVED = ("session", "ledger", "lock")

# Bytes that a writer adds before it looks again what the others have added.
SCAN_BYTES = 32 * MIB


def database_path(directory: str, name: str) -> str:
    """Where a writer's database lies in its session's directory."""
    return f"{directory}/{name}.db"


class Writer:
    """Stores the results of one process. Its methods may be called from any thread.

    If the database cannot be made or written, all methods but `store` and `refresh` raise OutboxUnavailable:
    nothing of what they were given is stored.

    A child that was forked gets a database of its own, under another name, with its first call: nothing of
    the parent's connection is touched there. So does a process in which a test has closed the descriptors.

    Args:
        directory: the session's, absolute.
        name: unique in the session; characters other than letters, digits, "-", "_" and "." are replaced.
        max_bytes: of the session as a whole, beyond which files are not stored; results are.

    Attributes:
        name: the name in use, another one after a fork.
        stored: how many results this process has stored, by the name in use when it did, each counted once.
        warning: None, or one line for people about the file system.
    """

    def __init__(self, directory: str, name: str, *, max_bytes: int) -> None:
        self._directory = directory
        self._first_name = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
        if self._first_name in RESERVED:
            raise ValueError(f"{name!r} is the name of another database of the outbox")
        self._max_bytes = max_bytes
        # It reads files of the system when it is first used, which may be under a fake file system.
        if not mimetypes.inited:
            mimetypes.init()
        self.stored: dict[str, int] = {}
        self._losses = itertools.count(1)
        self._descriptors = Descriptors(())
        self._start(self._first_name)

    def begin(self, project: str, run_id: int, result_id: str, payload: str) -> None:
        """Store the unfinished result of a test that begins now; an earlier one of its key is replaced."""
        self._ensure_own()
        self._database.change(
            "INSERT OR REPLACE INTO begun VALUES (?, ?, ?, ?)", (project, run_id, result_id, payload)
        )

    def drop_unfinished(self) -> None:
        """Forget the results that were begun here and not put: their tests will not be reported."""
        self._ensure_own()
        self._database.change("DELETE FROM begun")

    def put(
        self, project: str, run_id: int, result_id: str, payload: str, files: Sequence[StoredFile] = ()
    ) -> None:
        """Store a finished result with its files' records; its unfinished one goes, all in one transaction.

        A result of the same project, run and id is replaced, and is delivered again if it was delivered.
        """
        self._ensure_own()
        key = (project, run_id, result_id)
        if files or key in self._results:
            with self._database.transaction() as connection:
                store_result(connection, key, payload, files, replaces=key in self._results)
        else:
            self._database.change(_INSERT, (*key, payload))
        self._results.add(key)
        self.stored[self.name] = len(self._results)

    def replace_file(self, key: Key, file: StoredFile) -> None:
        """Put another copy of a file, by its ref, in the place of a result's own; the result is sent again.

        Nothing is done where another database than the one in use has the result.
        """
        self._ensure_own()
        if key not in self._results:
            return
        with self._database.transaction() as connection:
            replace_in_result(connection, key, file)

    def store(self, source: Attachment) -> StoredFile:
        """Copy a file as it is now; equal contents are stored once. Never raises: see its `problem`."""
        self._ensure_own()
        name = clean_name(source.file_name)
        stored = StoredFile(source.ref, None, 0, name, clean_mime_type(source.mime_type, name))
        file = None
        try:
            if source.content is not None:
                sha256, size = self._store_bytes(source.content)
            else:
                assert source.path is not None
                stored = replace(stored, origin=origin_of(source.path))
                assert stored.origin is not None
                file = open_file(stored.origin.path)
                stored = replace(stored, origin=file.origin)
                sha256, size = self._store_file(file)
        except PASSING:
            raise
        except OutboxUnavailable as error:
            return replace(stored, problem=sendable(f"it could not be stored: {error.__cause__ or error}"))
        except BaseException as error:  # noqa: BLE001 (a guard of a suite may raise anything; it is told)
            return replace(stored, problem=sendable(reason_of(error)))
        finally:
            if file is not None:
                file.close()
        database = self._database
        opener = partial(open_content, lambda: database, self._blobs, sha256, size)
        return replace(stored, sha256=sha256, size=size, opener=opener)

    def refresh(self, stored: StoredFile) -> StoredFile:
        """Copy a file again, at the end of its test, if it has changed since or was not there before.

        Returns:
            The new copy; `stored` if nothing has changed, the file is gone, or it cannot be copied any more.
        """
        if stored.origin is None or not has_changed(stored.origin):
            return stored
        again = self.store(
            Attachment(stored.ref, stored.file_name, stored.mime_type, path=stored.origin.path)
        )
        # An earlier state of a log is better than none.
        return stored if again.problem and not stored.problem else again

    def close(self) -> None:
        """Close the database; once more does nothing."""
        if not self._descriptors.are_intact():
            self._database.abandon()
        self._database.close()
        self._descriptors = Descriptors(())

    def _start(self, name: str) -> None:
        self._pid = System.getpid()
        self._lock = threading.Lock()
        self._blobs = Blobs(f"{self._directory}/files")
        self._known: set[str] = set()
        # Known here, and not by an index of the table: it would cost each result a third of its time.
        self._results: set[Key] = set()
        self._used = bytes_below(self._directory)
        self._added = 0
        path = database_path(self._directory, name)
        try:
            System.stat(path)  # a number of a process may come back within a session
        except OSError:
            create_database(path, WRITER)
        self._database = Database(path, WRITER)
        self._descriptors = Descriptors.on(path, f"{path}-wal", f"{path}-shm")
        self._results.update(self._database.rows("SELECT project, run_id, result_id FROM result"))
        self.name = name
        self.warning = self._database.warning

    def _ensure_own(self) -> None:
        pid = System.getpid()
        if pid != self._pid:
            self.stored = {}
        elif self._descriptors.are_intact():
            return
        self._database.abandon()
        # The process's number comes last: whoever cleans up after the process takes it from there.
        count = "" if pid != self._pid else f"-{next(self._losses)}"
        self._start(f"{self._first_name}{count}-{pid}")

    def _store_file(self, file: OpenFile) -> tuple[str, int]:
        if file.size > SMALL:
            self._check_room(file.size)
        chunks = file.chunks()
        head = next(chunks, b"")
        more = next(chunks, b"") if len(head) <= SMALL else b""
        if len(head) <= SMALL and not more:
            return self._store_bytes(head)
        return self._store_large(itertools.chain([head, more], chunks))

    def _store_bytes(self, content: bytes) -> tuple[str, int]:
        check_size(len(content))
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 in self._known:
            return sha256, len(content)
        if len(content) > SMALL:
            if not self._blobs.has(sha256):
                return self._store_large(iter([content]))
        else:
            self._take_room(len(content))
            self._database.change("INSERT OR IGNORE INTO content VALUES (?, ?)", (sha256, content))
        self._known.add(sha256)
        return sha256, len(content)

    def _store_large(self, chunks: Iterator[bytes]) -> tuple[str, int]:
        taken = 0

        def room(size: int) -> None:
            nonlocal taken
            self._take_room(size)
            taken += size

        new = False
        try:
            sha256, size, new = self._blobs.put(chunks, room)
        finally:
            if not new:
                with self._lock:
                    self._added -= taken
        self._known.add(sha256)
        return sha256, size

    def _take_room(self, size: int) -> None:
        self._check_room(size)
        with self._lock:
            self._added += size

    def _check_room(self, size: int) -> None:
        """Raise Unstorable if so many bytes more are too many, as far as is known of the other writers."""
        if self._added > SCAN_BYTES:
            used = bytes_below(self._directory)
            with self._lock:
                self._used, self._added = used, 0
        if self._used + self._added + size > self._max_bytes:
            raise Unstorable(FULL)


def store_result(
    connection: sqlite3.Connection,
    key: Key,
    payload: str,
    files: Sequence[StoredFile],
    *,
    replaces: bool = False,
) -> None:
    """The statements that turn a begun result into a finished one, within a transaction of the caller."""
    if replaces:
        # The number must not come back, since it may be in the ledger.
        seq = connection.execute("SELECT MAX(seq) + 1 FROM result").fetchone()[0]
        same = "project = ? AND run_id = ? AND result_id = ?"
        connection.execute(f"DELETE FROM file WHERE seq IN (SELECT seq FROM result WHERE {same})", key)
        connection.execute(f"DELETE FROM result WHERE {same}", key)
        insert = "INSERT INTO result (seq, project, run_id, result_id, payload) VALUES (?, ?, ?, ?, ?)"
        connection.execute(insert, (seq, *key, payload))
    else:
        seq = connection.execute(_INSERT, (*key, payload)).lastrowid
    if files:
        rows = [
            (seq, at, file.ref, file.sha256, file.size, file.file_name, file.mime_type, file.problem)
            for at, file in enumerate(files)
        ]
        connection.executemany("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def replace_in_result(connection: sqlite3.Connection, key: Key, file: StoredFile) -> None:
    """The statements of `Writer.replace_file`, within a transaction of the caller."""
    found = "SELECT seq, payload FROM result WHERE project = ? AND run_id = ? AND result_id = ?"
    seq, payload = connection.execute(found, key).fetchone()
    columns = "ref, sha256, size, file_name, mime_type, problem"
    rows = connection.execute(f"SELECT {columns} FROM file WHERE seq = ? ORDER BY position", (seq,))
    files = [file if row[0] == file.ref else StoredFile(*row) for row in rows.fetchall()]
    store_result(connection, key, payload, files, replaces=True)


def open_content(database: Callable[[], Database], blobs: Blobs, sha256: str, size: int) -> BinaryIO:
    """Open a stored content, which lies in the writer's database or beside it. Raises OSError.

    Args:
        database: gives the writer's, open; called only if the content lies there.
        blobs: holds the large ones.
        sha256: of the content.
        size: of the content, in bytes.
    """
    if size > SMALL:
        return blobs.open(sha256)
    try:
        rows = database().rows("SELECT bytes FROM content WHERE sha256 = ?", (sha256,))
    except OutboxUnavailable as error:
        # Whoever sends the file knows what to do about an OSError.
        raise OSError(str(error)) from error
    if not rows:
        raise FileNotFoundError(f"the outbox has no content {sha256}")
    return BytesIO(rows[0][0])
