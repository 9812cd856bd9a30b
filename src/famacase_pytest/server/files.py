"""Where the bytes of uploaded files lie: on disk, each content once, named by its SHA-256."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


class DataInUse(Exception):
    """Another back end works on the same data. Stop it, or use another ``--data`` directory."""


@dataclass(frozen=True)
class Received:
    """A file that has arrived but is not kept yet.

    Attributes:
        path: where its bytes are for now.
        size: their number.
    """

    file_name: str
    mime_type: str
    path: Path
    size: int
    sha256: str


class Arriving:
    """A file whose bytes are still coming in; hashed and written as they come, never whole in memory."""

    def __init__(self, path: Path, file_name: str, mime_type: str) -> None:
        self.path = path
        self.size = 0
        self._file_name = file_name
        self._mime_type = mime_type
        self._digest = hashlib.sha256()
        self._file: BinaryIO = path.open("wb")

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._digest.update(data)
        self._file.write(data)

    def finish(self) -> Received:
        """Closes the file; everything written is with the operating system when this returns."""
        self._file.close()
        return Received(self._file_name, self._mime_type, self.path, self.size, self._digest.hexdigest())

    def abandon(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class FileRoom:
    """The directories below `data` that hold files: those that arrive and those that are kept.

    Raises:
        DataInUse: another process has the room open.
        OSError: a directory cannot be made or written.
    """

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._lock: BinaryIO | None = _lock(data / "lock")
        self._kept = data / "attachments"
        self._arriving = data / "arriving"
        self._kept.mkdir(exist_ok=True)
        self._arriving.mkdir(exist_ok=True)
        for left in self._arriving.iterdir():
            # From a process that was killed: nobody was ever told that these had arrived.
            left.unlink()

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def arriving(self, file_name: str, mime_type: str) -> Arriving:
        """A place for the bytes of a file that starts to come in."""
        return Arriving(self._arriving / uuid.uuid4().hex, file_name, mime_type)

    def keep(self, received: Sequence[Received]) -> None:
        """Moves files to where `path` finds them. Those whose content is there already are dropped."""
        for one in received:
            place = self.path(one.sha256)
            if place.exists():
                one.path.unlink(missing_ok=True)
            else:
                place.parent.mkdir(exist_ok=True)
                os.replace(one.path, place)

    def path(self, sha256: str) -> Path:
        """Where the content with this hash lies."""
        return self._kept / sha256[:2] / sha256


def _lock(path: Path) -> BinaryIO:
    """Claims the directory for this process; the claim ends with the process, however it ends."""
    file = path.open("ab")
    try:
        import fcntl
    except ImportError:  # Windows: SQLite's own locks still keep the rows whole.
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DataInUse(
            f"{path.parent} is in use by another back end. Nothing was changed. "
            "Stop the other one, or use another --data directory."
        ) from None
    return file
