"""How the calls of the contract are read: first who calls, then a body, within limits and to disk.

FastAPI would read a body whole into memory, and before it knows who sent it. A route class and a request
class are the places that it offers to change that.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack
from tempfile import SpooledTemporaryFile
from typing import Any, Callable
from urllib.parse import unquote

from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.exceptions import FormParserError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from .database import Project
from .models import MAX_FILES, MAX_JSON_BYTES, MAX_UPLOAD_BYTES, MEBIBYTE, Problem, invalid, not_found
from .results import too_deep

# Of a JSON body, kept in memory while it arrives, and parsed whatever else is going on.
MAX_BYTES_IN_MEMORY = 256 * 1024

# A quoted value may hold \" (older clients) or a backslash that means itself (current ones): the last quote
# before a semicolon or the end closes it.
_PARAMETER = re.compile(r';\s*([\w-]+\*?)\s*=\s*(?:"((?:\\"|[^"])*)"(?=\s*(?:;|$))|([^;]*))', re.ASCII)


class ContractRoute(APIRoute):
    """A call of the contract. Nothing of its body is read for somebody without the project's token."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function that answers a request, as FastAPI makes it, with the request read as it is here."""
        answer = super().get_route_handler()
        too_large = 413 if 413 in self.responses else 422

        async def answer_caller(request: Request) -> Response:
            async with AsyncExitStack() as until_answered:
                request.state.project = _project_of_caller(request)
                request = LimitedRequest(request, too_large, until_answered)
                try:
                    return await answer(request)
                except HTTPException as error:
                    # A full disk is no fault of the body, as FastAPI has it.
                    raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from None

        return answer_caller


def _project_of_caller(request: Request) -> Project:
    """The project of the path; Problem 401 without a known token, 404 with that of another project."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip().encode("latin-1", "replace")
    known: dict[str, Project] = request.app.state.projects
    found = [one for token, one in known.items() if hmac.compare_digest(token.encode(), given)]
    if not found or scheme.lower() != "token":
        message = "The token is missing or not known. Send it as `Authorization: Token <raw>`."
        raise Problem(401, message, {"WWW-Authenticate": "Token"})
    if found[0].code != request.path_params["code"]:
        raise not_found(f"project {request.path_params['code']}")
    return found[0]


class LimitedRequest(Request):
    """A request whose body is counted as it arrives and lies on disk until its turn.

    Beyond the limit the answer has the status `too_large`: the contract has 413 for some calls only.
    """

    def __init__(self, request: Request, too_large: int, until_answered: AsyncExitStack) -> None:
        super().__init__(request.scope, request.receive)
        self._too_large = too_large
        self._until_answered = until_answered
        self._limit, self._around = MAX_JSON_BYTES, 0
        self._text: bytes | None = None
        self._value: Any = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces; a Problem as soon as it is, or says that it will be, larger than allowed."""
        declared = self.headers.get("content-length", "")
        self._check_size(int(declared) if declared.isdecimal() and len(declared) < 20 else 0)
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            self._check_size(size)
            yield chunk

    def _check_size(self, size: int) -> None:
        if size > self._limit + self._around:
            raise Problem(self._too_large, f"The request is larger than {self._limit // MEBIBYTE} MiB.")

    async def body(self) -> bytes:
        """The bytes of a JSON body. Of the large ones one at a time is in memory, until it is answered."""
        if self._text is None:
            self._require("application/json")
            with SpooledTemporaryFile(MAX_BYTES_IN_MEMORY) as spool:
                size = 0
                async for chunk in self.stream():
                    size += spool.write(chunk)
                if size > MAX_BYTES_IN_MEMORY:
                    await self._until_answered.enter_async_context(self.app.state.large_body)
                spool.seek(0)
                self._text = spool.read()
        return self._text

    async def json(self) -> object:
        """The value of a JSON body."""
        if self._value is None:
            self._value = await run_in_threadpool(_parse, await self.body())
        return self._value

    async def form(self, **_limits: object) -> FormData:  # type: ignore[override]
        """The fields of a multipart body, the files among them on disk."""
        self._require("multipart/form-data")
        # Beside the files there are boundaries and the headers of parts.
        self._limit, self._around = MAX_UPLOAD_BYTES, MEBIBYTE
        fields: dict[str, int] = {"max_files": MAX_FILES, "max_fields": MAX_FILES, "max_part_size": 64 * 1024}
        parser = _UploadParser(self.headers, self.stream(), **fields)
        try:
            form = await parser.parse()
        except (MultiPartException, FormParserError) as error:
            raise invalid(f"The body cannot be used: {error}", "body", "files", kind="multipart") from None
        if not parser.ended:
            await form.close()
            raise invalid("The body ends before its last boundary.", "body", "files", kind="multipart")
        return form

    def _require(self, media_type: str) -> None:
        given = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != media_type:
            message = f"The body must be {media_type}, not {given or 'unnamed'}."
            raise invalid(message, "header", "Content-Type")


def file_name(file: UploadFile) -> str:
    """The name that the client meant: form encoding writes a quote as %22 and line ends as %0D and %0A.

    Starlette's own reading of it cuts off what looks like a directory of Windows.
    """
    header = file.headers.get("content-disposition", "").encode("latin-1").decode("utf-8", "replace")
    given = {name.lower(): (quoted, plain.strip()) for name, quoted, plain in _PARAMETER.findall(header)}
    charset, _, rest = "".join(given.get("filename*", ())).partition("'")
    if charset.lower() == "utf-8" and "'" in rest:
        return unquote(rest.partition("'")[2], errors="replace") or "file"
    name = "".join(given.get("filename", ())).replace('\\"', '"')
    for escape, character in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        name = name.replace(escape, character)
    return name or "file"


class _UploadParser(MultiPartParser):
    """Starlette's parser, taught to see a body that is cut off, endless headers and ``filename*``."""

    spool_max_size = 64 * 1024
    ended = False

    def on_part_begin(self) -> None:
        self._header_bytes = 0
        super().on_part_begin()

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        # With 32 for a short name and the room that it takes. Newer releases of the library have limits too.
        self._header_bytes += end - start + 32
        if self._header_bytes > 16 * 1024:
            raise MultiPartException("The headers of a part are too long.")
        super().on_header_value(data, start, end)

    def on_headers_finished(self) -> None:
        part = self._current_part
        # What the name is, `file_name` finds out; here it is enough that there is one.
        part.content_disposition = (part.content_disposition or b"").replace(b"filename*=", b"filename=")
        super().on_headers_finished()

    def on_end(self) -> None:
        self.ended = True


def _parse(text: bytes) -> object:
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise too_deep("body") from None
    except ValueError as error:
        raise invalid(f"The body is not JSON: {error}.", "body", kind="json") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        # JSON has no such number, and could not be written with it again.
        raise ValueError(f"{text[:20]} is not a JSON number")
    return value
