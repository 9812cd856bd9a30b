"""The kinds of values that settings have: how each is read, checked, handed to upstream and described.

A kind reads what any source may hold: the text of a variable or a flag, or the JSON value of a file. It
accepts whatever upstream accepts with a meaning, and refuses what upstream would drop without a word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

MODES = ("off", "report", "testops", "testops_multi")
NEEDS_BACKEND = frozenset({"testops", "testops_multi"})
"""The modes that talk to a back end, and so need an address, a token and a project."""

STATUSES = ("passed", "failed", "skipped", "disabled", "blocked", "invalid")
"""The statuses that upstream lets a status mapping name; any other makes it stop the session."""

PROFILERS = ("network", "db", "sleep")

_TRUE = frozenset({"true", "1", "yes", "y", "on"})
_FALSE = frozenset({"false", "0", "no", "n", "off"})


class Unfit(ValueError):
    """A value of the wrong kind; the text says more than what the kind must be."""


def _same(value: T) -> T:
    return value


class Kind(NamedTuple):
    """How the values of a setting are read and written.

    Attributes:
        must: completes "it must be ..." in messages and documentation.
        parse: from text or JSON to the value; ValueError if it is of another kind, `Unfit` if
            there is more to say than `must`.
        schema: the JSON schema of the value in a file.
        to_file: the form in which every supported upstream reads the value from its config file.
        to_text: the form for a variable or a flag.
        familiar: names that are known here; others are allowed, with a warning, since upstream allows them.
    """

    must: str
    parse: Callable[[object], Any]
    schema: Mapping[str, Any]
    to_file: Callable[[Any], Any] = _same
    to_text: Callable[[Any], str] = str
    familiar: frozenset[str] = frozenset()


def _text(value: object) -> str:
    # A project or an environment that looks like a number is often written without quotes in JSON.
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError
    return str(value).strip()


def _path(value: object) -> Path:
    text = _text(value)
    if "\0" in text:
        raise Unfit("it has a null character in it")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise Unfit(str(error)) from None


def _boolean(value: object) -> bool:
    word = str(value).strip().lower() if isinstance(value, (str, bool, int)) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def _boolean_to_text(value: bool) -> str:
    # As text also in the file: c3.4.0 tests `if run.get("complete")`, so a JSON false never arrives there.
    return "true" if value else "false"


TEXT = Kind("text", _text, {"type": ["string", "number"]})
PATH = Kind("a path", _path, TEXT.schema)
BOOLEAN = Kind(
    "one of true, false, 1, 0, yes, no, on, off",
    _boolean,
    {"type": ["boolean", "string", "integer"]},
    _boolean_to_text,
    _boolean_to_text,
)


def integer(minimum: int, maximum: int | None = None) -> Kind:
    """Whole numbers from `minimum` to `maximum` (None: no upper limit)."""

    def parse(value: object) -> int:
        text = _text(value)
        number = int(value) if isinstance(value, float) and value.is_integer() else int(text)
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError
        if number >= 2**63:
            # An id is stored in 64 bits, here and at the server.
            raise Unfit("it is too large")
        return number

    limits = f"of {minimum} or more" if maximum is None else f"from {minimum} to {maximum}"
    schema: dict[str, Any] = {"type": ["integer", "string"], "minimum": minimum}
    if maximum is not None:
        schema["maximum"] = maximum
    return Kind(f"a whole number {limits}", parse, schema)


def seconds(maximum: float, *, zero: bool = False) -> Kind:
    """Numbers of seconds up to `maximum`; `zero` says whether 0 is among them."""

    def parse(value: object) -> float:
        read = float(_text(value))
        if not 0 <= read <= maximum or (read == 0 and not zero):
            raise ValueError
        return read

    lower = {"minimum": 0} if zero else {"exclusiveMinimum": 0}
    return Kind(
        f"a number of seconds {'from 0' if zero else 'greater than 0,'} up to {maximum:g}",
        parse,
        {"type": ["number", "string"], **lower, "maximum": maximum},
        # Upstream takes whole numbers only, and reads "0.5" as an error and 0.5 as 0.
        lambda value: math.ceil(value),
        lambda value: str(math.ceil(value)),
    )


def choice(*names: str) -> Kind:
    """One of a few names, in upper or lower case."""
    spelling = {name.lower(): name for name in names}

    def parse(value: object) -> str:
        found = spelling.get(value.strip().lower()) if isinstance(value, str) else None
        if found is None:
            raise ValueError
        return found

    must = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    return Kind(must, parse, {"enum": list(names)})


def listing(familiar: Collection[str] = (), *, objects: bool = False) -> Kind:
    """Lists of names: comma-separated text, or a JSON list.

    Args:
        familiar: names known here.
        objects: whether a JSON list may hold objects with a "name" (upstream's profilers).
    """

    def parse(value: object) -> list[Any]:
        if isinstance(value, str):
            return [item.strip() for item in value.split(",") if item.strip()]
        if not isinstance(value, list):
            raise ValueError
        return [_listed(item, objects) for item in value]

    item: dict[str, Any] = {"type": ["string", "number", "object"] if objects else ["string", "number"]}
    return Kind(
        "a list of names (comma-separated in a variable or flag)",
        parse,
        {"type": ["array", "string"], "items": item},
        list,
        lambda items: ",".join(str(entry) for entry in names_in(items)),
        frozenset(familiar),
    )


def names_in(items: Sequence[Any]) -> list[str]:
    """The names in a parsed list, of which upstream allows some to be objects with a name."""
    return [str(item["name"]) if isinstance(item, dict) else str(item) for item in items]


def _listed(item: object, objects: bool) -> object:
    if objects and isinstance(item, dict):
        if not isinstance(item.get("name"), str):
            raise ValueError
        return item
    return _text(item)


def _assignments(value: str) -> list[tuple[str, str]]:
    """The pairs in "a=b,c=d"."""
    found = []
    for part in filter(str.strip, value.split(",")):
        name, _, assigned = part.partition("=")
        if not name.strip() or not assigned.strip():
            raise ValueError
        found.append((name.strip(), assigned.strip()))
    return found


def _mapping(value: object) -> dict[str, str]:
    if isinstance(value, str):
        mapping = dict(_assignments(value))
    elif isinstance(value, dict):
        mapping = {str(name): _text(assigned) for name, assigned in value.items()}
    else:
        raise ValueError
    strange = sorted({*mapping, *mapping.values()} - set(STATUSES))
    if strange:
        raise Unfit(f"{', '.join(strange)} is not among {', '.join(STATUSES)}")
    return mapping


STATUS_MAPPING = Kind(
    'pairs of statuses ("invalid=failed,skipped=passed" in a variable or flag, an object in a file)',
    _mapping,
    {
        "type": ["object", "string"],
        "propertyNames": {"enum": list(STATUSES)},
        "additionalProperties": {"enum": list(STATUSES)},
    },
    to_text=lambda mapping: ",".join(f"{name}={assigned}" for name, assigned in mapping.items()),
)


def _configurations(value: object) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return _assignments(value)
    if not isinstance(value, list):
        raise ValueError
    found = []
    for item in value:
        if not isinstance(item, dict):
            raise ValueError
        # Upstream passes over an entry with an empty name or value.
        if item.get("name") and item.get("value"):
            found.append((_text(item["name"]), _text(item["value"])))
    return found


CONFIGURATIONS = Kind(
    'groups with their values ("browser=chrome,os=linux" in a variable or flag, '
    'a list of {"name": ..., "value": ...} in a file)',
    _configurations,
    {
        "type": ["array", "string"],
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "value": {"type": ["string", "number"]}},
        },
    },
    lambda pairs: [{"name": name, "value": value} for name, value in pairs],
    lambda pairs: ",".join(f"{name}={value}" for name, value in pairs),
)


def _tokens(value: object) -> dict[str, object]:
    """Tokens by project code. They are checked where they are used, so that no message shows one."""
    if isinstance(value, str):
        return dict(_assignments(value))
    if not isinstance(value, dict):
        raise ValueError
    return {str(code).strip(): token for code, token in value.items() if token is not None}


TOKENS = Kind(
    'codes with tokens ("CODE=token,OTHER=token" in the variable, an object in the file)',
    _tokens,
    {"type": ["object", "string"], "additionalProperties": {"type": "string"}},
)


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise Unfit(f"column {error.colno}: {error.msg}") from None
    if not isinstance(value, dict):
        raise ValueError
    return value


OBJECT = Kind("an object (as JSON in a variable or flag)", _object, {"type": ["object", "string"]})
MODE = choice(*MODES)
LINK_TYPE = choice("jiraCloud", "jiraServer")
