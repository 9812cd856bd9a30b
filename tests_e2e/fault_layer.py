"""A reverse proxy in front of a real back end: it records what passes, and fails on demand.

    with FaultLayer(server.url, tokens=TOKENS) as layer:
        layer.faults.add("createResults", lose_answer(), times=2)
        ...                                  # a session reports to layer.url
        layer.wait_for("createResults", 3)   # the third request for results has arrived
        layer.down()                         # from here on connections are refused
        layer.up()
        assert [exchange.status for exchange in layer.exchanges("createResults")] == [None, None, 201]

A fault is a rule: which requests, how often, and what happens to them. The first rule that matches and is not
used up decides; without one a request is passed on. What a rule does to a request is an action:

    answer(503)                              an answer of our own, the back end sees nothing
    answer(429, {"Retry-After": "1"})
    answer(429, {"Retry-After": http_date(2)})   a date, worked out when the answer is made
    answer(200, body="<html>...", content_type="text/html")
    reset()                                  the connection is reset, the back end sees nothing
    reset(before_body=True)                  the same, while the client is still sending
    lose_answer()                            the back end does it, then the connection is reset
    lose_answer(truncated=True)              the same, after half of the answer
    hang()                                   no answer until the layer closes or ``release`` is called
    hang(applied=True)                       the back end does it, and no answer
    delay(2.0)                               passed on after that many seconds, or after ``release``
    trickle(pieces=10, pause=0.05)           passed on; the answer comes in pieces
    passing()                                passed on: spares the requests that a later rule would hit

For the whole port: ``down`` (connections are refused, those that stand are reset), ``blackhole`` (new
connections are not taken, those that stand fall silent), ``up``.

Everything happens on loopback in threads of the test process; the back end itself stays a process of its own.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.client
import json
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from types import TracebackType
from typing import Any, Callable, Union
from urllib.parse import parse_qs, urlencode, urlsplit

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

API_ROOT = "/api/v1/reporter/v1"
FOREVER: int | None = None

_CHUNK = 256 * 1024
_TICK = 0.02  # seconds between looks at whether the layer is closing

# (operationId of the contract, method, path below the API's root)
_OPERATIONS = tuple(
    (name, method, re.compile(path))
    for name, method, path in (
        ("getProject", "GET", r"/projects/[^/]+"),
        ("listEnvironments", "GET", r"/projects/[^/]+/environments"),
        ("listPlanCases", "GET", r"/projects/[^/]+/plans/[^/]+/cases"),
        ("createRun", "POST", r"/projects/[^/]+/runs"),
        ("getRun", "GET", r"/projects/[^/]+/runs/[^/]+"),
        ("listResults", "GET", r"/projects/[^/]+/runs/[^/]+/results"),
        ("createResults", "POST", r"/projects/[^/]+/runs/[^/]+/results"),
        ("completeRun", "POST", r"/projects/[^/]+/runs/[^/]+/complete"),
        ("publishRun", "POST", r"/projects/[^/]+/runs/[^/]+/public"),
        ("uploadAttachments", "POST", r"/projects/[^/]+/attachments"),
        ("getAttachment", "GET", r"/projects/[^/]+/attachments/[^/]+"),
    )
)


# What is recorded


@dataclass(frozen=True)
class UploadedFile:
    """One part of a multipart body; its bytes are not kept.

    Attributes:
        field: name of the form field.
        file_name, mime_type: as sent; "" if not given.
        size: bytes.
        sha256: in hexadecimal digits.
    """

    field: str
    file_name: str
    mime_type: str
    size: int
    sha256: str


@dataclass
class Exchange:
    """One request, and what became of it.

    Attributes:
        number: counts the requests of the layer from 1, in the order in which they arrived.
        operation: the contract's operationId; "" for what the contract does not know.
        method, path, query: of the request; the path without the query.
        headers: names in lower case. A token is replaced by ``<CODE>``, its project, or ``<unknown>``.
        body: of the request, but for multipart, whose parts are in ``files``.
        files: parts of a multipart body, in the order sent.
        received: whether the request arrived whole.
        forwarded: the status with which the back end answered; None if it never saw the request whole.
        status: the status that the client was given; None if it got no whole answer.
        answer: body of the answer that the client was given, or that was kept from it.
        fault: name of the action that was taken, "" if the request was passed on untouched.
        malformed: why its multipart body cannot be read; "" if it can.
        arrived, ended: ``time.monotonic()`` when its headers were read, and when all was over.
    """

    number: int
    operation: str
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""
    files: tuple[UploadedFile, ...] = ()
    received: bool = False
    forwarded: int | None = None
    status: int | None = None
    answer: bytes = b""
    fault: str = ""
    malformed: str = ""
    arrived: float = 0.0
    ended: float | None = None

    def json(self) -> Any:
        """The body of the request."""
        return json.loads(self.body)

    @property
    def project(self) -> str:
        """The code of the project in the path; "" if there is none."""
        found = re.match(rf"{API_ROOT}/projects/([^/]+)", self.path)
        return found.group(1) if found else ""

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results that a request for ``createResults`` carries."""
        return list(self.json()["results"]) if self.operation == "createResults" else []


