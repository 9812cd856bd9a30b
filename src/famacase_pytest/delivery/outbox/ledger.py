"""The deliverer's own record of what the back end has: written by one process at a time, read by any."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable
from typing import Any

from famacase_pytest.delivery.models import Fingerprint, Item, Rejection
from famacase_pytest.delivery.outbox.database import Database, Schema
from famacase_pytest.delivery.system import System

LEDGER = Schema(
    """
    -- Delivered or rejected: not to be sent again.
    CREATE TABLE settled (
        writer TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (writer, seq)
    ) WITHOUT ROWID;
    CREATE TABLE rejected (
        writer TEXT NOT NULL,
        seq INTEGER NOT NULL,
        project TEXT NOT NULL,
        run_id INTEGER NOT NULL,
        result_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (writer, seq)
    ) WITHOUT ROWID;
    -- Exactly one of file_id and problem is set.
    CREATE TABLE upload (
        project TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,
        file_name TEXT NOT NULL,
        mime_type TEXT NOT NULL,
        file_id TEXT,
        problem TEXT,
        PRIMARY KEY (project, sha256, size, file_name, mime_type)
    ) WITHOUT ROWID;
    CREATE TABLE run (
        project TEXT NOT NULL,
        run_id INTEGER NOT NULL,
        real_id INTEGER NOT NULL,
        completed INTEGER NOT NULL DEFAULT 0,
        public_url TEXT,
        PRIMARY KEY (project, run_id)
    ) WITHOUT ROWID;
    CREATE TABLE state (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID
    """
)

_generations = itertools.count(1)
_FILE = "project = ? AND sha256 = ? AND size = ? AND file_name = ? AND mime_type = ?"


class Ledger:
    """What has been delivered. Only who holds the delivery right may write; any process may read.

    Every method raises OutboxUnavailable if the database cannot be used; then nothing of it is recorded.

    Args:
        path: the database's, absolute.
    """

    def __init__(self, path: str) -> None:
        self._database = Database(path, LEDGER)
        self._version: int | None = None
        self._settled: dict[str, set[int]] = {}
        self._floors: dict[str, int] = {}
        self.generation = next(_generations)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Results

    def acknowledge(self, items: Iterable[Item]) -> None:
        """Notes that the back end has these results. Once more does nothing."""
        items = list(items)
        with self._database.transaction() as connection:
            _settle(connection, items)
            connection.executemany(
                "DELETE FROM rejected WHERE project = ? AND run_id = ? AND result_id = ?",
                [(item.project, item.run_id, item.result_id) for item in items],
            )
        self._remember(items)

    def reject(self, item: Item, reason: str) -> None:
        """Notes that the back end does not take this result: it is kept, and not sent again by itself."""
        with self._database.transaction() as connection:
            _settle(connection, [item])
            connection.execute(
                "INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?, ?, ?)",
                (item.writer, item.seq, item.project, item.run_id, item.result_id, _plain(reason)),
            )
        self._remember([item])

    def rejected(self) -> list[Rejection]:
        """The results that the back end does not take."""
        rows = self._database.rows(
            "SELECT writer, seq, project, run_id, result_id, reason FROM rejected ORDER BY writer, seq"
        )
        return [Rejection(*row) for row in rows]

    def retry_rejected(self) -> int:
        """Makes the rejected results pending again; returns how many."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM settled WHERE (writer, seq) IN (SELECT writer, seq FROM rejected)"
            )
            count = connection.execute("DELETE FROM rejected").rowcount
        self._version = None
        return count

    def settled(self, writer: str) -> set[int]:
        """The numbers of a writer's results that are delivered or rejected. Not to be changed."""
        self.refresh()
        return self._settled.get(writer, set())

    def settled_count(self) -> int:
        """How many results are delivered or rejected, those included that were replaced later."""
        return int(self._database.rows("SELECT COUNT(*) FROM settled")[0][0])

    # Where the outbox's search for pending results begins

    def refresh(self) -> None:
        """Reads anew what another process has written, if one has.

        `generation` is another number then; no two ledgers of a process have the same.
        """
        version = self._database.data_version()
        if version == self._version:
            return
        settled: dict[str, set[int]] = {}
        for writer, seq in self._database.rows("SELECT writer, seq FROM settled"):
            settled.setdefault(writer, set()).add(seq)
        self._settled, self._floors, self._version = settled, {}, version
        self.generation = next(_generations)

    def floor(self, writer: str) -> int:
        """A number up to which all results of a writer are settled."""
        return self._floors.get(writer, 0)

    def raise_floor(self, writer: str, seq: int) -> None:
        """Told by the outbox, which knows the numbers that there are."""
        self._floors[writer] = seq

    # Files

    def is_settled(self, project: str, file: Fingerprint) -> bool:
        """Whether the back end has this file, or will never have it."""
        return self._upload(project, file) is not None

    def id_of(self, project: str, file: Fingerprint) -> str | None:
        """The back end's id of a file, None if it has none (yet)."""
        found = self._upload(project, file)
        return found[0] if found else None

    def problem_of(self, project: str, file: Fingerprint) -> str | None:
        """Why the back end will never have this file, None if nothing is known against it."""
        found = self._upload(project, file)
        return found[1] if found else None

    def record_uploads(self, project: str, ids: Iterable[tuple[Fingerprint, str]]) -> None:
        """Notes the back end's ids of files, all of them or none."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?, ?, NULL)",
                [(*_columns(project, file), id_) for file, id_ in ids],
            )

    def record_problem(self, project: str, file: Fingerprint, reason: str) -> None:
        """Notes that a file cannot be uploaded: its results go without it. An id that is known stays."""
        self._database.change(
            "INSERT OR IGNORE INTO upload VALUES (?, ?, ?, ?, ?, NULL, ?)",
            (*_columns(project, file), _plain(reason)),
        )

    # Runs

    def real_run(self, project: str, run_id: int) -> int | None:
        """The run that results of the session's run go to: None for a provisional one not created yet."""
        found = self._run(project, run_id)
        if found and int(found[0]) > 0:
            return int(found[0])
        return run_id if run_id > 0 else None

    def record_run(self, project: str, run_id: int, real_id: int) -> None:
        """Notes which run the results of the session's run go to: the created one, or another by choice.

        If that is another one than before, it is neither completed nor public.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM run WHERE project = ? AND run_id = ? AND real_id <> ?",
                (project, run_id, real_id),
            )
            connection.execute(
                "INSERT OR IGNORE INTO run (project, run_id, real_id) VALUES (?, ?, ?)",
                (project, run_id, real_id),
            )

    def is_completed(self, project: str, run_id: int) -> bool:
        """Whether the session's run was completed."""
        found = self._run(project, run_id)
        return bool(found and found[1])

    def record_completion(self, project: str, run_id: int, public_url: str | None = None) -> None:
        """Notes that the session's run is completed, and its public link if it has one."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO run (project, run_id, real_id) VALUES (?, ?, ?)",
                (project, run_id, run_id),
            )
            connection.execute(
                "UPDATE run SET completed = 1, public_url = ? WHERE project = ? AND run_id = ?",
                (public_url, project, run_id),
            )

    def public_url(self, project: str, run_id: int) -> str | None:
        """The public link of the session's run, if it has one."""
        found = self._run(project, run_id)
        return found[2] if found else None

    # Progress, for the controller

    def set_state(self, **values: Any) -> None:
        """Notes values that JSON can hold, each under its name."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?)",
                [(key, System.dumps(value)) for key, value in values.items()],
            )

    def state(self) -> dict[str, Any]:
        """The values noted, by name."""
        rows = self._database.rows("SELECT key, value FROM state")
        return {key: System.loads(value) for key, value in rows}

    def close(self) -> None:
        """Closes the database; once more does nothing."""
        self._database.close()

    def _remember(self, items: Iterable[Item]) -> None:
        # Else the own record would have to be read back: data_version does not count own changes.
        for item in items:
            self._settled.setdefault(item.writer, set()).add(item.seq)

    def _upload(self, project: str, file: Fingerprint) -> tuple[Any, ...] | None:
        rows = self._database.rows(
            f"SELECT file_id, problem FROM upload WHERE {_FILE}", _columns(project, file)
        )
        return rows[0] if rows else None

    def _run(self, project: str, run_id: int) -> tuple[Any, ...] | None:
        rows = self._database.rows(
            "SELECT real_id, completed, public_url FROM run WHERE project = ? AND run_id = ?",
            (project, run_id),
        )
        return rows[0] if rows else None


def _settle(connection: sqlite3.Connection, items: Iterable[Item]) -> None:
    connection.executemany("INSERT OR IGNORE INTO settled VALUES (?, ?)", [item.key for item in items])


def _columns(project: str, file: Fingerprint) -> tuple[str, str, int, str, str]:
    return (project, file.sha256, file.size, file.file_name, file.mime_type)


def _plain(text: str) -> str:
    """Text that SQLite takes: a server's reason may hold half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode("utf-8")
