"""Reads what was written before: local reports of Qase's reporters, and JUnit XML."""

from __future__ import annotations

import hashlib
import json
import math
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from xml.etree import ElementTree

from ..delivery.models import Attachment, CapturedResult, clean_name, sendable
from ..errors import FamacaseError

# The namespace of the ids of results that have none of their own.
IDS = uuid.UUID("3d1f2f5e-6d0e-4d0c-9a51-5b0a8f1f7f10")

_STATUSES = frozenset(
    {"passed", "failed", "skipped", "blocked", "invalid", "untested", "disabled", "in_progress"}
)

# As reporters in other languages write them.
_SYNONYMS = {
    "pass": "passed",
    "success": "passed",
    "fail": "failed",
    "skip": "skipped",
    "block": "blocked",
}

# What Jenkins and others write into the output of a test that has files.
_ATTACHED = re.compile(r"\[\[ATTACHMENT\|(.+?)\]\]")

# Names under which people give the number of a test case as a property.
_CASE = frozenset({"qase_id", "qase.id", "testops_id", "famacase_id"})


T = TypeVar("T")


class Unreadable(FamacaseError):
    """A file is no report that can be read. Nothing is sent. Leave it out, or write it again."""


class Report(NamedTuple):
    """What one path holds.

    Attributes:
        title: of its run.
        results: captured as those of a session.
    """

    title: str
    results: list[CapturedResult]


def read(path: Path) -> Report:
    """Read a report: a directory of Qase's, or of JUnit files, or one JUnit file.

    Raises:
        Unreadable: it is none.
    """
    if path.is_dir():
        for directory in (path, path / "qase-report"):
            if (directory / "results").is_dir():
                return _local_report(directory)
        files = sorted(path.rglob("*.xml"))
        if not files:
            raise Unreadable(f"{path} holds neither a report of Qase's nor XML files: nothing is sent.")
        reports = [_junit(file) for file in files]
        return Report(reports[0].title, [result for report in reports for result in report.results])
    if path.name in ("run.json", "run.jsonp"):
        return _local_report(path.parent)
    return _junit(path)


# Local reports


def _local_report(directory: Path) -> Report:
    paths = sorted(path for path in (directory / "results").iterdir() if path.suffix in (".json", ".jsonp"))
    results = [_json(path, lambda result: _of_qase(result, directory)) for path in paths]
    title = ""
    for run in (directory / "run.json", directory / "run.jsonp"):
        if run.exists():
            title = _json(run, lambda told: str(told.get("title") or ""))
    return Report(title, results)


def _json(path: Path, convert: Callable[[dict[str, Any]], T]) -> T:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonp":
            text = text[text.index("(") + 1 : text.rindex(")")]
        return convert(json.loads(text))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Unreadable(f"{path} cannot be read ({error}): nothing is sent.") from None


def _of_qase(result: Mapping[str, Any], directory: Path) -> CapturedResult:
    result_id = _uuid(result.get("id"), result)
    files: list[Attachment] = []

    def attached(entries: Any) -> list[dict[str, str]]:
        refs = []
        for entry in entries or ():
            name = clean_name(str(entry.get("file_name") or "attachment"))
            # The path is that of the machine that ran the tests; the file lies in the report.
            stored = Path(str(entry.get("file_path") or f"{entry.get('id')}-{name}")).name
            ref = f"{result_id}/{len(files)}"
            path = str(directory / "attachments" / stored)
            files.append(Attachment(ref, name, entry.get("mime_type"), path=path))
            refs.append({"id": ref, "file_name": name})
        return refs

    def step(entry: Mapping[str, Any]) -> dict[str, Any]:
        execution = entry.get("execution") or {}
        data = {name: value for name, value in (entry.get("data") or {}).items() if value is not None}
        entries = [*(entry.get("attachments") or ()), *(execution.get("attachments") or ())]
        return {
            "id": entry.get("id"),
            "parent_id": entry.get("parent_id"),
            "step_type": str(entry.get("step_type") or "text"),
            "data": {**data, "action": str(data.get("action") or data.get("name") or "step")},
            "execution": {**_execution(execution), "attachments": attached(entries)},
            "steps": [step(child) for child in entry.get("steps") or ()],
            "attachments": [],
        }

    execution = result.get("execution") or {}
    ids = result.get("testops_ids") or result.get("testops_id")
    payload: dict[str, Any] = {
        "id": result_id,
        "title": str(result.get("title") or "untitled"),
        "signature": result.get("signature"),
        "testops_ids": [ids] if isinstance(ids, int) else ids,
        "execution": {
            **_execution(execution),
            "stacktrace": execution.get("stacktrace"),
            "thread": execution.get("thread"),
        },
        "fields": result.get("fields") or {},
        # As upstream's client sends an empty value.
        "params": {str(name): str(value) or "empty" for name, value in (result.get("params") or {}).items()},
        "param_groups": result.get("param_groups") or [],
        "attachments": attached(result.get("attachments")),
        "steps": [step(entry) for entry in result.get("steps") or ()],
        "message": result.get("message"),
        "muted": bool(result.get("muted")),
    }
    if result.get("tags"):
        payload["tags"] = [str(tag) for tag in result["tags"]]
    suite = ((result.get("relations") or {}).get("suite") or {}).get("data")
    if suite:
        payload["relations"] = {"suite": {"data": [{"title": str(entry["title"])} for entry in suite]}}
    return CapturedResult(payload, tuple(files))


