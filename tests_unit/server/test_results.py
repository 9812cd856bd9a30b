"""How results become rows, and where in a request each file is mentioned."""

from __future__ import annotations

import json

import pytest

from famacase_pytest.server.models import MAX_STEP_DEPTH, Problem
from famacase_pytest.server.results import to_rows

from .in_process import result_of


def step(*steps, status="passed", **execution):
    return {"execution": {"status": status, **execution}, "steps": list(steps)}


def test_every_mention_of_a_file_has_its_place_in_the_request():
    result = result_of(
        attachments=[{"id": "a"}, {"id": "b"}],
        steps=[step(), step(step(attachments=[{"id": "c"}]), attachments=[{"id": "a"}])],
    )
    _, mentions = to_rows([result_of(), result])
    base = ("body", "results", 1)
    assert mentions == [
        ("a", (*base, "attachments", 0, "id")),
        ("b", (*base, "attachments", 1, "id")),
        ("a", (*base, "steps", 1, "execution", "attachments", 0, "id")),
        ("c", (*base, "steps", 1, "steps", 0, "execution", "attachments", 0, "id")),
    ]


def test_statuses_are_stored_by_their_canonical_names_and_all_else_as_it_was_sent():
    result = result_of(
        "BROKEN", id="ABCD", title="\ud800", steps=[step(step(status="Pass"), status=None)], more=[1e3]
    )
    [row], _ = to_rows([result])
    stored = json.loads(row["body"])
    assert (row["id"], row["status"], stored["id"]) == ("abcd", "invalid", "ABCD")
    assert (row["summary"]["id"], row["summary"]["status"]) == ("abcd", "invalid")
    [outer] = stored["steps"]
    assert (outer["execution"]["status"], outer["steps"][0]["execution"]["status"]) == (None, "passed")
    assert (stored["title"], stored["more"]) == ("\ud800", [1000.0])
    assert row["body"].isascii()


def nested(depth):
    inner = []
    for _ in range(depth):
        inner = [step(*inner)]
    return inner


def test_steps_are_followed_to_their_limit_and_no_further():
    [row], _ = to_rows([result_of(steps=nested(MAX_STEP_DEPTH))])
    assert row["body"].count('"steps"') == MAX_STEP_DEPTH + 1
    with pytest.raises(Problem) as raised:
        to_rows([result_of(), result_of(steps=nested(MAX_STEP_DEPTH + 1))])
    [fault] = raised.value.detail
    assert (fault["loc"], fault["type"]) == (["body", "results", 1], "depth")
    assert f"{MAX_STEP_DEPTH} levels" in fault["msg"]


def test_what_else_is_nested_too_deeply_is_the_fault_of_its_result():
    fields = {}
    for _ in range(100_000):
        fields = {"x": fields}
    with pytest.raises(Problem) as raised:
        to_rows([result_of(), result_of(fields=fields)])
    assert raised.value.detail[0]["loc"] == ["body", "results", 1]
    # By itself it would be taken apart by as many calls.
    while fields:
        fields = fields.pop("x")
