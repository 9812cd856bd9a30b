"""What a body may hold, where JSON, pydantic and the contract differ; the contract file has the rest."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from famacase_pytest.server import models
from famacase_pytest.server.models import STATUSES, Result, ResultsCreate, RunCreate, canonical

from .in_process import result_of

IN_ADDRESS = TypeAdapter(Annotated[int, models.AS_IN_ADDRESS])
RUN = {"title": "x", "is_autotest": True}


def faults(model, value):
    """Where a value does not fit, as far as that is told."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate(value)
    return [one["loc"] for one in raised.value.errors()]


@pytest.mark.parametrize(
    ("word", "status"),
    [("PASSED", "passed"), ("Success", "passed"), ("broken", "invalid"), ("In_Progress", "in_progress")],
)
def test_a_status_has_one_name_however_it_is_written(word, status):
    assert canonical(word) == status
    assert Result.model_validate(result_of(word)).execution.status == status


def test_what_is_no_status_stays_what_it_is_and_is_refused():
    assert [canonical(one) for one in (None, 5, "exploded")] == [None, 5, "exploded"]
    assert {canonical(one) for one in STATUSES} == set(STATUSES)
    assert faults(Result, result_of("exploded")) == [("execution", "status")]
    assert Result.model_validate(result_of(None)).execution.status is None


@pytest.mark.parametrize(
    ("member", "good", "bad"),
    [
        ("title", ["\ud800", "\0", " "], ["", None, 5]),
        ("description", [None, ""], [5]),
        # To pydantic 1 is true, and 1.0 no integer; to JSON Schema it is the other way round.
        ("is_autotest", [True], [1, "true", False, None]),
        ("plan_id", [1, 1.0, 10**400], [1.5, True, "1", None, float("inf")]),
        ("tags", [[]], [None, [1], "a"]),
        ("unknown", [], [None]),
    ],
)
def test_a_run_is_taken_literally(member, good, bad):
    for value in good:
        RunCreate.model_validate({**RUN, member: value})
    for value in bad:
        assert faults(RunCreate, {**RUN, member: value})[0][0] == member, value


@pytest.mark.parametrize(
    "number",
    [
        "123e4567e89b42d3a456426614174000",
        "123e4567-e89b-42d3-a456-426614174000\n",
        "{x}",
        "",
        "\u0661" * 8,
        None,
        5,
    ],
)
def test_an_id_is_a_uuid_as_it_is_commonly_written(number):
    assert faults(Result, {**result_of(), "id": number}) == [("id",)]


def test_of_a_long_list_one_fault_is_enough_and_of_many_results_each_has_its_own():
    assert faults(Result, result_of(tags=[1] * 1000)) == [("tags", 0)]
    assert faults(Result, result_of(testops_ids=["x"] * 1000)) == [("testops_ids", 0)]
    bad = result_of(title=5)
    assert faults(ResultsCreate, {"results": [bad, result_of(), bad]}) == [
        ("results", 0, "title"),
        ("results", 2, "title"),
    ]
    assert faults(ResultsCreate, {"results": []}) == [("results",)]


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("-7", -7), ("007", 7), ("9" * 5000, int("9" * 20)), (7, 7)],
)
def test_a_number_in_an_address_is_cut_down_and_never_too_long_to_read(text, number):
    assert IN_ADDRESS.validate_python(text) == number


@pytest.mark.parametrize("text", ["", "+7", "7.0", "1_0", " 7", "7\n", "\u0667", "0x7"])
def test_what_python_takes_for_an_integer_is_not_one_in_an_address(text):
    with pytest.raises(ValidationError, match="must be an integer"):
        IN_ADDRESS.validate_python(text)


def test_refusals_name_the_place():
    assert models.not_found("run 7").status_code == 404
    refused = models.invalid("No.", "body", "results", 0, kind="depth")
    assert refused.status_code == 422
    assert json.loads(json.dumps(refused.detail)) == [
        {"loc": ["body", "results", 0], "msg": "No.", "type": "depth"}
    ]
