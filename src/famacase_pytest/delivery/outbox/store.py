"""The transactional outbox: what is stored here survives the process, until the back end has it.

One directory a session, whose files docs/architecture.md names. No token is ever in there: who sends takes it
from the settings.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Callable

from ..models import MIB, Item, Outcome, Progress, Run, StoredFile, Waiting, end_at, sendable
from ..system import System
from .database import Database, OutboxGone, OutboxUnavailable, Schema, create_database, is_database
from .directory import SESSION, SessionLock, make_session, remove_session
from .ledger import LEDGER, Ledger
from .reader import Pending, Readers
from .writer import Writer

# Bytes that must be free in a new session's directory: what begins with less would soon break off.
_ROOM = MIB // 2

# As a limit: none.
_ALL = -1

# The status of a result that is sent while its test runs.
IN_PROGRESS = "in_progress"

# What a result has that did not pass.
FAILED = frozenset({"failed", "invalid", "blocked"})

# What is said of a test whose process ended without a word, such as by ``os._exit``.
PROCESS_ENDED = "the process ended during this test"

SESSION_SCHEMA = Schema(
    """
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE run (
        project TEXT NOT NULL,
        run_id INTEGER NOT NULL,
        body TEXT,
        key TEXT,
        environment_slug TEXT,
        publish INTEGER NOT NULL,
        requested INTEGER NOT NULL,
        PRIMARY KEY (project, run_id)
    ) WITHOUT ROWID
    """
)


class Outbox:
    """The outbox of one session. Its methods may be called from any thread of the process that opened it.

    Every method that reads or writes raises OutboxUnavailable if that is not possible.

    Attributes:
        directory: the session's, absolute.
        session_id: its name.
        warning: None, or one line for people about the file system.
    """

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        self.session_id = os.path.basename(directory)
        self._directory = directory
        self._database = Database(f"{directory}/{SESSION}", SESSION_SCHEMA)
        self.warning = self._database.warning
        self._readers = Readers(directory)
        self._pending = Pending(self._readers)
        self._given: list[Callable[[], None]] = []
        self._presence: SessionLock | None = None

    @classmethod
    def create(cls, base: Path, meta: Mapping[str, Any]) -> Outbox:
        """Make a session's directory.

        Args:
            base: the directory for it; made, with those above it, if it is not there.
            meta: what `meta()` gives back; values that JSON can hold.

        Raises:
            OutboxUnavailable: it cannot be made.
        """
        rows = [(key, System.dumps(value)) for key, value in meta.items()]

        def fill(directory: str) -> None:
            System.mkdir(f"{directory}/files", 0o700)
            create_database(f"{directory}/ledger.db", LEDGER)
            path = f"{directory}/{SESSION}"
            create_database(path, SESSION_SCHEMA)
            with contextlib.closing(Database(path, SESSION_SCHEMA)) as database:
                _put_meta(database, rows)
            _check_room(directory)

        # The time is for people and for the order of a list; the rest makes the name unique.
        stamp = System.strftime("%Y%m%dT%H%M%SZ", System.gmtime())
        name = f"{stamp}-{System.urandom(4).hex()}"
        return cls(make_session(os.path.realpath(base), name, fill))

    @classmethod
    def open(cls, directory: Path) -> Outbox:
        """Open the outbox of an earlier session, or of another process of this one.

        Raises:
            OutboxGone: there is none.
            OutboxUnavailable: it cannot be read.
            OutboxTooNew: a newer release has written it.
        """
        directory = Path(os.path.realpath(directory))
        try:
            return cls(str(directory))
        except OutboxUnavailable as error:
            if (directory / SESSION).exists():
                raise
            raise OutboxGone(
                f"There is no outbox in {directory}, or no more: somebody else may have delivered it. "
                "Nothing of it is left to send. `famacase resend --list` shows what waits."
            ) from error

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What the session is

    def meta(self) -> dict[str, Any]:
        """The values noted about the session, by name."""
        rows = self._database.rows("SELECT key, value FROM meta")
        return {key: System.loads(value) for key, value in rows}

    def set_meta(self, **values: object) -> None:
        """Note values that JSON can hold, each under its name. For the controller alone."""
        _put_meta(self._database, [(key, System.dumps(value)) for key, value in values.items()])

    def add_run(self, run: Run) -> None:
        """Note a run, or note it anew. For the controller alone."""
        row = run._replace(body=None if run.body is None else System.dumps(run.body))  # type: ignore[arg-type]
        self._database.change("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def runs(self) -> list[Run]:
        """The runs of the session."""
        rows = self._database.rows("SELECT * FROM run")
        return [
            Run(project, run_id, body and System.loads(body), key, slug, bool(publish), bool(requested))
            for project, run_id, body, key, slug, publish, requested in rows
        ]

    def request_completion(self, project: str, run_id: int, *, publish: bool = False) -> None:
        """Note that the session has ended well and wants the run completed, and public if so.

        For the controller alone. A run that is to be published stays so.
        """
        self._database.change(
            "INSERT INTO run VALUES (?, ?, NULL, NULL, NULL, ?, 1) "
            "ON CONFLICT (project, run_id) DO UPDATE "
            "SET requested = 1, publish = MAX(publish, excluded.publish)",
            (project, run_id, publish),
        )

    # Who works with it

    def writer(self, name: str, *, max_bytes: int) -> Writer:
        """A writer of this process, which `close` closes too; see `Writer`."""
        writer = Writer(self._directory, name, max_bytes=max_bytes)
        self._given.append(writer.close)
        return writer

    def ledger(self) -> Ledger:
        """The ledger, to write for who holds the delivery lock, to read for all; `close` closes it too."""
        path = f"{self._directory}/ledger.db"
        if not is_database(path):
            # It was lost or overwritten. What it told of as delivered is sent again, which changes nothing.
            with contextlib.suppress(FileNotFoundError):
                System.replace(path, f"{path}.damaged")
            create_database(path, LEDGER)
        ledger = Ledger(path)
        self._given.append(ledger.close)
        return ledger

    def delivery_lock(self) -> SessionLock:
        """The lock of whoever delivers, not held yet; `close` releases it too."""
        return self._lock("lock.db")

    def presence_lock(self) -> SessionLock:
        """Held by the controller as long as it lives: who can acquire it knows that the session is over."""
        self._presence = self._lock("presence.lock")
        return self._presence

    def renew_presence(self) -> None:
        """Hold the presence lock again if a test has closed its file."""
        if self._presence is not None:
            self._presence.renew()

    def rest(self) -> None:
        """Close its databases, but for those of writers, until they are used again.

        What is closed while tests run, no test can close behind SQLite's back.
        """
        self._readers.close()
        self._database.rest()

    def note_end(self, ended: str, requests: Iterable[tuple[str, int, bool]]) -> None:
        """Note how the session has ended, and the runs to complete: project, id, and whether in public."""
        self.set_meta(ended=ended)
        for project, run_id, publish in requests:
            self.request_completion(project, run_id, publish=publish)

    # What there is to deliver

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Why a writer's database could not be read, by its name: its results are still to be delivered.

        A session with an entry here must not be removed.
        """
        return dict(self._readers.unreadable)

    def pending(
        self,
        ledger: Ledger,
        limit: int,
        *,
        max_bytes: float = math.inf,
        excluding: Collection[tuple[str, int]] = (),
    ) -> list[Item]:
        """Finished results that are not done in the ledger: the oldest ones of all writers.

        Cheap when nothing is new, so that it can be asked several times a second.

        Args:
            ledger: what is done.
            limit: results at most.
            max_bytes: of their payloads at most; one that is larger comes alone.
            excluding: keys of items that are being delivered.

        Raises:
            OutboxUnavailable: the directory or the ledger cannot be read. A single writer's database that
                cannot is passed over; see `unreadable`.
            OutboxTooNew: a newer release has written a part of it.
        """
        with self._readers.lock:
            return self._pending.take(ledger, limit, excluding, max_bytes)

    def has_results(self, project: str, run_id: int) -> bool:
        """Whether any writer has stored a finished result of a run, or may have: it cannot be read."""
        found = self._readers.each(lambda reader: reader.has_results(project, run_id))
        return any(has for _, has in found) or bool(self._readers.unreadable)

    def count_stored(self) -> dict[str, int]:
        """How many results each database that can be read holds, by the name of its writer."""
        return {reader.name: count for reader, count in self._readers.each(lambda reader: reader.count())}

    def unfinished(self) -> list[Item]:
        """The begun results of all writers, except those that another writer has finished.

        A child that a test runner forks for each test puts what its parent has begun. What was put while its
        test went on is no more finished than what was begun.
        """
        found = self._readers.each(lambda reader: reader.unfinished())
        return [item for _, items in found for item in items if not self._is_finished(item)]

    def finish_unfinished(self, item: Item, payload: str) -> bool:
        """Turn a result of `unfinished`, whose process is dead, into a finished one with this payload.

        Returns:
            False, and does nothing, if it is unfinished no more.
        """
        with self._readers.lock:
            finished = self._is_finished(item)
            begun = self._readers.of(item.writer).finish(item, None if finished else payload)
            return begun and not finished

    def drop_unfinished(self, item: Item) -> None:
        """Forget a result of `unfinished`, whose process is gone: its test will not be reported."""
        with self._readers.lock:
            self._readers.of(item.writer).finish(item, None)

    def drop_all_unfinished(self) -> None:
        """Forget what a session that has ended left unfinished: what died by itself was reported."""
        for item in self.unfinished():
            self.drop_unfinished(item)

    def hand_over(self, test: str, items: Iterable[Item]) -> None:
        """Leave word of the results of a test in which a worker died, for the worker that repeats it.

        Args:
            test: pytest's id of it.
            items: as they were unfinished; they are finished by now.
        """
        path = self._word_of(test)
        keys = [(item.writer, item.project, item.run_id, item.result_id) for item in items]
        try:
            with System.open_file(f"{path}.new", "w", encoding="utf-8") as file:
                file.write(System.dumps(keys))
            System.replace(f"{path}.new", path)
        except OSError as error:
            raise OutboxUnavailable(f"{path} cannot be written ({error.strerror}).") from error

    def take_back(self, test: str) -> None:
        """The test of `hand_over` is not repeated."""
        with contextlib.suppress(OSError):
            System.unlink(self._word_of(test))

    def handed_over(self, test: str) -> list[Item]:
        """The results that were handed over with a test, once."""
        path = self._word_of(test)
        try:
            System.stat(path)
        except OSError:
            return []  # as nearly always
        try:
            with System.open_file(path, encoding="utf-8") as file:
                keys = System.loads(file.read())
            System.unlink(path)
        except (OSError, ValueError):
            return []
        with self._readers.lock:
            found = [self._readers.of(writer).find(*key) for writer, *key in keys]
        return [item for item in found if item is not None]

    def remove_result(self, item: Item) -> None:
        """Remove a result whose process is dead, and that another writer has stored."""
        with self._readers.lock:
            self._readers.of(item.writer).remove(item)

    def _word_of(self, test: str) -> str:
        return f"{self._directory}/repeat-{hashlib.sha256(test.encode('utf-8', 'replace')).hexdigest()}"

    def item(self, writer: str, seq: int) -> Item | None:
        """A stored result; None if it was replaced by a later one of its key."""
        with self._readers.lock:
            return next(iter(self._readers.of(writer).items([seq])), None)

    def results(self) -> list[Item]:
        """All finished results that can be read."""
        found = self._readers.each(lambda reader: reader.items(reader.after(0, _ALL)))
        return [item for _, items in found for item in items]

    def amend(self, item: Item, payload: str) -> None:
        """Put another payload in the place of a result's, which nobody else writes any more."""
        with self._readers.lock:
            self._readers.of(item.writer).amend(item, payload)

    def attachments(self, item: Item) -> list[StoredFile]:
        """The files of a result, in the order in which they were put."""
        with self._readers.lock:
            return self._readers.of(item.writer).files(item.seq)

    def count_pending(self, ledger: Ledger) -> dict[tuple[str, int], Waiting]:
        """What waits, by (project, run); runs for which nothing waits are not there."""
        results: dict[tuple[str, int], set[tuple[str, int]]] = {}
        files: dict[tuple[str, int], dict[str, int]] = {}
        for reader, rows in self._readers.each(lambda reader: reader.waiting(ledger.done(reader.name))):
            for seq, project, run_id, sha256, size in rows:
                results.setdefault((project, run_id), set()).add((reader.name, seq))
                sizes = files.setdefault((project, run_id), {})
                if sha256 is not None:
                    sizes[sha256] = size
        return {
            run: Waiting(len(keys), len(files[run]), sum(files[run].values()))
            for run, keys in results.items()
        }

    def progress(self, ledger: Ledger) -> Progress:
        """How far delivery is."""
        results = sum(entry.results for entry in self.count_pending(ledger).values())
        return Progress(results, *ledger.count_uploads(), is_away=bool(ledger.state().get("away")))

    def outcomes(self, ledger: Ledger, named: Collection[str]) -> tuple[Counter[str], list[Outcome]]:
        """How the results came out that the back end has.

        Args:
            ledger: what is done.
            named: statuses.

        Returns:
            How many there are of each status, and those with one of the named statuses, in the order in which
            they were stored. Nothing of what cannot be read.
        """
        counts: Counter[str] = Counter()
        found = []
        rejected = {(entry.writer, entry.seq) for entry in ledger.rejected()}
        with self._readers.lock:
            for reader in self._readers.all():
                # An SQLite without its JSON functions has no statuses; nothing depends on them.
                with contextlib.suppress(OutboxUnavailable):
                    done = ledger.done(reader.name)
                    for seq, project, run_id, result_id, status in reader.outcomes():
                        if seq not in done or (reader.name, seq) in rejected:
                            continue
                        counts[status] += 1
                        if status in named:
                            found.append(Outcome(project, run_id, result_id, status, reader.title(seq)))
        return counts, found

    def count_files(self, ledger: Ledger) -> int:
        """How many files the delivered results have, each counted as often as one has it."""
        found = self._readers.each(lambda reader: reader.count_files(ledger.done(reader.name)))
        return sum(count for _, count in found)

    def count_done(self, ledger: Ledger) -> int:
        """How many results are done, those not counted that were replaced by later ones of their keys."""
        counts = self._readers.each(lambda reader: reader.count_of(ledger.done(reader.name)))
        return sum(count for _, count in counts) + sum(len(ledger.done(name)) for name in self.unreadable)

    def problems(self, ledger: Ledger) -> list[tuple[str, int, str]]:
        """What kept files from being sent: each problem, how many have it, and the name of one."""
        found: dict[str, tuple[str, int, str]] = {}
        for _, rows in (*self._readers.each(lambda reader: reader.problems()), (None, ledger.problems())):
            for problem, count, name in rows:
                found[problem] = (problem, found.get(problem, ("", 0, ""))[1] + count, name)
        return list(found.values())

    # The end

    def close(self) -> None:
        """Close it and all writers, ledgers and locks that it gave out."""
        for close in reversed(self._given):
            close()
        self._given.clear()
        self._readers.close()
        self._database.close()

    def remove(self) -> None:
        """Close it and remove the session's directory, and those above it that are left empty.

        Only for who holds the delivery lock. Another process that waits for it learns that the session is
        gone. A session that begins in the same place at this moment is not harmed.
        """
        if os.name == "nt":
            # An open file can be neither renamed nor removed there. The moment without the lock is short.
            self.close()
            remove_session(self._directory)
        else:
            remove_session(self._directory)
            self.close()

    def _is_finished(self, item: Item) -> bool:
        if _is_in_progress(item):
            return False
        return any(found for _, found in self._readers.each(lambda reader: reader.has_finished(item)))

    def _lock(self, file: str) -> SessionLock:
        lock = SessionLock(self._directory, file)
        self._given.append(lock.release)
        return lock


