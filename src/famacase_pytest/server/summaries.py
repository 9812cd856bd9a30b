"""What lists of results show, search, sort and count: a narrow row beside each stored result.

A list of 50,000 results must not read 50,000 bodies. Everything here is text and numbers that SQLite can
hold: lone surrogates, NUL characters and integers of a thousand digits are cut down.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .models import STATUSES

STATUS_ORDER = ("failed", "invalid", "blocked", "in_progress", "skipped", "untested", "disabled", "passed")
"""Statuses in the order in which a reader asks for them. A result without one is untested."""

FAILING = STATUS_ORDER[:3]
"""The statuses that make a run a failed one."""

SUITE_SEPARATOR = " › "

assert set(STATUS_ORDER) == set(STATUSES)

_SEARCHED = 3000  # characters of a result that a search looks through
_LONGEST = 1e15  # milliseconds
# What differs between two failures of one cause: ids, addresses, numbers.
_VARYING = re.compile(r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f-]*[0-9])[0-9a-f]{8}[0-9a-f-]*\b|\d+", re.IGNORECASE)
_ATTEMPT = re.compile(r"Attempt (\d+) of (\d+)\Z", re.ASCII)


def summary_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of `database.Summary` for a result, its run and its position aside."""
    execution = result["execution"]
    status = execution["status"] or "untested"
    suites = result.get("relations", {}).get("suite", {}).get("data", [])
    title = _plain(result["title"] or "(no title)")
    suite = _plain(SUITE_SEPARATOR.join(one["title"] for one in suites))
    params = _plain(
        ", ".join(f"{name}={_cut(value, 60)}" for name, value in result.get("params", {}).items())
    )
    cases = " ".join(f"#{_id(one)}" for one in result.get("testops_ids") or [])
    message = _plain(result.get("message") or "")
    tags = [_plain(tag).strip() for tag in result.get("tags", [])]
    given = _plain(", ".join(f"{name}={value}" for name, value in result.get("params", {}).items()))
    # What is long comes last, so that nothing short is cut off.
    words = (title, cases, *tags, suite, given, message)
    return {
        "id": result["id"].lower(),
        "status": status,
        "rank": STATUS_ORDER.index(status),
        "title": _cut(title, 500),
        "suite": _cut(suite, 500),
        "params": _cut(params, 300),
        "cases": _cut(cases, 100),
        "message": _first_line(message),
        "cause": cause_of(message) if status in FAILING else "",
        "duration": duration_of(execution),
        "muted": bool(result.get("muted")),
        "flaky": is_flaky(result),
        "has_files": any(True for _ in mentioned_files(result)),
        "tags": json.dumps(tags) if tags else "",
        "test": _plain(result.get("signature") or "") or "\n".join((suite, title, params)),
        "text": "\n".join(words).casefold()[:_SEARCHED],
    }


def cause_of(message: str) -> str:
    """A short name for what a failure says, numbers and ids aside: the same for failures of one cause."""
    first, _, rest = message.strip().partition("\n")
    if len(first) < 25:
        # "AssertionError" alone is no cause.
        first += "\n" + rest.strip().partition("\n")[0]
    said = _VARYING.sub("#", " ".join(first.split()))[:500]
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def is_flaky(result: Mapping[str, Any]) -> bool:
    """Whether a test passed after it had failed, by what its reporter says."""
    return str(result.get("fields", {}).get("flaky", "")).lower() in ("true", "yes", "1")


def duration_of(execution: Mapping[str, Any]) -> float | None:
    """How long something took, in milliseconds, within what SQLite can hold."""
    duration = execution.get("duration")
    return None if duration is None else float(max(-_LONGEST, min(_LONGEST, duration)))


def attempt_number(step: Mapping[str, Any]) -> int | None:
    """Which attempt of a rerun a step stands for, or None if it is an ordinary step."""
    found = _ATTEMPT.match(step.get("data", {}).get("action") or "")
    return int(found[1][:9]) if found else None


def walk(result: Mapping[str, Any]) -> Iterator[dict[str, Any] | None]:
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


def mentioned_files(result: Mapping[str, Any]) -> Iterator[str]:
    """The ids of all attachments that a result and its steps mention, in lower case."""
    for one in result.get("attachments", []):
        yield one["id"].lower()
    for step in walk(result):
        if step is not None:
            for one in step["execution"].get("attachments", []):
                yield one["id"].lower()


def title_stem(title: str) -> str:
    """What is left of the title of a run when dates, numbers and hashes are taken away."""
    return _VARYING.sub("#", title)


def _first_line(message: str) -> str:
    return _cut(message.strip().partition("\n")[0], 300)


def _id(value: float) -> str:
    # Of a number with thousands of digits, int to str is refused by newer releases of Python.
    return str(int(value)) if abs(value) < 1e18 else "…"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "�")
