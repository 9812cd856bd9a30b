"""What the back end has, recorded by whoever delivers: written by one process at a time, read by any."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..models import Fingerprint, Item, Rejection
from ..system import System
from .database import Database, Schema

if TYPE_CHECKING:
    import sqlite3

LEDGER = Schema(
    """
    -- Acknowledged or rejected: not to be sent again.
    CREATE TABLE done (
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


class Upload(NamedTuple):
    """What became of a file: the back end's id of it, or the reason why it will never have one."""

    file_id: str | None
    problem: str | None


class Ledger:
    """What has been delivered. Only who holds the delivery lock may write; any process may read.

    Every method raises OutboxUnavailable if the database cannot be used; then nothing of it is recorded.

    Args:
        path: the database's, absolute.
    """

    def __init__(self, path: str) -> None:
        self._database = Database(path, LEDGER)
        self._version: int | None = None
        self._done: dict[str, set[int]] = {}
        self._generation = next(_generations)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Results

    def acknowledge(self, items: Iterable[Item]) -> None:
        """Record that the back end has these results. Once more does nothing."""
        items = list(items)
        with self._database.transaction() as connection:
            _insert_done(connection, items)
            connection.executemany(
                "DELETE FROM rejected WHERE project = ? AND run_id = ? AND result_id = ?",
                [(item.project, item.run_id, item.result_id) for item in items],
            )
        self._remember(items)

    def reject(self, item: Item, reason: str) -> None:
        """Record that the back end does not take this result: it is kept, and not sent again by itself."""
        with self._database.transaction() as connection:
            _insert_done(connection, [item])
            connection.execute(
                "INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?, ?, ?)",
                (item.writer, item.seq, item.project, item.run_id, item.result_id, _plain(reason)),
            )
        self._remember([item])

    def rejected(self) -> list[Rejection]:
        """The results that the back end does not take."""
        return [Rejection(*row) for row in self._database.rows("SELECT * FROM rejected")]

    def retry_rejected(self) -> None:
        """Make the rejected results pending again."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM done WHERE (writer, seq) IN (SELECT writer, seq FROM rejected)")
            connection.execute("DELETE FROM rejected")
        self._version = None

    def done(self, writer: str) -> set[int]:
        """The numbers of a writer's results that are acknowledged or rejected. Not to be changed."""
        self.refresh()
        return self._done.get(writer, set())

    def refresh(self) -> int:
        """Read anew what another process has written, if one has.

        Returns:
            Another number whenever fewer results may be done than before; no two ledgers of a process have
            the same.
        """
        version = self._database.number("PRAGMA data_version")
        if version != self._version:
            done: dict[str, set[int]] = {}
            for writer, seq in self._database.rows("SELECT writer, seq FROM done"):
                done.setdefault(writer, set()).add(seq)
            self._done, self._version = done, version
            self._generation = next(_generations)
        return self._generation

    # Files

    def upload(self, project: str, file: Fingerprint) -> Upload | None:
        """What became of a file; None as long as it is to be uploaded."""
        rows = self._database.rows(
            "SELECT file_id, problem FROM upload "
            "WHERE project = ? AND sha256 = ? AND size = ? AND file_name = ? AND mime_type = ?",
            (project, *file),
        )
        return Upload(*rows[0]) if rows else None

    def record_uploads(self, project: str, ids: Iterable[tuple[Fingerprint, str]]) -> None:
        """Record the back end's ids of files, all of them or none."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?, ?, NULL)",
                [(project, *file, id_) for file, id_ in ids],
            )

    def record_problem(self, project: str, file: Fingerprint, reason: str) -> None:
        """Record that a file cannot be uploaded: its results go without it. An id that is known stays."""
        self._database.change(
            "INSERT OR IGNORE INTO upload VALUES (?, ?, ?, ?, ?, NULL, ?)", (project, *file, _plain(reason))
        )

    def problems(self) -> list[tuple[str, int, str]]:
        """Why the back end did not take files: each reason, how many it concerns, and the name of one."""
        return list(
            self._database.rows(
                "SELECT problem, COUNT(*), MIN(file_name) FROM upload WHERE problem <> '' GROUP BY 1"
            )
        )

    # Runs

    def real_run(self, project: str, run_id: int) -> int | None:
        """The run that results of the session's run go to: None for a provisional one not created yet."""
        real, _, _ = self._run(project, run_id)
        return real if real > 0 else None

    def record_run(self, project: str, run_id: int, real_id: int) -> None:
        """Record which run the results of the session's run go to: the created one, or another by choice.

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

    def forget_created(self, project: str, run_id: int) -> None:
        """Forget the run that was created for a provisional one: it is created anew, in another place."""
        if run_id < 0:
            self._database.change("DELETE FROM run WHERE project = ? AND run_id = ?", (project, run_id))

    def count_uploads(self) -> tuple[int, int]:
        """How many files the back end has, and their bytes."""
        return self._database.rows("SELECT COUNT(*), IFNULL(SUM(size), 0) FROM upload WHERE file_id NOTNULL")[
            0
        ]

    def forget_uploads(self) -> None:
        """Forget the ids of files: they are another back end's."""
        self._database.change("DELETE FROM upload")

    def is_completed(self, project: str, run_id: int) -> bool:
        """Whether the session's run was completed."""
        return bool(self._run(project, run_id)[1])

    def record_completion(self, project: str, run_id: int, public_url: str | None = None) -> None:
        """Record that the session's run is completed, and its public link if it has one."""
        self._database.change(
            "INSERT INTO run VALUES (?, ?, ?, 1, ?) ON CONFLICT (project, run_id) DO UPDATE "
            "SET completed = 1, public_url = excluded.public_url",
            (project, run_id, run_id, public_url),
        )

    def public_url(self, project: str, run_id: int) -> str | None:
        """The public link of the session's run, if it has one."""
        return self._run(project, run_id)[2]

    # Progress, for the controller

    def set_state(self, **values: object) -> None:
        """Record values that JSON can hold, each under its name."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?)",
                [(key, System.dumps(value)) for key, value in values.items()],
            )

    def state(self) -> dict[str, Any]:
        """The recorded values by name."""
        rows = self._database.rows("SELECT key, value FROM state")
        return {key: System.loads(value) for key, value in rows}

    def rest(self) -> None:
        """Close the database until it is used again."""
        self._database.rest()
        # The number has a meaning within one connection alone.
        self._version = None

    def close(self) -> None:
        """Close the database; once more does nothing."""
        self._database.close()

    def _remember(self, items: Iterable[Item]) -> None:
        # Else the own record would have to be read back: data_version does not count own changes.
        for item in items:
            self._done.setdefault(item.writer, set()).add(item.seq)

    def _run(self, project: str, run_id: int) -> tuple[int, int, str | None]:
        rows = self._database.rows(
            "SELECT real_id, completed, public_url FROM run WHERE project = ? AND run_id = ?",
            (project, run_id),
        )
        real, completed, url = rows[0] if rows else (run_id, 0, None)
        return int(real), int(completed), url


def _insert_done(connection: sqlite3.Connection, items: Iterable[Item]) -> None:
    connection.executemany("INSERT OR IGNORE INTO done VALUES (?, ?)", [item.key for item in items])


def _plain(text: str) -> str:
    """Text that SQLite takes: a server's reason may hold half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode("utf-8")
