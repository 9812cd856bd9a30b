"""The back end as `Http.exchange` shows it: answers by script, no sockets."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from requests.structures import CaseInsensitiveDict

from famacase_pytest.delivery.api.client import API_ROOT, ReporterApi
from famacase_pytest.delivery.api.http import Answer, Bounds, Http, TokenAuth
from famacase_pytest.delivery.api.retry import RetryPolicy
from famacase_pytest.delivery.models import Part
from scripted_answers import Say, lawful

URL = "http://famacase.test"
TOKEN = "rep_Geheim+token/42"


@dataclass(frozen=True)
class Request:
    """What was to be sent; `path` is below the API's root and has the query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    bounds: Bounds

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class BackEnd:
    """With an empty script it answers as the contract says.

    Attributes:
        script: the next answers; an exception is raised.
        requests: all that came, in order.
    """

    def __init__(self) -> None:
        self.script: deque[Say | Exception] = deque()
        self.requests: list[Request] = []

    def exchange(
        self,
        method: str,
        url: str,
        *,
        auth: TokenAuth,
        bounds: Bounds,
        cancelled: threading.Event,
        params: dict[str, str] | None,
        headers: dict[str, str],
        body: Any,
    ) -> Answer:
        assert url.startswith(URL + API_ROOT)
        path = url[len(URL + API_ROOT) :] + (f"?{urlencode(params)}" if params else "")
        content = body if isinstance(body, bytes) else b"" if body is None else body.read()
        request = Request(method, path, dict(headers), content, bounds)
        self.requests.append(request)
        told = self.script.popleft() if self.script else self.lawful(request)
        if isinstance(told, Exception):
            raise told
        answer = json.dumps(told.json_).encode() if told.body is None else told.body
        return Answer(
            told.status, CaseInsensitiveDict({"Content-Type": "application/json", **told.headers}), answer
        )

    @staticmethod
    def lawful(request: Request) -> Say:
        path = request.path.partition("?")[0]
        if path.endswith("/attachments"):
            return Say(
                201, {"attachments": [{"id": f"file-{n}"} for n in range(request.body.count(b"filename="))]}
            )
        return lawful(request.method, path)


class Patience(threading.Event):
    """An event that is never set, notes how long it was waited for, and lets nobody wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        return self.is_set()


def part(name: str = "a.txt", content: bytes = b"abc", mime_type: str = "text/plain") -> Part:
    """A file to be uploaded."""
    digest = hashlib.sha256(content).hexdigest()
    return Part(name, mime_type, len(content), lambda: io.BytesIO(content), digest)


CALLS: dict[str, Callable[[ReporterApi], Any]] = {
    "get_project": lambda api: api.get_project("SMOKE"),
    "environment_id": lambda api: api.environment_id("SMOKE", "production"),
    "plan_cases": lambda api: api.plan_cases("SMOKE", 5),
    "create_run": lambda api: api.create_run("SMOKE", {"title": "t"}, "key-1"),
    "get_run": lambda api: api.get_run("SMOKE", 7),
    "complete_run": lambda api: api.complete_run("SMOKE", 7),
    "publish_run": lambda api: api.publish_run("SMOKE", 7),
    "post_results": lambda api: api.post_results("SMOKE", 7, ["{}"]),
    "upload": lambda api: api.upload("SMOKE", [part()], "key-2"),
    "list_results": lambda api: list(api.list_results("SMOKE", 7)),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> BackEnd:
    server = BackEnd()
    monkeypatch.setattr(
        Http, "exchange", lambda http, *arguments, **more: server.exchange(*arguments, **more)
    )
    return server


@pytest.fixture
def make_api(server: BackEnd) -> Iterator[Callable[..., ReporterApi]]:
    """Makes a ReporterApi; the arguments are the constructor's."""
    with contextlib.ExitStack() as stack:

        def make(tokens: Any = None, **options: Any) -> ReporterApi:
            options.setdefault("retry", RetryPolicy(base=0.001))
            api = ReporterApi(URL, {"": TOKEN} if tokens is None else tokens, **options)
            return stack.enter_context(api)

        yield make


@pytest.fixture
def api(make_api: Callable[..., ReporterApi]) -> ReporterApi:
    return make_api()


@pytest.fixture
def patience() -> Patience:
    return Patience()
