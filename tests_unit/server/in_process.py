"""The local back end in this process: what is in its store, and its application called as ASGI says."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastapi import FastAPI

from famacase_pytest.server.database import Project, Run
from famacase_pytest.server.models import PREFIX
from famacase_pytest.server.results import to_rows
from famacase_pytest.server.store import Store


def result_of(status: str | None = "passed", **members: Any) -> dict[str, Any]:
    """A result as the contract has it; `duration` and `suite` are put where they belong."""
    execution: dict[str, Any] = {"status": status}
    if "duration" in members:
        execution["duration"] = members.pop("duration")
    suite = members.pop("suite", "")
    if suite:
        members["relations"] = {"suite": {"data": [{"title": title} for title in suite.split("/")]}}
    return {"id": str(uuid.uuid4()), "title": "A test", "execution": execution, **members}


class Data:
    """A store with the projects SMOKE and OTHER, each with an environment and a plan."""

    def __init__(self, store: Store) -> None:
        self.store = store
        projects = ("SMOKE", "OTHER")
        known = store.seed(
            projects,
            [(code, f"of-{code.lower()}") for code in projects],
            [(code, 1, [7]) for code in projects],
        )
        self.project, self.other = known["SMOKE"], known["OTHER"]

    def run(
        self, *results: dict[str, Any], title: str = "A run", project: Project | None = None, **body: Any
    ) -> Run:
        """A new run with these results."""
        project = project or self.project
        made = self.store.create_run(project, {"title": title, **body}, None, lambda run: str(run.id))
        if results:
            self.store.put_results(project, int(made), *to_rows(results))
        return self.store.run(int(made))


class Reply(NamedTuple):
    """What the application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Application:
    """Calls an application in a loop of its own; no socket is there."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.store: Store = app.state.store
        self._loop = asyncio.new_event_loop()
        self._life = app.router.lifespan_context(app)
        self._loop.run_until_complete(self._life.__aenter__())

    def close(self) -> None:
        self._loop.run_until_complete(self._life.__aexit__(None, None, None))
        self._loop.close()

    def page(self, address: str, method: str = "GET", **headers: str) -> Reply:
        """Asks for a page."""
        return self.send(method, address, [b""], headers)

    def call(self, method: str, path: str = "", body: object = None, **headers: str) -> Reply:
        """Makes a call of the contract, for the project SMOKE and with its token."""
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"authorization": "Token rep_local", "content-type": "application/json", **headers}
        return self.send(method, f"{PREFIX}/projects/SMOKE{path}", [sent], given)

    def send(
        self,
        method: str,
        address: str,
        pieces: Iterable[bytes],
        headers: dict[str, str],
        server: tuple[str, int] = ("127.0.0.1", 8000),
    ) -> Reply:
        """Sends a request whose body comes in pieces, no more of them than the application asks for."""
        path, _, query = address.partition("?")
        named = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()],
            "client": ("127.0.0.1", 50000),
            "server": server,
        }
        left = itertools.chain(filter(None, pieces), [None])
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            piece = next(left, b"")
            if piece == b"":
                await asyncio.Event().wait()  # the client stays connected, and says no more
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        async def take(message: Any) -> None:
            said.append(message)

        self._loop.run_until_complete(self.app(scope, receive, take))
        start = next(one for one in said if one["type"] == "http.response.start")
        told = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Reply(start["status"], told, b"".join(one.get("body", b"") for one in said))
