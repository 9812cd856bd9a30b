"""The block for several projects, `testops_multi`, which upstream reads, from 8.0 on, in files only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .kinds import BOOLEAN, LINK_TYPE, TEXT, Kind, Unfit, integer, listing

_PROJECT: dict[str, Any] = {
    "code": TEXT,
    "environment": TEXT,
    "plan": {"id": integer(0)},
    "run": {
        "title": TEXT,
        "description": TEXT,
        "complete": BOOLEAN,
        "id": integer(0),
        "tags": listing(),
        "externalLink": {"type": LINK_TYPE, "link": TEXT},
    },
}
"""The known keys of a project: a kind for a value, a dictionary for an object."""


def _projects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError
    projects = [_normalised(item, _PROJECT, f"projects[{index}]") for index, item in enumerate(value)]
    for index, project in enumerate(projects):
        if not project.get("code"):
            raise Unfit(f"projects[{index}].code is missing")
    return projects


def _normalised(value: object, known: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The object with each known value in the form for upstream; unknown keys stay, null values go."""
    if not isinstance(value, dict):
        raise Unfit(f"{path} must be an object")
    result = {}
    for name, item in value.items():
        kind: Any = known.get(name)
        if isinstance(kind, dict):
            # Upstream passes over what is empty or null, whatever its kind.
            block = _normalised(item, kind, f"{path}.{name}") if item else {}
            if block:
                result[name] = block
        elif item is not None and kind is None:
            result[name] = item
        elif item is not None:
            try:
                result[name] = kind.to_file(kind.parse(item))
            except (ValueError, OverflowError):
                raise Unfit(f"{path}.{name} must be {kind.must}") from None
    return result


def _schema(known: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        name: _schema(kind) if isinstance(kind, dict) else kind.schema for name, kind in known.items()
    }
    return {"type": "object", "properties": properties}


PROJECTS = Kind(
    'a list of {"code": ..., "environment": ..., "plan": {...}, "run": {...}}',
    _projects,
    {"type": "array", "items": {**_schema(_PROJECT), "required": ["code"]}},
)


def codes(projects: list[dict[str, Any]]) -> tuple[str, ...]:
    """The project codes of a parsed list, each once, in the order of the list."""
    return tuple(dict.fromkeys(str(project["code"]) for project in projects))
