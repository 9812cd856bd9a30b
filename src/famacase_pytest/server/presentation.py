"""From what is stored to what a page shows: every decision taken here, so that templates only place values.

Stored results are valid, but valid JSON has integers of a thousand digits, lone surrogates and times in the
year 10^300; nothing here may fail on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from famacase_pytest.server.database import Attachment, Run
from famacase_pytest.server.models import STATUSES

SHOWN_AS_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""What a page shows in place. Not SVG, which is a document that may hold scripts."""

STATUS_ORDER = ("failed", "invalid", "blocked", "in_progress", "skipped", "untested", "disabled", "passed")
"""Statuses in the order in which a reader asks for them. A result without one is untested."""

assert set(STATUS_ORDER) == set(STATUSES)


@dataclass(frozen=True)
class StatusCount:
    """How many results have a status, and the piece of the bar that stands for them, in per cent."""

    status: str
    count: int
    start: float
    width: float

    @property
    def label(self) -> str:
        """The status in words."""
        return self.status.replace("_", " ")


@dataclass(frozen=True)
class RunView:
    """A run as its page and the list of runs show it."""

    id: int
    project: str
    title: str
    description: str
    state: str
    counts: list[StatusCount]
    total: int
    environment: str
    plan: str
    tags: list[str]
    configurations: list[tuple[str, str]]
    link: str
    link_is_web: bool
    created: str
    took: str


@dataclass(frozen=True)
class FileView:
    """An attachment: its name, how large it is, and whether it is shown as a picture."""

    id: str
    name: str
    size: str
    is_picture: bool
    is_there: bool


@dataclass(frozen=True)
class StepView:
    """A step, without those below it."""

    status: str
    kind: str
    action: str
    expected: str
    data: str
    duration: str
    files: list[FileView]
    is_open: bool
    has_children: bool

    @property
    def has_more(self) -> bool:
        """Whether there is something to unfold."""
        return bool(self.has_children or self.expected or self.data or self.files)


