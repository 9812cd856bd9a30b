"""Results: `createResults`, and reading them back with `listResults`."""

from __future__ import annotations

import copy
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from live_api import Backend, new_result, new_step


@pytest.fixture
def run_id(backend: Backend) -> int:
    return backend.new_run()


def full_result(attachment_id: str) -> dict[str, Any]:
    """A result with every member of the contract, and values that are hard to carry."""
    reference = {"id": attachment_id, "file_name": "a.txt"}
    deepest = new_step("deepest", attachments=[reference])
    deepest["data"].update(keyword="Given", line=3, input_data=None, expected_result="x")
    deepest["colour"] = {"unknown": ["members", "of", "a", "step", "stay"]}
    return new_result(
        title="Tïtle \U0001f680 \ud800 \0 </script>",
        signature="a::b",
        testops_ids=[1, 2, 10**40, 3.0],
        execution={
            "status": "failed",
            "start_time": 1700000000.123456,
            "end_time": 1e300,
            "duration": 10**30,
            "stacktrace": "line\r\nline\u2028",
            "thread": None,
        },
        fields={"severity": "critical", "count": 5, "nested": {"a": [None, True, 0.1]}},
        tags=["x", ""],
        params={"p": "1", "": ""},
        param_groups=[["p"], []],
        attachments=[reference, {"id": attachment_id.upper()}],
        steps=[new_step("outer", new_step("inner", deepest, status="failed"))],
        message=None,
        muted=True,
        ignore=False,
        defect=True,
        relations={
            "suite": {"data": [{"title": "S", "description": None, "public_id": None}, {"title": ""}]}
        },
    )


def test_results_are_given_back_as_they_were_sent(local_backend: Backend, run_id: int) -> None:
    sent = [full_result(local_backend.new_attachment()), new_result()]
    response = local_backend.send(run_id, *sent)
    assert response.status_code == 201, response.text
    assert local_backend.stored(run_id) == sent


def test_a_run_counts_its_results_by_status(local_backend: Backend, run_id: int) -> None:
    statuses = ["passed", "passed", "failed", "invalid", "blocked", "skipped", "disabled", None, "untested"]
    local_backend.send(run_id, *(new_result(execution={"status": one}) for one in statuses))
    assert local_backend.get(f"/runs/{run_id}").json()["stats"] == {
        "passed": 2,
        "failed": 1,
        "invalid": 1,
        "blocked": 1,
        "skipped": 1,
        "disabled": 1,
        "untested": 2,
    }


SYNONYMS = {
    "passed": ["passed", "pass", "success", "PASSED", "Pass", "SUCCESS"],
    "failed": ["fail", "Fail", "FAILED"],
    "skipped": ["skip", "SKIP", "Skipped"],
    "blocked": ["block", "BLOCK", "Blocked"],
    "invalid": ["broken", "error", "Broken", "ERROR", "INVALID"],
    "untested": ["Untested"],
    "disabled": ["DISABLED"],
    "in_progress": ["IN_PROGRESS"],
}


def test_the_words_of_older_clients_are_stored_as_canonical_statuses(
    local_backend: Backend, run_id: int
) -> None:
    words = [(word, status) for status, several in SYNONYMS.items() for word in several]
    sent = [
        new_result(
            execution={"status": word}, steps=[new_step("outer", new_step("inner", status=word), status=word)]
        )
        for word, _ in words
    ]
    assert local_backend.send(run_id, *sent).status_code == 201
    for (_, status), stored in zip(words, local_backend.stored(run_id)):
        (outer,) = stored["steps"]
        (inner,) = outer["steps"]
        found = [one["execution"]["status"] for one in (stored, outer, inner)]
        assert found == [status] * 3
    counts = {status: len(several) for status, several in SYNONYMS.items()}
    assert local_backend.get(f"/runs/{run_id}").json()["stats"] == counts


@pytest.mark.parametrize("word", ["", "passes", "succeeded", "errors", "pass ", "in progress", "ok"])
def test_no_other_word_is_a_status(local_backend: Backend, run_id: int, word: str) -> None:
    assert local_backend.send(run_id, new_result(execution={"status": word})).status_code == 422
    step = new_step("step", status=word)
    refused = local_backend.send(run_id, new_result(steps=[step]))
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"][3:] == ["steps", 0, "execution", "status"]


def test_a_repeated_result_replaces_the_first_in_its_place(local_backend: Backend, run_id: int) -> None:
    first, second, third = new_result(), new_result(), new_result()
    local_backend.send(run_id, first, second, third)
    changed = {**second, "id": second["id"].upper(), "execution": {"status": "failed"}}
    assert local_backend.send(run_id, changed).status_code == 201
    assert local_backend.stored(run_id) == [first, changed, third]
    assert local_backend.get(f"/runs/{run_id}").json()["stats"] == {"passed": 2, "failed": 1}


