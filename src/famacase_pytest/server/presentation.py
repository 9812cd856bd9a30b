"""From what is stored to what a page shows: every decision taken here, so that templates only place values.

Stored results are valid, but valid JSON has integers of a thousand digits, lone surrogates and times in the
year 10^300; nothing here may fail on them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from .database import Attachment, Run
from .queries import Facet
from .summaries import FAILING, STATUS_ORDER, SUITE_SEPARATOR, attempt_number, duration_of, is_flaky, walk

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/svg+xml")
"""What a page shows as an `img`, in which an SVG runs no script."""

_KINDS = {
    **dict.fromkeys(PICTURES, "picture"),
    **{"text/html": "html", "application/xhtml+xml": "html", "application/pdf": "pdf"},
    **{
        "application/json": "json",
        "text/csv": "csv",
        "application/xml": "text",
        "application/x-yaml": "text",
    },
}
# What pytest and Python write before or behind the code of a frame.
_FRAME_ENDS = re.compile(r"(\S[^:\n]*\.pyx?|<[\w. -]+>):\d+:(?! in )")
_FRAME_BEGINS = re.compile(r'\s*File "([^"]+)", line \d+|(\S[^:\n]*\.pyx?|<[\w. -]+>):\d+: in ')
_LIBRARY = re.compile(
    r"(?:^|[/\\])(?:site-packages|dist-packages|lib[/\\]python3[^/\\]*)[/\\]|^<frozen", re.IGNORECASE
)
_SHOWN_FIRST = {"picture": 0, "video": 1, "audio": 2}
_EXPECTED, _ACTUAL = re.compile(r"expected|baseline", re.I), re.compile(r"actual|received", re.I)


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
    outcome: str
    is_open: bool
    counts: list[StatusCount]
    total: int
    failing: int
    environment: str
    plan: str
    tags: list[str]
    configurations: list[tuple[str, str]]
    link: str
    link_is_web: bool
    created: Moment | None
    took: str


@dataclass(frozen=True)
class Moment:
    """A point in time: for a script, which shows it in the reader's zone, and in UTC for everyone else."""

    iso: str
    utc: str


@dataclass(frozen=True)
class FileView:
    """An attachment.

    Attributes:
        kind: how it is shown: ``picture``, ``video``, ``audio``, ``text``, ``json``, ``csv``, ``html``,
            ``pdf``; ``other`` for one that can only be saved, ``missing`` for one that is not there,
            ``left out`` for one that is too large for a report.
        pair: of two pictures called expected and actual, the actual one, on the expected one; it is not
            listed by itself.
    """

    id: str
    name: str
    size: str
    kind: str
    pair: FileView | None = None


@dataclass(frozen=True)
class Line:
    """A result in a list, or a group of `count` failures that say the same, with the first of them."""

    id: str
    run_id: int
    status: str
    title: str
    suite: str
    params: str
    cases: str
    message: str
    cause: str
    duration: str
    marks: list[str]
    tags: list[str]
    count: int = 1


@dataclass(frozen=True)
class SuiteNode:
    """A suite in the tree beside a list, with counts of what is in it and below."""

    title: str
    path: str
    count: int
    failing: int
    children: list[SuiteNode]


@dataclass(frozen=True)
class TracePart:
    """A piece of a stack trace: ``library``, ``error`` (what pytest marks with an E), or one's own code."""

    text: str
    kind: str


@dataclass(frozen=True)
class Attempt:
    """One of the attempts of a test that was run again."""

    number: int
    status: str
    duration: str
    said: list[str]
    files: list[FileView]
    steps: list[tuple[StepView, bool]]
    is_first_failure: bool


@dataclass(frozen=True)
class HistoryEntry:
    """A test in one run; `height` is that of its bar, in per cent of the longest."""

    run_id: int
    id: str
    status: str
    duration: str
    when: Moment | None
    height: float
    is_this: bool