@dataclass(frozen=True)
class ResultView:
    """A result with everything that is known about it."""

    id: str
    status: str
    title: str
    suites: list[str]
    case_ids: list[str]
    signature: str
    duration: str
    started: str
    thread: str
    message: str
    stacktrace: str
    params: list[tuple[str, str]]
    fields: list[tuple[str, str]]
    tags: list[str]
    marks: list[str]
    files: list[FileView]
    steps: list[tuple[StepView, bool]]

    @property
    def hint(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition("\n")[0][:200]


def run_view(run: Run, environment: str | None) -> RunView:
    """What is shown of a run; `environment` is the slug of its environment, where it has one."""
    body = run.body
    total = sum(run.stats.values())
    link = body.get("external_link", {}).get("link", "")
    took = None if run.completed_at is None else int((run.completed_at - run.created_at) * 1000)
    return RunView(
        id=run.id,
        project=run.project.code,
        title=body["title"],
        description=body.get("description") or "",
        state=run.status,
        counts=_counts(run.stats, total),
        total=total,
        environment=environment or "",
        plan=_number(body.get("plan_id")),
        tags=body.get("tags", []),
        configurations=[(one["name"], one["value"]) for one in body.get("configurations", [])],
        link=link,
        link_is_web=_is_web_address(link),
        created=_moment(run.created_at),
        took=_duration(took),
    )


def _counts(stats: Mapping[str, int], total: int) -> list[StatusCount]:
    counts: list[StatusCount] = []
    start = 0.0
    for status in STATUS_ORDER:
        count = stats.get(status, 0)
        if count:
            width = 100 * count / total
            counts.append(StatusCount(status, count, round(start, 3), round(width, 3)))
            start += width
    return counts


def result_views(bodies: Iterable[str], known: Mapping[str, Attachment]) -> list[ResultView]:
    """What is shown of results.

    Args:
        bodies: the results as they are stored.
        known: the attachments that they mention, by id.
    """
    return [_result_view(json.loads(body), known) for body in bodies]


def mentioned_files(bodies: Iterable[str]) -> set[str]:
    """The ids of all attachments that results mention, in lower case."""
    ids: set[str] = set()
    for body in bodies:
        result = json.loads(body)
        ids.update(one["id"].lower() for one in result.get("attachments", []))
        for step in _walk(result):
            if step is not None:
                ids.update(one["id"].lower() for one in step["execution"].get("attachments", []))
    return ids


def _result_view(result: dict[str, Any], known: Mapping[str, Attachment]) -> ResultView:
    execution = result["execution"]
    suites = result.get("relations", {}).get("suite", {}).get("data", [])
    marks = [name for name in ("muted", "ignore", "defect") if result.get(name)]
    return ResultView(
        id=result["id"].lower(),
        status=execution["status"] or "untested",
        title=result["title"] or "(no title)",
        suites=[one["title"] for one in suites],
        case_ids=[_number(one) for one in result.get("testops_ids") or []],
        signature=result.get("signature") or "",
        duration=_duration(execution.get("duration")),
        started=_moment(execution.get("start_time")),
        thread=execution.get("thread") or "",
        message=result.get("message") or "",
        stacktrace=execution.get("stacktrace") or "",
        params=list(result.get("params", {}).items()),
        fields=[(name, _text(value)) for name, value in result.get("fields", {}).items()],
        tags=result.get("tags", []),
        marks=marks,
        files=_files(result.get("attachments", []), known),
        steps=_step_views(result, known),
    )


def _walk(result: Mapping[str, Any]) -> Iterator[dict[str, Any] | None]:
    """Every step in reading order, and None where one ends with all that is below it.

    Steps may be nested further than a template or this interpreter would like to recurse.
    """
    levels = [iter(result.get("steps", []))]
    while levels:
        step = next(levels[-1], None)
        if step is not None:
            yield step
            levels.append(iter(step["steps"]))
        else:
            levels.pop()
            if levels:
                yield None


def _step_views(result: Mapping[str, Any], known: Mapping[str, Attachment]) -> list[tuple[StepView, bool]]:
    """The beginning and the end of each step, in the order of the page; the end is marked with True."""
    views: list[tuple[StepView, bool]] = []
    begun: list[StepView] = []
    for step in _walk(result):
        if step is None:
            views.append((begun.pop(), True))
        else:
            begun.append(_step_view(step, known))
            views.append((begun[-1], False))
    return views


def _step_view(step: Mapping[str, Any], known: Mapping[str, Attachment]) -> StepView:
    execution = step["execution"]
    data = step.get("data", {})
    status = execution["status"] or "untested"
    kind = step.get("step_type", "text")
    return StepView(
        status=status,
        kind="" if kind == "text" else kind.replace("_", " "),
        action=data.get("action") or "(no text)",
        expected=data.get("expected_result") or "",
        data=data.get("input_data") or "",
        duration=_duration(execution.get("duration")),
        files=_files(execution.get("attachments", []), known),
        is_open=status != "passed",
        has_children=bool(step["steps"]),
    )


def _files(references: Iterable[Mapping[str, Any]], known: Mapping[str, Attachment]) -> list[FileView]:
    views: list[FileView] = []
    for reference in references:
        file = known.get(reference["id"].lower())
        name = reference.get("file_name") or (file.file_name if file else reference["id"])
        views.append(
            FileView(
                id=reference["id"].lower(),
                name=name,
                size=_size(file.file_size) if file else "",
                is_picture=file is not None and picture_type(file) is not None,
                is_there=file is not None,
            )
        )
    return views


def picture_type(attachment: Attachment) -> str | None:
    """The media type under which an attachment is shown in place, or None if it is not."""
    media_type = attachment.mime_type.partition(";")[0].strip().lower()
    return media_type if media_type in SHOWN_AS_PICTURES else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: float | None) -> str:
    return "" if value is None else str(int(value))


def _size(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    if size < 1024 * 1024:
        return f"{size / 1024:.1f} KiB"
    return f"{size / 1024 / 1024:.1f} MiB"


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return ""
    whole = int(milliseconds)
    if abs(whole) < 1000:
        return f"{whole} ms"
    if whole < 60_000:
        return f"{whole / 1000:.2f} s"
    minutes, seconds = divmod(whole // 1000, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def _is_web_address(link: str) -> bool:
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