Match = Union[str, Iterable[str], Callable[[Exchange], bool]]


# Actions


@dataclass(frozen=True)
class Action:
    """What happens to a request; made by the functions below."""

    name: str
    status: int = 0
    headers: Mapping[str, str | Callable[[], str]] = field(default_factory=dict)
    body: bytes = b""
    before_body: bool = False
    truncated: bool = False
    applied: bool = False
    seconds: float = 0.0
    pieces: int = 1


def answer(
    status: int,
    headers: Mapping[str, str | Callable[[], str]] | None = None,
    body: str | bytes | dict[str, Any] | None = None,
    content_type: str = "application/json",
    *,
    before_body: bool = False,
) -> Action:
    """An answer of our own; the back end sees nothing.

    Args:
        status: of the answer.
        headers: of the answer; a function is called when the answer is made.
        body: text, bytes or JSON; None: a JSON object with a ``detail``.
        content_type: of the body.
        before_body: answer as soon as the headers are there and close, as a guard in front of a server does.
    """
    if body is None:
        body = {"detail": f"The fault layer answers {status}."}
    content = json.dumps(body) if isinstance(body, dict) else body
    encoded = content.encode() if isinstance(content, str) else content
    merged = {"Content-Type": content_type, **(headers or {})}
    return Action(f"answer {status}", status, merged, encoded, before_body=before_body)


def html(status: int = 200) -> Action:
    """A page in the place of JSON, as a proxy or a login gate gives it."""
    return answer(status, body="<!doctype html><title>Not the API</title>", content_type="text/html")


def http_date(seconds: float) -> Callable[[], str]:
    """For a header such as Retry-After: the date so many seconds after the answer is made."""
    return lambda: email.utils.formatdate(time.time() + seconds, usegmt=True)


def reset(*, before_body: bool = False) -> Action:
    """Reset the connection; the back end sees nothing.

    Args:
        before_body: once the headers are there, not when all of the request has arrived.
    """
    return Action("reset", before_body=before_body)


def lose_answer(*, truncated: bool = False) -> Action:
    """Pass the request on, then reset the connection in the place of the answer.

    Args:
        truncated: send the first half of the answer before, and close in good order.
    """
    return Action("lose answer", truncated=truncated, applied=True)


def hang(*, applied: bool = False) -> Action:
    """Give no answer until the layer closes, ``release`` is called, or the client goes.

    Args:
        applied: pass the request on before.
    """
    return Action("hang", applied=applied)


def delay(seconds: float) -> Action:
    """Pass the request on after a while."""
    return Action("delay", seconds=seconds, applied=True)


def trickle(pieces: int = 10, pause: float = 0.05) -> Action:
    """Pass the request on; its answer comes in pieces.

    Args:
        pieces: how many.
        pause: seconds before each.
    """
    return Action("trickle", pieces=pieces, seconds=pause, applied=True)


