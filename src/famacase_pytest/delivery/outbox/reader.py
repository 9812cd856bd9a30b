"""The reading side of one writer's database, for whoever delivers."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Callable

from famacase_pytest.delivery.models import Item, StoredFile
from famacase_pytest.delivery.outbox.blobs import Depot
from famacase_pytest.delivery.outbox.database import Database, OutboxUnavailable
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.writer import RESERVED, WRITER, database_path, open_content, store_result
from famacase_pytest.delivery.system import System

_SUFFIX = ".db"
_LIGHTEN_EVERY = 200  # results: 6 MiB of log, less than half of what makes the writer do it itself
_OPEN_FEEDS = 32  # each takes three file descriptors; a suite that forks for each test has thousands
# For so many seconds a change may hide behind a time stamp that was seen already: the coarsest file systems
# count in steps of two.
_COARSEST_STAMP = 3.0


_AT_LEAST = 50  # numbers of results to look at in one step


def writer_names(directory: str) -> list[str]:
    """The names of the writers of a session, in alphabetical order. Raises OutboxUnavailable."""
    try:
        with System.scandir(directory) as entries:
            names = [entry.name[: -len(_SUFFIX)] for entry in entries if entry.name.endswith(_SUFFIX)]
    except OSError as error:
        raise OutboxUnavailable(
            f"The outbox {directory} cannot be read: {error}. Nothing of it is sent. "
            "Check that it is there and its rights."
        ) from error
    return sorted(name for name in names if name not in RESERVED)


class Feed:
    """What one writer has stored. Opened when it is needed; may be closed at any time in between.

    Uploading threads read contents while another thread looks for results, hence the lock.

    Args:
        directory: the session's.
        name: the writer's.
    """

    def __init__(self, directory: str, name: str) -> None:
        self.name = name
        self._path = database_path(directory, name)
        self._depot = Depot(f"{directory}/files")
        self._lock = threading.RLock()
        self._database: Database | None = None
        self._version: int | None = None
        self._looks: _Looks | None = None
        self._lightened = 0
        self.last_change = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it holds an open database."""
        return self._database is not None

    def has_changed(self) -> bool:
        """Whether there may be something new since the last call. Raises OutboxUnavailable."""
        with self._lock:
            if self._database is None and self._looks is not None and not self._looks.have_changed():
                return False
            version = self._opened().data_version()
            changed = version != self._version
            self._version = version
            if changed:
                self.last_change = System.monotonic()
            return changed

    def after(self, seq: int, limit: int) -> list[int]:
        """The numbers of the results beyond the given one, ascending. Raises OutboxUnavailable."""
        rows = self._rows("SELECT seq FROM result WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        return [row[0] for row in rows]

    def lighten(self, seq: int) -> None:
        """Moves the log into the database now and then: who does waits for the disk, and no test shall.

        Args:
            seq: the number that was reached.

        Raises:
            OutboxUnavailable: the log stays as it is.
        """
        if seq - self._lightened >= _LIGHTEN_EVERY:
            self._rows("PRAGMA wal_checkpoint(PASSIVE)")
            self._lightened = seq

    def item(self, seq: int) -> Item | None:
        """The result of this number, None if it was replaced. Raises OutboxUnavailable."""
        rows = self._rows(
            "SELECT project, run_id, result_id, payload, "
            "EXISTS (SELECT 1 FROM file WHERE file.seq = result.seq) FROM result WHERE seq = ?",
            (seq,),
        )
        for project, run_id, result_id, payload, has_files in rows:
            return Item(self.name, seq, project, run_id, result_id, payload, bool(has_files))
        return None

    def has_finished(self, project: str, run_id: int, result_id: str) -> bool:
        """Whether it has a result of this key. Raises OutboxUnavailable."""
        return bool(
            self._rows(
                "SELECT 1 FROM result WHERE project = ? AND run_id = ? AND result_id = ?",
                (project, run_id, result_id),
            )
        )

    def has_results(self, project: str, run_id: int) -> bool:
        """Whether it has any result of a run. Raises OutboxUnavailable."""
        found = self._rows("SELECT 1 FROM result WHERE project = ? AND run_id = ? LIMIT 1", (project, run_id))
        return bool(found)

    def unfinished(self) -> list[Item]:
        """The results that were begun and neither put nor dropped. Raises OutboxUnavailable."""
        rows = self._rows("SELECT project, run_id, result_id, payload FROM begun")
        return [Item(self.name, 0, *row) for row in rows]

    def finish(self, item: Item, payload: str | None) -> bool:
        """Turns a begun result into a finished one, or drops it if there is no payload.

        Returns:
            False, and does nothing, if it is begun no more.

        Raises:
            OutboxUnavailable: nothing has changed.
        """
        key = (item.project, item.run_id, item.result_id)
        with self._lock, self._opened().transaction() as connection:
            taken = connection.execute(
                "DELETE FROM begun WHERE project = ? AND run_id = ? AND result_id = ?", key
            ).rowcount
            if taken and payload is not None:
                store_result(connection, key, payload, ())
        # SQLite's number counts the changes of other connections alone.
        self._version = None
        return bool(taken)

    def files(self, seq: int) -> list[StoredFile]:
        """The files of a result, in the order given to `put`. Raises OutboxUnavailable."""
        rows = self._rows(
            "SELECT ref, sha256, size, file_name, mime_type, problem FROM file "
            "WHERE seq = ? ORDER BY position",
            (seq,),
        )
        return [
            StoredFile(ref, sha256, size, file_name, mime_type, problem, opener=self._opener(sha256, size))
            for ref, sha256, size, file_name, mime_type, problem in rows
        ]

    def waiting(self, settled: Iterable[int]) -> list[tuple[int, str, int]]:
        """Number, project and run of all results but the given ones. Raises OutboxUnavailable."""
        done = frozenset(settled)
        rows = self._rows("SELECT seq, project, run_id FROM result")
        return [(seq, project, run_id) for seq, project, run_id in rows if seq not in done]

    def contents(self) -> list[tuple[int, str, int]]:
        """Result's number, SHA-256 and size of all files with content. Raises OutboxUnavailable."""
        rows = self._rows("SELECT seq, sha256, size FROM file WHERE sha256 IS NOT NULL")
        return [(seq, sha256, size) for seq, sha256, size in rows]

    def count_problems(self, problem: str) -> int:
        """How many files have this problem. Raises OutboxUnavailable."""
        return int(self._rows("SELECT COUNT(*) FROM file WHERE problem = ?", (problem,))[0][0])

    def close(self) -> None:
        """Closes the database; the next call opens it again."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None
                # Taken after the closing, which may shorten the log.
                looks = _Looks(self._path)
                if self._looks is None or self._looks.state != looks.state:
                    self._looks = looks

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
        if sha256 is None:
            return None
        digest = sha256

        def open_() -> BinaryIO:
            with self._lock:
                return open_content(self._opened, self._depot, digest, size)

        return open_


class Feeds:
    """The feeds of all writers of a session, of which only some are open at a time.

    Attributes:
        unreadable: why a writer's database cannot be read now, by its name. What it holds is not delivered.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._feeds: dict[str, Feed] = {}
        self.unreadable: dict[str, str] = {}

    def all(self) -> Sequence[Feed]:
        """One for each writer there is now. Raises OutboxUnavailable."""
        for name in writer_names(self._directory):
            self.of(name)
        return list(self._feeds.values())

    def of(self, name: str) -> Feed:
        """The one of the given writer."""
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = Feed(self._directory, name)
        return feed

    @contextlib.contextmanager
    def reading(self, feed: Feed) -> Iterator[None]:
        """Notes an OutboxUnavailable of one feed in `unreadable`: the others are to go on."""
        try:
            yield
        except OutboxUnavailable as error:
            self.unreadable[feed.name] = str(error)
        else:
            self.unreadable.pop(feed.name, None)

    def close_idle(self) -> None:
        """Closes those that have not changed for the longest time, beyond as many as may be open."""
        open_ = sorted(
            (feed for feed in self._feeds.values() if feed.is_open), key=lambda feed: feed.last_change
        )
        for feed in open_[: max(0, len(open_) - _OPEN_FEEDS)]:
            feed.close()

    def close(self) -> None:
        """Closes them all."""
        for feed in self._feeds.values():
            feed.close()


class Pending:
    """The search for results that are stored and not settled. Not for several threads at once.

    Args:
        feeds: of all writers of the session.
    """

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        # By writer: the generation of the ledger in which nothing was left to deliver.
        self._exhausted: dict[str, int] = {}
        self._turn = 0

    def take(
        self, ledger: Ledger, limit: int, excluding: Collection[tuple[str, int]], max_bytes: float
    ) -> list[Item]:
        """See `Outbox.pending`."""
        items: list[Item] = []
        ledger.refresh()
        feeds = list(self._feeds.all())
        # Another writer is the first one each time: with a small limit all come to their turn.
        self._turn = (self._turn + 1) % max(1, len(feeds))
        queues: deque[tuple[Feed, Iterator[int]]] = deque()
        for feed in feeds[self._turn :] + feeds[: self._turn]:
            with self._feeds.reading(feed):
                numbers = self._numbers(feed, ledger, limit, excluding)
                if numbers:
                    queues.append((feed, iter(numbers)))
        for item in self._by_turns(queues):
            max_bytes -= item.size
            if items and max_bytes < 0:
                break
            items.append(item)
            if len(items) == limit:
                break
        self._feeds.close_idle()
        return items

    def _by_turns(self, queues: deque[tuple[Feed, Iterator[int]]]) -> Iterator[Item]:
        """The results of these numbers, one of each writer at a time."""
        while queues:
            feed, numbers = queues.popleft()
            item = None
            with self._feeds.reading(feed):
                seq = next(numbers, None)
                if seq is None:
                    continue
                item = feed.item(seq)
                queues.append((feed, numbers))
            if item is not None:
                yield item

    def _numbers(
        self, feed: Feed, ledger: Ledger, limit: int, excluding: Collection[tuple[str, int]]
    ) -> list[int]:
        """The numbers of a writer's pending results, ascending, up to `limit` of them."""
        # Asked first: what is stored from here on counts as a change the next time.
        if not feed.has_changed() and self._exhausted.get(feed.name) == ledger.generation:
            return []
        self._exhausted.pop(feed.name, None)
        settled = ledger.settled(feed.name)
        seq = ledger.floor(feed.name)
        numbers: list[int] = []
        all_settled = True
        while len(numbers) < limit:
            found = feed.after(seq, max(_AT_LEAST, limit))
            if not found:
                if all_settled:
                    self._exhausted[feed.name] = ledger.generation
                break
            for seq in found:
                if seq not in settled:
                    all_settled = False
                    if (feed.name, seq) not in excluding:
                        numbers.append(seq)
                elif all_settled:
                    ledger.raise_floor(feed.name, seq)
        feed.lighten(seq)
        return numbers[:limit]


class _Looks:
    """How a closed database looks from outside, to see whether it is worth opening."""

    def __init__(self, path: str) -> None:
        self._paths = (path, f"{path}-wal")
        self.state = self._now()
        self._since = System.monotonic()
        self._final = False

    def have_changed(self) -> bool:
        if self.state != self._now():
            return True
        # A change right after `state` was taken may bear the same stamp. Looking into the file once more,
        # later than any such change, makes sure.
        final, self._final = self._final, System.monotonic() - self._since >= _COARSEST_STAMP
        return not final

    def _now(self) -> list[tuple[int, int] | None]:
        return [_state(path) for path in self._paths]


def _state(path: str) -> tuple[int, int] | None:
    try:
        state: os.stat_result = System.stat(path)
    except OSError:
        return None
    return (state.st_size, state.st_mtime_ns)