@dataclass(frozen=True)
class StepView:
    """A step, without those below it."""

    id: str
    status: str
    kind: str
    action: str
    expected: str
    data: str
    message: str
    duration: str
    files: list[FileView]
    is_open: bool
    has_children: bool

    @property
    def has_more(self) -> bool:
        """Whether there is something to unfold."""
        return bool(self.has_children or self.expected or self.data or self.message or self.files)


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
    started: Moment | None
    thread: str
    message: str
    stacktrace: str
    trace: list[TracePart]
    params: list[tuple[str, str]]
    fields: list[tuple[str, str]]
    tags: list[str]
    marks: list[str]
    files: list[FileView]
    steps: list[tuple[StepView, bool]]
    attempts: list[Attempt]


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
        outcome=outcome(run),
        is_open=run.completed_at is None,
        counts=counts_of(run.stats),
        total=total,
        failing=failing_of(run.stats),
        environment=environment or "",
        plan=_number(body.get("plan_id")),
        tags=body.get("tags", []),
        configurations=[(one["name"], one["value"]) for one in body.get("configurations", [])],
        link=link,
        link_is_web=_is_web_address(link),
        created=moment(run.created_at),
        took=duration_text(took),
    )


def outcome(run: Run) -> str:
    """How a run went, in a word: it has not passed while something in it failed."""
    if run.completed_at is None:
        return "running"
    if failing_of(run.stats):
        return "failed"
    return "passed" if run.stats.get("passed") else "empty" if not run.stats else "not run"


def failing_of(stats: Mapping[str, int]) -> int:
    """How many results failed, in one way or another."""
    return sum(stats.get(status, 0) for status in FAILING)


def counts_of(stats: Mapping[str, int]) -> list[StatusCount]:
    """Counts by status with their pieces of a bar, the most urgent first."""
    total = sum(stats.values())
    counts: list[StatusCount] = []
    start = 0.0
    for status in STATUS_ORDER:
        count = stats.get(status, 0)
        if count:
            width = 100 * count / total
            counts.append(StatusCount(status, count, round(start, 3), round(width, 3)))
            start += width
    return counts


def line_of(row: Any, count: int = 1) -> Line:
    """What a list shows of a result, or of a group of `count` failures whose first it is."""
    marks = [name for name in ("flaky", "muted") if getattr(row, name)]
    return Line(
        *(row.id, row.run_id, row.status, row.title, row.suite, row.params, row.cases, row.message),
        cause=row.cause,
        duration=duration_text(row.duration),
        marks=[*marks, "files"] if row.has_files else marks,
        tags=json.loads(row.tags or "[]"),
        count=count,
    )


def suite_tree(facets: Iterable[Facet], chosen: str, most: int = 300) -> list[SuiteNode]:
    """The suites of results, each with what is below it.

    Args:
        facets: counts of the results.
        chosen: path of the suite that the reader has chosen.
        most: of a larger tree only the outer levels that stay below this are given, and the suites around
            the chosen one.
    """
    counts: dict[str, list[int]] = {}
    for facet in facets:
        parts = facet.suite.split(SUITE_SEPARATOR) if facet.suite else []
        for depth in range(1, len(parts) + 1):
            entry = counts.setdefault(SUITE_SEPARATOR.join(parts[:depth]), [0, 0])
            entry[0] += facet.count
            entry[1] += facet.count if facet.status in FAILING else 0
    depths = sorted(path.count(SUITE_SEPARATOR) for path in counts)
    deepest = depths[most] - 1 if len(depths) > most else math.inf
    roots: list[SuiteNode] = []
    nodes: dict[str, SuiteNode] = {}
    below: dict[str, int] = {}
    # Outermost first, so that each finds its parent.
    for path in sorted(counts, key=lambda path: (path.count(SUITE_SEPARATOR), -counts[path][1], path)):
        parent, _, title = path.rpartition(SUITE_SEPARATOR)
        around = not parent or f"{chosen}{SUITE_SEPARATOR}".startswith(f"{parent}{SUITE_SEPARATOR}")
        is_deep = path.count(SUITE_SEPARATOR) > deepest
        if (is_deep and not around) or (parent and parent not in nodes):
            continue
        below[parent] = below.get(parent, 0) + 1
        if below[parent] > most:
            continue
        nodes[path] = SuiteNode(title, path, counts[path][0], counts[path][1], [])
        (nodes[parent].children if parent else roots).append(nodes[path])
    return roots