def test_of_one_id_twice_in_a_request_the_last_stays(local_backend: Backend, run_id: int) -> None:
    one = new_result()
    local_backend.send(run_id, one, {**one, "title": "later"})
    assert [result["title"] for result in local_backend.stored(run_id)] == ["later"]


def test_one_id_in_two_runs_is_two_results(local_backend: Backend, run_id: int) -> None:
    another, one = local_backend.new_run(), new_result()
    local_backend.send(run_id, one)
    local_backend.send(another, {**one, "title": "elsewhere"})
    assert local_backend.stored(run_id) == [one]
    assert local_backend.stored(another)[0]["title"] == "elsewhere"


def test_pages_of_results_are_in_order_and_without_gaps(local_backend: Backend, run_id: int) -> None:
    sent = [new_result(title=str(number)) for number in range(25)]
    local_backend.send(run_id, *sent)
    pages = [local_backend.stored(run_id, limit=10, offset=offset) for offset in (0, 10, 20, 30)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [one for page in pages for one in page] == sent
    assert local_backend.get(f"/runs/{run_id}/results", params={"limit": 1}).json()["total"] == 25
    assert local_backend.stored(run_id, offset=10**30) == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=", "offset=-1", "offset=1.5", "limit=1e2", "limit=-5"],
)
def test_a_page_that_breaks_the_contract_is_refused(local_backend: Backend, run_id: int, query: str) -> None:
    response = local_backend.get(f"/runs/{run_id}/results?{query}")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]


def test_a_completed_run_takes_no_results(backend: Backend, run_id: int) -> None:
    backend.post(f"/runs/{run_id}/complete")
    response = backend.send(run_id, new_result())
    assert response.status_code == 409
    assert "complete" in response.json()["detail"]


def test_the_number_of_results_is_limited(backend: Backend, run_id: int) -> None:
    assert backend.send(run_id).status_code == 422
    refused = backend.send(run_id, *(new_result() for _ in range(201)))
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "results"]
    assert backend.send(run_id, *(new_result() for _ in range(200))).status_code == 201


def changed(path: str, value: Any) -> tuple[dict[str, Any], list[Any]]:
    """A result with `value` at a dotted path, and the path as an answer names it."""
    result = full_result("ID")
    names: list[Any] = [int(name) if name.isdigit() else name for name in path.split(".")]
    holder: Any = result
    for name in names[:-1]:
        holder = holder[name]
    holder[names[-1]] = value
    return result, names


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "not a uuid"),
        ("id", "123e4567e89b42d3a456426614174000"),
        ("id", None),
        ("title", None),
        ("title", 5),
        ("signature", 5),
        ("testops_ids", 5),
        ("testops_ids.1", "2"),
        ("testops_ids.1", True),
        ("testops_ids.1", 2.5),
        ("execution", None),
        ("execution.status", "exploded"),
        ("execution.status", ["passed"]),
        ("execution.duration", 1.5),
        ("execution.duration", "1"),
        ("execution.start_time", "2026-01-01"),
        ("execution.start_time", True),
        ("execution.extra", 1),
        ("fields", []),
        ("tags", None),
        ("tags.0", 1),
        ("params.p", 1),
        ("param_groups.0.0", None),
        ("attachments.0.id", 5),
        ("attachments.0.mime_type", "text/plain"),
        ("steps", None),
        ("steps.0.steps", None),
        ("steps.0.step_type", "unknown"),
        ("steps.0.steps.0.execution.status", "exploded"),
        ("steps.0.steps.0.steps.0.data.action", None),
        ("steps.0.steps.0.steps.0.attachments", [{"id": "x"}]),
        ("message", {}),
        ("muted", None),
        ("muted", 1),
        ("defect", "true"),
        ("relations.suite.data.0.title", None),
        ("relations.suite.data.0.public_id", "1"),
        ("relations", None),
        ("attributes", {}),
        ("\ud800", 1),
    ],
)
def test_a_result_that_breaks_the_contract_is_named(
    local_backend: Backend, run_id: int, path: str, value: Any
) -> None:
    wrong, names = changed(path, value)
    response = local_backend.send(run_id, new_result(), wrong, new_result())
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "results", 1, *names]
    assert len(response.json()["detail"]) == 1


