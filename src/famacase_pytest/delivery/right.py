"""The right to deliver a session's results: one process at a time has it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

from famacase_pytest.delivery.database import OutboxGone, OutboxUnavailable
from famacase_pytest.delivery.system import System

_POLL = 0.1  # seconds


class DeliveryRight:
    """An exclusive lock on a database that holds nothing; the system frees it when the process dies.

    No other part of the process may open that file: with POSIX locks, closing any of a process's handles on a
    file frees its locks.

    Args:
        directory: the session's, absolute.
        file: the name of the database in it; another one makes another right.
    """

    def __init__(self, directory: str, file: str = "lock.db") -> None:
        self._directory = directory
        self._file = file
        self._pid = System.getpid()
        self._connection: sqlite3.Connection | None = None

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._connection is not None and self._pid == System.getpid()

    def acquire(self, timeout: float | None = 0.0, interrupted: threading.Event | None = None) -> bool:
        """Takes the right, waiting for it if somebody else has it.

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
        connection = self._open()
        try:
            # Counted, not measured: tests freeze the clock.
            while not self._try(connection):
                if (timeout is not None and waited >= timeout) or interrupted.wait(_POLL):
                    connection.close()
                    return False
                waited += _POLL
            self._check_there()
        except BaseException:
            connection.close()
            raise
        self._connection, self._pid = connection, System.getpid()
        return True

    def release(self) -> None:
        """Gives the right back; without it does nothing."""
        if self.held and self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        self._check_there()
        try:
            return System.connect(
                f"{self._directory}/{self._file}", timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _try(self, connection: sqlite3.Connection) -> bool:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "database is locked" in str(error):
                return False
            raise self._unavailable(error) from error
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        return True

    def _check_there(self) -> None:
        with contextlib.suppress(OSError):
            System.stat(f"{self._directory}/session.db")
            return
        raise OutboxGone(
            f"The outbox {self._directory} is there no more: it was delivered by somebody else, or removed. "
            "Nothing is left to send. There is nothing to do."
        )

    def _unavailable(self, error: sqlite3.Error) -> OutboxUnavailable:
        # A directory that is renamed and removed this very moment shows in SQLite's errors first.
        self._check_there()
        return OutboxUnavailable(
            f"The outbox {self._directory} cannot be locked: {error}. Its results stay there. "
            "Correct the rights, or point FAMACASE_OUTBOX_DIR to a local disk."
        )
