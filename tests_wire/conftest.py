"""The api room over real sockets: a server that does as it is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from famacase_pytest.delivery.api.client import ReporterApi
from famacase_pytest.delivery.api.retry import RetryPolicy
from scripted_server import Server, serving

TOKEN = "rep_Geheim+token/42"
QUICK = RetryPolicy(base=0.001)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy or CA bundle of the machine decides a test."""
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as told:
        yield told


@pytest.fixture
def make_api(server: Server) -> Iterator[Callable[..., ReporterApi]]:
    """Makes a ReporterApi for the server; the arguments are the constructor's."""
    with contextlib.ExitStack() as stack:

        def make(base_url: str = "", tokens: Any = None, **options: Any) -> ReporterApi:
            options.setdefault("retry", QUICK)
            api = ReporterApi(base_url or server.url, {"": TOKEN} if tokens is None else tokens, **options)
            return stack.enter_context(api)

        yield make


@pytest.fixture
def api(make_api: Callable[..., ReporterApi]) -> ReporterApi:
    return make_api()


@pytest.fixture
def token() -> str:
    return TOKEN
