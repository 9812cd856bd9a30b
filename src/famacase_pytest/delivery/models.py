"""The values that travel between the rooms: runs, results, files. No database and no network is imported."""

from __future__ import annotations

import mimetypes
import os
import re
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, BinaryIO, Callable, NamedTuple

MIB = 1024 * 1024
UNKNOWN_TYPE = "application/octet-stream"

_NAME_LIMIT = 255
_FALLBACK_NAME = "attachment"
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")
# type/subtype and parameters in printable ASCII: whatever else is given could end the part's header early.
_MIME_TYPE = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+(?:\s*;[ -~]*)?", re.ASCII)

# How a step begins that stands for files that could not be sent.
MISSING = "Attachments that could not be uploaded"

# It is for people: of a test that attached thousands of missing files it names the first ones.
_NAMED_MISSING = 20


class Run(NamedTuple):
    """A run that results of the session belong to.

    Attributes:
        run_id: the back end's id; a negative one is provisional: the run has yet to be created.
        body: the contract's RunCreate to create it with, None for a run that exists.
        key: the Idempotency-Key of that request.
        environment_slug: to be replaced by the environment's id in the body before the run is created.
        publish: whether the session wants a public link.
        requested: whether the session has reached the point where completion is due.
    """

    project: str
    run_id: int
    body: Mapping[str, Any] | None = None
    key: str | None = None
    environment_slug: str | None = None
    publish: bool = False
    requested: bool = False


class Item(NamedTuple):
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
    payload: str
    has_files: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from all other items of the session: writer and number."""
        return (self.writer, self.seq)

    @property
    def size(self) -> int:
        """Bytes of the payload as it is sent."""
        return len(self.payload) if self.payload.isascii() else len(self.payload.encode("utf-8", "replace"))


class Limits(NamedTuple):
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


class Fingerprint(NamedTuple):
    """What makes two files equal within a project; `size` (bytes) follows from the hash and comes along."""

    sha256: str
    size: int
    file_name: str
    mime_type: str


class Part(NamedTuple):
    """One file of an upload request.

    Attributes:
        file_name: as it is sent; see `clean_name`.
        mime_type: as it is sent.
        size: bytes that are sent, fixed here, since the request's length is announced before them.
        open: gives the bytes from the start; called once an attempt.
        sha256: of these bytes, to notice a file that was rewritten meanwhile.
    """

    file_name: str
    mime_type: str
    size: int
    open: Callable[[], BinaryIO]
    sha256: str

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes two files equal within a project."""
        return Fingerprint(self.sha256, self.size, self.file_name, self.mime_type)


# How a file looks: size in bytes, mtime in nanoseconds, and inode.
State = tuple[int, int, int]


class Origin(NamedTuple):
    """Where a file was read from, and how it looked.

    Attributes:
        path: absolute at the time of the call.
        faked: whether it was read from a fake file system that a test had in place.
        state: how it looked; None if it could not be seen.
    """

    path: str
    faked: bool = False
    state: State | None = None


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
        assert self.sha256 is not None
        return Part(self.file_name, self.mime_type, self.size, self.open, self.sha256)


class Late(NamedTuple):
    """A file that was read already, and is read again if a fixture of a wider scope finishes it.

    Attributes:
        seen: how it was when it was read; of what is not masked yet.
        screen: makes of a later content, and its type, what may be stored; raises Unstorable if nothing may.
    """

    seen: StoredFile
    screen: Callable[[bytes, str], bytes]


class CapturedResult(NamedTuple):
    """One result as it was captured.

    Attributes:
        payload: the contract's ``Result``; each attachment in it bears an ``Attachment.ref`` in the place of
            the id that the server will give.
        files: the files that it refers to.
        copies: by ref, what ``copy`` gave for files that were copied when they were attached.
        late: by ref, those that must not be read again as they are, since the settings change them.
    """

    payload: dict[str, Any]
    files: tuple[Attachment, ...] = ()
    copies: Mapping[str, StoredFile] = {}
    late: Mapping[str, Late] = {}


class Waiting(NamedTuple):
    """What a run still waits for: results, distinct files, and bytes of those."""

    results: int
    files: int
    file_bytes: int


class Progress(NamedTuple):
    """How far delivery is while somebody waits for it.

    Attributes:
        results: that wait.
        files, file_bytes: that the back end has taken so far.
        is_away: whether the back end cannot be reached.
    """

    results: int
    files: int = 0
    file_bytes: int = 0
    is_away: bool = False


class Outcome(NamedTuple):
    """How a stored result came out."""

    project: str
    run_id: int
    result_id: str
    status: str
    title: str


