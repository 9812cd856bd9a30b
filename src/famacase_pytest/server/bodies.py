"""JSON bodies: read up to a limit, parsed without surprises, taken apart into what the store keeps."""

import json
import math
from typing import Any, Optional

from starlette.requests import Request

from famacase_pytest.server.contract import (
    MAX_JSON_BYTES,
    MAX_STEP_DEPTH,
    MEBIBYTE,
    PUBLISH_BODY,
    RESULTS_BODY,
    SCHEMAS,
)
from famacase_pytest.server.problems import Problem, invalid
from famacase_pytest.server.records import Reference, StoredResult
from famacase_pytest.server.shape import Check, compile_shape

_check_run = compile_shape(SCHEMAS["RunCreate"], SCHEMAS)
_check_publication = compile_shape(PUBLISH_BODY, SCHEMAS)
_check_result = compile_shape(SCHEMAS["Result"], SCHEMAS)
_check_result_list = compile_shape(
    {
        **RESULTS_BODY,
        "properties": {
            "results": {
                # Each result is checked on its own, so that the answer names every one that is refused.
                keyword: value
                for keyword, value in RESULTS_BODY["properties"]["results"].items()
                if keyword != "items"
            }
        },
    },
    SCHEMAS,
)


async def read_json(request: Request, *, limit_status: int = 413) -> bytes:
    """Reads the body of a call that takes JSON.

    Args:
        request: the call.
        limit_status: status of the answer to a body beyond `MAX_JSON_BYTES`: the contract has 413 for some
            calls only.

    Raises:
        Problem: the body is too large, or it says that it is something else than JSON.
    """
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise invalid(f"The body must be application/json, not {media_type}.", "header", "Content-Type")
    beyond = f"The body is larger than {MAX_JSON_BYTES // MEBIBYTE} MiB."
    if declared_length(request) > MAX_JSON_BYTES:
        raise Problem(limit_status, beyond)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_JSON_BYTES:
            raise Problem(limit_status, beyond)
        chunks.append(chunk)
    return b"".join(chunks)


def declared_length(request: Request) -> int:
    """The Content-Length of a request in bytes, 0 if it has none."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def parse_run(raw: bytes) -> dict[str, Any]:
    """The body of `createRun`; Problem 422 if it does not fit the contract."""
    return _parse(raw, _check_run)


def parse_publication(raw: bytes) -> bool:
    """What the body of `publishRun` asks for; Problem 422 if it does not fit the contract."""
    return bool(_parse(raw, _check_publication)["status"])


def parse_results(raw: bytes) -> tuple[list[StoredResult], list[Reference]]:
    """Takes the body of `createResults` apart.

    Returns:
        The results as they are stored, and every mention of an attachment in them.

    Raises:
        Problem: 422; its detail has one entry for each result that is refused, with the first thing that is
            wrong with it, and the result's index in `loc`.
    """
    body = _parse(raw, _check_result_list)
    stored: list[StoredResult] = []
    references: list[Reference] = []
    faults: list[dict[str, Any]] = []
    for index, result in enumerate(body["results"]):
        where = ("body", "results", index)
        try:
            fault = _check_result(result)
            if fault is not None:
                faults.append(fault.detail(*where))
                continue
            _gather_references(result, where, references)
            text = json.dumps(result, separators=(",", ":"), allow_nan=False)
        except RecursionError:
            raise _too_deep(*where) from None
        stored.append(StoredResult(result["id"].lower(), result["execution"]["status"], text))
    if faults:
        raise Problem(422, faults)
    return stored, references


def _parse(raw: bytes, check: Check) -> dict[str, Any]:
    try:
        value = json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite)
        fault = check(value)
    except RecursionError:
        raise _too_deep("body") from None
    except ValueError as error:
        raise invalid(f"The body is not JSON: {error}.", "body", kind="json") from None
    if fault is not None:
        raise Problem(422, [fault.detail("body")])
    parsed: dict[str, Any] = value
    return parsed


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        # It could not be written as JSON again.
        raise ValueError("a number is too large")
    return value


def _gather_references(result: dict[str, Any], where: tuple[Any, ...], references: list[Reference]) -> None:
    for index, one in enumerate(result.get("attachments", ())):
        references.append(Reference(one["id"], (*where, "attachments", index, "id")))
    levels: list[tuple[tuple[Any, ...], dict[str, Any], int]] = [(where, result, 0)]
    while levels:
        place, holder, depth = levels.pop()
        steps: Optional[list[dict[str, Any]]] = holder.get("steps")
        if not steps:
            continue
        if depth >= MAX_STEP_DEPTH:
            raise _too_deep(*where)
        for index, step in enumerate(steps):
            step_place = (*place, "steps", index)
            for number, one in enumerate(step["execution"].get("attachments", ())):
                references.append(
                    Reference(one["id"], (*step_place, "execution", "attachments", number, "id"))
                )
            levels.append((step_place, step, depth + 1))


def _too_deep(*where: Any) -> Problem:
    return invalid(
        f"This is nested too deeply; steps may be {MAX_STEP_DEPTH} levels deep.", *where, kind="depth"
    )
