"""Copies of attached files: how a test's file is read, and where large contents lie."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from types import ModuleType
from typing import Any, BinaryIO, Callable

from ..models import MIB, Limits, Origin, State
from ..system import System

SMALL = 32 * 1024  # bytes up to which a content lies in the database
FILE_LIMIT = Limits().file_bytes
FULL = "the outbox is full (FAMACASE_OUTBOX_MAX_MB)"

_CHUNK = MIB

# O_BINARY exists on Windows alone, O_NONBLOCK everywhere else.
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0)
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | _BINARY
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY


class Unstorable(Exception):
    """A file cannot be stored; the text says why in a few words, without a path."""


class OpenFile:
    """A test's regular file, open for reading.

    Attributes:
        origin: its path, and how it looked before the first byte was read.
        size: bytes at that moment; a log may grow while it is read.
    """

    def __init__(self, view: ModuleType | type[System], descriptor: int, origin: Origin) -> None:
        self.origin = origin
        self.size = origin.state[0] if origin.state else 0
        self._view = view
        self._descriptor = descriptor

    def chunks(self) -> Iterator[bytes]:
        """The content from here on, at most a mebibyte at a time. Raises OSError, Unstorable if too large."""
        size = 0
        while chunk := self._view.read(self._descriptor, _CHUNK):
            size += len(chunk)
            check_size(size)
            yield chunk

    def close(self) -> None:
        """Close it."""
        self._view.close(self._descriptor)


def check_size(size: int) -> None:
    """Raise Unstorable for a size in bytes that no upload takes."""
    if size > FILE_LIMIT:
        raise Unstorable(
            f"{size / MIB:.1f} MiB, more than the {FILE_LIMIT / MIB:g} MiB that one file may have"
        )


def origin_of(path: str) -> Origin:
    """The origin of a file that has not been seen. Raises OSError if the working directory is gone."""
    return Origin(os.path.abspath(path))


def open_file(path: str) -> OpenFile:
    """Open a test's file, as the test sees it.

    Args:
        path: absolute.

    Raises:
        OSError, ValueError: it is missing or unreadable.
        Unstorable: it is not a regular file, or too large.
    """
    for view, faked in _views():
        try:
            _check(view.stat(path))
            # A pipe that takes the file's place right now must not block us.
            descriptor = view.open(path, view.O_RDONLY if faked else _READING)
        except FileNotFoundError:
            continue
        try:
            state = view.fstat(descriptor)
            _check(state)
        except BaseException:
            view.close(descriptor)
            raise
        return OpenFile(view, descriptor, Origin(path, faked, _state(state)))
    raise FileNotFoundError(path)


def read_file(path: str) -> tuple[bytes, Origin]:
    """The content of a test's file, and how the file looked. Raises OSError, ValueError, Unstorable."""
    file = open_file(origin_of(path).path)
    try:
        return b"".join(file.chunks()), file.origin
    finally:
        file.close()


def has_changed(origin: Origin) -> bool:
    """Whether a file that was read, or was missing, is there now and looks different."""
    state = state_of(origin)
    return state is not None and state != origin.state


def state_of(origin: Origin) -> State | None:
    """How a file looks now; None if there is no regular file."""
    for view, faked in _views():
        # The real file of the same name, seen once the fake file system is gone, is not the one attached.
        if origin.state is not None and faked != origin.faked:
            continue
        with contextlib.suppress(OSError, ValueError):
            state = view.stat(origin.path)
            return _state(state) if stat.S_ISREG(state.st_mode) else None
    return None


class Blobs:
    """The directory of large contents, each named by its SHA-256; shared by all writers of a session."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._count = itertools.count()

    def has(self, sha256: str) -> bool:
        """Whether the content is there; it is whole if so, since it got its name after its last byte."""
        try:
            System.stat(self._path(sha256))
        except FileNotFoundError:
            return False
        return True

    def open(self, sha256: str) -> BinaryIO:
        """Open a content. Raises OSError."""
        file: BinaryIO = System.open_file(self._path(sha256), "rb")
        return file

    def put(self, chunks: Iterator[bytes], take_room: Callable[[int], None]) -> tuple[str, int, bool]:
        """Store a content.

        Args:
            chunks: the content.
            take_room: told each chunk's size before it is written; raises Unstorable if there is no room.

        Returns:
            Its SHA-256, its size in bytes, and whether it was new.

        Raises:
            OSError: the disk is full, for instance; nothing stays behind.
        """
        digest = hashlib.sha256()
        size = 0
        new = False
        part = self._path(f"{System.getpid()}-{next(self._count)}.part")
        descriptor = System.open(part, _WRITING, 0o600)
        try:
            try:
                for chunk in chunks:
                    take_room(len(chunk))
                    digest.update(chunk)
                    size += len(chunk)
                    _write(descriptor, chunk)
            finally:
                System.close(descriptor)
            sha256 = digest.hexdigest()
            if not self.has(sha256):
                System.replace(part, self._path(sha256))
                new = True
        finally:
            if not new:
                with contextlib.suppress(OSError):
                    System.unlink(part)
        return sha256, size, new

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"


def bytes_below(directory: str) -> int:
    """The sizes of all files in a directory and those in it, in bytes; what vanishes meanwhile counts 0."""
    total = 0
    with contextlib.suppress(OSError), System.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    total += bytes_below(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def _views() -> list[tuple[Any, bool]]:
    """The file systems to look a test's file up in, and whether each is a fake.

    The name `os` of this module is left for pyfakefs to rebind: that is how we see that a test has a fake
    file system in place. Its files come first; a file made before it, in `tmp_path` say, is only in the real.
    """
    real: tuple[Any, bool] = (System, False)
    return [real] if os is System.module else [(os, True), real]


def _check(state: os.stat_result) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise Unstorable("it is a directory")
    if not stat.S_ISREG(state.st_mode):
        raise Unstorable("it is not a regular file")
    check_size(state.st_size)


def _state(state: os.stat_result) -> State:
    return (state.st_size, state.st_mtime_ns, state.st_ino)


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[System.write(descriptor, view) :]
