"""The life of a run: `createRun`, `getRun`, `completeRun`, `publishRun`."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from live_api import Backend, new_result

RUN = {"title": "A run", "is_autotest": True}


def test_a_run_is_created_in_progress(backend: Backend) -> None:
    response = backend.post("/runs", RUN)
    assert response.status_code == 201
    run = backend.get(f"/runs/{response.json()['id']}").json()
    assert run["title"] == "A run"
    assert run["status"] == "in_progress"


def test_a_run_gives_back_what_it_was_created_with(local_backend: Backend) -> None:
    body = {
        **RUN,
        "title": "Ünïcode \U0001f680 and a lone \ud800 surrogate, \0",
        "description": "Two\nlines",
        "plan_id": 5,
        "environment_id": 1,
        "tags": ["a", "b", ""],
        "configurations": [{"name": "browser", "value": "chromium", "more": 1}],
        "external_link": {"type": "jiraCloud", "link": "https://jira.example.com/browse/A-1"},
    }
    response = local_backend.post("/runs", body)
    assert response.status_code == 201
    run = local_backend.get(f"/runs/{response.json()['id']}").json()
    assert {name: run[name] for name in body} == body
    assert run["stats"] == {}


def test_numbers_of_runs_are_unique_across_projects(local_backend: Backend, other: Backend) -> None:
    ours, theirs = local_backend.new_run(), other.new_run()
    assert ours != theirs
    assert other.get(f"/runs/{ours}").status_code == 404
    assert local_backend.get(f"/runs/{theirs}").status_code == 404


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"title": ""}, "title"),
        ({"title": None}, "title"),
        ({"title": 5}, "title"),
        ({"is_autotest": False}, "is_autotest"),
        ({"is_autotest": 1}, "is_autotest"),
        ({"is_autotest": "true"}, "is_autotest"),
        ({"description": 5}, "description"),
        ({"plan_id": "1"}, "plan_id"),
        ({"plan_id": None}, "plan_id"),
        ({"plan_id": True}, "plan_id"),
        ({"plan_id": 1.5}, "plan_id"),
        ({"plan_id": 404}, "plan_id"),
        ({"plan_id": 10**30}, "plan_id"),
        ({"plan_id": -(10**30)}, "plan_id"),
        ({"environment_id": 404}, "environment_id"),
        ({"environment_id": 10**30}, "environment_id"),
        ({"environment_id": 0}, "environment_id"),
        ({"tags": "a,b"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"configurations": [{"name": "x"}]}, "configurations"),
        ({"external_link": {"type": "github"}}, "external_link"),
        ({"external_link": None}, "external_link"),
        ({"milestone": 1}, "milestone"),
    ],
)
def test_a_run_that_breaks_the_contract_is_refused(
    backend: Backend, change: dict[str, Any], member: str
) -> None:
    response = backend.post("/runs", {**RUN, **change})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][:2] == ["body", member]


@pytest.mark.parametrize("missing", sorted(RUN))
def test_a_run_needs_its_required_members(backend: Backend, missing: str) -> None:
    response = backend.post("/runs", {name: value for name, value in RUN.items() if name != missing})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", missing]


def test_an_environment_of_another_project_is_refused(local_backend: Backend, other: Backend) -> None:
    far = other.get("/environments", params={"slug": "far"}).json()[0]["id"]
    assert local_backend.post("/runs", {**RUN, "environment_id": far}).status_code == 422


def test_a_whole_float_is_an_integer(local_backend: Backend) -> None:
    response = local_backend.post("/runs", {**RUN, "plan_id": 5.0, "environment_id": 1.0})
    assert response.status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'"text"',
        b"\xff\xfe\xfd",
        b"NaN",
        b'{"title": "x", "is_autotest": true, "plan_id": NaN}',
        b'{"title": "x", "is_autotest": true, "plan_id": 1e999}',
        b'{"title": "x", "is_autotest": true, "plan_id": ' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b'{"title":' * 100_000,
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_no_json_object_is_refused(backend: Backend, body: bytes) -> None:
    response = backend.call("POST", "/runs", data=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["detail"]


def test_a_body_of_another_type_is_refused(backend: Backend) -> None:
    response = backend.call("POST", "/runs", data={"title": "x"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["header", "Content-Type"]


def test_a_repeated_call_with_one_key_makes_one_run(local_backend: Backend) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = local_backend.post("/runs", RUN, headers=key)
    local_backend.post(f"/runs/{first.json()['id']}/complete")
    again = local_backend.post("/runs", {**RUN, "title": "Another"}, headers=key)
    upper = local_backend.post("/runs", RUN, headers={"Idempotency-Key": key["Idempotency-Key"].upper()})
    assert again.status_code == upper.status_code == 201
    assert first.json() == again.json() == upper.json()


def test_calls_with_one_key_at_the_same_time_make_one_run(local_backend: Backend) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: local_backend.post("/runs", RUN, headers=key), range(16)))
    assert {one.status_code for one in answers} == {201}
    assert len({one.json()["id"] for one in answers}) == 1


def test_a_key_is_one_projects_and_one_operations(local_backend: Backend, other: Backend) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    ours = local_backend.post("/runs", RUN, headers=key).json()["id"]
    assert other.post("/runs", RUN, headers=key).json()["id"] != ours
    uploaded = local_backend.upload(("a.txt", b"a"), headers=key)
    assert uploaded.json()["attachments"][0]["file_name"] == "a.txt"


def test_a_refused_call_does_not_use_its_key_up(local_backend: Backend) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert local_backend.post("/runs", {**RUN, "plan_id": 404}, headers=key).status_code == 422
    assert local_backend.post("/runs", RUN, headers=key).status_code == 201


@pytest.mark.parametrize(
    "key", ["", "x", "123e4567e89b42d3a456426614174000", "123e4567-e89b-42d3-a456-42661417400é"]
)
def test_a_key_must_be_a_uuid(local_backend: Backend, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    response = local_backend.post("/runs", RUN, headers=headers)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


def test_a_run_can_be_completed_twice(backend: Backend) -> None:
    run_id = backend.new_run()
    assert backend.post(f"/runs/{run_id}/complete").status_code == 200
    first = backend.get(f"/runs/{run_id}").json()
    assert first["status"] == "completed"
    assert backend.post(f"/runs/{run_id}/complete", {"anything": 1}).status_code == 200
    assert backend.get(f"/runs/{run_id}").json() == first


@pytest.mark.parametrize("run_id", ["0", "-1", "999999999", "9223372036854775808", "1" * 4000])
def test_an_unknown_run_is_not_found(backend: Backend, run_id: str) -> None:
    assert backend.get(f"/runs/{run_id}").status_code == 404
    assert backend.get(f"/runs/{run_id}/results").status_code == 404
    assert backend.post(f"/runs/{run_id}/results", {"results": [new_result()]}).status_code == 404
    assert backend.post(f"/runs/{run_id}/complete").status_code == 404
    assert backend.post(f"/runs/{run_id}/public", {"status": True}).status_code == 404


def test_a_published_run_has_a_link_that_opens(local_backend: Backend) -> None:
    run_id = local_backend.new_run()
    response = local_backend.post(f"/runs/{run_id}/public", {"status": True})
    assert response.json() == {"url": f"{local_backend.url}/runs/{run_id}"}
    assert local_backend.get(f"/runs/{run_id}").json()["is_public"] is True
    assert local_backend.post(f"/runs/{run_id}/public", {"status": False}).json() == {"url": None}


def test_the_link_is_not_made_of_what_the_caller_calls_the_server(local_backend: Backend) -> None:
    run_id = local_backend.new_run()
    path = f"/runs/{run_id}/public"
    named = local_backend.post(path, {"status": True}, headers={"Host": "localhost:1"})
    assert named.json() == {"url": f"{local_backend.url}/runs/{run_id}"}


@pytest.mark.parametrize("body", [{}, {"status": "yes"}, {"status": 1}, {"status": None}, []])
def test_a_publication_that_breaks_the_contract_is_refused(backend: Backend, body: Any) -> None:
    assert backend.post(f"/runs/{backend.new_run()}/public", body).status_code == 422
