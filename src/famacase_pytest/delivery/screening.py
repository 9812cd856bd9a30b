"""What the user's settings change in a result before it is stored: its status, its files, its secrets.

A session that uses none of these settings has no `Screening`.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import Any

from .masking import MASKED, Mask
from .models import (
    MIB,
    Attachment,
    CapturedResult,
    Late,
    Origin,
    StoredFile,
    clean_mime_type,
    clean_name,
    resolve_refs,
)
from .outbox.blobs import Unstorable, check_size, has_changed, read_file
from .outbox.writer import Writer

# Bytes of a text that is masked; a larger one is withheld.
_LARGEST = MIB

# Bytes of the files that are held for a test that may still pass; beyond that they are stored at once.
_MOST_HELD = 128 * MIB

_WITHHELD = "a text of more than 1 MiB is not masked, and so it is withheld (FAMACASE_MASK)"

_TEXT_TYPE = re.compile(
    r"text/|[^;]*[/+.-](?:json|ndjson|xml|ya?ml|javascript|x-www-form-urlencoded|toml|sql|graphql)\b", re.I
)
_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_FAILURES = ("failed", "invalid")


class Screening:
    """Applies the settings to each result of a process.

    Args:
        mask: None: nothing is secret.
        attachments: ``all``, ``failed`` (none of tests that passed) or ``none``.
        muted_status: what a muted failure becomes; None: it stays.
    """

    def __init__(self, mask: Mask | None, attachments: str = "all", muted_status: str | None = None) -> None:
        self._mask = mask
        self._attachments = attachments
        self._muted_status = muted_status
        self._held = 0

    def test_started(self, name: str, params: Mapping[str, object], test_id: str) -> None:
        """Note the parameters of the test that runs now; see `Mask`."""
        if self._mask is not None:
            self._mask.test_started(name, params, test_id)

    def masked(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """A payload without what is secret, as it may be stored."""
        if self._mask is None:
            return dict(payload)
        return self._mask.masked(payload, self._mask.secrets(payload))

    def settled(self, captured: CapturedResult) -> CapturedResult:
        """The result with its files as they are now, in memory if they may not be stored."""
        files, copies, late = [], {}, {}
        for given in captured.files:
            source, copied, seen = self._settled(given, captured.copies.get(given.ref))
            files.append(source)
            if copied is not None:
                copies[source.ref] = copied
            if seen is not None:
                late[source.ref] = Late(seen, lambda content, mime_type: content)
        return CapturedResult(captured.payload, tuple(files), copies, late)

    def hidden(self, text: str) -> str:
        """A text that is no part of a result, without what is secret as far as that is known here."""
        return text if self._mask is None else self._mask.secrets({"message": text}).hide(text)

    def crash(self, message: str) -> str:
        """What xdist says of a dead worker, which names the test with parameters that nobody here knows."""
        if self._mask is None:
            return message
        hidden = re.sub(r"(?<=\w)\[.*\]", f"[{MASKED}]", message, flags=re.S)
        return self._mask.secrets({}, ()).hide(hidden)

    def crash_status(self, payload: Mapping[str, Any], status: str) -> str:
        """The status of a test that its worker died in."""
        return self._muted_status if self._muted_status and payload.get("muted") else status

    def copy(self, source: Attachment, writer: Writer) -> StoredFile | None:
        """A file as it is now: in memory until its test has ended, if it may not be stored before."""
        if self._attachments == "none":
            return None
        try:
            content, origin = _read(source)
        except (OSError, ValueError, Unstorable):
            return writer.store(source)  # which says why it cannot be read
        if self._is_masked(content, _type_of(source)):
            return _held(source, content, origin) if len(content) <= _LARGEST else _withheld(source, origin)
        if self._attachments == "failed" and self._held + len(content) <= _MOST_HELD:
            self._held += len(content)
            return _held(source, content, origin)
        return writer.store(source)

    def result(self, captured: CapturedResult) -> CapturedResult:
        """A finished result, as it may be stored and sent."""
        self._held = 0
        try:
            return self._screened(captured)
        except Exception as error:  # noqa: BLE001 (what could not be masked must not be stored)
            payload = captured.payload
            remark = f"This result is withheld, since it could not be masked: {type(error).__name__}."
            status = (payload.get("execution") or {}).get("status")
            title = MASKED if self._mask is not None else payload["title"]
            return CapturedResult(
                {"id": payload["id"], "title": title, "execution": {"status": status}, "message": remark}
            )

    def _screened(self, captured: CapturedResult) -> CapturedResult:
        payload = captured.payload
        execution = payload.get("execution") or {}
        if self._muted_status and payload.get("muted") and execution.get("status") in _FAILURES:
            payload = {**payload, "execution": {**execution, "status": self._muted_status}}
        if self._attachments == "none" or (
            self._attachments == "failed" and execution.get("status") in ("passed", "in_progress")
        ):
            captured = CapturedResult(resolve_refs(payload, {}))
        else:
            captured = self.settled(captured._replace(payload=payload))
        return captured if self._mask is None else self._masked(captured, self._mask)

    def _settled(
        self, source: Attachment, copied: StoredFile | None
    ) -> tuple[Attachment, StoredFile | None, StoredFile | None]:
        """A file at the end of its test: with its content, unless it is stored already or cannot be.

        Returns:
            It, its copy if there is one, and if it may be read again later, how it was when it was read.
        """
        content = None
        origin = None if copied is None else copied.origin
        # Read once more if it has changed, as the writer would, which then must not.
        if copied is None or (origin is not None and has_changed(origin)):
            with suppress(OSError, ValueError, Unstorable):
                path = origin.path if origin else source.path
                content, origin = _read(replace(source, path=path, content=None if path else source.content))
        if content is None and copied is not None and copied.sha256 is None and not copied.problem:
            with copied.open() as held:
                content = held.read()
        if content is None:
            return source, copied and replace(copied, origin=None), copied if origin else None
        seen = None
        if origin is not None:
            sha256 = hashlib.sha256(content).hexdigest()
            seen = replace(_held(source, b"", origin), sha256=sha256, size=len(content))
        if self._is_masked(content, _type_of(source)) and len(content) > _LARGEST:
            return source, _withheld(source, None), seen
        return replace(source, path=None, content=content), None, seen

    def _is_masked(self, content: bytes, mime_type: str) -> bool:
        return self._mask is not None and _is_text(content, mime_type)

    def _masked(self, captured: CapturedResult, mask: Mask) -> CapturedResult:
        texts = {
            source.ref: _decoded(source.content)
            for source in captured.files
            if source.content is not None
            and source.ref not in captured.copies
            and _is_text(source.content, _type_of(source))
        }
        secrets = mask.secrets(captured.payload, [text for text, _ in texts.values()])
        files = []
        copies = {}
        for source in captured.files:
            name = secrets.hide(source.file_name)
            if source.ref in texts:
                text, encoding = texts[source.ref]
                content = secrets.hide(text).encode(encoding, "surrogatepass")
                files.append(replace(source, file_name=name, content=content))
            else:
                files.append(replace(source, file_name=name))
            if source.ref in captured.copies:
                copies[source.ref] = replace(captured.copies[source.ref], file_name=clean_name(name))
        payload = mask.masked(captured.payload, secrets)
        _rename(payload, {source.ref: clean_name(source.file_name) for source in files})

        def screen(content: bytes, mime_type: str) -> bytes:
            if not self._is_masked(content, mime_type):
                return content
            if len(content) > _LARGEST:
                raise Unstorable(_WITHHELD)
            text, encoding = _decoded(content)
            # What has a secret name in it, and what is secret in its result.
            hidden = secrets.hide(mask.secrets({}, [text]).hide(text))
            return hidden.encode(encoding, "surrogatepass")

        late = {ref: Late(one.seen, screen) for ref, one in captured.late.items()}
        return CapturedResult(payload, tuple(files), copies, late)


def _rename(payload: dict[str, Any], names: Mapping[str, str]) -> None:
    """Give attachments their names by ref: what a payload has of one is cut at the last slash."""
    owners = [payload]
    while owners:
        owner = owners.pop()
        for entry in owner.get("attachments") or ():
            entry["file_name"] = names.get(entry["id"], entry["file_name"])
        for step in owner.get("steps") or ():
            owners += [step, step.get("execution") or {}]


def _read(source: Attachment) -> tuple[bytes, Origin | None]:
    """The content of a file, and where it was. Raises OSError, ValueError, or Unstorable."""
    if source.path is None:
        content = source.content or b""
        check_size(len(content))
        return content, None
    return read_file(source.path)


def _type_of(source: Attachment) -> str:
    return clean_mime_type(source.mime_type, clean_name(source.file_name))


def _held(source: Attachment, content: bytes, origin: Origin | None) -> StoredFile:
    name = clean_name(source.file_name)
    size = len(content)
    return StoredFile(
        source.ref, None, size, name, _type_of(source), origin=origin, opener=lambda: BytesIO(content)
    )


def _withheld(source: Attachment, origin: Origin | None) -> StoredFile:
    name = clean_name(source.file_name)
    return StoredFile(source.ref, None, 0, name, _type_of(source), problem=_WITHHELD, origin=origin)


def _is_text(content: bytes, mime_type: str) -> bool:
    """Whether a file is text: by its type, or since it is UTF-8 without a null character."""
    if _TEXT_TYPE.match(mime_type) or content.startswith(_BOMS):
        return True
    if b"\0" in content:
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decoded(content: bytes) -> tuple[str, str]:
    """A text and its encoding, in which it becomes the same bytes again."""
    candidates = ["utf-8"]
    if content.startswith(_BOMS):
        candidates = ["utf-16"]
    elif b"\0" in content:
        # ASCII has its null characters at odd places if the smaller byte comes first.
        candidates = ["utf-16-le" if content[1::2].count(0) >= content[::2].count(0) else "utf-16-be"]
    for encoding in candidates:
        with suppress(UnicodeDecodeError):
            return content.decode(encoding, "surrogatepass"), encoding
    return content.decode("latin-1"), "latin-1"