class Rejection(NamedTuple):
    """A result that the back end does not take, and its reason."""

    writer: str
    seq: int
    project: str
    run_id: int
    result_id: str
    reason: str


def sendable(text: str) -> str:
    """The text with U+FFFD for what real back ends refuse: a NUL, and half of a surrogate pair."""
    # Nearly all texts are plain, which is seen at once.
    return text if text.isascii() and "\0" not in text else _UNSENDABLE.sub("\ufffd", text)


def text_step(
    step_id: str,
    action: str,
    status: str,
    *,
    start: float | None,
    duration: int | None,
    **data: str,
) -> dict[str, Any]:
    """The contract's Step, with nothing below it.

    Args:
        step_id: a UUID.
        action: what was done.
        status: how it went.
        start: Unix time in seconds; None if it has no time.
        duration: milliseconds; None while it goes on.
        data: other members of its data, such as ``input_data``; an empty one is left out.
    """
    end = None if start is None or duration is None else start + duration / 1000
    return {
        "id": step_id,
        "parent_id": None,
        "step_type": "text",
        "data": {"action": sendable(action), **{name: sendable(text) for name, text in data.items() if text}},
        "execution": {
            "status": status,
            "start_time": start,
            "end_time": end,
            "duration": duration,
            "attachments": [],
        },
        "steps": [],
        "attachments": [],
    }


def end_at(execution: dict[str, Any], end: float) -> None:
    """Let an unfinished execution end at a time, in seconds since 1970, and have lasted from its start."""
    start = execution.get("start_time")
    execution["end_time"] = end
    if start is not None and end >= start:
        execution["duration"] = int((end - start) * 1000)


def clean_name(name: str) -> str:
    """A file name that survives a multipart header: no directories, no control characters, no quotes.

    Letters of every script stay as they are; over-long names keep their suffix.
    """
    name = re.split(r"[/\\]", sendable(name))[-1].replace('"', "'")
    name = "".join(char for char in name if unicodedata.category(char) not in ("Cc", "Zl", "Zp")).strip()
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


def reason_of(error: BaseException) -> str:
    """A few words on why a file cannot be read, without its path."""
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "no permission to read the file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def resolve_refs(
    payload: Mapping[str, Any],
    ids: Mapping[str, str],
    missing: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """A payload whose attachments bear the back end's ids.

    Args:
        payload: a wire Result whose AttachmentRefs hold a reference as `id`; it is not changed. What holds no
            attachments is shared with the answer, not copied.
        ids: the back end's id by reference. An AttachmentRef without one is dropped.
        missing: by reference, name and reason of files that could not be sent. Where they would be, in the
            result or the step that has them, there is a step that tells it.

    The walk keeps a list instead of calling itself: steps nested a thousand deep are within the contract.
    """
    answer = dict(payload)
    if "attachments" in answer:
        answer["attachments"] = _resolved(answer["attachments"], ids)
        _note_missing(answer, payload["attachments"], missing, None)
    open_owners = [answer]
    while open_owners:
        owner = open_owners.pop()
        if not owner.get("steps"):
            continue
        steps = [dict(step) for step in owner["steps"]]
        owner["steps"] = steps
        for step in steps:
            execution = step.get("execution")
            if execution and "attachments" in execution:
                attachments = _resolved(execution["attachments"], ids)
                step["execution"] = {**execution, "attachments": attachments}
                _note_missing(step, execution["attachments"], missing, step.get("id"))
        open_owners.extend(steps)
    return answer


def _note_missing(
    owner: dict[str, Any],
    entries: Sequence[Mapping[str, Any]] | None,
    missing: Mapping[str, str],
    parent: str | None,
) -> None:
    lost = [entry["id"] for entry in entries or () if entry.get("id") in missing]
    if not lost:
        return
    named = "; ".join(missing[ref] for ref in lost[:_NAMED_MISSING])
    if len(lost) > _NAMED_MISSING:
        named += f"; and {len(lost) - _NAMED_MISSING} more"
    # The same id whenever the result is sent.
    step_id = str(uuid.uuid5(uuid.NAMESPACE_OID, lost[0]))
    note = text_step(step_id, f"{MISSING}: {named}", "skipped", start=None, duration=0)
    owner["steps"] = [*(owner.get("steps") or ()), {**note, "parent_id": parent}]


def _resolved(entries: Sequence[Mapping[str, Any]] | None, ids: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{**entry, "id": ids[entry["id"]]} for entry in entries or () if entry.get("id") in ids]
