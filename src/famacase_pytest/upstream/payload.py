"""Upstream's ``Result``, of any supported release, to the wire's ``Result``.

What upstream's own client would have sent is sent; what its models hold beside that goes along where the
contract (``docs/reporter-ingestion-v1.yaml``) has a place for it. Nothing that belongs to the caller is
changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..delivery.models import Attachment as File
from ..delivery.models import CapturedResult, clean_name, sendable

# The statuses that the contract knows (components/schemas/Status).
STATUSES = frozenset(
    {"passed", "failed", "skipped", "blocked", "invalid", "untested", "disabled", "in_progress"}
)

# Steps nested deeper than this are listed under their ancestor at this depth: JSON parsers commonly give up
# between 500 and 1,000 levels, and each step takes three.
MAX_STEP_DEPTH = 100

# The attribute of upstream's ``Attachment`` that remembers the copy made of it when it was attached: a
# function that returns it.
COPIED = "_famacase_copied"

# Members of a request step's data that may hold megabytes; they travel as attachments, as upstream sends
# them.
_REQUEST_PARTS = ("request_body", "request_headers", "response_body", "response_headers")


class PayloadOptions(NamedTuple):
    """What the session's configuration says about the form of a result.

    Args:
        root_suite: title put above all suites of a result that has any.
        exclude_params: names of parameters that are not sent.
        defect: whether a failure asks the back end for a defect.
        drop_video, drop_trace: Playwright records only failures, so the file of a test that did not fail is
            stale.
    """

    root_suite: str | None = None
    exclude_params: frozenset[str] = frozenset()
    defect: bool = False
    drop_video: bool = False
    drop_trace: bool = False

    @classmethod
    def from_config(cls, config: Any) -> PayloadOptions:
        """Read the options from upstream's ``QaseConfig``; a release without one of them has its default."""
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
        result: ``qase.commons.models.Result`` of any supported release; left as it is.
        options: what the session's configuration says about the form.

    Returns:
        The payload, in which every attachment is ``{"id": ref, "file_name": ...}`` until the server has given
        its id, and the files that these refs name.
    """
    files = _Files(str(result.id))
    status, remark = _status(result.execution.status)
    payload: dict[str, Any] = {
        "id": str(result.id),
        "title": _text(result.title),
        "signature": _optional_text(result.signature),
        "testops_ids": _integers(result.testops_ids),
        "execution": {
            "status": status,
            "start_time": _number(result.execution.start_time),
            "end_time": _number(result.execution.end_time),
            "duration": _duration(result.execution.duration),
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
        "muted": bool(getattr(result, "muted", False)),
    }
    tags = getattr(result, "tags", None)
    if tags:
        payload["tags"] = [_text(tag) for tag in tags]
    if options.defect:
        payload["defect"] = True
    suites = _suites(result.relations)
    if suites:
        if options.root_suite:
            suites.insert(0, {"title": _text(options.root_suite)})
        payload["relations"] = {"suite": {"data": suites}}
    return CapturedResult(payload, tuple(files.sources), files.copies)


def wire_result_or_remains(result: Any, options: PayloadOptions) -> CapturedResult:
    """As ``wire_result``; of a result that cannot be translated, what identifies it and why.

    A suite can put anything into a result, and one that is strange must not take others along.
    """
    try:
        return wire_result(result, options)
    except Exception as error:  # noqa: BLE001 (whatever it is, the result is not lost for it)
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


class _Files:
    """Collects the files of one result and numbers them."""

    def __init__(self, result_id: str) -> None:
        self._result_id = result_id
        self.copies: dict[str, Any] = {}
        self.sources: list[File] = []

    def add(self, attachment: Any) -> dict[str, str]:
        source = file_source(attachment, ref=f"{self._result_id}/{len(self.sources)}")
        self.sources.append(source)
        copied = getattr(attachment, COPIED, None)
        if copied is not None:
            self.copies[source.ref] = copied()
        return {"id": source.ref, "file_name": clean_name(source.file_name)}


def file_source(attachment: Any, ref: str) -> File:
    """What upstream's ``Attachment`` stands for: a path, or bytes.

    ``content`` is the text ``"null"`` beside a path in every release, so the path is looked at first.
    """
    path = attachment.file_path or None
    content = None if path else _bytes(attachment.content)
    return File(
        ref=ref,
        file_name=_text(attachment.file_name or "attachment"),
        mime_type=_mime_type(attachment.mime_type),
        path=str(path) if path else None,
        content=content,
    )


def _mime_type(given: Any) -> str | None:
    """A mime type as text: upstream takes its own enumeration, bytes and whatever else."""
    value = _enum_value(given)
    return _text(value.decode("latin-1") if isinstance(value, bytes) else value) if value else None


def _step(step: Any, files: _Files, depth: int) -> dict[str, Any]:
    kind = str(_enum_value(step.step_type))
    attachments = [*getattr(step, "attachments", ()), *getattr(step.execution, "attachments", ())]
    if kind == "request":
        attachments.extend(_request_attachments(step.data))
    execution: dict[str, Any]
    if step.execution.status == "untested":
        # A step that never ran: upstream sends it as skipped, without times.
        execution = {"status": "skipped", "start_time": None, "end_time": None, "duration": 0}
    else:
        execution = {
            "status": _status(step.execution.status)[0],
            "start_time": _number(step.execution.start_time),
            "end_time": _number(step.execution.end_time),
            "duration": _duration(step.execution.duration),
        }
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
        wire["steps"] = [_step(_Childless(child), files, depth + 1) for child in _descendants(step)]
    return wire


class _Childless:
    """A step seen without its children, which are listed beside it."""

    def __init__(self, step: Any) -> None:
        self._step = step
        self.steps: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)


def _descendants(step: Any) -> list[Any]:
    found: list[Any] = []
    waiting = list(reversed(step.steps))
    while waiting:
        child = waiting.pop()
        found.append(child)
        waiting.extend(reversed(child.steps))
    return found


def _step_data(kind: str, data: Any) -> dict[str, Any]:
    """The text that upstream's client would send, beside the members of the step's own data class."""
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
        # Upstream's client sends no text for this kind; the contract wants one.
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
    """Bodies and headers of a request step, made into attachments by upstream's own class.

    Upstream's client adds them to the step itself, so a batch that is sent twice has them twice; here they
    are made for this payload alone.
    """
    from qase.commons.models.attachment import Attachment

    made = []
    for part in _REQUEST_PARTS:
        content = getattr(data, part, None)
        if content:
            try:
                attachment = Attachment(
                    file_name=f"{part}.txt", content=content, mime_type="text/plain", temporary=True
                )
            except (AttributeError, TypeError, ValueError):
                # Upstream writes headers as JSON by way of __dict__, which some mappings do not have.
                attachment = Attachment(
                    file_name=f"{part}.txt", content=str(content), mime_type="text/plain", temporary=True
                )
            made.append(attachment)
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
    # An empty value is sent as "empty", as by upstream's client.
    return {
        _text(name): "empty" if value == "" else _text(value)
        for name, value in params.items()
        if name not in excluded
    }


def _status(status: Any) -> tuple[str | None, str | None]:
    """The contract's status, and a remark where it had to be replaced."""
    if status is None:
        return None, None
    text = str(status)
    if text in STATUSES:
        return text, None
    return "invalid", f"The test reported the status {text!r}, which the back end does not know."


def _message(message: Any, remark: str | None) -> str | None:
    parts = [_text(part) for part in (message, remark) if part]
    if parts:
        return "\n".join(parts)
    return None if message is None else _text(message)


def _enum_value(value: Any) -> Any:
    return getattr(value, "value", value)


def _bytes(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return str(content).encode("utf-8", "replace")


def _text(value: Any) -> str:
    try:
        return sendable(str(value))
    except Exception as error:  # noqa: BLE001 (any object of a test may be here; what is wrong is shown)
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return value
    return None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _duration(value: Any) -> int | None:
    """Milliseconds; none are negative, even if the clock was put back meanwhile."""
    number = _integer(value)
    return None if number is None else max(0, number)


def _integers(values: Any) -> list[int] | None:
    return None if values is None else [int(value) for value in values]


def _plain(value: Any) -> Any:
    """A value that JSON has, for members whose type the contract leaves open."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        # Most parsers take no longer numbers, and Python writes none of more than 4,300 digits.
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
