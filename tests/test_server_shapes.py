"""The shapes that the local back end enforces are the contract file's, and read as JSON Schema says."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from famacase_pytest.server import contract
from famacase_pytest.server.presentation import STATUS_ORDER
from famacase_pytest.server.shape import UUID, compile_shape
from live_api import new_result, new_step

FILE = Path(__file__).parents[1] / "docs" / "reporter-ingestion-v1.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))


def bare(schema: Any) -> Any:
    """A schema without what does not constrain anything."""
    if isinstance(schema, dict):
        return {
            # `description` is a keyword in a schema and a name among properties.
            name: {inner: bare(one) for inner, one in value.items()} if name == "properties" else bare(value)
            for name, value in schema.items()
            if name not in ("description", "x-extension")
        }
    return [bare(one) for one in schema] if isinstance(schema, list) else schema


def body_of(path: str) -> Any:
    content = DOCUMENT["paths"]["/projects/{code}" + path]["post"]["requestBody"]["content"]
    return bare(content["application/json"]["schema"])


def test_the_packaged_shapes_are_those_of_the_contract_file() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {name: bare(schemas[name]) for name in contract.SCHEMAS} == contract.SCHEMAS
    assert body_of("/runs/{run_id}/results") == contract.RESULTS_BODY
    assert body_of("/runs/{run_id}/public") == contract.PUBLISH_BODY
    assert body_of("/runs") == {"$ref": "#/components/schemas/RunCreate"}


def test_the_packaged_limits_are_those_of_the_contract_file() -> None:
    assert DOCUMENT["servers"][0]["url"].endswith(contract.PREFIX)
    upload = DOCUMENT["paths"]["/projects/{code}/attachments"]["post"]
    text = upload["description"]
    assert f"{contract.MAX_FILES} files" in text
    assert f"{contract.MAX_FILE_BYTES // contract.MEBIBYTE} MiB a file" in text
    assert f"{contract.MAX_UPLOAD_BYTES // contract.MEBIBYTE} MiB a request" in text
    files = upload["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["files"]
    assert files["maxItems"] == contract.MAX_FILES
    parameters = DOCUMENT["paths"]["/projects/{code}/runs/{run_id}/results"]["get"]["parameters"]
    limit = next(one["schema"] for one in parameters if one.get("name") == "limit")
    assert (limit["maximum"], limit["default"]) == (contract.MAX_PAGE, contract.DEFAULT_PAGE)


def test_pages_know_every_status() -> None:
    assert sorted(STATUS_ORDER) == sorted(contract.STATUSES)


RUN = {
    "title": "x",
    "description": None,
    "is_autotest": True,
    "plan_id": 1,
    "environment_id": 2,
    "tags": ["a"],
    "configurations": [{"name": "n", "value": "v"}],
    "external_link": {"type": "jiraCloud", "link": "x"},
}
RESULT = new_result(
    signature=None,
    testops_ids=[1],
    execution={"status": "failed", "start_time": 1.5, "duration": 3, "stacktrace": "x", "thread": None},
    fields={"a": 1},
    tags=["x"],
    params={"p": "1"},
    param_groups=[["p"]],
    attachments=[{"id": "x", "file_name": "y"}],
    steps=[new_step("a", new_step("b", attachments=[{"id": "z"}]))],
    message="x",
    muted=False,
    ignore=False,
    defect=True,
    relations={"suite": {"data": [{"title": "S", "description": None, "public_id": 1}]}},
)
VALID: Mapping[str, Any] = {"RunCreate": RUN, "Result": RESULT}

CHECKS = {name: compile_shape(contract.SCHEMAS[name], contract.SCHEMAS) for name in VALID}
FORMATS = jsonschema.FormatChecker(formats=())
FORMATS.checks("uuid")(lambda value: not isinstance(value, str) or UUID.match(value) is not None)
REFEREES = {
    name: jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}, format_checker=FORMATS
    )
    for name in VALID
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member and item of a value, the value itself left out."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(inner, (*path, key))


REPLACEMENTS = (
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 10**30, "", "x", "passed", "text", "jiraCloud"),
    *([], {}, [None], [1], ["x"], [{}], {"x": 1}, {"id": "x"}, {"title": "x"}, {"status": None}),
)


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """A name of a shape, and a value that was valid before some of its members were changed."""
    name = draw(st.sampled_from(sorted(VALID)))
    value = copy.deepcopy(VALID[name])
    for _ in range(draw(st.integers(0, 3))):
        paths = list(places(value))
        if not paths:
            break
        *outer, last = draw(st.sampled_from(paths))
        holder = value
        for key in outer:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "replace":
            holder[last] = copy.deepcopy(draw(st.sampled_from(REPLACEMENTS)))
        elif change == "remove":
            del holder[last]
        elif isinstance(holder, dict):
            holder["unheard_of"] = copy.deepcopy(draw(st.sampled_from(REPLACEMENTS)))
    return name, value


@settings(max_examples=600, derandomize=True, deadline=None, database=None)
@given(spoiled())
def test_a_value_is_judged_as_a_full_validator_judges_it(case: tuple[str, Any]) -> None:
    name, value = case
    fault = CHECKS[name](value)
    errors = list(REFEREES[name].iter_errors(value))
    assert (fault is None) == (not errors), (fault, errors)
    if fault is not None:
        where = fault.detail()["loc"]
        assert any(where[: len(error.path)] == list(error.path) for error in errors)


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "x"},
        {"type": "decimal"},
        {"type": ["string", "decimal"]},
        {"format": "email"},
        {"$ref": "#/components/schemas/Nothing"},
        {"$ref": "other.json"},
        {"properties": {"x": {"maximum": 1}}},
    ],
)
def test_a_constraint_that_is_not_understood_is_not_ignored(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not known here"):
        compile_shape(schema, {})