def passing() -> Action:
    """Pass the request on. A rule that does so spares requests that a later rule would hit."""
    return Action("", applied=True)


# Rules


class Fault:
    """One rule, as ``Faults.add`` made it.

    Attributes:
        hits: the exchanges that it has decided.
    """

    def __init__(self, match: Match, action: Action, times: int | None, after: int) -> None:
        self.hits: list[Exchange] = []
        self.action = action
        self._match = match if isinstance(match, str) or callable(match) else frozenset(match)
        self._times = times
        self._after = after
        self._seen = 0

    def decides(self, exchange: Exchange) -> bool:
        """Whether this rule says what happens to the request; called under the lock of its ``Faults``."""
        if not self._matches(exchange):
            return False
        self._seen += 1
        if self._seen <= self._after or (self._times is not None and len(self.hits) >= self._times):
            return False
        self.hits.append(exchange)
        return True

    def _matches(self, exchange: Exchange) -> bool:
        match = self._match
        if callable(match):
            return bool(match(exchange))
        if isinstance(match, str):
            return match in ("*", exchange.operation)
        return exchange.operation in match


class Faults:
    """The rules of a layer."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, match: Match, action: Action, *, times: int | None = 1, after: int = 0) -> Fault:
        """Add a rule below those that are there.

        Args:
            match: an operationId of the contract, several of them, "*" for every request, or a function of
                the `Exchange`. A function sees the body of a request, but not the files of a multipart one,
                which are still to come when the rule is asked.
            action: what happens.
            times: how many requests it decides; ``FOREVER`` (None): all.
            after: how many matching requests it lets pass first.
        """
        fault = Fault(match, action, times, after)
        with self._lock:
            self._rules.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def action_for(self, exchange: Exchange) -> Action:
        """What is to happen to a request."""
        with self._lock:
            for rule in self._rules:
                if rule.decides(exchange):
                    return rule.action
        return passing()


class FaultLayer:
    """The proxy. As a context manager it is closed with the block.

    Args:
        backend: base URL of the back end.
        tokens: by project code, so that the record can say whose token came without holding it.

    Attributes:
        url: its own base URL, to be given to clients.
        port: its port, the same through ``down`` and ``up``.
        faults: the rules.
    """

    def __init__(self, backend: str, *, tokens: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(backend)
        assert parts.hostname is not None
        assert parts.port is not None
        self._backend = (parts.hostname, parts.port)
        self._codes = {token: code for code, token in (tokens or {}).items()}
        self._condition = threading.Condition()
        self._exchanges: list[Exchange] = []
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._released = threading.Event()
        self._closing = False
        self._silent = False
        self._fillers: list[socket.socket] = []
        self._acceptor: threading.Thread | None = None
        self.faults = Faults()
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._listen()

    # What was recorded

    def exchanges(self, match: Match = "*") -> list[Exchange]:
        """The requests that have arrived so far, in their order."""
        rule = Fault(match, passing(), None, 0)
        with self._condition:
            return [exchange for exchange in self._exchanges if rule.decides(exchange)]

    def wait_for(
        self, match: Match = "*", count: int = 1, *, answered: bool = False, timeout: float = 30.0
    ) -> list[Exchange]:
        """Wait until so many requests have arrived.

        Args:
            match: as for ``Faults.add``. A request has arrived when its headers are there, or, if it is no
                multipart one, its body too.
            count: how many, in all.
            answered: wait until all is over with each of them.
            timeout: seconds after which the test fails.

        Returns:
            The matching requests, ``count`` or more.
        """
        ends = time.monotonic() + timeout
        with self._condition:
            while True:
                rule = Fault(match, passing(), None, 0)
                found = [
                    exchange
                    for exchange in self._exchanges
                    if rule.decides(exchange) and (exchange.ended is not None or not answered)
                ]
                if len(found) >= count:
                    return found
                left = ends - time.monotonic()
                if left <= 0:
                    seen = [(exchange.operation, exchange.status) for exchange in self._exchanges]
                    raise AssertionError(
                        f"{len(found)} of {count} requests within {timeout:g} s; all: {seen}"
                    )
                self._condition.wait(left)

    # The port

    def down(self) -> None:
        """Be gone: connections are refused, those that stand are reset. The port stays ours."""
        self._stop_accepting()
        self._listener = _bound(self.port)
        self._reset_clients()

    def blackhole(self) -> None:
        """Be cut off: new connections are not taken and not refused, those that stand fall silent.

        The queue of a listening socket is filled up; Linux then drops what else asks for a connection, as a
        firewall does.
        """
        self._silent = True
        self._stop_accepting()
        self._listener = _bound(self.port)
        self._listener.listen(0)
        # A queue of length 0 takes one or two; the first that is not taken tells that it is full.
        for _ in range(16):
            filler = socket.socket()
            filler.setblocking(False)
            self._fillers.append(filler)
            filler.connect_ex(("127.0.0.1", self.port))
            if not select.select([], [filler], [], 0.1)[1]:
                break

    def up(self) -> None:
        """Be there again, on the same port. Connections that fell silent are reset."""
        if self._silent or self._acceptor is None:
            self._stop_accepting()
            self._reset_clients()
            self._silent = False
            self._listener = _bound(self.port)
            self._listen()

    def release(self) -> None:
        """End all hangs and delays that are under way, and spare later ones the wait."""
        self._released.set()

    def close(self) -> None:
        """Stop, and end all that is under way."""
        self._closing = True
        self._released.set()
        self._stop_accepting()
        self._reset_clients()

    def __enter__(self) -> FaultLayer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Connections

    def _listen(self) -> None:
        self._listener.listen(128)
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._acceptor.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # the listener was shut down
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            with self._condition:
                self._clients[client] = thread
            thread.start()

    def _stop_accepting(self) -> None:
        # A thread that waits in accept() is woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._acceptor is not None:
            self._acceptor.join()
            self._acceptor = None
        self._listener.close()
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _reset_clients(self) -> None:
        with self._condition:
            clients = dict(self._clients)
        for client, thread in clients.items():
            _abort(client)
            thread.join(10)

    def _serve(self, client: socket.socket) -> None:
        """All requests of one connection."""
        stream = client.makefile("rb", buffering=_CHUNK)
        try:
            while self._one(client, stream):
                pass
        except _Hangup:
            _abort(client)
        except (OSError, ValueError, http.client.HTTPException):
            # The client went away, or the layer reset the connection; the record has what had arrived.
            _abort(client)
        finally:
            stream.close()
            client.close()
            with self._condition:
                self._clients.pop(client, None)
                self._condition.notify_all()

    def _one(self, client: socket.socket, stream: Any) -> bool:
        """One request; whether the connection serves another one."""
        line = stream.readline(65536)
        if not line:
            return False
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = http.client.parse_headers(stream)
        exchange = self._recorded(method, target, headers)
        multipart = headers.get_content_type() == "multipart/form-data"
        body = _pieces(stream, headers)
        if self._silent:
            # Packets that are dropped arrive nowhere, so there is nothing to record.
            self._wait(client, None)
            raise _Hangup
        try:
            if multipart:
                # The announcement comes before the body, which may be large.
                self._announce(exchange)
                action = self.faults.action_for(exchange)
            else:
                exchange.body = b"".join(body)
                exchange.received = True
                self._announce(exchange)
                action = self.faults.action_for(exchange)
            exchange.fault = action.name
            return self._act(client, exchange, action, headers, body, multipart)
        finally:
            exchange.ended = time.monotonic()
            with self._condition:
                self._condition.notify_all()

    def _recorded(self, method: str, target: str, headers: Message) -> Exchange:
        parts = urlsplit(target)
        shown = {name.lower(): value for name, value in headers.items()}
        if "authorization" in shown:
            scheme, _, token = shown["authorization"].partition(" ")
            shown["authorization"] = f"{scheme} <{self._codes.get(token, 'unknown')}>"
        return Exchange(
            number=0,
            operation=_operation(method, parts.path),
            method=method,
            path=parts.path,
            query=parse_qs(parts.query, keep_blank_values=True),
            headers=shown,
            arrived=time.monotonic(),
        )

    def _announce(self, exchange: Exchange) -> None:
        with self._condition:
            self._exchanges.append(exchange)
            exchange.number = len(self._exchanges)
            self._condition.notify_all()

    # Actions

    def _act(
        self,
        client: socket.socket,
        exchange: Exchange,
        action: Action,
        headers: Message,
        body: Iterator[bytes],
        multipart: bool,
    ) -> bool:
        if action.before_body:
            if action.status:
                self._answer(client, exchange, action)
                # What the client goes on sending is read, so that no reset overtakes the answer.
                client.shutdown(socket.SHUT_WR)
            else:
                raise _Hangup
            for _ in body:
                pass
            return False
        if action.name == "delay":
            self._wait(client, action.seconds)
        if action.applied:
            got = self._forward(exchange, headers, body, multipart)
        else:
            self._read(exchange, headers, body, multipart)
            got = None
        if action.status:
            self._answer(client, exchange, action)
            return True
        if action.name == "hang":
            self._wait(client, None)
        if got is None or (action.name == "hang" or (action.name == "lose answer" and not action.truncated)):
            raise _Hangup
        status, reply, content = got
        if self._silent:
            self._wait(client, None)
            raise _Hangup
        head = _head(status, reply, len(content))
        if action.truncated:
            client.sendall(head + content[: len(content) // 2])
            return False
        if action.pieces > 1:
            client.sendall(head)
            size = max(1, -(-len(content) // action.pieces))
            for start in range(0, len(content), size):
                self._wait(client, action.seconds)
                client.sendall(content[start : start + size])
            exchange.status = status
        else:
            self._give(client, exchange, status, head + content)
        return (headers.get("Connection") or "").lower() != "close"

    def _read(self, exchange: Exchange, headers: Message, body: Iterator[bytes], multipart: bool) -> None:
        if multipart:
            reader = _Multipart(headers)
            for piece in body:
                reader.feed(piece)
            reader.note(exchange)
        exchange.received = True

    def _forward(
        self, exchange: Exchange, headers: Message, body: Iterator[bytes], multipart: bool
    ) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """The back end's answer: status, headers, body; None if it is not there."""
        backend = http.client.HTTPConnection(*self._backend, timeout=120)
        try:
            backend.putrequest(exchange.method, _target(exchange), skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() not in ("connection", "expect", "transfer-encoding"):
                    backend.putheader(name, value)
            chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
            if chunked and multipart:
                backend.putheader("Transfer-Encoding", "chunked")
            elif chunked:
                backend.putheader("Content-Length", str(len(exchange.body)))
            backend.putheader("Connection", "close")
            backend.endheaders()
            if multipart:
                reader = _Multipart(headers)
                for piece in body:
                    reader.feed(piece)
                    backend.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if chunked:
                    backend.send(b"0\r\n\r\n")
                reader.note(exchange)
                exchange.received = True
            elif exchange.body:
                backend.send(exchange.body)
            response = backend.getresponse()
            content = response.read()
            exchange.forwarded = response.status
            exchange.answer = content
            return response.status, response.getheaders(), content
        except ConnectionRefusedError:
            return None
        finally:
            backend.close()

    def _answer(self, client: socket.socket, exchange: Exchange, action: Action) -> None:
        headers = [(name, value() if callable(value) else value) for name, value in action.headers.items()]
        exchange.answer = action.body
        self._give(
            client, exchange, action.status, _head(action.status, headers, len(action.body)) + action.body
        )

    def _give(self, client: socket.socket, exchange: Exchange, status: int, content: bytes) -> None:
        # Written down first: a test may look as soon as the client has its answer.
        exchange.status = status
        try:
            client.sendall(content)
        except OSError:
            exchange.status = None
            raise

    def _wait(self, client: socket.socket, seconds: float | None) -> None:
        """Wait for ``release``, at most so long, and not for a client that has gone."""
        ends = None if seconds is None else time.monotonic() + seconds
        while not self._closing and (ends is None or time.monotonic() < ends):
            if self._released.wait(_TICK if ends is None else min(_TICK, max(0.0, ends - time.monotonic()))):
                return
            readable, _, _ = select.select([client], [], [], 0)
            if readable and client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                raise _Hangup


class _Hangup(Exception):
    """The connection ends here, with a reset."""


class _Multipart:
    """Names and sizes of the parts of a multipart body, without keeping their bytes."""

    def __init__(self, headers: Message) -> None:
        _, options = parse_options_header(headers["Content-Type"])
        self._files: list[UploadedFile] = []
        self._problem = ""
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._name,
                "on_header_value": self._value,
                "on_header_end": self._header,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the body."""
        with self._noting():
            self._parser.write(piece)

    def note(self, exchange: Exchange) -> None:
        """Write down what the whole body holds."""
        with self._noting():
            self._parser.finalize()
        exchange.files = tuple(self._files)
        exchange.malformed = self._problem

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except FormParserError as error:
            self._problem = self._problem or str(error)

    def _begin(self) -> None:
        self._headers: dict[str, bytes] = {}
        self._header_name = self._header_value = b""
        self._size = 0
        self._hash = hashlib.sha256()

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        self._hash.update(data[start:end])

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._files.append(
            UploadedFile(
                field=options.get(b"name", b"").decode("utf-8", "replace"),
                file_name=options.get(b"filename", b"").decode("utf-8", "replace"),
                mime_type=self._headers.get("content-type", b"").decode("latin-1"),
                size=self._size,
                sha256=self._hash.hexdigest(),
            )
        )


def _operation(method: str, path: str) -> str:
    if not path.startswith(API_ROOT):
        return ""
    rest = path[len(API_ROOT) :]
    return next((name for name, verb, form in _OPERATIONS if verb == method and form.fullmatch(rest)), "")


def _target(exchange: Exchange) -> str:
    query = urlencode(exchange.query, doseq=True)
    return f"{exchange.path}?{query}" if query else exchange.path


def _pieces(stream: Any, headers: Message) -> Iterator[bytes]:
    """The body of a request, piece by piece."""
    if headers.get("Transfer-Encoding", "").lower() == "chunked":
        while True:
            size = int(stream.readline(1024).split(b";")[0], 16)
            if size == 0:
                while stream.readline(1024).strip():
                    pass
                return
            yield _exactly(stream, size)
            stream.readline(16)
    left = int(headers.get("Content-Length") or 0)
    while left:
        piece = stream.read1(min(left, _CHUNK))
        if not piece:
            raise _Hangup
        left -= len(piece)
        yield piece


def _exactly(stream: Any, size: int) -> bytes:
    piece: bytes = stream.read(size)
    if len(piece) < size:
        raise _Hangup
    return piece


def _head(status: int, headers: Iterable[tuple[str, str]], length: int) -> bytes:
    reason = http.client.responses.get(status, "")
    lines = [f"HTTP/1.1 {status} {reason}"]
    left_out = ("content-length", "transfer-encoding", "connection", "keep-alive")
    given = [(name, value) for name, value in headers if name.lower() not in left_out]
    if not any(name.lower() == "date" for name, _ in given):
        given.append(("Date", email.utils.formatdate(usegmt=True)))
    lines += [f"{name}: {value}" for name, value in given]
    lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _bound(port: int) -> socket.socket:
    """A socket on the port that does not listen: connections are refused, and nobody else gets the port."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _abort(client: socket.socket) -> None:
    """Reset a connection, in whatever thread it is waited for."""
    with contextlib.suppress(OSError):
        # With a linger time of 0 a close sends a reset; a close alone wakes no thread, a shutdown does.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.shutdown(socket.SHUT_RD)
