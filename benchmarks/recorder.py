"""A back end on loopback that speaks both protocols, Qase's and Famacase's, and only counts.

It runs in a process of its own, so that answering takes nothing from the interpreter that is measured, and it
does no more than it must: bodies of results are put aside and looked into when the session is over.

    python -m benchmarks.recorder          prints its port, and serves until its standard input closes
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable

RUN = 41

_FAMACASE = "/api/v1/reporter/v1/projects/BENCH"
_CHUNK = 1024 * 1024


@dataclass
class Record:
    """What has arrived since the last reset.

    Attributes:
        latency: seconds that an answer takes on its way, and a new connection too.
        requests: number of requests by what they are for.
        bodies: of requests with results, as they came.
        files: files that were uploaded.
        file_bytes: length of the requests that brought them.
        completed: how often the run was completed.
    """

    latency: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    files: int = 0
    file_bytes: int = 0
    completed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def summary(self) -> dict[str, Any]:
        """The record as JSON has it; ``results`` counts distinct ids, ``steps`` all of their steps."""
        results = {result["id"]: result for body in self.bodies for result in json.loads(body)["results"]}
        return {
            "requests": sum(self.requests.values()),
            "requests_by_kind": dict(sorted(self.requests.items())),
            "results": len(results),
            "steps": sum(_steps(result) for result in results.values()),
            "files": self.files,
            "file_bytes": self.file_bytes,
            "completed": self.completed,
        }


def _steps(node: dict[str, Any]) -> int:
    return sum(1 + _steps(step) for step in node.get("steps") or ())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A head and a body in two packets would wait for each other's acknowledgement.
    disable_nagle_algorithm = True
    record: Record
    # http.server's own, which its stubs leave out.
    _headers_buffer: list[bytes]

    def setup(self) -> None:
        super().setup()
        self._new = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        if self.path == "/recorded":
            self._answer(200, self.record.summary())
        elif self.path == "/reset":
            self._reset(json.loads(self._body()))
        else:
            self._serve_reporter()

    def _reset(self, wanted: dict[str, float]) -> None:
        record = self.record
        with record.lock:
            record.latency = wanted["latency"]
            record.requests.clear()
            record.bodies.clear()
            record.files = record.file_bytes = record.completed = 0
        self._answer(200, {})

    def _serve_reporter(self) -> None:
        line = f"{self.command} {self.path.partition('?')[0]}"
        for form, kind, reply in _CALLS:
            if re.fullmatch(form, line):
                status, content = reply(self)
                with self.record.lock:
                    self.record.requests[kind] = self.record.requests.get(kind, 0) + 1
                # The way there and back, and the handshake of a new connection.
                time.sleep(self.record.latency * (2 if self._new else 1))
                self._new = False
                self._answer(status, content)
                return
        self._body()
        with self.record.lock:
            self.record.requests["unknown"] = self.record.requests.get("unknown", 0) + 1
        self._answer(404, {"detail": f"unknown: {line}"})

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self._headers_buffer.extend([b"\r\n", body])
        self.flush_headers()

    def _pieces(self) -> Iterator[bytes]:
        """The body, bounded in memory; sent whole or in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                yield self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            piece = self.rfile.read(min(left, _CHUNK))
            if not piece:
                return
            left -= len(piece)
            yield piece

    def _body(self) -> bytes:
        return b"".join(self._pieces())

    def take_nothing(self) -> None:
        """Read the body and forget it."""
        for _ in self._pieces():
            pass

    def take_results(self) -> None:
        """Put the body aside."""
        body = self._body()
        with self.record.lock:
            self.record.bodies.append(body)

    def take_completion(self) -> None:
        """Count it."""
        self.take_nothing()
        with self.record.lock:
            self.record.completed += 1

    def take_files(self) -> int:
        """Count the files of a multipart body without keeping them; returns their number."""
        boundary = b"--" + self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
        seen = size = 0
        tail = b""
        for piece in self._pieces():
            size += len(piece)
            window = tail + piece
            seen += window.count(boundary)
            tail = window[-(len(boundary) - 1) :]
        # One boundary before each file, and one behind the last.
        files = seen - 1
        with self.record.lock:
            self.record.files += files
            self.record.file_bytes += size
        return files


