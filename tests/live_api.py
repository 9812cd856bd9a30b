"""How the tests here speak to a back end: over HTTP, with the calls of the contract and nothing else."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import requests

from famacase_pytest.server.process import ServerProcess

PREFIX = "/api/v1/reporter/v1"


@dataclass(frozen=True)
class Backend:
    """A back end that answers calls.

    Args:
        url: its base URL.
        token: the project's token.
        project: the project's code.
        is_local: whether it is the local one, started for these tests, with its extensions and limits.
    """

    url: str
    token: str
    project: str
    is_local: bool

    @property
    def headers(self) -> dict[str, str]:
        """What names the caller."""
        return {"Authorization": f"Token {self.token}"}

    def address(self, path: str = "", project: str | None = None) -> str:
        """The URL of a call, from the part of its path that follows the project."""
        return f"{self.url}{PREFIX}/projects/{project or self.project}{path}"

    def call(
        self,
        method: str,
        path: str = "",
        *,
        project: str | None = None,
        headers: dict[str, str] | None = None,
        **rest: Any,
    ) -> requests.Response:
        """Makes a call with the project's token; `headers` are added to it."""
        url = self.address(path, project)
        merged = {**self.headers, **(headers or {})}
        return requests.request(method, url, headers=merged, timeout=60, **rest)

    def get(self, path: str = "", **rest: Any) -> requests.Response:
        """Makes a GET call."""
        return self.call("GET", path, **rest)

    def post(self, path: str, body: object = None, **rest: Any) -> requests.Response:
        """Makes a POST call, with a JSON body if one is given."""
        if body is not None:
            rest["json"] = body
        return self.call("POST", path, **rest)

    def new_run(self, **members: object) -> int:
        """Creates a run and returns its id."""
        response = self.post("/runs", {"title": "A run of the API tests", "is_autotest": True, **members})
        assert response.status_code == 201, response.text
        number: int = response.json()["id"]
        return number

    def send(self, run_id: int, *results: dict[str, Any]) -> requests.Response:
        """Makes a `createResults` call."""
        return self.post(f"/runs/{run_id}/results", {"results": list(results)})

    def stored(self, run_id: int, **query: object) -> list[dict[str, Any]]:
        """What the run holds, one page of it."""
        response = self.get(f"/runs/{run_id}/results", params=query)
        assert response.status_code == 200, response.text
        page: list[dict[str, Any]] = response.json()["results"]
        return page

    def upload(self, *files: tuple[Any, ...], **rest: Any) -> requests.Response:
        """Uploads files, each as requests takes them: (name, content) or (name, content, media type)."""
        return self.call("POST", "/attachments", files=[("files", one) for one in files], **rest)

    def new_attachment(
        self, name: str = "a.txt", content: bytes = b"a", media_type: str = "text/plain"
    ) -> str:
        """Uploads one file and returns its id."""
        response = self.upload((name, content, media_type))
        assert response.status_code == 201, response.text
        number: str = response.json()["attachments"][0]["id"]
        return number


def reach(process: ServerProcess) -> Backend:
    """The default project of a local back end."""
    return Backend(process.url, "rep_local", "SMOKE", is_local=True)


def new_result(**members: object) -> dict[str, Any]:
    """A valid result with a new id; `members` are added or replace what is there."""
    return {
        "id": str(uuid.uuid4()),
        "title": "A result",
        "execution": {"status": "passed", "duration": 3},
        **members,
    }


def new_step(
    action: str, *steps: dict[str, Any], status: str = "passed", **execution: object
) -> dict[str, Any]:
    """A valid step with others below it."""
    return {
        "step_type": "text",
        "data": {"action": action},
        "execution": {"status": status, **execution},
        "steps": list(steps),
    }
