"""The values that describe files on their way to the back end: cheap to import, no networking here."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import os
import re
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Callable, NamedTuple, TypeVar

from famacase_pytest.errors import FamacaseError

MIB = 1024 * 1024
UNKNOWN_TYPE = "application/octet-stream"

_CHUNK = MIB
_NAME_LIMIT = 255
_FALLBACK_NAME = "attachment"
# type/subtype and parameters in printable ASCII: whatever else is given could end the part's header early.
_MIME_TYPE = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+(?:\s*;[ -~]*)?", re.ASCII)


class PartUnreadable(FamacaseError):
    """A file could not be read, or is not what it was when its fingerprint was taken.

    Not an OSError on purpose: requests takes an OSError that it meets while it reads a body for a failure of
    the connection, and the upload would be tried again for nothing.

    Attributes:
        part: the part in question.
        reason: a few words for the person who reads the report.
    """

    def __init__(self, part: Part, reason: str) -> None:
        super().__init__(
            f"The file {part.file_name!r} cannot be uploaded: {reason}. "
            "Its result is reported without it. Keep attached files unchanged until the session has ended."
        )
        self.part = part
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What the contract allows in one upload request.

    Attributes:
        files: files a request.
        file_bytes: bytes a file.
        request_bytes: bytes a request, the multipart framing included.
    """

    files: int = 20
    file_bytes: int = 32 * MIB
    request_bytes: int = 128 * MIB


@dataclass(frozen=True)
class Attachment:
    """One file that a result refers to.

    Attributes:
        ref: the name under which the payload refers to it, until it has an id.
        file_name: its name for people; directories in it are dropped before it is sent.
        mime_type: None to derive it from the name.
        path: where it lies, or
        content: its bytes; exactly one of the two is given.
    """

    ref: str
    file_name: str
    mime_type: str | None = None
    path: str | None = None
    content: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.path is None) == (self.content is None):
            raise ValueError(f"attachment {self.file_name!r}: exactly one of path and content must be given")

    def size(self) -> int:
        """Its size in bytes now.

        Raises:
            OSError: the file is missing, unreadable or not a regular file (a pipe would block its reader).
        """
        if self.content is not None:
            return len(self.content)
        assert self.path is not None
        status = os.stat(self.path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"not a regular file: {self.path}")
        return status.st_size

    def open(self) -> BinaryIO:
        """Its bytes from the start, as a file opened for reading. Raises OSError as open() does."""
        if self.content is not None:
            return io.BytesIO(self.content)
        assert self.path is not None
        return open(self.path, "rb")


class Fingerprint(NamedTuple):
    """What makes two files equal within a project; `size` (bytes) follows from the hash and comes along."""

    sha256: str
    size: int
    file_name: str
    mime_type: str


@dataclass(frozen=True)
class Part:
    """One file of an upload request.

    Attributes:
        file_name: as it is sent; see `clean_name`.
        mime_type: as it is sent.
        size: bytes that are sent, fixed here, since the request's length is announced before them.
        open: gives the bytes from the start; called once an attempt.
        sha256: of these bytes, to notice a file that was rewritten meanwhile; None: not checked.
    """

    file_name: str
    mime_type: str
    size: int
    open: Callable[[], BinaryIO] = field(repr=False)
    sha256: str | None = None


def fingerprint(source: Attachment) -> Fingerprint:
    """Hashes a file, a mebibyte at a time.

    Raises:
        OSError: the file is missing, unreadable or not a regular file.
    """
    source.size()
    digest = hashlib.sha256()
    size = 0
    with source.open() as stream:
        while True:
            chunk = stream.read(_CHUNK)
            if not chunk:
                break
            digest.update(chunk)
            size += len(chunk)
    name = clean_name(source.file_name)
    return Fingerprint(digest.hexdigest(), size, name, clean_mime_type(source.mime_type, name))


def part_of(source: Attachment, print_: Fingerprint) -> Part:
    """The upload part for a file whose fingerprint is known."""
    return Part(print_.file_name, print_.mime_type, print_.size, source.open, print_.sha256)


Groupable = TypeVar("Groupable", Part, Fingerprint)


def group(files: Sequence[Groupable], limits: Limits = Limits()) -> list[list[Groupable]]:
    """Divides files into requests that the contract allows, in their order.

    A file over `limits.file_bytes` is the caller's to sort out before; here it gets a request of its own.
    """
    groups: list[list[Groupable]] = []
    room = 0
    for file in files:
        needed = file.size + _framing(file)
        if not groups or len(groups[-1]) >= limits.files or needed > room:
            groups.append([])
            room = limits.request_bytes - _CLOSING
        groups[-1].append(file)
        room -= needed
    return groups


# The boundary is 32 characters; headers' names, punctuation and line ends come to about 120 bytes.
_FRAMING = 256
_CLOSING = 64


def _framing(file: Groupable) -> int:
    """An upper bound of the bytes that multipart adds to one file."""
    return _FRAMING + len(file.file_name.encode("utf-8", "replace")) + len(file.mime_type)


def clean_name(name: str) -> str:
    """A file name that survives a multipart header: no directories, control characters, quotes or surrogates.

    Letters of every script stay as they are; over-long names keep their suffix.
    """
    name = re.split(r"[/\\]", name)[-1].replace('"', "'")
    name = "".join(
        "_" if unicodedata.category(char) == "Cs" else char
        for char in name
        if unicodedata.category(char) not in ("Cc", "Zl", "Zp")
    ).strip()
    if name in ("", ".", ".."):
        return _FALLBACK_NAME
    if len(name) > _NAME_LIMIT:
        stem, suffix = os.path.splitext(name)
        suffix = suffix[:32]
        name = stem[: _NAME_LIMIT - len(suffix)] + suffix
    return name


def clean_mime_type(mime_type: str | None, file_name: str) -> str:
    """The given type if it can stand in a header, else the one that the name suggests, else octet-stream."""
    if mime_type and _MIME_TYPE.fullmatch(mime_type.strip()):
        return mime_type.strip()
    guess, encoding = mimetypes.guess_type(file_name)
    if encoding == "gzip":
        return "application/gzip"
    return guess if guess and encoding is None else UNKNOWN_TYPE


class ExactReader:
    """Reads exactly `part.size` bytes, or raises: a request whose length is announced must have that length.

    MultipartEncoder asks `len` for what is left. There is deliberately no `fileno`: with one it would ask the
    file system instead, and a log that grows would overrun the announced length.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._left = part.size
        self._digest = hashlib.sha256() if part.sha256 else None
        try:
            self._stream = part.open()
        except OSError as error:
            raise PartUnreadable(part, reason_of(error)) from error

    @property
    def len(self) -> int:
        """Bytes left to read."""
        return self._left

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all that are left for a negative one. Raises PartUnreadable."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        if wanted == 0:
            return b""
        try:
            chunk = self._stream.read(wanted)
        except (OSError, ValueError) as error:
            raise PartUnreadable(self._part, reason_of(error)) from error
        if not chunk:
            raise PartUnreadable(self._part, "it became shorter while it was sent")
        self._left -= len(chunk)
        if self._digest is not None:
            self._digest.update(chunk)
            # Checked before the last bytes go out: the server never has the whole of a file that we disown.
            if self._left == 0 and self._digest.hexdigest() != self._part.sha256:
                raise PartUnreadable(self._part, "it changed while it was sent")
        return chunk

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


def reason_of(error: Exception) -> str:
    """A few words on why a file cannot be read, without its path."""
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "no permission to read the file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