def history_view(rows: Sequence[Any], run_id: int) -> list[HistoryEntry]:
    """The strip of a test's history, oldest first; `run_id` is the run that is being looked at."""
    longest = max((row.duration or 0 for row in rows), default=0) or 1
    return [
        HistoryEntry(
            *(
                row.run_id,
                row.id,
                STATUS_ORDER[row.rank],
                duration_text(row.duration),
                moment(row.created_at),
            ),
            height=round(max(15.0, 100 * (row.duration or 0) / longest), 1),
            is_this=row.run_id == run_id,
        )
        for row in reversed(rows)
    ]


def result_view(
    result: Mapping[str, Any], known: Mapping[str, Attachment], left_out: float = math.inf
) -> ResultView:
    """What is shown of a result.

    Args:
        result: as it was sent.
        known: the attachments that it mentions, by id.
        left_out: files with more bytes than this are not shown.
    """
    execution = result["execution"]
    suites = result.get("relations", {}).get("suite", {}).get("data", [])
    marks = [name for name in ("muted", "ignore", "defect") if result.get(name)]
    files = _Files(known, left_out)
    steps = result.get("steps", [])
    numbers = [attempt_number(step) for step in steps]
    # Only where every step is an attempt: a test may call a step of its own so.
    attempts = _attempts(steps, files) if len(steps) > 1 and None not in numbers else []
    return ResultView(
        id=result["id"].lower(),
        status=execution["status"] or "untested",
        title=result["title"] or "(no title)",
        suites=[one["title"] for one in suites],
        case_ids=[_number(one) for one in result.get("testops_ids") or []],
        signature=result.get("signature") or "",
        duration=duration_text(duration_of(execution)),
        started=moment(execution.get("start_time")),
        thread=execution.get("thread") or "",
        message=result.get("message") or "",
        stacktrace=execution.get("stacktrace") or "",
        trace=trace_parts(execution.get("stacktrace") or ""),
        params=list(result.get("params", {}).items()),
        fields=[(name, _text(value)) for name, value in result.get("fields", {}).items()],
        tags=result.get("tags", []),
        marks=["flaky", *marks] if is_flaky(result) else marks,
        files=files.views(result.get("attachments", [])),
        steps=[] if attempts else _step_views(result, files),
        attempts=attempts,
    )


def trace_parts(stacktrace: str) -> list[TracePart]:
    """A stack trace cut into pieces, so that libraries can stand back and the error can stand out.

    pytest's long form names the place of a frame after its code, its short form and Python before it.
    """
    parts: list[TracePart] = []
    lines: list[str] = []
    in_library = False

    def close(is_library: bool) -> None:
        for is_error, some in groupby(lines, lambda line: line.startswith("E  ")):
            parts.append(TracePart("".join(some), "error" if is_error else "library" if is_library else ""))
        lines.clear()

    for line in stacktrace.splitlines(keepends=True):
        begins, ends = _FRAME_BEGINS.match(line), _FRAME_ENDS.match(line)
        if begins or (in_library and not line.startswith((" ", "\t"))):
            close(in_library)
            in_library = bool(begins and _LIBRARY.search(begins[1] or begins[2]))
        lines.append(line)
        if ends:
            close(bool(_LIBRARY.search(ends[1])))
            in_library = False
    close(in_library)
    return parts


def _attempts(steps: Sequence[Mapping[str, Any]], files: _Files) -> list[Attempt]:
    statuses = [step["execution"]["status"] or "untested" for step in steps]
    first_failure = next((index for index, status in enumerate(statuses) if status in FAILING), None)
    attempts: list[Attempt] = []
    for index, step in enumerate(steps):
        data, execution = step.get("data", {}), step["execution"]
        attempts.append(
            Attempt(
                number=attempt_number(step) or index + 1,
                status=statuses[index],
                duration=duration_text(duration_of(execution)),
                # Of an attempt the expected result is what it said: the contract has no other place for that.
                said=[text for text in (data.get("expected_result"), data.get("input_data")) if text],
                files=files.views(execution.get("attachments", [])),
                steps=_step_views(step, files),
                is_first_failure=index == first_failure,
            )
        )
    return attempts


