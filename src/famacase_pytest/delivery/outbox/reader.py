"""The reading side of the writers' databases, for whoever delivers."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import threading
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, BinaryIO, Callable, TypeVar

from ..models import Item, StoredFile
from ..system import System
from .blobs import Blobs
from .database import Database, OutboxUnavailable
from .ledger import Ledger
from .writer import RESERVED, WRITER, database_path, open_content, store_result

T = TypeVar("T")

# Databases that are open at a time. Each takes three file descriptors, and a suite that forks for each test
# has thousands.
MAX_OPEN = 32

# Seconds for which a change may bear a time stamp that was seen already: the coarsest file systems count in
# steps of two.
COARSEST_STAMP = 3.0

_SUFFIX = ".db"
_FILES = "SELECT ref, sha256, size, file_name, mime_type, problem FROM file WHERE seq = ? ORDER BY position"
_CHECKPOINT_EVERY = 200  # results: 6 MiB of log, less than half of what makes the writer do it itself
_AT_LEAST = 50  # numbers of results to look at in one step


class Reader:
    """What one writer has stored. Opened when it is needed; may be closed at any time in between.

    Uploading threads read contents while another thread looks for results, hence the lock. Every method
    raises OutboxUnavailable if the database cannot be read.

    Args:
        directory: the session's.
        name: the writer's.
        elsewhere: opens a content that another writer has stored; None where there is none.

    Attributes:
        last_change: when a change was last seen, by the monotonic clock.
    """

    def __init__(
        self, directory: str, name: str, elsewhere: Callable[[str, int], BinaryIO] | None = None
    ) -> None:
        self.name = name
        self.last_change = 0.0
        self._elsewhere = elsewhere
        self._path = database_path(directory, name)
        self._blobs = Blobs(f"{directory}/files")
        self._lock = threading.RLock()
        self._database: Database | None = None
        self._version: int | None = None
        self._stamp: _Stamp | None = None
        self._checkpoint = 0

    @property
    def is_open(self) -> bool:
        """Whether it holds an open database."""
        return self._database is not None

    def has_changed(self) -> bool:
        """Whether there may be something new since the last call."""
        with self._lock:
            if self._database is None and self._stamp is not None and not self._stamp.may_have_changed():
                return False
            version = self._opened().number("PRAGMA data_version")
            changed = version != self._version
            self._version = version
            if changed:
                self.last_change = System.monotonic()
            return changed

    def after(self, seq: int, limit: int) -> list[int]:
        """The numbers of the results beyond the given one, ascending."""
        rows = self._rows("SELECT seq FROM result WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        return [row[0] for row in rows]

    def items(self, numbers: Iterable[int], max_bytes: float = math.inf) -> list[Item]:
        """The results of these numbers, but for those that were replaced.

        Args:
            numbers: read in their order.
            max_bytes: of the payloads together; a first one that is larger comes alone.
        """
        query = (
            "SELECT project, run_id, result_id, payload, "
            "EXISTS (SELECT 1 FROM file WHERE file.seq = result.seq) FROM result WHERE seq = ?"
        )
        items: list[Item] = []
        with self._lock, self._opened().connection() as connection:
            # One by one, so that no more than the bytes that are wanted is in memory.
            for seq in numbers:
                rows = connection.execute(query, (seq,)).fetchall()
                for project, run_id, result_id, payload, has_files in rows:
                    item = Item(self.name, seq, project, run_id, result_id, payload, bool(has_files))
                    max_bytes -= item.size
                    if items and max_bytes < 0:
                        return items
                    items.append(item)
        return items

    def checkpoint(self, seq: int) -> None:
        """Move the log into the database now and then: who does waits for the disk, and no test shall.

        Args:
            seq: the number that was reached.
        """
        if seq - self._checkpoint >= _CHECKPOINT_EVERY:
            self._rows("PRAGMA wal_checkpoint(PASSIVE)")
            self._checkpoint = seq

    def has_results(self, project: str, run_id: int) -> bool:
        """Whether it has any finished result of a run."""
        found = self._rows("SELECT 1 FROM result WHERE project = ? AND run_id = ? LIMIT 1", (project, run_id))
        return bool(found)

    def count(self) -> int:
        """How many results it holds. Raises OutboxUnavailable."""
        return int(self._rows("SELECT COUNT(*) FROM result")[0][0])

    def count_of(self, numbers: Collection[int]) -> int:
        """How many of these numbers are of results that it holds. Raises OutboxUnavailable."""
        return sum(seq in numbers for (seq,) in self._rows("SELECT seq FROM result"))

    def has_finished(self, item: Item) -> bool:
        """Whether it has a finished result of the same project, run and id, of no earlier attempt."""
        query = "SELECT payload FROM result WHERE project = ? AND run_id = ? AND result_id = ?"
        rows = self._rows(query, (item.project, item.run_id, item.result_id))
        return any(_attempts_of(payload) >= _attempts_of(item.payload) for (payload,) in rows)

    def find(self, project: str, run_id: int, result_id: str) -> Item | None:
        """The finished result of a project, run and id."""
        query = "SELECT seq FROM result WHERE project = ? AND run_id = ? AND result_id = ?"
        rows = self._rows(query, (project, run_id, result_id))
        return next(iter(self.items([rows[0][0]])), None) if rows else None

    def remove(self, item: Item) -> None:
        """Remove a result and the records of its files; only of a writer that is dead."""
        with self._lock, self._opened().transaction() as connection:
            connection.execute("DELETE FROM file WHERE seq = ?", (item.seq,))
            connection.execute("DELETE FROM result WHERE seq = ?", (item.seq,))

    def unfinished(self) -> list[Item]:
        """The results that were begun and neither put nor dropped."""
        rows = self._rows("SELECT project, run_id, result_id, payload FROM begun")
        return [Item(self.name, 0, *row) for row in rows]

    def finish(self, item: Item, payload: str | None) -> bool:
        """Turn a begun result into a finished one, or drop it if there is no payload.

        One of a second attempt takes the place and the files of the first, as does that of a test that was in
        progress.

        Returns:
            False, and does nothing, if it is begun no more.
        """
        key = (item.project, item.run_id, item.result_id)
        with self._lock, self._opened().transaction() as connection:
            taken = connection.execute(
                "DELETE FROM begun WHERE project = ? AND run_id = ? AND result_id = ?", key
            ).rowcount
            if taken and payload is not None:
                query = "SELECT seq FROM result WHERE project = ? AND run_id = ? AND result_id = ?"
                earlier = connection.execute(query, key).fetchone()
                rows = connection.execute(_FILES, earlier).fetchall() if earlier else ()
                store_result(connection, key, payload, self._stored(rows), replaces=earlier is not None)
        # SQLite's number counts the changes of other connections alone.
        self._version = None
        return bool(taken)

    def amend(self, item: Item, payload: str) -> None:
        """Put another payload in the place of a result's; it is delivered again."""
        key = (item.project, item.run_id, item.result_id)
        with self._lock, self._opened().transaction() as connection:
            rows = connection.execute(_FILES, (item.seq,)).fetchall()
            store_result(connection, key, payload, self._stored(rows), replaces=True)
        self._version = None

    def files(self, seq: int) -> list[StoredFile]:
        """The files of a result, in the order given to `put`."""
        return self._stored(self._rows(_FILES, (seq,)))

    def _stored(self, rows: Iterable[tuple[Any, ...]]) -> list[StoredFile]:
        return [
            StoredFile(ref, sha256, size, name, mime_type, problem, opener=self._opener(sha256, size))
            for ref, sha256, size, name, mime_type, problem in rows
        ]

    def waiting(self, done: Collection[int]) -> list[tuple[Any, ...]]:
        """What is not done: result's number, project and run, with SHA-256 and size of each of its files.

        Args:
            done: numbers of results.
        """
        rows = self._rows(
            "SELECT result.seq, project, run_id, sha256, size FROM result "
            "LEFT JOIN file ON file.seq = result.seq AND sha256 IS NOT NULL"
        )
        return [row for row in rows if row[0] not in done]

    def outcomes(self) -> list[tuple[int, str, int, str, str]]:
        """Number, project, run, id and status of each result; the status of one that cannot be read is ""."""
        return self._rows(
            "SELECT seq, project, run_id, result_id, IFNULL(CASE WHEN json_valid(payload) "
            "THEN json_extract(payload, '$.execution.status') END, '') FROM result"
        )

    def title(self, seq: int) -> str:
        """The title of a result whose status could be read."""
        return str(
            self._rows("SELECT json_extract(payload, '$.title') FROM result WHERE seq = ?", (seq,))[0][0]
        )

    def count_files(self, done: Collection[int]) -> int:
        """How many files the results that are done have, each counted as often as one has it."""
        rows = self._rows("SELECT seq, COUNT(*) FROM file WHERE sha256 IS NOT NULL GROUP BY seq")
        return sum(count for seq, count in rows if seq in done)

    def problems(self) -> list[tuple[str, int, str]]:
        """What keeps files from being sent: each problem, how many have it, and the name of one."""
        return list(
            self._rows("SELECT problem, COUNT(*), MIN(file_name) FROM file WHERE problem <> '' GROUP BY 1")
        )

    def close(self) -> None:
        """Close the database; the next call opens it again."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None
                # Taken after the closing, which may shorten the log.
                stamp = _Stamp(self._path)
                if self._stamp is None or self._stamp.state != stamp.state:
                    self._stamp = stamp

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._opened().rows(sql, values)

    def _opened(self) -> Database:
        if self._database is None:
            self._database = Database(self._path, WRITER)
            # The number has a meaning within one connection alone.
            self._version = None
        return self._database

    def _opener(self, sha256: str | None, size: int) -> Callable[[], BinaryIO] | None:
        return None if sha256 is None else partial(self._open, sha256, size)

    def _open(self, sha256: str, size: int) -> BinaryIO:
        try:
            return self.content(sha256, size)
        except FileNotFoundError:
            # A file may have been attached before the process had to go on with another database.
            if self._elsewhere is None:
                raise
            return self._elsewhere(sha256, size)

    def content(self, sha256: str, size: int) -> BinaryIO:
        """Open a content that this writer has stored. Raises OSError."""
        with self._lock:
            return open_content(self._opened, self._blobs, sha256, size)


def _attempts_of(payload: str) -> int:
    """How many attempts at its test a stored result tells of."""
    if '"attempts"' not in payload:
        return 1
    said = str((System.loads(payload).get("fields") or {}).get("attempts"))
    # A test may have a field of that name.
    return int(said) if said.isdecimal() else 1


class Readers:
    """The readers of all writers of a session, of which only some are open at a time.

    Attributes:
        unreadable: why a writer's database cannot be read now, by its name. What it holds is not delivered.
        lock: held by who uses several of them.
    """

    def __init__(self, directory: str) -> None:
        self.unreadable: dict[str, str] = {}
        self.lock = threading.RLock()
        self._directory = directory
        self._readers: dict[str, Reader] = {}

    def all(self) -> list[Reader]:
        """One for each writer there is now, in the order in which they came. Raises OutboxUnavailable."""
        try:
            with System.scandir(self._directory) as entries:
                names = [entry.name[: -len(_SUFFIX)] for entry in entries if entry.name.endswith(_SUFFIX)]
        except OSError as error:
            raise OutboxUnavailable(
                f"The outbox {self._directory} cannot be read: {error}. Nothing of it is sent. "
                "Check that it is there, and its permissions."
            ) from error
        for name in sorted(set(names).difference(RESERVED)):
            self.of(name)
        return list(self._readers.values())

    def of(self, name: str) -> Reader:
        """The one of the given writer."""
        reader = self._readers.get(name)
        if reader is None:
            reader = self._readers[name] = Reader(self._directory, name, self._content)
        return reader

    def each(
        self, read: Callable[[Reader], T], readers: Iterable[Reader] | None = None
    ) -> list[tuple[Reader, T]]:
        """Read from several writers' databases; one that cannot be read does not hold the others back.

        Args:
            read: may raise OutboxUnavailable, which is then in `unreadable`.
            readers: None for all.

        Returns:
            What it gave for each of those that could be read.
        """
        found = []
        with self.lock:
            for reader in self.all() if readers is None else readers:
                try:
                    found.append((reader, read(reader)))
                except OutboxUnavailable as error:
                    self.unreadable[reader.name] = str(error)
                else:
                    self.unreadable.pop(reader.name, None)
            self._close_idle()
        return found

    def _content(self, sha256: str, size: int) -> BinaryIO:
        for reader in list(self._readers.values()):
            with contextlib.suppress(OSError):
                return reader.content(sha256, size)
        raise FileNotFoundError(f"the outbox has no content {sha256}")

    def close(self) -> None:
        """Close them all."""
        for reader in self._readers.values():
            reader.close()

    def _close_idle(self) -> None:
        """Close those that have not changed for the longest time, beyond as many as may be open."""
        open_ = [reader for reader in self._readers.values() if reader.is_open]
        open_.sort(key=lambda reader: reader.last_change, reverse=True)
        for reader in open_[MAX_OPEN:]:
            reader.close()


class Pending:
    """The search for results that are stored and not done. Not for several threads at once.

    Args:
        readers: of all writers of the session.
    """

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._generation = 0
        # By writer, within a generation of the ledger: the number up to which all results are done, and
        # whether there were none beyond.
        self._floors: dict[str, int] = {}
        self._exhausted: set[str] = set()
        self._turn = 0

    def take(
        self, ledger: Ledger, limit: int, excluding: Collection[tuple[str, int]], max_bytes: float
    ) -> list[Item]:
        """See `Outbox.pending`."""
        generation = ledger.refresh()
        if generation != self._generation:
            self._generation, self._floors, self._exhausted = generation, {}, set()
        readers = self._readers.all()
        # Another writer is the first one each time: with a small limit all come to their turn.
        self._turn = (self._turn + 1) % max(1, len(readers))
        found = self._readers.each(
            lambda reader: self._numbers(reader, ledger.done(reader.name), limit, excluding),
            readers[self._turn :] + readers[: self._turn],
        )
        turns = itertools.zip_longest(*([(reader, seq) for seq in numbers] for reader, numbers in found))
        one_by_one = (entry for turn in turns for entry in turn if entry is not None)
        chosen: dict[Reader, list[int]] = {}
        for reader, seq in itertools.islice(one_by_one, limit):
            chosen.setdefault(reader, []).append(seq)

        items: list[Item] = []
        left = max_bytes

        def read(reader: Reader) -> None:
            nonlocal left
            if left > 0:
                taken = reader.items(chosen[reader], left)
                left -= sum(item.size for item in taken)
                if left >= 0 or not items:
                    items.extend(taken)

        self._readers.each(read, chosen)
        return items

    def _numbers(
        self, reader: Reader, done: Collection[int], limit: int, excluding: Collection[tuple[str, int]]
    ) -> list[int]:
        """The numbers of a writer's pending results, ascending, up to `limit` of them."""
        # Asked first: what is stored from here on counts as a change the next time.
        if not reader.has_changed() and reader.name in self._exhausted:
            return []
        self._exhausted.discard(reader.name)
        seq = self._floors.get(reader.name, 0)
        numbers: list[int] = []
        all_done = True
        while len(numbers) < limit:
            found = reader.after(seq, max(_AT_LEAST, limit))
            if not found:
                if all_done:
                    self._exhausted.add(reader.name)
                break
            for seq in found:
                if seq not in done:
                    all_done = False
                    if (reader.name, seq) not in excluding:
                        numbers.append(seq)
                elif all_done:
                    self._floors[reader.name] = seq
        reader.checkpoint(seq)
        return numbers[:limit]


class _Stamp:
    """How a closed database looks from outside, to see whether it is worth opening."""

    def __init__(self, path: str) -> None:
        self._paths = (path, f"{path}-wal")
        self.state = self._now()
        self._since = System.monotonic()
        self._final = False

    def may_have_changed(self) -> bool:
        if self.state != self._now():
            return True
        # A change right after `state` was taken may bear the same stamp. Looking into the file once more,
        # later than any such change, makes sure.
        final, self._final = self._final, System.monotonic() - self._since >= COARSEST_STAMP
        return not final

    def _now(self) -> list[tuple[int, int] | None]:
        return [_state(path) for path in self._paths]


def _state(path: str) -> tuple[int, int] | None:
    try:
        state: os.stat_result = System.stat(path)
    except OSError:
        return None
    return (state.st_size, state.st_mtime_ns)
