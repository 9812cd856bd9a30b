"""Translate upstream's ``Result``, of any supported release, into the wire's.

The payload has everything that upstream's own client would send, and what its models hold beyond that where
the contract (``docs/reporter-ingestion-v1.yaml``) has a place for it. The caller's objects are not changed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..delivery.models import Attachment as File
from ..delivery.models import CapturedResult, clean_name, sendable
from .views import View

# The contract's components/schemas/Status.
STATUSES = frozenset(
    {"passed", "failed", "skipped", "blocked", "invalid", "untested", "disabled", "in_progress"}
)

# Deeper steps are listed under their ancestor at this depth: many JSON parsers fail between 500 and 1,000
# levels, and each step takes three.
MAX_STEP_DEPTH = 100

_TYPE_AS_NAME = re.compile(r"(application|audio|font|image|message|model|multipart|text|video)/[\w+-]+")

# Members of a request step that may hold megabytes; upstream sends them as attachments, and so do we.
_REQUEST_PARTS = ("request_body", "request_headers", "response_body", "response_headers")


class _Id(str):
    """The id of an upstream model, with what is kept for it.

    Upstream deep-copies results of several projects, and writes all attributes of its models into its log. A
    function survives the one, and an attribute of a text does not show in the other.
    """

    kept: Callable[[], Any]


def keep(model: Any, kept: Callable[[], Any]) -> None:
    """Keep something for an upstream model.

    Args:
        model: an ``Attachment``, for which the copy is kept that was made when it was attached, or a
            ``Result``, for which that is kept which belongs to it beside its own data.
        kept: returns it.
    """
    model.id = _Id(model.id)
    model.id.kept = kept


def _kept(model: Any) -> Any:
    kept = getattr(model.id, "kept", None)
    return None if kept is None else kept()


class PayloadOptions(NamedTuple):
    """The session's settings for the form of a result.

    Args:
        root_suite: title above all suites of a result that has any.
        exclude_params: names of parameters that are not sent.
        defect: whether a failure asks the back end for a defect.
        drop_video: whether Playwright keeps videos of failures only, so that those of other tests are stale.
        drop_trace: the same for its traces.
    """

    root_suite: str | None = None
    exclude_params: frozenset[str] = frozenset()
    defect: bool = False
    drop_video: bool = False
    drop_trace: bool = False

    @classmethod
    def from_config(cls, config: Any) -> PayloadOptions:
        """Read the options from upstream's ``QaseConfig``; one that a release lacks has its default."""
        playwright = getattr(getattr(config, "framework", None), "playwright", None)
        return cls(
            root_suite=getattr(config, "root_suite", None) or None,
            exclude_params=frozenset(getattr(config, "exclude_params", None) or ()),
            defect=bool(getattr(config.testops, "defect", False)),
            drop_video=_enum_value(getattr(playwright, "video", None)) == "retain-on-failure",
            drop_trace=_enum_value(getattr(playwright, "trace", None)) == "retain-on-failure",
        )


def wire_result(result: Any, options: PayloadOptions) -> CapturedResult:
    """Translate one result.

    Args:
        result: ``qase.commons.models.Result`` of any supported release; not changed.
        options: the session's.

    Returns:
        The payload and its files. In the payload each attachment is ``{"id": ref, "file_name": ...}``, with
        the file's ref until the server has given an id.
    """
    files = _Files(str(result.id))
    status, remark = _status(result.execution.status)
    payload: dict[str, Any] = {
        "id": str(result.id),
        "title": _text(result.title),
        "signature": _optional_text(result.signature),
        "testops_ids": None if result.testops_ids is None else [int(number) for number in result.testops_ids],
        "execution": {
            "status": status,
            **_times(result.execution),
            "stacktrace": _optional_text(result.execution.stacktrace),
            "thread": _optional_text(result.execution.thread),
        },
        "fields": {_text(name): _plain(value) for name, value in result.fields.items() if value is not None},
        "params": _params(result.params or {}, options.exclude_params),
        "param_groups": [[_text(name) for name in group] for group in result.param_groups or []],
        "attachments": [
            files.add(attachment)
            for attachment in result.attachments
            if not _is_stale_recording(attachment, result, options)
        ],
        "steps": [_step(step, files, 1) for step in result.steps],
        "message": _message(result.message, remark),
        "muted": _is_muted(result),
    }
    tags = getattr(result, "tags", None)
    if tags:
        payload["tags"] = [_text(tag) for tag in tags]
    extra = _kept(result)
    if extra is not None:
        _add(payload, extra)
    if options.defect:
        payload["defect"] = True
    suites = _suites(result.relations)
    if suites:
        if options.root_suite:
            suites.insert(0, {"title": _text(options.root_suite)})
        payload["relations"] = {"suite": {"data": suites}}
    files.tell_apart()
    return CapturedResult(payload, tuple(files.sources), files.copies)


