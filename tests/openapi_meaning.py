"""An OpenAPI document reduced to what it means for a client, so that two of them can be compared.

Descriptions, titles and the names of components go; references are followed; what can be written in two ways
(a list of types or ``anyOf``, a type beside an enumeration that implies it) is brought into one.
"""

from __future__ import annotations

from typing import Any

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

# Keywords of a schema that allow and forbid nothing.
_REMARKS = ("title", "description", "x-extension", "default")
_KEYWORDS = {
    "array": ("items", "minItems", "maxItems"),
    "object": ("properties", "required", "additionalProperties"),
    "string": ("format", "minLength", "maxLength", "contentMediaType"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
}
_KINDS = {"string": str, "boolean": bool}

Node = dict[str, Any]


def meaning(document: Node, prefix: str = "") -> Node:
    """What a document says of each call.

    Args:
        document: an OpenAPI 3.1 document, parsed.
        prefix: the beginning that is cut off its paths.

    Returns:
        By ``METHOD path``: parameters, request body, responses and security.

    Raises:
        ValueError: a path does not begin with `prefix`, or a schema has a keyword that is not known here.
    """
    calls: Node = {}
    for path, item in document["paths"].items():
        if not path.startswith(prefix):
            raise ValueError(f"{path} is not below {prefix}")
        for method, operation in item.items():
            if method not in METHODS:
                raise ValueError(f"{path} has {method!r}, which is no method")
            calls[f"{method.upper()} {path[len(prefix) :]}"] = _operation(operation, document)
    return calls


def _operation(operation: Node, document: Node) -> Node:
    parameters = [_followed(one, document) for one in operation.get("parameters", ())]
    body = operation.get("requestBody")
    security: list[Node] = operation.get("security") or document.get("security", [])
    return {
        "id": operation["operationId"],
        "parameters": {(one["in"], one["name"]): _parameter(one, document) for one in parameters},
        "body": body and {"required": body.get("required", False), **_content(body, document)},
        "responses": {
            status: _content(_followed(one, document), document)
            for status, one in operation["responses"].items()
        },
        "security": [{name: _scheme(name, document) for name in one} for one in security],
    }


def _parameter(parameter: Node, document: Node) -> Node:
    return {
        "required": parameter.get("required", False),
        "default": parameter["schema"].get("default"),
        "schema": _schema(parameter["schema"], document, ()),
    }


def _content(holder: Node, document: Node) -> Node:
    return {kind: _schema(one["schema"], document, ()) for kind, one in holder.get("content", {}).items()}


def _scheme(name: str, document: Node) -> Node:
    scheme = document["components"]["securitySchemes"][name]
    return {key: value for key, value in scheme.items() if key != "description"}


def _followed(node: Node, document: Node) -> Node:
    while "$ref" in node:
        found = document
        for name in node["$ref"].lstrip("#/").split("/"):
            found = found[name]
        node = found
    return node


def _schema(schema: Node, document: Node, outer: tuple[str, ...]) -> Node:
    """The meaning of a schema; `outer` names the components that it is part of, from the outside."""
    if "$ref" in schema:
        reference: str = schema["$ref"]
        if reference in outer:
            # Not by its name: how far up the component is that the schema repeats.
            return {"again": len(outer) - outer.index(reference)}
        return _schema(_followed(schema, document), document, (*outer, reference))
    bare = {name: value for name, value in schema.items() if name not in _REMARKS}
    if "anyOf" in bare:
        return _choice(bare.pop("anyOf"), bare, document, outer)
    kinds = bare.pop("type", [])
    if isinstance(kinds, list):
        choices = [_of_kind(kind, bare) for kind in kinds]
        return _choice(choices, {}, document, outer) if choices else _constraints(bare, document, outer)
    values = bare.get("enum", [bare["const"]] if "const" in bare else [])
    implied = bool(values) and all(type(one) is _KINDS.get(kinds) for one in values)
    return {**_constraints(bare, document, outer, kinds), **({} if implied else {"type": kinds})}


def _of_kind(kind: str, bare: Node) -> Node:
    keywords = {name: value for name, value in bare.items() if name in _KEYWORDS.get(kind, ())}
    return {"type": kind, **keywords}


def _choice(choices: list[Node], rest: Node, document: Node, outer: tuple[str, ...]) -> Node:
    if rest:
        raise ValueError(f"a schema has anyOf and beside it {sorted(rest)}")
    return {"any of": sorted((_schema(one, document, outer) for one in choices), key=repr)}


def _constraints(bare: Node, document: Node, outer: tuple[str, ...], kind: str = "") -> Node:
    unknown = set(bare) - set(_KEYWORDS.get(kind, ())) - {"enum", "const"}
    if unknown:
        raise ValueError(f"a schema of type {kind or 'any'} has {sorted(unknown)}")
    meant: Node = {}
    for name, value in bare.items():
        if name == "properties":
            meant[name] = {member: _schema(one, document, outer) for member, one in value.items()}
        elif name in ("items", "additionalProperties"):
            # An empty schema, or true, says no more than nothing at all.
            inner = value if isinstance(value, bool) else _schema(value, document, outer)
            if inner not in ({}, True):
                meant[name] = inner
        elif name in ("required", "enum"):
            meant[name] = sorted(value, key=repr)
        else:
            meant[name] = value
    return meant