def is_anything_left(outbox: Outbox, ledger: Ledger) -> bool:
    """Whether an outbox holds what somebody may still want: results, rejected ones, a run to complete."""
    return bool(
        outbox.count_pending(ledger)
        or outbox.unreadable
        or outbox.unfinished()
        or ledger.rejected()
        or open_runs(outbox, ledger)
    )


def account(outbox: Outbox, ledger: Ledger) -> dict[str, Any]:
    """How far delivery came, in values that JSON can hold.

    Returns:
        ``delivered``, ``waiting`` and ``open_runs`` are numbers. ``rejected`` has the back end's reasons,
        ``reasons`` tells why others wait; ``unsent``, ``statuses``, ``failed``, ``files``, ``file_bytes`` and
        ``again``: see `Leftovers`. ``runs`` has of each run: project, the session's id, the real one or None,
        whether it is completed, its public link.
    """
    state = ledger.state()
    rejected = [entry.reason for entry in ledger.rejected()]
    blocked = [entry["message"] for entry in state.get("blocked") or ()]
    statuses, failed = outbox.outcomes(ledger, FAILED)
    files, file_bytes = ledger.count_uploads()
    return {
        "delivered": outbox.count_done(ledger) - len(rejected),
        "waiting": sum(entry.results for entry in outbox.count_pending(ledger).values()),
        "unsent": outbox.problems(ledger),
        "rejected": rejected,
        "reasons": [*blocked, *filter(None, (state.get("missing"), state.get("away")))],
        "statuses": statuses,
        "failed": failed,
        "files": files,
        "file_bytes": file_bytes,
        "again": max(0, outbox.count_files(ledger) - files),
        "open_runs": len(open_runs(outbox, ledger)),
        "runs": [
            (*key, ledger.real_run(*key), ledger.is_completed(*key), ledger.public_url(*key))
            for key in ((run.project, run.run_id) for run in outbox.runs())
        ],
    }