def wire_result_or_remains(result: Any, options: PayloadOptions) -> CapturedResult:
    """As ``wire_result``, or a minimal payload with a remark if the result cannot be translated.

    A suite can put anything into a result, and one bad result must not cost the others of its batch.
    """
    try:
        return wire_result(result, options)
    except Exception as error:  # noqa: BLE001 (no error may cost the result)
        status, _ = _status(result.execution.status)
        remark = f"Parts of this result could not be sent: {type(error).__name__}: {error}"
        return CapturedResult(
            {
                "id": str(result.id),
                "title": _text(result.title),
                "execution": {"status": status},
                "message": _message(result.message, remark),
            }
        )


def _add(payload: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Add steps and fields that are the contract's already; a status replaces upstream's."""
    payload["steps"] += extra["steps"]
    payload["fields"].update(extra["fields"])
    if "status" in extra:
        payload["execution"]["status"] = extra["status"]
        payload["message"] = extra["message"]


class _Files:
    """Collects the files of one result and numbers them."""

    def __init__(self, result_id: str) -> None:
        self._result_id = result_id
        self.copies: dict[str, Any] = {}
        self.sources: list[File] = []
        self._entries: list[dict[str, str]] = []

    def add(self, attachment: Any) -> dict[str, str]:
        source = file_source(attachment, ref=f"{self._result_id}/{len(self.sources)}")
        self.sources.append(source)
        copied = _kept(attachment)
        if copied is not None:
            self.copies[source.ref] = copied
        self._entries.append({"id": source.ref, "file_name": clean_name(source.file_name)})
        return self._entries[-1]

    def tell_apart(self) -> None:
        """Give files of one name as much of their directories as tells them apart."""
        if len(self.sources) < 2:
            return
        groups: dict[str, dict[tuple[str, ...], list[int]]] = {}
        for at, source in enumerate(self.sources):
            groups.setdefault(self._entries[at]["file_name"], {}).setdefault(_parts(source), []).append(at)
        for group in groups.values():
            depth = 1
            while len(group) > len({parts[-depth:] for parts in group}):
                depth += 1
            for parts, places in group.items() if len(group) > 1 else ():
                for at in places:
                    name = clean_name("_".join(parts[-depth:]))
                    self.sources[at] = replace(self.sources[at], file_name=name)
                    self._entries[at]["file_name"] = name


def _parts(source: File) -> tuple[str, ...]:
    """The name of a file with the directories before it, as far as they are known."""
    name = source.file_name.replace("\\", "/")
    path = (source.path or "").replace("\\", "/")
    whole = path if path.endswith(f"/{name}") else name
    return tuple(part for part in whole.split("/") if part not in ("", ".", "..")) or ("",)


def file_source(attachment: Any, ref: str) -> File:
    """The path or the bytes of upstream's ``Attachment``.

    The path comes first: beside a path, ``content`` is the text ``"null"`` in every release.
    """
    path = attachment.file_path or None
    content = None if path else attachment.content
    if content is not None and not isinstance(content, bytes):
        content = str(content).encode("utf-8", "replace")
    # Upstream takes its own enumeration, bytes and anything else as a mime type.
    mime_type = _enum_value(attachment.mime_type)
    if isinstance(mime_type, bytes):
        mime_type = mime_type.decode("latin-1")
    name = _text(attachment.file_name or "attachment")
    return File(
        ref=ref,
        # A type in the place of the name has no directory before it.
        file_name=name.replace("/", "_") if _TYPE_AS_NAME.fullmatch(name) else name,
        mime_type=_text(mime_type) if mime_type else None,
        path=str(path) if path else None,
        content=content,
    )


def _step(step: Any, files: _Files, depth: int) -> dict[str, Any]:
    kind = str(_enum_value(step.step_type))
    attachments = [*getattr(step, "attachments", ()), *getattr(step.execution, "attachments", ())]
    if kind == "request":
        attachments.extend(_request_attachments(step.data))
    execution: dict[str, Any]
    if step.execution.status == "untested":
        # The step never ran. Upstream sends it as skipped, without times.
        execution = {"status": "skipped", "start_time": None, "end_time": None, "duration": 0}
    else:
        execution = {"status": _status(step.execution.status)[0], **_times(step.execution)}
    execution["attachments"] = [files.add(attachment) for attachment in attachments]
    wire: dict[str, Any] = {
        "id": _optional_text(step.id),
        "parent_id": _optional_text(step.parent_id),
        "step_type": kind,
        "data": _step_data(kind, step.data),
        "execution": execution,
        "steps": [],
        "attachments": [],
    }
    if depth < MAX_STEP_DEPTH:
        wire["steps"] = [_step(child, files, depth + 1) for child in step.steps]
    else:
        wire["steps"] = [_step(View(child, steps=()), files, depth + 1) for child in _descendants(step)]
    return wire


def _descendants(step: Any) -> list[Any]:
    found: list[Any] = []
    waiting = list(reversed(step.steps))
    while waiting:
        child = waiting.pop()
        found.append(child)
        waiting.extend(reversed(child.steps))
    return found


def _step_data(kind: str, data: Any) -> dict[str, Any]:
    """The members of the step's data, with the texts that upstream's client would send."""
    members = {
        name: _plain(value)
        for name, value in vars(data).items()
        if value is not None and not (kind == "request" and name in _REQUEST_PARTS)
    }
    members["action"] = _text(_action(kind, data))
    given = _input_data(kind, data)
    if given:
        members["input_data"] = _text(given)
    expected = getattr(data, "expected_result", None)
    if expected:
        members["expected_result"] = _text(expected)
    else:
        members.pop("expected_result", None)
    return members


def _action(kind: str, data: Any) -> str:
    if kind == "request":
        return f"{data.request_method} {data.request_url}"
    if kind == "gherkin":
        return str(data.keyword) if data.keyword == data.name else f"{data.keyword} {data.name}"
    if kind == "sleep":
        return f"Sleep for {data.duration} seconds"
    if kind == "db_query":
        database = getattr(data, "database_type", None)
        return f"[{database}] {data.query}" if database else str(data.query)
    if kind == "assert":
        # Upstream's client sends no text for this kind, but the contract requires one.
        return str(data.message or f"Expected {data.expected}, got {data.actual}")
    return str(data.action)


def _input_data(kind: str, data: Any) -> str | None:
    if kind == "gherkin":
        return getattr(data, "data", None) or None
    if kind == "db_query":
        parts = []
        if getattr(data, "connection_info", None):
            parts.append(f"Connection: {data.connection_info}")
        if getattr(data, "execution_time", None) is not None:
            parts.append(f"Execution time: {data.execution_time:.3f}s")
        if getattr(data, "rows_affected", None) is not None:
            parts.append(f"Rows affected: {data.rows_affected}")
        return " | ".join(parts) or None
    return getattr(data, "input_data", None) or None


def _request_attachments(data: Any) -> list[Any]:
    """Bodies and headers of a request step, as attachments of upstream's class.

    They are not added to the step as upstream's client does: a batch sent twice would have them twice.
    """
    from qase.commons.models.attachment import Attachment

    made = []
    for part in _REQUEST_PARTS:
        content = getattr(data, part, None)
        if content:
            named = {"file_name": f"{part}.txt", "mime_type": "text/plain", "temporary": True}
            try:
                made.append(Attachment(content=content, **named))
            except (AttributeError, TypeError, ValueError):
                # Upstream writes headers as JSON through __dict__, which some mappings do not have.
                made.append(Attachment(content=str(content), **named))
    return made


def _is_stale_recording(attachment: Any, result: Any, options: PayloadOptions) -> bool:
    if result.execution.status == "failed":
        return False
    return (options.drop_video and attachment.file_name == "video.webm") or (
        options.drop_trace and attachment.file_name == "trace.zip"
    )


def _suites(relations: Any) -> list[dict[str, Any]]:
    suite = getattr(relations, "suite", None)
    return [{"title": _text(entry.title)} for entry in suite.data] if suite is not None else []


def _params(params: Mapping[Any, Any], excluded: frozenset[str]) -> dict[str, str]:
    # Upstream's client sends an empty value as "empty".
    return {
        _text(name): "empty" if value == "" else _text(value)
        for name, value in params.items()
        if name not in excluded
    }


def _status(status: Any) -> tuple[str | None, str | None]:
    """The contract's status, and a remark if it replaces another."""
    if status is None:
        return None, None
    text = str(status)
    if text in STATUSES:
        return text, None
    return "invalid", f"The test reported the status {text!r}, which the back end does not know."


def _is_muted(result: Any) -> bool:
    # The decorator sets a field alone, a tag of pytest-bdd the attribute.
    return bool(getattr(result, "muted", False)) or str(result.fields.get("muted")).lower() == "true"


def _message(message: Any, remark: str | None) -> str | None:
    parts = [_text(part) for part in (message, remark) if part]
    if parts:
        return "\n".join(parts)
    return None if message is None else _text(message)


def _times(execution: Any) -> dict[str, Any]:
    duration = _number(execution.duration)
    return {
        "start_time": _number(execution.start_time),
        "end_time": _number(execution.end_time),
        # In milliseconds; the clock may have been put back meanwhile.
        "duration": None if duration is None else max(0, int(duration)),
    }


def _enum_value(value: Any) -> Any:
    return getattr(value, "value", value)


def _text(value: Any) -> str:
    try:
        return sendable(str(value))
    except Exception as error:  # noqa: BLE001 (any object's __str__ may be called)
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return value
    return None


def _plain(value: Any) -> Any:
    """A JSON value, for members of any type in the contract."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        # Most parsers fail on larger numbers, and Python writes none of more than 4,300 digits.
        return int(value) if -(2**63) <= value < 2**63 else _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return sendable(value.decode("utf-8", "replace"))
    return _text(_enum_value(value))
