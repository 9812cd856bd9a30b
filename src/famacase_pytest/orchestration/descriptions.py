"""Descriptions of long tests: found by name, read, and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SettingsError
from ..settings.located import SUFFIXES, Located, Location
from ..settings.names import nearest


@dataclass(frozen=True)
class Event:
    """Something that happens again and again: what a description says of it, under the names there.

    Its ``key`` is the name, with a number if an event before has the same; ``at`` is where it stands.
    """

    key: str
    at: Location
    name: str
    interval_sec: float | None = None
    at_startup: bool = True
    at_teardown: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    on_error: str = "continue"
    timeout_sec: float | None = None
    max_overlap: int = 1


class Description(NamedTuple):
    """A long test; ``fixtures`` are set up though no event takes them."""

    name: str
    file: Located
    seconds: float
    fixtures: list[str]
    events: list[Event]
    qase: Mapping[str, Any]


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "a text": lambda value: isinstance(value, str) and bool(value),
    "true or false": lambda value: isinstance(value, bool),
    "a number above 0": lambda value: type(value) in (int, float) and 0 < value < 1e9,
    "a whole number above 0": lambda value: type(value) is int and value > 0,
    "continue or stop": lambda value: value in ("continue", "stop"),
    "an object": lambda value: isinstance(value, dict) and all(isinstance(key, str) for key in value),
    "a list of texts": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "a list of events": lambda value: isinstance(value, list) and bool(value),
    "a case id or a list of them": lambda value: all(
        type(one) is int and one > 0 for one in (value if isinstance(value, list) else [value])
    ),
}
_KEYS = {
    "test_name": "a text", "total_hours": "a number above 0", "total_seconds": "a number above 0",
    "unref_setup_fixtures": "a list of texts", "events": "a list of events", "qase": "an object",
}  # fmt: skip
_EVENT_KEYS = {
    "name": "a text", "interval_sec": "a number above 0", "at_startup": "true or false",
    "at_teardown": "true or false", "params": "an object", "on_error": "continue or stop",
    "timeout_sec": "a number above 0", "max_overlap": "a whole number above 0",
}  # fmt: skip
_QASE_KEYS = {
    "id": "a case id or a list of them", "title": "a text", "suite": "a text", "fields": "an object",
}  # fmt: skip


def find(folder: Path, names: list[str]) -> list[Description]:
    """The descriptions of these names, or all if there is none. Raises SettingsError."""
    found = {path.stem: path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES}
    for name in names:
        if name not in found:
            raise SettingsError(
                f"There is no description {name!r} in {folder} (ini key orchestration_descriptions). "
                f"No test runs.{nearest(name, found)} Name a file of that folder, without its suffix."
            )
    return [_load(Located(found[name])) for name in dict.fromkeys(names or found)]


def _load(file: Located) -> Description:
    name, content = file.path.stem, file.content
    _check(file, (), content, _KEYS, "test_name", "events")
    if content["test_name"] != name:
        file.fail(("test_name",), f"test_name has to be the name of the file, {name!r}.")
    if ("total_hours" in content) == ("total_seconds" in content):
        file.fail((), "total_hours or total_seconds has to be there, and not both.")
    qase = content.get("qase", {})
    _check(file, ("qase",), qase, _QASE_KEYS)
    events: list[Event] = []
    for index, event in enumerate(content["events"]):
        _check(file, ("events", index), event, _EVENT_KEYS, "name")
        number = 1 + sum(other.name == event["name"] for other in events)
        key = f"{event['name']} ({number})" if number > 1 else event["name"]
        events.append(Event(key, ("events", index), **event))
    seconds = content.get("total_seconds") or content["total_hours"] * 3600
    return Description(name, file, seconds, content.get("unref_setup_fixtures", []), events, qase)


def _check(file: Located, at: Location, content: Any, kinds: Mapping[str, str], *required: str) -> None:
    if not isinstance(content, dict):
        file.fail(at, "this has to be an object.")
    for key, value in content.items():
        if key not in kinds:
            file.fail((*at, key), f"{key!r} is not a known key.{nearest(str(key), kinds)}")
        if not _KINDS[kinds[key]](value):
            file.fail((*at, key), f"{key} has to be {kinds[key]}, not {value!r}.")
    for key in required:
        if key not in content:
            file.fail(at, f"{key} is missing.")