@pytest.mark.parametrize("path", ["id", "title", "execution", "execution.status"])
def test_a_result_needs_its_required_members(local_backend: Backend, run_id: int, path: str) -> None:
    result = new_result()
    *outer, last = path.split(".")
    del (result[outer[0]] if outer else result)[last]
    response = local_backend.send(run_id, result)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "results", 0, *outer, last]


def test_every_refused_result_of_a_request_is_named_and_none_is_stored(
    local_backend: Backend, run_id: int
) -> None:
    results = [new_result() for _ in range(10)]
    results[3]["title"] = None
    results[7]["id"] = "?"
    response = local_backend.send(run_id, *results)
    assert [one["loc"][2] for one in response.json()["detail"]] == [3, 7]
    assert local_backend.stored(run_id) == []


@pytest.mark.parametrize(
    "unknown", ["123e4567-e89b-42d3-a456-426614174000", "x", "", "\ud800", "\0", "' or 1=1"]
)
def test_a_result_may_mention_only_attachments_that_are_there(
    local_backend: Backend, run_id: int, unknown: str
) -> None:
    step = new_step("outer", new_step("inner", attachments=[{"id": unknown}]))
    response = local_backend.send(run_id, new_result(), new_result(steps=[step]))
    assert response.status_code == 422
    fault = response.json()["detail"][0]
    assert fault["loc"] == [
        *("body", "results", 1, "steps", 0, "steps", 0),
        *("execution", "attachments", 0, "id"),
    ]
    assert unknown in fault["msg"]
    assert local_backend.stored(run_id) == []


def test_an_attachment_of_another_project_is_not_known(
    local_backend: Backend, other: Backend, run_id: int
) -> None:
    theirs = other.new_attachment()
    response = local_backend.send(run_id, new_result(attachments=[{"id": theirs}]))
    assert response.status_code == 422
    assert theirs in response.json()["detail"][0]["msg"]


def test_a_request_may_mention_very_many_attachments(local_backend: Backend, run_id: int) -> None:
    files = [(f"{number}.txt", b"x") for number in range(20)]
    kept = [one["id"] for _ in range(60) for one in local_backend.upload(*files).json()["attachments"]]
    mention = [{"id": one} for one in kept]
    assert local_backend.send(run_id, new_result(attachments=mention)).status_code == 201


def nested(depth: int) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for level in range(depth):
        steps = [new_step(str(level), *steps)]
    return steps


def test_steps_may_be_nested_deeply(local_backend: Backend, run_id: int) -> None:
    deep = new_result(steps=nested(200))
    assert local_backend.send(run_id, deep).status_code == 201
    assert local_backend.stored(run_id) == [deep]


@pytest.mark.parametrize("levels", [201, 100_000])
def test_steps_beyond_that_are_refused_and_harm_nothing(
    local_backend: Backend, run_id: int, levels: int
) -> None:
    # Written as text: this side could not build it either.
    step = '{"execution":{"status":null},"steps":['
    text = f'{{"results":[{{"id":"{uuid.uuid4()}","title":"","execution":{{"status":null}},"steps":['
    body = text + step * levels + "]}" * levels + "]}]}"
    response = local_backend.call(
        "POST", f"/runs/{run_id}/results", data=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422
    assert "deep" in response.json()["detail"][0]["msg"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_json_does_not_have_are_refused(local_backend: Backend, run_id: int, value: str) -> None:
    body = json.dumps({"results": [new_result(fields={"x": "HERE"})]}).replace('"HERE"', value)
    response = local_backend.call(
        "POST", f"/runs/{run_id}/results", data=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422


def test_a_body_beyond_the_limit_is_refused(local_backend: Backend, run_id: int) -> None:
    large = copy.deepcopy(new_result(message="x" * (33 * 1024 * 1024)))
    assert local_backend.send(run_id, large).status_code == 201
    assert local_backend.send(run_id, large, large).status_code == 413
    assert local_backend.get(f"/runs/{run_id}").json()["stats"] == {"passed": 1}


def test_a_body_beyond_the_limit_is_refused_without_a_length_too(local_backend: Backend, run_id: int) -> None:
    pieces = (b" " * (1024 * 1024) for _ in range(66))
    response = local_backend.call(
        "POST", f"/runs/{run_id}/results", data=pieces, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 413


def test_posts_at_the_same_time_all_arrive(local_backend: Backend, run_id: int) -> None:
    batches = [[new_result() for _ in range(20)] for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda batch: local_backend.send(run_id, *batch), batches))
    assert {one.status_code for one in answers} == {201}
    stored = local_backend.stored(run_id, limit=1000)
    assert sorted(one["id"] for one in stored) == sorted(one["id"] for batch in batches for one in batch)
