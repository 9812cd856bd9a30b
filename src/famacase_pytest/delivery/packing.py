"""Results that no disk has room for, as they travel over the pipe to the relay; see ``relay.unstored``."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from typing import Any

from ..errors import PASSING
from .models import Attachment, CapturedResult, StoredFile, clean_mime_type, clean_name, reason_of, sendable
from .outbox.blobs import check_size, read_file
from .system import System


def packed(code: str, run_id: int, result: CapturedResult) -> dict[str, Any]:
    """A result with the contents of its files."""
    files = [_packed_file(source, result.copies.get(source.ref)) for source in result.files]
    return {"project": code, "run_id": run_id, "payload": System.dumps(result.payload), "files": files}


def _packed_file(source: Attachment, copied: StoredFile | None) -> dict[str, Any]:
    name = clean_name(source.file_name)
    packed = {"ref": source.ref, "file_name": name, "mime_type": clean_mime_type(source.mime_type, name)}
    try:
        content = b64encode(_content_of(source, copied)).decode()
    except PASSING:
        raise
    except BaseException as error:  # noqa: BLE001 (a guard of a suite may raise anything; it is told)
        return {**packed, "content": None, "problem": sendable(reason_of(error))}
    return {**packed, "content": content, "problem": None}


def _content_of(source: Attachment, copied: StoredFile | None) -> bytes:
    """The bytes of a file: of its copy if there is one, else as it is now.

    Raises:
        OSError, ValueError, Unstorable: it cannot be read, or is too large.
    """
    if copied is not None and not copied.problem:
        with contextlib.suppress(OSError), copied.open() as stored:
            return stored.read()
    if source.content is not None:
        check_size(len(source.content))
        return source.content
    assert source.path is not None
    return read_file(source.path)[0]
