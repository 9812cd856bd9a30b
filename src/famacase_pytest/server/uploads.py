"""Uploads: multipart bodies written to disk while they arrive, refused as soon as they pass a limit."""

import re
from collections.abc import AsyncIterable
from types import TracebackType
from typing import Optional
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from famacase_pytest.server.contract import MAX_FILE_BYTES, MAX_FILES, MAX_UPLOAD_BYTES, MEBIBYTE
from famacase_pytest.server.files import Arriving, FileRoom, Received
from famacase_pytest.server.problems import Problem, invalid, too_large

MAX_REQUEST_BYTES = MAX_UPLOAD_BYTES + MEBIBYTE
"""Bytes of a whole upload request: the files' 128 MiB, and room for boundaries and part headers."""

_MAX_PARTS = 200
_MAX_HEADER_BYTES = 16 * 1024
_OCTET_STREAM = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+", re.ASCII)
# A quoted value may hold \" (older clients) or a backslash that means itself (current ones): the last quote
# before a semicolon or the end closes it.
_PARAMETER = re.compile(r';\s*([\w-]+\*?)\s*=\s*(?:"((?:\\"|[^"])*)"(?=\s*(?:;|$))|([^;]*))', re.ASCII)


class Upload:
    """The files of one upload request; what is not kept when the ``with`` block ends is deleted.

    Args:
        room: where the files are written.
        content_type: the request's Content-Type header.

    Raises:
        Problem: 422, the header is not that of a multipart/form-data body with a boundary.
    """

    def __init__(self, room: FileRoom, content_type: str) -> None:
        media_type, _, _ = content_type.partition(";")
        boundary = _parameters(content_type).get("boundary", "")
        if media_type.strip().lower() != "multipart/form-data" or not boundary:
            message = "The body must be multipart/form-data with a boundary."
            raise invalid(message, "header", "Content-Type")
        self._room = room
        self._received: list[Received] = []
        self._current: Optional[Arriving] = None
        self._bytes = self._request_bytes = self._parts = self._header_bytes = 0
        self._headers: dict[str, str] = {}
        self._name = self._value = b""
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary.encode("latin-1", "replace"),
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_ends,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise invalid(f"The boundary cannot be used: {error}.", "header", "Content-Type") from None

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self._current is not None:
            self._current.abandon()
        for one in self._received:
            one.path.unlink(missing_ok=True)

    async def receive(self, stream: AsyncIterable[bytes]) -> list[Received]:
        """Reads the body to its end.

        Args:
            stream: the body in pieces.

        Returns:
            The files in the order sent.

        Raises:
            Problem: 413 as soon as a limit of size is passed; 422 for no file, too many, or a broken body.
        """
        try:
            async for chunk in stream:
                self._request_bytes += len(chunk)
                if self._request_bytes > MAX_REQUEST_BYTES:
                    raise _request_too_large()
                self._parser.write(chunk)
            self._parser.finalize()
        except FormParserError as error:
            raise invalid(
                f"The body is not multipart/form-data: {error}.", "body", kind="multipart"
            ) from None
        if not self._ended:
            raise invalid("The body ends before its last boundary.", "body", kind="multipart")
        if not self._received:
            raise invalid("There is no file in the request.", "body", "files", kind="required")
        return self._received

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise invalid(f"The request has more than {_MAX_PARTS} parts.", "body", kind="maxItems")
        self._headers = {}
        self._header_bytes = 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise invalid("The headers of a part are too long.", "body", kind="multipart")

    def _header_ends(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._name = self._value = b""

    def _headers_end(self) -> None:
        parameters = _parameters(self._headers.get("content-disposition", ""))
        if parameters.get("name") != "files":
            return
        if not {"filename", "filename*"} & set(parameters):
            raise invalid("This is text, not a file: it has no file name.", "body", "files", kind="type")
        if len(self._received) == MAX_FILES:
            message = f"A request may have at most {MAX_FILES} files."
            raise invalid(message, "body", "files", kind="maxItems")
        mime_type = self._headers.get("content-type", "").strip()
        if not _MEDIA_TYPE.match(mime_type):
            mime_type = _OCTET_STREAM
        self._current = self._room.arriving(_file_name(parameters), mime_type)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is None:
            return
        size = end - start
        self._bytes += size
        if self._current.size + size > MAX_FILE_BYTES:
            raise too_large(
                f"File {len(self._received)} of the request is larger than {MAX_FILE_BYTES // MEBIBYTE} MiB."
            )
        if self._bytes > MAX_UPLOAD_BYTES:
            raise _request_too_large()
        self._current.write(data[start:end])

    def _part_ends(self) -> None:
        if self._current is not None:
            self._received.append(self._current.finish())
            self._current = None

    def _end(self) -> None:
        self._ended = True


def _request_too_large() -> Problem:
    return too_large(f"The request is larger than {MAX_UPLOAD_BYTES // MEBIBYTE} MiB.")


def refuse_by_length(length: int) -> None:
    """Problem 413 if a request of `length` bytes is beyond the limit, before any of it is read."""
    if length > MAX_REQUEST_BYTES:
        raise _request_too_large()


def _parameters(header: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(header):
        name, quoted, plain = match.groups()
        value = plain.strip() if quoted is None else quoted.replace('\\"', '"')
        found[name.lower()] = value
    return found


_ESCAPES: tuple[tuple[str, str], ...] = (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"))


def _file_name(parameters: dict[str, str]) -> str:
    """The name that the client meant: form encoding writes a quote as %22 and line ends as %0D and %0A."""
    extended = parameters.get("filename*", "")
    charset, _, rest = extended.partition("'")
    if charset.lower() == "utf-8" and "'" in rest:
        return unquote(rest.partition("'")[2], errors="replace") or "file"
    name = parameters.get("filename", "")
    for escape, character in _ESCAPES:
        name = name.replace(escape, character)
    return name or "file"
