"""Turns the JSON shapes of the contract into functions that find what is wrong with a value.

A schema is compiled once, at import; a check then costs well under a microsecond for each member, so that
200 results pass in a few milliseconds. Only the keywords that the contract uses are known, and an unknown one
is an error at import: a constraint added to the contract cannot be ignored by accident.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Union

Step = Union[str, int]


@dataclass
class Fault:
    """One thing that is wrong with a value.

    Attributes:
        kind: the schema keyword that the value breaks, such as ``required``.
        message: a sentence about it.
        path: way from the outside to the offending member, innermost first while it is being gathered.
    """

    kind: str
    message: str
    path: list[Step] = field(default_factory=list)

    def detail(self, *outside: Step) -> dict[str, Any]:
        """The fault as an entry of the ``detail`` list of an error answer, its path below `outside`."""
        return {"loc": [*outside, *reversed(self.path)], "msg": self.message, "type": self.kind}


Check = Callable[[Any], Optional[Fault]]

UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")

_KNOWN = {
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "enum",
    "format",
    "items",
    "maxItems",
    "minItems",
    "minLength",
    "properties",
    "required",
    "type",
}
_REFERENCE = "#/components/schemas/"


_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "object": ("an object", (dict,)),
    "array": ("a list", (list,)),
    "string": ("a string", (str,)),
    "boolean": ("true or false", (bool,)),
    "integer": ("an integer", (int,)),
    "number": ("a number", (int, float)),
    "null": ("null", (type(None),)),
}


def compile_shape(schema: Mapping[str, Any], components: Mapping[str, Mapping[str, Any]]) -> Check:
    """Compiles a schema.

    Args:
        schema: a JSON Schema made of the keywords that the contract uses.
        components: what ``#/components/schemas/NAME`` refers to.

    Returns:
        A function that takes a parsed JSON value and returns its first fault, or None if it fits. It recurses
        as deep as the value is nested, so a value from outside may raise RecursionError.

    Raises:
        ValueError: the schema uses a keyword, a type or a format that is not known here.
    """
    return _Compiler(components).compile(schema)


class _Compiler:
    """Compiles schemas that refer to one another, each component once."""

    def __init__(self, components: Mapping[str, Mapping[str, Any]]) -> None:
        self._components = components
        self._compiled: dict[str, Check] = {}

    def compile(self, schema: Mapping[str, Any]) -> Check:
        unknown = set(schema) - _KNOWN
        if unknown:
            raise ValueError(f"schema keywords not known here: {', '.join(sorted(unknown))}")
        checks: list[Check] = []
        if "$ref" in schema:
            checks.append(self._reference(schema["$ref"]))
        kind = schema.get("type")
        # Objects and lists test their own type: one call less for each level that a value is nested.
        if kind is not None and kind not in ("object", "array"):
            checks.append(_type_check(kind))
        if "const" in schema:
            checks.append(_choice_check("const", [schema["const"]]))
        if "enum" in schema:
            checks.append(_choice_check("enum", schema["enum"]))
        if "anyOf" in schema:
            checks.append(_any_check([self.compile(option) for option in schema["anyOf"]]))
        if "minLength" in schema:
            checks.append(_length_check(schema["minLength"]))
        if "format" in schema:
            checks.append(_format_check(schema["format"]))
        if kind == "array" or {"items", "minItems", "maxItems"} & set(schema):
            checks.append(self._items(schema))
        if kind == "object" or {"properties", "required", "additionalProperties"} & set(schema):
            checks.append(self._members(schema))
        return _all_checks(checks)

    def _reference(self, reference: str) -> Check:
        name = reference[len(_REFERENCE) :]
        if not reference.startswith(_REFERENCE) or name not in self._components:
            raise ValueError(f"schema reference not known here: {reference}")
        if name not in self._compiled:

            def later(value: Any) -> Fault | None:
                return self._compiled[name](value)

            # A component may refer to itself, as steps do; until it is compiled it is looked up when used.
            self._compiled[name] = later
            self._compiled[name] = self.compile(self._components[name])
        return self._compiled[name]

    def _items(self, schema: Mapping[str, Any]) -> Check:
        item_check = self.compile(schema["items"]) if "items" in schema else None
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        must = schema.get("type") == "array"

        def check(value: Any) -> Fault | None:
            if type(value) is not list:
                return _wrong_type(["array"]) if must else None
            if len(value) < least:
                return Fault("minItems", f"This needs at least {least} item{'s' if least > 1 else ''}.")
            if most is not None and len(value) > most:
                return Fault("maxItems", f"This may have at most {most} items, not {len(value)}.")
            if item_check is not None:
                for index, item in enumerate(value):
                    fault = item_check(item)
                    if fault is not None:
                        fault.path.append(index)
                        return fault
            return None

        return check

    def _members(self, schema: Mapping[str, Any]) -> Check:
        required = tuple(schema.get("required", ()))
        members = {name: self.compile(member) for name, member in schema.get("properties", {}).items()}
        additional = schema.get("additionalProperties", True)
        others = self.compile(additional) if isinstance(additional, Mapping) else None
        closed = additional is False
        must = schema.get("type") == "object"

        def check(value: Any) -> Fault | None:
            if type(value) is not dict:
                return _wrong_type(["object"]) if must else None
            for name in required:
                if name not in value:
                    return Fault("required", "This member is required.", [name])
            for name, member in value.items():
                member_check = members.get(name, others)
                if member_check is not None:
                    fault = member_check(member)
                    if fault is not None:
                        fault.path.append(name)
                        return fault
                elif closed:
                    return Fault("additionalProperties", "The contract knows no such member here.", [name])
            return None

        return check


def _all_checks(checks: list[Check]) -> Check:
    if not checks:
        return lambda value: None
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) or second(value)
    sequence = tuple(checks)

    def check(value: Any) -> Fault | None:
        for one in sequence:
            fault = one(value)
            if fault is not None:
                return fault
        return None

    return check


def _type_check(names: str | list[str]) -> Check:
    listed = [names] if isinstance(names, str) else names
    if not set(listed) <= set(_TYPES):
        raise ValueError(f"schema type not known here: {names}")
    types = frozenset(kind for name in listed for kind in _TYPES[name][1])
    whole_floats = "integer" in listed

    def check(value: Any) -> Fault | None:
        # The exact type: a bool is an int to Python, but not to JSON.
        if type(value) in types:
            return None
        # JSON Schema calls 1.0 an integer.
        if whole_floats and type(value) is float and value.is_integer():
            return None
        return _wrong_type(listed)

    return check


def _wrong_type(names: list[str]) -> Fault:
    return Fault("type", f"This must be {' or '.join(_TYPES[name][0] for name in names)}.")


def _choice_check(kind: str, choices: list[Any]) -> Check:
    # 1 == True in Python, but not in JSON: the type is part of the key.
    allowed = {(type(choice), choice) for choice in choices}
    hashable = {type(choice) for choice in choices}
    wanted = ", ".join({True: "true", False: "false", None: "null"}.get(choice, choice) for choice in choices)

    def check(value: Any) -> Fault | None:
        if type(value) in hashable and (type(value), value) in allowed:
            return None
        return Fault(kind, f"This must be {'one of ' if len(choices) > 1 else ''}{wanted}.")

    return check


def _any_check(options: list[Check]) -> Check:
    def check(value: Any) -> Fault | None:
        fault: Fault | None = None
        for option in options:
            found = option(value)
            if found is None:
                return None
            fault = fault or found
        return fault

    return check


def _length_check(least: int) -> Check:
    def check(value: Any) -> Fault | None:
        if type(value) is str and len(value) < least:
            return Fault("minLength", f"This needs at least {least} character{'s' if least > 1 else ''}.")
        return None

    return check


def _format_check(name: str) -> Check:
    if name != "uuid":
        raise ValueError(f"schema format not known here: {name}")

    def check(value: Any) -> Fault | None:
        if type(value) is str and not UUID.match(value):
            return Fault("format", "This must be a UUID such as 123e4567-e89b-42d3-a456-426614174000.")
        return None

    return check