def _step_views(result: Mapping[str, Any], files: _Files) -> list[tuple[StepView, bool]]:
    """The beginning and the end of each step, in the order of the page; the end is marked with True."""
    views: list[tuple[StepView, bool]] = []
    begun: list[StepView] = []
    said = result.get("message") or ""
    for step in walk(result):
        if step is None:
            views.append((begun.pop(), True))
        else:
            begun.append(_step_view(step, files, said))
            views.append((begun[-1], False))
    return views


def _step_view(step: Mapping[str, Any], files: _Files, said: str) -> StepView:
    execution = step["execution"]
    data = step.get("data", {})
    status = execution["status"] or "untested"
    kind = step.get("step_type", "text")
    expected, message = data.get("expected_result") or "", data.get("message") or ""
    # What a subtest said is sent as its expected result, and again in the message of the whole.
    if status in FAILING and expected and not message and expected.partition("\n")[0] in said:
        expected, message = "", expected
    return StepView(
        id=step.get("id") or "",
        status=status,
        kind="" if kind == "text" else kind.replace("_", " "),
        action=data.get("action") or "(no text)",
        expected=expected,
        data=data.get("input_data") or "",
        # A member of our own steps; the contract lets it be anything.
        message=_text(message),
        duration=duration_text(duration_of(execution)),
        files=files.views(execution.get("attachments", [])),
        is_open=status != "passed",
        has_children=bool(step["steps"]),
    )


class _Files:
    """Makes views of the files that a result mentions."""

    def __init__(self, known: Mapping[str, Attachment], left_out: float) -> None:
        self._known = known
        self._left_out = left_out

    def views(self, references: Iterable[Mapping[str, Any]]) -> list[FileView]:
        views = [self._view(reference) for reference in references]
        pictures = [view for view in views if view.kind == "picture"]
        pairs: list[FileView] = []
        for expected in pictures:
            if not _EXPECTED.search(expected.name):
                continue
            rest = _EXPECTED.sub("", expected.name)
            actual = [one for one in pictures if _ACTUAL.search(one.name)]
            same = [one for one in actual if _ACTUAL.sub("", one.name) == rest]
            if same or len(actual) == 1:
                pairs.append((same or actual)[0])
                views[views.index(expected)] = replace(expected, pair=pairs[-1])
        listed = [view for view in views if view not in pairs]
        return sorted(listed, key=lambda view: _SHOWN_FIRST.get(view.kind, len(_SHOWN_FIRST)))

    def _view(self, reference: Mapping[str, Any]) -> FileView:
        number = reference["id"].lower()
        file = self._known.get(number)
        name = reference.get("file_name") or (file.file_name if file else number)
        if file is None:
            return FileView(number, name, "", "missing")
        kind = "left out" if file.file_size > self._left_out else file_kind(file)
        return FileView(number, name, _size(file.file_size), kind)


def media_type(attachment: Attachment) -> str:
    """The media type of an attachment, without its parameters."""
    return attachment.mime_type.partition(";")[0].strip().lower()


def file_kind(attachment: Attachment) -> str:
    """How an attachment is shown; see `FileView`."""
    given = media_type(attachment)
    suffix = attachment.file_name.rpartition(".")[2].lower()
    if given in _KINDS:
        return _KINDS[given]
    if given.endswith("+json") or (suffix == "json" and given.startswith("text/")):
        return "json"
    family = given.partition("/")[0]
    if family in ("video", "audio"):
        return family
    if family == "text":
        return "csv" if suffix == "csv" else "text"
    return "text" if suffix in ("log", "txt") else "other"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number(value: float | None) -> str:
    return "" if value is None else str(int(value)) if abs(value) < 1e18 else "a number of many digits"


def _size(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    if size < 1024 * 1024:
        return f"{size / 1024:.1f} KiB"
    return f"{size / 1024 / 1024:.1f} MiB"


def duration_text(milliseconds: float | None) -> str:
    """A duration in the unit that suits it."""
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


def moment(seconds: float | None) -> Moment | None:
    """A Unix time, or None if there is none or no calendar has it."""
    if seconds is None:
        return None
    try:
        when = datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
    return Moment(when.strftime("%Y-%m-%dT%H:%M:%SZ"), when.strftime("%Y-%m-%d %H:%M:%S UTC"))


def _is_web_address(link: str) -> bool:
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)
