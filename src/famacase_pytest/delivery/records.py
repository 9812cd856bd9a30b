"""The values that the outbox takes and gives: cheap to import, no database here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Callable, NamedTuple

from famacase_pytest.delivery.parts import Fingerprint, Part


class Run(NamedTuple):
    """A run that results of the session belong to.

    Attributes:
        run_id: the back end's id; a negative one is provisional: the run has yet to be created.
        body: the contract's RunCreate to create it with, None for a run that exists.
        key: the Idempotency-Key of that request.
        environment_slug: to be replaced by the environment's id in the body before the run is created.
        complete: whether the session wants it completed once all is delivered.
        publish: whether the session wants a public link.
        requested: whether the session has reached the point where completion is due.
    """

    project: str
    run_id: int
    body: Mapping[str, Any] | None = None
    key: str | None = None
    environment_slug: str | None = None
    complete: bool = False
    publish: bool = False
    requested: bool = False


@dataclass(frozen=True)
class Item:
    """A stored result.

    Attributes:
        writer: the name of the writer that has stored it.
        seq: its number there, growing and never used twice; 0 for an unfinished result.
        payload: the JSON text of the contract's Result, with references in the place of attachment ids.
        has_files: whether there are records of files.
    """

    writer: str
    seq: int
    project: str
    run_id: int
    result_id: str
    payload: str = field(repr=False)
    has_files: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from all other items of the session: writer and number."""
        return (self.writer, self.seq)

    @property
    def size(self) -> int:
        """Bytes of the payload as it is sent."""
        if self.payload.isascii():
            return len(self.payload)
        return len(self.payload.encode("utf-8", "backslashreplace"))


class Origin(NamedTuple):
    """Where a file was read from, and how it looked.

    Attributes:
        path: absolute at the time of the call.
        faked: whether it was read from a fake file system that a test had in place.
        state: size in bytes, mtime in nanoseconds and inode; None if it could not be seen.
    """

    path: str
    faked: bool = False
    state: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class StoredFile:
    """A file that a result refers to, as the outbox has it.

    Attributes:
        ref: the name under which the payload refers to it.
        sha256: of the content; None if there is none.
        size: bytes; 0 if there is no content.
        file_name, mime_type: as they are sent.
        problem: why the content could not be stored, in a few words; None if it is there.
        origin: the path that it came from; None for bytes, and for what is read back from the outbox.
    """

    ref: str
    sha256: str | None
    size: int
    file_name: str
    mime_type: str
    problem: str | None = None
    origin: Origin | None = field(default=None, repr=False, compare=False)
    opener: Callable[[], BinaryIO] | None = field(default=None, repr=False, compare=False)

    def open(self) -> BinaryIO:
        """The content from its start. Raises OSError if there is none, or it cannot be read any more."""
        if self.opener is None:
            raise FileNotFoundError(self.problem or "the content is not stored")
        return self.opener()

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes two files equal within a project. Only for a file without a problem."""
        assert self.sha256 is not None
        return Fingerprint(self.sha256, self.size, self.file_name, self.mime_type)

    @property
    def part(self) -> Part:
        """Its part in an upload request. Only for a file without a problem."""
        return Part(self.file_name, self.mime_type, self.size, self.open, self.sha256)


class Waiting(NamedTuple):
    """What a run still waits for: results, distinct files, and bytes of those."""

    results: int
    files: int
    file_bytes: int


class Rejection(NamedTuple):
    """A result that the back end does not take, and its reason."""

    writer: str
    seq: int
    project: str
    run_id: int
    result_id: str
    reason: str
