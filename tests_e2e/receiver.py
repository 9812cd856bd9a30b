"""A receiver on loopback for what integrations send: it answers as it is told, and keeps what it got."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request.

    Attributes:
        path: with its query.
        headers: by name, in any case of letters.
        body: its bytes.
    """

    path: str
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)


class Receiver:
    """Takes POST requests.

    Attributes:
        requests: what came, in order.
        answers: status, headers and JSON of the next answers; after them `usual`.
        usual: the answer where none is set.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.usual: Any = {"ok": True, "ts": "171.1", "id": 77, "url": "https://testrail.example/runs/77"}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append(Received(self.path, self.headers, body))
                status, headers, content = (
                    receiver.answers.pop(0) if receiver.answers else (200, {}, receiver.usual)
                )
                answer = json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, for the length of the context."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()
