"""What the local back end lets nobody do: call it by a strange name, or keep it busy and its memory full."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import requests

from famacase_pytest.server.process import ServerDidNotStart, ServerProcess
from live_api import PREFIX, Backend, reach

URLS = ("/", "/openapi.json", f"{PREFIX}/projects/SMOKE")


@pytest.fixture(autouse=True)
def only_local(local_backend: object) -> None:
    """Skips where the tests run against another stack."""


def status_for(backend: Backend, host: str, path: str = "/") -> int:
    headers = {**backend.headers, "Host": host}
    return requests.get(backend.url + path, headers=headers, timeout=60).status_code


@pytest.mark.parametrize("path", URLS)
@pytest.mark.parametrize(
    "host",
    [
        *("rebound.example", "rebound.example:80", "127.0.0.1.rebound.example", "localhost.rebound.example"),
        *("192.0.2.1", "0.0.0.0", "[2001:db8::1]", "", "[::1", "a b", "x" * 300, "localhost@x", "::1"),
    ],
)
def test_it_answers_to_no_strange_name(backend: Backend, host: str, path: str) -> None:
    response = requests.get(backend.url + path, headers={**backend.headers, "Host": host}, timeout=60)
    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("text/plain")
    assert "--allow-host" in response.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.1.2.3:1", "[::1]:8000", "[::1]"]
)
def test_it_answers_to_the_names_of_loopback(backend: Backend, host: str) -> None:
    assert [status_for(backend, host, path) for path in URLS] == [200, 200, 200]


def test_it_answers_to_the_names_that_it_is_given(tmp_path: Path) -> None:
    arguments = ["--allow-host=Backend", "--allow-host=reports.example"]
    arguments += ["--public-url=https://public.example/famacase/"]
    with ServerProcess.start(tmp_path, arguments=arguments) as process:
        backend = reach(process)
        for host in ("backend:8000", "reports.example", "public.example"):
            assert status_for(backend, host) == 200
        assert status_for(backend, "other.example") == 400
        run_id = backend.new_run()
        link = backend.post(f"/runs/{run_id}/public", {"status": True}).json()["url"]
        assert link == f"https://public.example/famacase/runs/{run_id}"


def test_it_answers_to_the_host_that_it_listens_on(tmp_path: Path) -> None:
    name = socket.gethostname()
    try:
        process = ServerProcess.start(tmp_path, host=name)
    except ServerDidNotStart:
        pytest.skip("the name of this machine leads to no address of it")
    with process:
        assert status_for(reach(process), name) == 200


def test_on_every_address_it_answers_to_the_one_that_was_called(tmp_path: Path) -> None:
    with ServerProcess.start(tmp_path, host="0.0.0.0") as process:
        assert status_for(reach(process), f"127.0.0.1:{process.port}") == 200
        assert status_for(reach(process), "0.0.0.0") == 400


@pytest.mark.parametrize(
    "argument", ["--allow-host=a:80", "--allow-host=", "--public-url=ftp://x", "--public-url=https://x/?a=b"]
)
def test_names_that_cannot_be_used_are_explained(tmp_path: Path, argument: str) -> None:
    with pytest.raises(ServerDidNotStart, match="must "):
        ServerProcess.start(tmp_path, arguments=[argument])
