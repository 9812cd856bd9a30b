"""Files on disk: those that were uploaded, each content once and named by its SHA-256; and whole ones."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import uuid
from pathlib import Path
from typing import BinaryIO

from . import CannotServe


class FileRoom:
    """The directories below `data` that hold files, open to one process: CannotServe if another has it."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(data / "lock")
        self._kept = data / "attachments"
        self._arriving = data / "arriving"
        self._kept.mkdir(exist_ok=True)
        self._arriving.mkdir(exist_ok=True)
        for left in self._arriving.iterdir():
            # From a process that was killed: nobody was ever told that these had arrived.
            left.unlink()

    def close(self) -> None:
        """Gives the room up to other processes. A second call does nothing."""
        self._lock.close()

    def keep(self, content: BinaryIO) -> str:
        """Copies the bytes of a file to where `path` finds them, and returns their SHA-256."""
        arriving = self._arriving / uuid.uuid4().hex
        digest = hashlib.sha256()
        try:
            with arriving.open("wb") as file:
                while chunk := content.read(256 * 1024):
                    digest.update(chunk)
                    file.write(chunk)
            place = self.path(digest.hexdigest())
            if not place.exists():
                place.parent.mkdir(exist_ok=True)
                os.replace(arriving, place)
        finally:
            arriving.unlink(missing_ok=True)
        return digest.hexdigest()

    def path(self, sha256: str) -> Path:
        """Where the content with this hash lies."""
        return place_of(self._kept, sha256)


def place_of(kept: Path, sha256: str) -> Path:
    """Where in the directory of kept files the content with this hash lies."""
    return kept / sha256[:2] / sha256


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that whoever looks finds nothing, what was there before, or all of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _lock(path: Path) -> BinaryIO:
    """Claims the directory for this process; the claim ends with the process, however it ends."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CannotServe(
            f"{path.parent} is in use by another back end. Nothing was changed. "
            "Stop the other one, or use another --data directory."
        ) from None
    return file
