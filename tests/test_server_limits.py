"""What the local back end lets nobody do: call it by a strange name, or keep it busy and its memory full."""

from __future__ import annotations

import contextlib
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from famacase_pytest.server.process import ServerDidNotStart, ServerProcess
from live_api import PREFIX, Backend, new_result, reach

MEBIBYTE = 1024 * 1024
URLS = ("/", "/openapi.json", f"{PREFIX}/projects/SMOKE")

SERVE = """
import sys
from pathlib import Path
from famacase_pytest.server import Limits, Settings, serve
sys.exit(serve(Settings(port=0, data=Path("data"), stop_with_stdin=True, limits=Limits({limits}))))
"""


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


@contextlib.contextmanager
def serving(directory: Path, limits: str) -> Iterator[Backend]:
    """A back end with limits of the test's own."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE.format(limits=limits)],
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = next(line.partition("=")[2].strip() for line in process.stdout if "FAMACASE_API_URL" in line)
        yield Backend(url, "rep_local", "SMOKE", is_local=True)
        process.terminate()


def connect(backend: Backend, sent: bytes = b"") -> socket.socket:
    """A connection on which something has been sent; it waits for a minute at most when it is read."""
    host, _, port = backend.url.rpartition("/")[2].rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.sendall(sent)
    return connection


def start_of_post(backend: Backend, *headers: str) -> bytes:
    lines = [f"POST {PREFIX}/projects/SMOKE/runs HTTP/1.1", "Host: localhost"]
    lines += [f"Authorization: Token {backend.token}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


HALF_HEAD = b"GET / HTTP/1.1\r\nHost: loc"


@pytest.mark.parametrize("sent", [b"", HALF_HEAD], ids=["nothing", "half"])
def test_a_head_that_does_not_come_is_not_waited_for(tmp_path: Path, sent: bytes) -> None:
    with serving(tmp_path, "head_seconds=0.5") as backend, connect(backend, sent) as connection:
        assert connection.recv(1) == b""


def test_a_second_head_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    whole = b"GET /static/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(tmp_path, "head_seconds=0.5") as backend, connect(backend, whole) as connection:
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        connection.sendall(HALF_HEAD)
        while connection.recv(65536):
            pass


def test_the_rest_of_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    with serving(tmp_path, "body_idle_seconds=0.5") as backend:
        half = start_of_post(backend, "Content-Length: 100") + b'{"title":'
        with connect(backend, half) as connection:
            assert connection.recv(1) == b""


def test_a_refused_call_whose_body_does_not_come_is_closed_too(tmp_path: Path) -> None:
    with serving(tmp_path, "body_idle_seconds=0.5") as backend:
        half = start_of_post(backend, "Content-Length: 100").replace(b"rep_local", b"unknown") + b"{"
        with connect(backend, half) as connection:
            assert connection.recv(12) == b"HTTP/1.1 401"
            while connection.recv(65536):
                pass


def test_half_sent_heads_keep_nobody_out(tmp_path: Path) -> None:
    with serving(tmp_path, "connections=8, head_seconds=600") as backend, contextlib.ExitStack() as opened:
        half = [opened.enter_context(connect(backend, HALF_HEAD)) for _ in range(60)]
        assert backend.get().status_code == 200
        # Nothing is ever sent to them: what can be read is their end. All but eight have to go.
        waiting = opened.enter_context(selectors.DefaultSelector())
        for one in half:
            waiting.register(one, selectors.EVENT_READ)
        while len(waiting.get_map()) > 8:
            ended = waiting.select(timeout=60)
            assert ended
            for key, _ in ended:
                waiting.unregister(key.fileobj)


def test_beyond_the_number_of_calls_at_a_time_another_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, "connections=3, body_idle_seconds=600") as backend:
        head = start_of_post(backend, "Content-Length: 2", "Expect: 100-continue")
        with contextlib.ExitStack() as opened:
            busy = [opened.enter_context(connect(backend, head)) for _ in range(3)]
            # Each is read from here on, and waits for its body.
            assert [one.recv(12) for one in busy] == [b"HTTP/1.1 100"] * 3
            assert backend.get().status_code == 503


def peak_memory(process: ServerProcess) -> int:
    """The most memory, in bytes, that a process has had at a time."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def post_large(backend: Backend, run_id: int) -> int:
    return backend.send(run_id, new_result(message="x" * (60 * MEBIBYTE))).status_code


def upload_large(backend: Backend, _run_id: int) -> int:
    files = [(str(number), bytes(30 * MEBIBYTE)) for number in range(2)]
    return backend.upload(*files).status_code


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell")
@pytest.mark.parametrize("send", [post_large, upload_large])
def test_large_bodies_at_the_same_time_do_not_add_up_in_memory(tmp_path: Path, send: Any) -> None:
    with ServerProcess.start(tmp_path) as process:
        backend = reach(process)
        run_id = backend.new_run()
        assert send(backend, run_id) == 201
        of_one = peak_memory(process)
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: send(backend, run_id), range(6)))
        assert answers == [201] * 6
        print(f"peak: {of_one >> 20} MiB with one, {peak_memory(process) >> 20} MiB with six")
        assert peak_memory(process) < of_one + 100 * MEBIBYTE
