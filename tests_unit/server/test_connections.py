"""Who is listened to, and for how long; the clock is in the test's hand."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
import uvicorn
from uvicorn.server import ServerState

from famacase_pytest.server import Limits
from famacase_pytest.server.connections import LimitedProtocol, OwnNames


@pytest.mark.parametrize(
    ("host", "called", "is_own"),
    [
        ("localhost", "127.0.0.1", True),
        ("LOCALHOST:8000", "127.0.0.1", True),
        ("127.0.0.1:8000", "10.0.0.1", True),
        ("127.9.9.9", "127.0.0.1", True),
        ("[::1]:8000", "::1", True),
        # The address that was called, which a server on every address learns only then.
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("ci.example:80", "10.0.0.1", True),
        ("Tests", "10.0.0.1", True),
        ("evil.example", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("localhost:", "127.0.0.1", False),
        ("localhost:80@evil.example", "127.0.0.1", False),
        ("[::1", "::1", False),
        ("", "127.0.0.1", False),
        ("localhost evil.example", "127.0.0.1", False),
    ],
)
def test_a_request_is_for_a_name_of_this_server_or_it_is_refused(host, called, is_own):
    passed, sent = [], []

    async def app(scope, receive, send):
        passed.append(scope)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", host.encode())] if host else [], "server": (called, 8000)}
    asyncio.run(OwnNames(app, ["CI.example", "tests"])(scope, None, send))
    assert bool(passed) == is_own
    assert [one["status"] for one in sent if "status" in one] == ([] if is_own else [400])


def test_what_is_no_request_has_no_name():
    passed = []

    async def app(scope, receive, send):
        passed.append(scope)

    asyncio.run(OwnNames(app, [])({"type": "lifespan"}, None, None))
    assert passed == [{"type": "lifespan"}]


class Task:
    """What answers a request: here nothing does."""

    def add_done_callback(self, function):
        pass


class Loop:
    """Notes what is to happen later, and calls it when it is told to."""

    def __init__(self):
        self.now = 0.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, seconds, function, *arguments):
        timer = SimpleNamespace(due=self.now + seconds, function=function, is_on=True)
        timer.cancel = lambda: setattr(timer, "is_on", False)
        self.timers.append(timer)
        return timer

    def create_task(self, coroutine):
        coroutine.close()
        return Task()

    def run_to(self, now):
        self.now = now
        for timer in self.timers:
            if timer.is_on and timer.due <= now:
                timer.is_on = False
                timer.function()


class Transport:
    def __init__(self):
        self.is_closed = False
        self.written = b""

    def get_extra_info(self, _name):
        return None

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed

    def write(self, data):
        self.written += data

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


@pytest.fixture
def connect():
    """Connects a client to a server with a head in 10 s, a piece of a body in 30 s, and two connections."""
    loop, state = Loop(), ServerState()

    async def app(scope, receive, send):
        pass

    app.state = SimpleNamespace(limits=Limits(10.0, 30.0, 2))
    config = uvicorn.Config(app, log_config=None, lifespan="off")
    config.load()

    def connected():
        protocol = LimitedProtocol(config, state, {}, loop)
        transport = Transport()
        protocol.connection_made(transport)
        return protocol, transport

    connected.loop = loop
    # Python 3.9 wants one where events are made.
    real = asyncio.new_event_loop()
    asyncio.set_event_loop(real)
    yield connected
    asyncio.set_event_loop(None)
    real.close()


def test_a_head_has_a_time_as_a_whole_however_it_trickles_in(connect):
    protocol, transport = connect()
    protocol.data_received(b"GET / HTTP/1.1\r\n")
    for second in range(1, 10):
        connect.loop.run_to(second)
        protocol.data_received(b"X: y\r\n")
    assert not transport.is_closed
    connect.loop.run_to(10)
    assert transport.is_closed


def test_a_body_has_a_time_from_one_piece_to_the_next(connect):
    protocol, transport = connect()
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
    for second in (29, 58, 87):
        connect.loop.run_to(second)
        protocol.data_received(b"x")
        assert not transport.is_closed
    connect.loop.run_to(116)
    assert not transport.is_closed
    connect.loop.run_to(117)
    assert transport.is_closed


def test_a_client_whose_body_is_not_taken_is_not_the_one_that_is_late(connect):
    protocol, transport = connect()
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
    protocol.flow.pause_reading()
    connect.loop.run_to(31)
    assert not transport.is_closed
    protocol.flow.resume_reading()
    connect.loop.run_to(62)
    assert transport.is_closed


def test_a_request_that_is_complete_waits_for_the_answer_alone(connect):
    protocol, transport = connect()
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    connect.loop.run_to(1000)
    assert not transport.is_closed


def test_beyond_the_number_of_connections_the_one_that_was_silent_longest_makes_room(connect):
    (busy, of_busy), (_, of_silent) = connect(), connect()
    busy.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    connect.loop.now = 5
    (_, of_third) = connect()
    assert (of_busy.is_closed, of_silent.is_closed, of_third.is_closed) == (False, True, False)
    # It is counted no more, though it is told of its end only later.
    connect.loop.now = 6
    (_, of_fourth) = connect()
    assert (of_busy.is_closed, of_third.is_closed, of_fourth.is_closed) == (False, True, False)


def test_a_connection_that_is_lost_leaves_no_timer(connect):
    protocol, _ = connect()
    protocol.data_received(b"GET / HT")
    assert [timer.is_on for timer in connect.loop.timers] == [True]
    protocol.connection_lost(None)
    assert [timer.is_on for timer in connect.loop.timers] == [False]
