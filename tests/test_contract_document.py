"""What the local back end says of itself is what the contract file says, and it judges bodies accordingly."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import requests
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from famacase_pytest.server import models
from famacase_pytest.server.presentation import STATUS_ORDER
from live_api import Backend, new_result, new_step
from openapi_meaning import meaning

FILE = Path(__file__).parents[1] / "docs" / "reporter-ingestion-v1.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
PREFIX: str = DOCUMENT["servers"][0]["url"][len("{host}") :]


def test_the_back_end_describes_itself_as_the_contract_file_does(local_backend: Backend) -> None:
    described = requests.get(f"{local_backend.url}/openapi.json", timeout=60).json()
    assert meaning(described, PREFIX) == meaning(DOCUMENT)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member and item of a value, the value itself left out."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from places(inner, (*path, key))


def is_remark(path: tuple[Any, ...], value: Any) -> bool:
    """Whether what is at a path of the contract file allows and forbids nothing."""
    *outer, last = path
    if outer and outer[-1] == "properties":
        return False
    named = {path[0], last} & {"description", "x-extension", "servers", "info", "openapi"}
    return bool(named) or (last == "required" and value is False)


def test_whatever_is_taken_out_of_the_contract_file_is_missed() -> None:
    whole = meaning(DOCUMENT)
    for *outer, last in places(DOCUMENT):
        changed = copy.deepcopy(DOCUMENT)
        holder: Any = changed
        for name in outer:
            holder = holder[name]
        if is_remark((*outer, last), holder[last]):
            continue
        del holder[last]
        try:
            seen = meaning(changed) != whole
        except (KeyError, ValueError):
            seen = True
        assert seen, (*outer, last)


def test_the_limits_are_those_of_the_contract_file() -> None:
    assert PREFIX == models.PREFIX
    upload = DOCUMENT["paths"]["/projects/{code}/attachments"]["post"]
    text = upload["description"]
    assert f"{models.MAX_FILES} files" in text
    assert f"{models.MAX_FILE_BYTES // models.MEBIBYTE} MiB a file" in text
    assert f"{models.MAX_UPLOAD_BYTES // models.MEBIBYTE} MiB a request" in text


def test_the_synonyms_of_statuses_are_those_of_the_contract_file() -> None:
    text = DOCUMENT["components"]["schemas"]["Status"]["description"].replace("\n", " ")
    told = {
        word: status
        for words, status in re.findall(r"([a-z, ]+) -> ([a-z]+)", text)
        for word in words.replace(" ", "").split(",")
    }
    assert told == models.SYNONYMS


def test_pages_know_every_status() -> None:
    assert sorted(STATUS_ORDER) == sorted(models.STATUSES)


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
MODELS: Mapping[str, type[BaseModel]] = {"RunCreate": models.RunCreate, "Result": models.Result}

FORMATS = jsonschema.FormatChecker(formats=())
FORMATS.checks("uuid")(lambda value: not isinstance(value, str) or models.UUID.match(value) is not None)
REFEREES = {
    name: jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}, format_checker=FORMATS
    )
    for name in VALID
}


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
    errors = list(REFEREES[name].iter_errors(value))
    found: list[Any] = []
    try:
        MODELS[name].model_validate(value)
    except ValidationError as error:
        found = [one["loc"] for one in error.errors()]
    assert bool(found) == bool(errors), (found, errors)
    for where in found:
        assert any(where[: len(one.path)] == tuple(one.path) for one in errors)
