"""A back end on loopback that does as it is told, answer by answer, and remembers what it was sent."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import socketserver
import struct
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

from scripted_answers import Say, lawful


@dataclass(frozen=True)
class Reset:
    """The connection is reset; with `applied` the request was carried out before."""

    applied: bool = False


@dataclass(frozen=True)
class Half:
    """An answer that breaks off in the middle."""


@dataclass(frozen=True)
class Hang:
    """No answer while the test lasts; with `trickle` a byte now and then: of the headers, or of the body."""

    trickle: str = ""


@dataclass(frozen=True)
class EarlyNo:
    """An answer before the request's body was read, and the end of the connection."""

    status: int = 413


@dataclass
class Request:
    method: str
    path: str
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def files(self) -> list[tuple[str, str, bytes]]:
        """File name, type and content of each part of a multipart body."""
        boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
        parts = self.body.split(b"--" + boundary)
        assert parts[0] == b""
        assert parts[-1] == b"--\r\n"
        found = []
        for part in parts[1:-1]:
            head, _, content = part[2:-2].partition(b"\r\n\r\n")
            match = re.fullmatch(
                r'Content-Disposition: form-data; name="files"; filename="(.*)"\r\nContent-Type: (.*)',
                head.decode(),
            )
            assert match, head
            found.append((match[1], match[2], content))
        return found


class Server:
    """What the tests tell and ask. With an empty script it answers as the contract says."""

    def __init__(self) -> None:
        self.script: deque[Any] = deque()
        self.requests: list[Request] = []
        self.url = ""
        self.done = threading.Event()
        self.lock = threading.Lock()
        self.decide: Callable[[Request], Any] | None = None
        self.drain: Callable[[Request, int], Any] | None = None
        """Answers uploads, whose bodies are thrown away as they come, by their length."""
        self.connections: set[Any] = set()

    def next_answer(self, request: Request) -> Any:
        with self.lock:
            self.requests.append(request)
            if self.decide is not None:
                told = self.decide(request)
                if told is not None:
                    return told
            return self.script.popleft() if self.script else self.lawful(request)

    @staticmethod
    def lawful(request: Request) -> Say:
        path = request.path.partition("?")[0]
        if request.method == "POST" and path.endswith("/attachments"):
            stored = [{"id": str(uuid.uuid4()), "file_name": name} for name, _, _ in request.files]
            return Say(201, {"attachments": stored})
        return lawful(request.method, path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement
    told: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        early = self.told.script[0] if self.told.script else None
        if isinstance(early, EarlyNo):
            self.told.script.popleft()
            self.told.requests.append(Request(self.command, self.path, self.headers, b""))
            self.reply(Say(early.status, {"detail": "too large"}, headers={"Connection": "close"}))
            # As real servers do: what comes in is thrown away, so that the answer is not lost in a reset.
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
                while self.connection.recv(65536):
                    pass
            self.close_connection = True
            return
        if self.told.drain is not None and self.path.endswith("/attachments"):
            left = length
            while left:
                left -= len(self.rfile.read(min(left, 65536)))
            self.reply(self.told.drain(Request(self.command, self.path, self.headers, b""), length))
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        self.told.connections.add(self.client_address)
        self.reply(self.told.next_answer(Request(self.command, self.path, self.headers, body)))

    do_POST = do_GET
    do_CONNECT = do_GET

    def reply(self, answer: Any) -> None:
        if isinstance(answer, Say):
            body = answer.body if answer.body is not None else json.dumps(answer.json_).encode()
            self.send_response_only(answer.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            return
        self.close_connection = True
        if isinstance(answer, Reset):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif isinstance(answer, Half):
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
            )
        elif isinstance(answer, Hang):
            if answer.trickle == "body":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            elif answer.trickle:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            # A file that is shut by the other side raises; that is how most of these end.
            with contextlib.suppress(OSError):
                while not self.told.done.wait(0.02):
                    if answer.trickle:
                        self.wfile.write(b"x")

    def log_message(self, *args: Any) -> None:
        return None


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's would look up a host name
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # connections that clients abandon are the point of half the tests


@contextlib.contextmanager
def serving(wrap: Callable[[socket.socket], socket.socket] = lambda sock: sock) -> Iterator[Server]:
    told = Server()
    handler = type("ToldHandler", (Handler,), {"told": told})
    http_server = QuietServer(("127.0.0.1", 0), handler)
    http_server.socket = wrap(http_server.socket)
    told.url = f"http://127.0.0.1:{http_server.server_port}"
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        told.done.set()
        http_server.shutdown()
        thread.join()
        http_server.server_close()