def open_runs(outbox: Outbox, ledger: Ledger) -> list[Run]:
    """The runs of an outbox that are still to be completed: none if its session was interrupted."""
    if outbox.meta().get("ended") != "normal":
        return []
    return [
        run for run in outbox.runs() if run.requested and not ledger.is_completed(run.project, run.run_id)
    ]


def finish(outbox: Outbox, item: Item, status: str, message: str) -> None:
    """Turn an unfinished result into one that can be delivered, and that ends now.

    Args:
        outbox: holds the result.
        item: the result as it stood when its test began.
        status: of the result.
        message: what became of its process.
    """
    payload = System.loads(item.payload)
    end_at(payload["execution"], System.time())
    payload["execution"]["status"] = status
    # That of an earlier attempt at the test comes first.
    said = payload.get("message")
    payload["message"] = sendable(f"{said}\n\n{message}" if said else message)
    outbox.finish_unfinished(item, System.dumps(payload, ensure_ascii=False))


def finish_all(outbox: Outbox) -> None:
    """Finish what a dead session left unfinished, as ``invalid``."""
    for item in outbox.unfinished():
        finish(outbox, item, "invalid", _seconds_of(item) if _is_in_progress(item) else PROCESS_ENDED)


def has_in_progress(outbox: Outbox) -> bool:
    """Whether the back end has results as in progress."""
    return any(map(_is_in_progress, outbox.unfinished()))


def finish_in_progress(outbox: Outbox) -> int:
    """Finish, as ``invalid``, what the back end has as in progress; returns how many results that are."""
    items = [item for item in outbox.unfinished() if _is_in_progress(item)]
    for item in items:
        finish(outbox, item, "invalid", _seconds_of(item))
    return len(items)


def _is_in_progress(item: Item) -> bool:
    """Whether a begun result was also put, while its test went on."""
    if IN_PROGRESS not in item.payload:
        return False
    return bool(System.loads(item.payload)["execution"].get("status") == IN_PROGRESS)


def _seconds_of(item: Item) -> str:
    start = System.loads(item.payload)["execution"].get("start_time")
    return (
        f"the process ended after {max(0.0, System.time() - start):.0f} s of this test"
        if start
        else PROCESS_ENDED
    )


def _check_room(directory: str) -> None:
    """Raise OSError where there is no room to begin in."""
    path = f"{directory}/room"
    with System.open_file(path, "wb") as file:
        file.write(bytes(_ROOM))
    System.unlink(path)


def _put_meta(database: Database, rows: list[tuple[str, str]]) -> None:
    with database.transaction() as connection:
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