def _execution(execution: Mapping[str, Any]) -> dict[str, Any]:
    status = str(execution.get("status")).lower()
    duration = execution.get("duration")
    return {
        "status": status if status in _STATUSES else _SYNONYMS.get(status, "invalid"),
        "start_time": execution.get("start_time"),
        "end_time": execution.get("end_time"),
        "duration": None if duration is None else int(duration),
    }


def _uuid(given: object, content: object) -> str:
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        return str(uuid.uuid5(IDS, json.dumps(content, sort_keys=True)))


# JUnit XML


class _Builder(ElementTree.TreeBuilder):
    """Builds the tree of a file without a document type: one could define entities that never end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a document type, which no report needs")


def _junit(path: Path) -> Report:
    try:
        root = ElementTree.parse(path, ElementTree.XMLParser(target=_Builder())).getroot()
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise Unreadable(f"{path} cannot be read ({error}): nothing is sent.") from None
    for element in root.iter():
        # Some dialects have a namespace.
        element.tag = str(element.tag).rpartition("}")[2]
    if root.tag not in ("testsuites", "testsuite"):
        raise Unreadable(f"{path} is no JUnit XML (its root is {root.tag}): nothing is sent.")
    seen: Counter[str] = Counter()
    results = []
    for suite, case in _cases(root, root):
        text = ElementTree.tostring(case, encoding="unicode")
        # The same file gives the same ids, and a later run of the same tests others.
        content = "\0".join([suite.get("name", ""), suite.get("timestamp", ""), text.strip()])
        seen[content] += 1
        number = f"{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()} {seen[content]}"
        results.append(_of_junit(case, suite, str(uuid.uuid5(IDS, number)), path.parent))
    first = root if root.get("name") else root.find("testsuite")
    return Report((first.get("name") if first is not None else "") or path.stem, results)


def _cases(
    node: ElementTree.Element, suite: ElementTree.Element
) -> Iterator[tuple[ElementTree.Element, ElementTree.Element]]:
    """Each test with the suite that it stands in; suites may stand in suites."""
    for child in node:
        if child.tag == "testcase":
            yield suite, child
        elif child.tag == "testsuite":
            yield from _cases(child, child)


def _of_junit(
    case: ElementTree.Element, suite: ElementTree.Element, result_id: str, directory: Path
) -> CapturedResult:
    name, group = case.get("name") or "untitled", case.get("classname") or ""
    status, details = "passed", None
    for tag, meaning in (("error", "invalid"), ("failure", "failed"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None and status == "passed":
            status, details = meaning, found
    properties = [
        (entry.get("name", ""), entry.get("value") or entry.text or "")
        for entry in case.iterfind("properties/property")
    ]
    numbers = [int(value) for key, value in properties if key in _CASE and value.strip().isdecimal()]
    seconds = _seconds(case.get("time"))
    began = _timestamp(case.get("timestamp") or suite.get("timestamp"))
    files = list(_files(case, result_id, directory))
    text = "" if details is None else (details.text or "").strip()
    message = "" if details is None else details.get("message") or text.partition("\n")[0]
    suites = [part for part in re.split(r"[./]", group) if part] or [suite.get("name") or "tests"]
    payload = {
        "id": result_id,
        "title": sendable(name),
        "signature": sendable("::".join(filter(None, (case.get("file"), group, name)))),
        "testops_ids": numbers or None,
        "execution": {
            "status": status,
            "start_time": began,
            "end_time": None if began is None else began + (seconds or 0.0),
            "duration": None if seconds is None else int(seconds * 1000),
            "stacktrace": sendable(text) or None,
            "thread": None,
        },
        "fields": {key: sendable(value) for key, value in properties if key and key not in _CASE},
        "params": {},
        "param_groups": [],
        "attachments": [{"id": file.ref, "file_name": file.file_name} for file in files],
        "steps": [],
        "message": sendable(message) or None,
        "muted": False,
        "relations": {"suite": {"data": [{"title": sendable(title)} for title in suites]}},
    }
    return CapturedResult(payload, tuple(files))


def _files(case: ElementTree.Element, result_id: str, directory: Path) -> Iterator[Attachment]:
    """The output of a test, and the files that it names."""
    number = 0
    for tag in ("system-out", "system-err"):
        text = "".join(element.text or "" for element in case.iterfind(tag)).strip()
        for named in _ATTACHED.findall(text):
            yield Attachment(f"{result_id}/{number}", clean_name(named), path=str(directory / named))
            number += 1
        if _ATTACHED.sub("", text).strip():
            content = text.encode("utf-8", "replace")
            yield Attachment(f"{result_id}/{number}", f"{tag}.txt", "text/plain", content=content)
            number += 1


def _seconds(text: str | None) -> float | None:
    """A time in seconds; some write it with commas between the thousands."""
    try:
        seconds = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _timestamp(text: str | None) -> float | None:
    try:
        # Before Python 3.11 the letter is not read.
        return datetime.fromisoformat((text or "").strip().replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
