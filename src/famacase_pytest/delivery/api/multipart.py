"""Files as parts of a multipart request: how they are grouped, and read to the byte."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ...errors import FamacaseError
from ..models import Limits, Part, reason_of

# The boundary is 32 characters; headers' names, punctuation and line ends come to about 120 bytes.
_FRAMING = 256

_CLOSING = 64


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


def group(parts: Sequence[Part], limits: Limits = Limits()) -> list[list[Part]]:  # noqa: B008 (frozen)
    """Divide files into requests that the contract allows, in their order.

    A file over `limits.file_bytes` is the caller's to sort out before; here it gets a request of its own.
    """
    groups: list[list[Part]] = []
    room = 0
    for part in parts:
        needed = part.size + _framing(part)
        if not groups or len(groups[-1]) >= limits.files or needed > room:
            groups.append([])
            room = limits.request_bytes - _CLOSING
        groups[-1].append(part)
        room -= needed
    return groups


def _framing(part: Part) -> int:
    """An upper bound of the bytes that multipart adds to one file."""
    return _FRAMING + len(part.file_name.encode("utf-8", "replace")) + len(part.mime_type)


class ExactReader:
    """Reads exactly `part.size` bytes, or raises: a request whose length is announced must have that length.

    MultipartEncoder asks `len` for what is left. There is deliberately no `fileno`: with one it would ask the
    file system instead, and a log that grows would overrun the announced length.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._left = part.size
        self._digest = hashlib.sha256()
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
        self._digest.update(chunk)
        # Checked before the last bytes go out: the server never has the whole of a file that we disown.
        if self._left == 0 and self._digest.hexdigest() != self._part.sha256:
            raise PartUnreadable(self._part, "it changed while it was sent")
        return chunk

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
