"""Holds what the client sends against the contract, ``docs/reporter-ingestion-v1.yaml``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from jsonschema import Draft202012Validator, FormatChecker

from fault_layer import API_ROOT, Exchange

CONTRACT = Path(__file__).parents[1] / "docs" / "reporter-ingestion-v1.yaml"

# Stated in the description of uploadAttachments, where no schema can say it.
MAX_FILE = 32 * 1024 * 1024
MAX_UPLOAD = 128 * 1024 * 1024

_SHOWN = 5  # problems of one request; a wrong member of a result shows up in each of 200


def violations(exchanges: Iterable[Exchange]) -> list[str]:
    """What is wrong with the requests that arrived whole, one line each."""
    found = []
    for exchange in exchanges:
        if exchange.received:
            label = f"request {exchange.number}, {exchange.method} {exchange.path}"
            problems = list(_problems(exchange))
            found += [f"{label}: {problem}" for problem in problems[:_SHOWN]]
    return found


def _problems(exchange: Exchange) -> Iterator[str]:
    try:
        path, operation, places = _operation(exchange)
    except LookupError as error:
        yield str(error)
        return
    if operation["operationId"] != exchange.operation:
        yield f"is {operation['operationId']}, not {exchange.operation!r}"
    if not re.fullmatch(r"Token <\S+>", exchange.headers.get("authorization", "")):
        yield "has no 'Authorization: Token ...'"
    yield from _parameter_problems(exchange, operation, places)
    content = operation.get("requestBody", {}).get("content")
    if content is None:
        if exchange.body or exchange.files:
            yield f"has a body, which {path} does not take"
        return
    (media_type,) = content
    sent = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != media_type:
        yield f"has the content type {sent!r}, not {media_type}"
    elif media_type == "multipart/form-data":
        yield from _upload_problems(exchange, content[media_type]["schema"]["properties"]["files"])
    else:
        yield from _json_problems(exchange, f"#/paths/{_escaped(path)}/{exchange.method.lower()}")


def _operation(exchange: Exchange) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The path of the contract, its operation, and what stands in the places of the path."""
    assert exchange.path.startswith(API_ROOT), "the layer serves nothing else"
    rest = exchange.path[len(API_ROOT) :]
    for path, operations in document()["paths"].items():
        found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path), rest)
        if found and exchange.method.lower() in operations:
            return path, operations[exchange.method.lower()], found.groupdict()
    raise LookupError("is no operation of the contract")


def _parameter_problems(
    exchange: Exchange, operation: Mapping[str, Any], places: Mapping[str, str]
) -> Iterator[str]:
    known = [_resolved(parameter) for parameter in operation.get("parameters", ())]
    stray = set(exchange.query) - {parameter["name"] for parameter in known if parameter["in"] == "query"}
    if stray:
        yield f"has query parameters that the contract does not know: {sorted(stray)}"
    for parameter in known:
        name = parameter["name"]
        values = {
            "path": [unquote(places.get(name, ""))] if name in places else [],
            "query": exchange.query.get(name, []),
            "header": [exchange.headers[name.lower()]] if name.lower() in exchange.headers else [],
        }[parameter["in"]]
        if parameter.get("required") and not values:
            yield f"lacks the parameter {name}"
        for text in values:
            value: Any = int(text) if parameter["schema"]["type"] == "integer" and text.isdigit() else text
            yield from (
                f"{name}: {error.message}" for error in _validator(parameter["schema"]).iter_errors(value)
            )


def _json_problems(exchange: Exchange, pointer: str) -> Iterator[str]:
    try:
        body = json.loads(exchange.body, parse_constant=_refuse_constant)
    except ValueError as error:
        yield f"has a body that is no JSON: {error}"
        return
    reference = {"$ref": f"{pointer}/requestBody/content/{_escaped('application/json')}/schema"}
    for found in _validator(reference).iter_errors(body):
        yield f"{found.json_path}: {found.message[:300]}"


def _upload_problems(exchange: Exchange, files: Mapping[str, Any]) -> Iterator[str]:
    if exchange.malformed:
        yield f"has a multipart body that cannot be read: {exchange.malformed}"
    if not files["minItems"] <= len(exchange.files) <= files["maxItems"]:
        yield f"has {len(exchange.files)} files, not {files['minItems']} to {files['maxItems']}"
    for file in exchange.files:
        if file.field != "files":
            yield f"has a part {file.field!r}"
        if not file.file_name:
            yield "has a file without a name"
        if file.size > MAX_FILE:
            yield f"has a file of {file.size} bytes, {file.file_name!r}"
    if sum(file.size for file in exchange.files) > MAX_UPLOAD:
        yield "has files of more than 128 MiB together"


@cache
def document() -> dict[str, Any]:
    """The contract."""
    loaded: dict[str, Any] = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    return loaded


@cache
def _compiled(schema: str) -> Draft202012Validator:
    # References begin at the document, so the schema is put beside its members.
    return Draft202012Validator({**document(), **json.loads(schema)}, format_checker=FormatChecker(["uuid"]))


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return _compiled(json.dumps(schema, sort_keys=True))


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in node:
        *_, kind, name = node["$ref"].split("/")
        found: Mapping[str, Any] = document()["components"][kind][name]
        return found
    return node


def _escaped(key: str) -> str:
    """A key as a JSON pointer in a URI has it."""
    return key.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
