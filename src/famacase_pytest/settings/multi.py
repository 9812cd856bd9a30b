"""The block for several projects, ``testops_multi``, which upstream reads, from 8.0 on, in files only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .kinds import BOOLEAN, LINK_TYPE, TEXT, Kind, Unfit, integer, listing

_ID = integer(0)
_TAGS = listing()

_RUN: dict[str, Kind] = {
    "title": TEXT,
    "description": TEXT,
    "complete": BOOLEAN,
    "id": _ID,
    "tags": _TAGS,
}


def _object(value: object, path: str) -> dict[str, Any]:
    """The value as an object; what is null or empty counts as an empty one, as upstream has it."""
    if not value:
        return {}
    if not isinstance(value, dict):
        raise Unfit(f"{path} must be an object")
    return value


def _normalised(block: dict[str, Any], kinds: dict[str, Kind], path: str) -> dict[str, Any]:
    """The block with each known value in the form for upstream; unknown keys stay, null values go."""
    result = {}
    for name, value in block.items():
        if value is None:
            continue
        kind = kinds.get(name)
        if kind is not None:
            try:
                value = kind.to_file(kind.parse(value))
            except (ValueError, OverflowError):
                raise Unfit(f"{path}.{name} must be {kind.must}") from None
        result[name] = value
    return result


def _project(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit(f"{path} must be an object")
    project = _normalised(value, {"code": TEXT, "environment": TEXT}, path)
    if not project.get("code"):
        raise Unfit(f"{path}.code is missing")
    blocks: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {"run": _run, "plan": _plan}
    for name, read in blocks.items():
        block = read(_object(project.pop(name, None), f"{path}.{name}"), f"{path}.{name}")
        if block:
            project[name] = block
    return project


def _run(block: dict[str, Any], path: str) -> dict[str, Any]:
    run = _normalised(block, _RUN, path)
    link_path = f"{path}.externalLink"
    link = _object(run.pop("externalLink", None), link_path)
    if link:
        run["externalLink"] = _normalised(link, {"type": LINK_TYPE, "link": TEXT}, link_path)
    return run


def _plan(block: dict[str, Any], path: str) -> dict[str, Any]:
    return _normalised(block, {"id": _ID}, path)


def _projects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError
    return [_project(item, f"projects[{index}]") for index, item in enumerate(value)]


PROJECTS = Kind(
    'a list of {"code": ..., "environment": ..., "plan": {...}, "run": {...}}',
    _projects,
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["code"],
            "properties": {
                "code": TEXT.schema,
                "environment": TEXT.schema,
                "plan": {"type": "object", "properties": {"id": _ID.schema}},
                "run": {
                    "type": "object",
                    "properties": {
                        **{name: kind.schema for name, kind in _RUN.items()},
                        "externalLink": {
                            "type": "object",
                            "properties": {"type": LINK_TYPE.schema, "link": TEXT.schema},
                        },
                    },
                },
            },
        },
    },
)


def codes(projects: list[dict[str, Any]]) -> tuple[str, ...]:
    """The project codes of a parsed list, each once, in the order of the list."""
    return tuple(dict.fromkeys(str(project["code"]) for project in projects))