Reply = Callable[[_Handler], "tuple[int, Any]"]


def _with(status: int, content: Any, take: Callable[[_Handler], None] = _Handler.take_nothing) -> Reply:
    def reply(handler: _Handler) -> tuple[int, Any]:
        take(handler)
        return status, content

    return reply


def _qase_files(handler: _Handler) -> tuple[int, Any]:
    uploaded = [{"hash": uuid.uuid4().hex, "filename": "file"} for _ in range(handler.take_files())]
    return 200, {"status": True, "result": uploaded}


def _famacase_files(handler: _Handler) -> tuple[int, Any]:
    count = handler.take_files()
    return 201, {"attachments": [{"id": str(uuid.uuid4()), "file_name": "file"} for _ in range(count)]}


_QASE_RUN = {"status": True, "result": {"id": RUN, "title": "A run", "status": 0}}
_CALLS: tuple[tuple[str, str, Reply], ...] = (
    # Qase: api_client_v1 and api_client_v2.
    (r"GET /v1/project/\w+", "project", _with(200, {"status": True, "result": {"code": "BENCH"}})),
    (r"POST /v1/run/\w+", "create run", _with(200, {"status": True, "result": {"id": RUN}})),
    (rf"GET /v1/run/\w+/{RUN}", "check run", _with(200, _QASE_RUN)),
    (rf"POST /v1/run/\w+/{RUN}/complete", "complete run",
     _with(200, {"status": True}, _Handler.take_completion)),
    (r"POST /v1/attachment/\w+", "attachments", _qase_files),
    (rf"POST /v2/\w+/run/{RUN}/results", "results", _with(202, {"status": True}, _Handler.take_results)),
    # Famacase: docs/reporter-ingestion-v1.yaml.
    (rf"GET {_FAMACASE}", "project", _with(200, {"id": 1, "code": "BENCH"})),
    (rf"POST {_FAMACASE}/runs", "create run", _with(201, {"id": RUN})),
    (rf"GET {_FAMACASE}/runs/{RUN}", "check run", _with(200, {"id": RUN, "status": "in_progress"})),
    (rf"POST {_FAMACASE}/runs/{RUN}/complete", "complete run", _with(200, {}, _Handler.take_completion)),
    (rf"POST {_FAMACASE}/attachments", "attachments", _famacase_files),
    (rf"POST {_FAMACASE}/runs/{RUN}/results", "results", _with(201, {}, _Handler.take_results)),
)  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Recorder:
    """A recorder that runs, as the harness sees it.

    Attributes:
        url: its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def reset(self, latency: float) -> None:
        """Forget what has arrived.

        Args:
            latency: seconds, see ``Record``.
        """
        self._call("/reset", json.dumps({"latency": latency}).encode())

    def recorded(self) -> dict[str, Any]:
        """What has arrived since, see ``Record.summary``."""
        found: dict[str, Any] = self._call("/recorded", None)
        return found

    def _call(self, path: str, body: bytes | None) -> Any:
        # Loopback, whatever proxy the machine uses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, body, timeout=60) as answer:
            return json.load(answer)


@contextmanager
def running() -> Iterator[Recorder]:
    """A recorder in a process of its own, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.recorder"],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Recorder(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.stdin.close()
        process.wait(10)


def main() -> None:
    """Serve until standard input closes."""
    handler = type("Handler", (_Handler,), {"record": Record()})
    with _Server(("127.0.0.1", 0), handler) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.buffer.read()
        server.shutdown()


if __name__ == "__main__":
    main()
