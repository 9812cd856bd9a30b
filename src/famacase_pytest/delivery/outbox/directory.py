"""The directory that holds the sessions: made and marked with the first one, gone with the last one."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from ...errors import PASSING, FamacaseError
from ..descriptors import Descriptors, clear_of_others
from ..system import System
from .database import OutboxGone, OutboxUnavailable, Sqlite, keep_for_ever

if TYPE_CHECKING:
    import sqlite3

SESSION = "session.db"

_POLL = 0.1  # seconds
_MAKING = 3600.0  # seconds after which a session that is still being made is not made any more
_ATTEMPTS = 20  # to make a session while others remove the directory above it
_OWN_PARENT = ".famacase"
_TAG = "CACHEDIR.TAG"
_MARKS = {
    ".gitignore": "*\n",
    _TAG: (
        "Signature: 8a477f597d28d172789f06886806bc55\n"
        "# Made by famacase-pytest: results on their way. What waits here is sent by `famacase resend`.\n"
    ),
}


def sessions(base: Path) -> list[Path]:
    """The directories of the sessions that lie in a base, oldest first; none if there is no base.

    Raises:
        OutboxUnavailable: it cannot be read.
    """
    try:
        with System.scandir(os.path.abspath(base)) as entries:
            # No links: one that leads to itself cannot even be looked at, and no session of ours is one.
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise OutboxUnavailable(
            f"The outbox {base} cannot be read: {error}. What waits there is not sent. "
            "Correct the permissions."
        ) from error
    return [base / name for name in sorted(names) if os.path.exists(base / name / SESSION)]


def make_private(base: Path) -> bool:
    """Make a base in a shared directory; whether it is one that nobody else can enter, see `is_private`."""
    try:
        System.mkdir(base, 0o700)
    except PASSING:
        raise
    except BaseException:  # noqa: BLE001 (a guard of a suite may raise anything; most often it is there)
        return is_private(base)
    try:
        _mark(str(base))
    except OSError:
        # Nor is there room for results.
        _remove_base(str(base), own=True)
        return False
    return is_private(base)


def is_private(base: Path) -> bool:
    """Whether a base is a directory of this user, no link, and closed to others.

    Anybody can put a directory into the one for temporary files, and what lies in it would be sent with the
    token of whoever runs pytest.
    """
    try:
        state: os.stat_result = System.lstat(base)
    except OSError:
        return False
    owned = os.name == "nt" or (state.st_uid == os.getuid() and not state.st_mode & 0o077)
    return stat.S_ISDIR(state.st_mode) and owned


def make_session(base: str, name: str, fill: Callable[[str], None]) -> str:
    """Make a session's directory, which nobody sees before it is complete.

    A base that was there before, and is not ours, gets no marks: they would hide the user's own files from
    Git and from backups. The session's directory has its own then.

    Args:
        base: absolute; made if it is not there.
        name: of the session.
        fill: makes what is in the directory, whose path it is given.

    Returns:
        The directory's path.

    Raises:
        OutboxUnavailable: it cannot be made.
    """
    directory = f"{base}/{name}"
    hidden = f"{base}/.{name}"
    try:
        own = _make_hidden(base, hidden)
        try:
            # From here on the base is not empty, so nobody can remove it.
            _mark(base if own else hidden)
            fill(hidden)
            System.rename(hidden, directory)
        except BaseException:
            System.remove_tree(hidden, ignore_errors=True)
            # Where no mark can be written, a base that was made here does not show that it is ours.
            _remove_base(base, own=own)
            raise
    except (FamacaseError, *PASSING):
        raise
    except BaseException as error:  # a guard of a suite may raise anything
        raise OutboxUnavailable(
            f"The outbox cannot be made in {base}: {error}. Results are not kept there. Free disk space, "
            "correct the permissions, or point FAMACASE_OUTBOX_DIR to another directory."
        ) from error
    return directory


def remove_session(directory: str) -> None:
    """Remove a session's directory, and the base and `.famacase` above it if nothing else is in them.

    Nothing is raised: results are delivered by now, and what cannot be removed does no harm.
    """
    base, name = os.path.split(directory)
    # Renamed first: nobody shall find half a session.
    gone = f"{base}/.{name}.gone"
    try:
        System.rename(directory, gone)
    except OSError:
        gone = directory
    System.remove_tree(gone, ignore_errors=True)
    _remove_base(base)


def _make_hidden(base: str, hidden: str) -> bool:
    """Make a directory in the base, and the base too if it is not there; returns whether that is ours."""
    for _ in range(_ATTEMPTS - 1):
        # Another session's end may remove the base in between.
        with contextlib.suppress(FileNotFoundError):
            own = _make_base(base)
            System.mkdir(hidden, 0o700)
            return own
    own = _make_base(base)
    System.mkdir(hidden, 0o700)
    return own


def _make_base(base: str) -> bool:
    """Make the base if it is not there; returns whether it is ours."""
    with contextlib.suppress(FileExistsError):
        System.makedirs(os.path.dirname(base), exist_ok=True)
        System.mkdir(base)
        return True
    return _is_ours(base)


def _is_ours(base: str) -> bool:
    try:
        with System.open_file(f"{base}/{_TAG}", encoding="utf-8") as tag:
            return bool(tag.read() == _MARKS[_TAG])
    except (OSError, ValueError):
        return False


def _mark(directory: str) -> None:
    for name, text in _MARKS.items():
        if not os.path.exists(f"{directory}/{name}"):
            with System.open_file(f"{directory}/{name}", "w", encoding="utf-8") as file:
                file.write(text)


def _is_abandoned(path: str) -> bool:
    """Whether a process was killed while it removed a session, or some time ago while it made one."""
    if path.endswith(".gone"):
        return True
    state: os.stat_result = System.lstat(path)
    return stat.S_ISDIR(state.st_mode) and System.time() - state.st_mtime > _MAKING


def _remove_base(base: str, *, own: bool = False) -> None:
    if not own and not _is_ours(base):
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(base):
            if name.startswith(".") and _is_abandoned(f"{base}/{name}"):
                System.remove_tree(f"{base}/{name}", ignore_errors=True)
        if set(os.listdir(base)) - set(_MARKS):
            return
        # The tag last: without it the base is not ours any more.
        for name in _MARKS:
            with contextlib.suppress(FileNotFoundError):
                System.unlink(f"{base}/{name}")
        try:
            System.rmdir(base)
        except OSError:
            # A session has begun in this moment: it relies on the marks.
            _mark(base)
            return
        parent = os.path.dirname(base)
        if os.path.basename(parent) == _OWN_PARENT:
            System.rmdir(parent)


class SessionLock:
    """An exclusive lock on a database that holds nothing; the system frees it when the process dies.

    No other part of the process may open that file: with POSIX locks, closing any of a process's handles on a
    file frees its locks.

    Args:
        directory: the session's, absolute.
        file: the name of the database in it.
    """

    def __init__(self, directory: str, file: str) -> None:
        self._directory = directory
        self._file = file
        self._pid = System.getpid()
        self._connection: sqlite3.Connection | None = None
        self._descriptors = Descriptors(())

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._connection is not None and self._pid == System.getpid()

    def acquire(self, timeout: float | None = 0.0, interrupted: threading.Event | None = None) -> bool:
        """Take the lock, waiting for it if another process has it.

        Args:
            timeout: seconds to wait, roughly; None for any time.
            interrupted: ends the waiting when set.

        Returns:
            Whether this process has it now.

        Raises:
            OutboxGone: whoever had it has delivered all and removed the session.
            OutboxUnavailable: the file system knows no locks, for instance.
        """
        if self.held:
            return True
        interrupted = interrupted or threading.Event()
        waited = 0.0
        self._check_there()
        connection: sqlite3.Connection | None = None
        try:
            connection = Sqlite.connect(
                f"{self._directory}/{self._file}", timeout=0, isolation_level=None, check_same_thread=False
            )
            # Counted, not measured: tests freeze the clock.
            while not _try(connection):
                if (timeout is not None and waited >= timeout) or interrupted.wait(_POLL):
                    return False
                waited += _POLL
            self._check_there()
            self._connection, self._pid = connection, System.getpid()
            self._descriptors = Descriptors.on(f"{self._directory}/{self._file}")
            return True
        except (Sqlite.error, OSError) as error:
            # A directory that is renamed and removed this very moment shows in SQLite's errors first.
            self._check_there()
            raise OutboxUnavailable(
                f"The outbox {self._directory} cannot be locked: {error}. Its results stay there. "
                "Correct the permissions, or point FAMACASE_OUTBOX_DIR to a local disk."
            ) from error
        finally:
            if connection is not None and connection is not self._connection:
                connection.close()

    def release(self) -> None:
        """Give the lock back; without it does nothing."""
        if self.held and self._connection is not None:
            if self._descriptors.are_intact():
                self._connection.close()
            else:
                keep_for_ever(self._connection)
            self._connection = None

    def renew(self) -> None:
        """Take the lock again if a test has closed its descriptor, by which the system has freed it.

        Only for a lock that nobody waits for. It is another file then, made while the first one is there:
        SQLite still has that one, by the number of its inode, for locked.
        """
        if self.held and not self._descriptors.are_intact():
            self.release()
            path = f"{self._directory}/{self._file}"
            with contextlib.suppress(OSError, OutboxUnavailable):
                with clear_of_others(), System.open_file(f"{path}.new", "wb"):
                    System.replace(f"{path}.new", path)
                self.acquire()

    def _check_there(self) -> None:
        with contextlib.suppress(OSError):
            System.stat(f"{self._directory}/{SESSION}")
            return
        raise OutboxGone(
            f"The outbox {self._directory} is there no more: another process has delivered or removed it. "
            "No results are left in it, so nothing has to be done."
        )


def _try(connection: sqlite3.Connection) -> bool:
    try:
        with clear_of_others():
            connection.execute("BEGIN EXCLUSIVE")
    except Sqlite.error as error:
        if "database is locked" in str(error):
            return False
        raise
    return True
