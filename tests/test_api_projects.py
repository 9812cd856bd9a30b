"""Who may call, and what a project has: `getProject`, `listEnvironments`, `listPlanCases`."""

from __future__ import annotations

import pytest
import requests

from live_api import PREFIX, Backend

CALLS = [
    ("GET", ""),
    ("GET", "/environments"),
    ("GET", "/plans/1/cases"),
    ("POST", "/runs"),
    ("GET", "/runs/1"),
    ("GET", "/runs/1/results"),
    ("POST", "/runs/1/results"),
    ("POST", "/runs/1/complete"),
    ("POST", "/runs/1/public"),
    ("POST", "/attachments"),
    ("GET", "/attachments/123e4567-e89b-42d3-a456-426614174000"),
]
every_call = pytest.mark.parametrize(("method", "path"), CALLS)


@every_call
def test_a_call_without_token_is_refused(backend: Backend, method: str, path: str) -> None:
    response = requests.request(method, backend.address(path), timeout=60)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Token"
    assert backend.token not in response.text


@every_call
@pytest.mark.parametrize("value", ["Token wrong", "Bearer {}", "Token", "{}", "Token {}x", "Token é"])
def test_a_call_with_another_token_is_refused(backend: Backend, method: str, path: str, value: str) -> None:
    header = value.format(backend.token).encode("latin-1")
    url = backend.address(path)
    response = requests.request(method, url, headers={"Authorization": header}, timeout=60)
    assert response.status_code == 401


@every_call
def test_a_token_opens_no_other_project(backend: Backend, method: str, path: str) -> None:
    assert backend.call(method, path, project="OTHER").status_code == 404
    assert backend.call(method, path, project="NO-SUCH").status_code == 404


def test_the_scheme_may_be_written_in_any_case(backend: Backend) -> None:
    assert backend.get(headers={"Authorization": f"token {backend.token}"}).status_code == 200


def test_a_project_is_described(backend: Backend) -> None:
    response = backend.get()
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["code"] == backend.project
    assert isinstance(response.json()["id"], int)


def test_the_default_project_has_an_environment_and_a_plan(local_backend: Backend, other: Backend) -> None:
    assert [one["slug"] for one in local_backend.get("/environments").json()] == ["staging", "prod"]
    assert local_backend.get("/environments").json()[0]["id"] == 1
    assert local_backend.get("/plans/1/cases").json() == {"case_ids": [1, 2]}
    assert [one["slug"] for one in other.get("/environments").json()] == ["staging", "far"]


def test_an_environment_is_found_by_its_slug(local_backend: Backend) -> None:
    found = local_backend.get("/environments", params={"slug": "prod"}).json()
    assert [one["slug"] for one in found] == ["prod"]


@pytest.mark.parametrize("slug", ["nowhere", "", "PROD", "pro", "' or 1=1 --", "a\0b", "far"])
def test_an_unknown_slug_finds_nothing(backend: Backend, slug: str) -> None:
    response = backend.get("/environments", params={"slug": slug})
    assert response.status_code == 200
    assert response.json() == []


def test_a_plan_lists_its_cases(local_backend: Backend) -> None:
    assert local_backend.get("/plans/5/cases").json() == {"case_ids": [11, 12, 13]}
    assert local_backend.get("/plans/6/cases").json() == {"case_ids": []}


@pytest.mark.parametrize("plan", ["77", "-1", "0", "9223372036854775808", "1" * 5000])
def test_an_unknown_plan_is_not_found(local_backend: Backend, plan: str) -> None:
    assert local_backend.get(f"/plans/{plan}/cases").status_code == 404


def test_a_plan_of_another_project_is_not_found(other: Backend) -> None:
    assert other.get("/plans/5/cases").status_code == 404


@pytest.mark.parametrize("number", ["x", "1.5", "1e3", "%20", "1_0", "٣", "0x1", "+1"])
def test_an_id_in_a_path_must_be_an_integer(local_backend: Backend, number: str) -> None:
    for path in (f"/plans/{number}/cases", f"/runs/{number}", f"/runs/{number}/results"):
        response = local_backend.get(path)
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"][0] == "path"


def test_what_the_contract_does_not_have_is_not_there(local_backend: Backend) -> None:
    assert requests.get(f"{local_backend.url}{PREFIX}/nothing", timeout=60).json() == {"detail": "Not Found"}
    for path, allowed in (("/runs/1/results", "GET, POST"), ("/runs", "POST"), ("", "GET")):
        response = local_backend.call("DELETE", path)
        assert response.status_code == 405
        assert response.headers["Allow"] == allowed
