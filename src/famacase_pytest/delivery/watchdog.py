"""A bound on the whole of an HTTP exchange, which neither requests nor urllib3 has.

Their read timeout starts anew with each byte, so a server that sends a byte now and then holds a caller for
ever. Here a thread, alive only while an exchange is, shuts the socket of one that outlives its deadline or
whose caller has cancelled it; the blocked call then fails at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from famacase_pytest.delivery.retry import Clock
from famacase_pytest.delivery.system import System

_TICK = 0.1  # seconds; how late a deadline or a cancellation may be noticed

_current = threading.local()  # .exchange: the exchange of this thread; urllib3 works in its caller's thread


class Exchange:
    """One request and its answer, under watch.

    Attributes:
        ended: "deadline" or "cancelled" once the watchdog has ended it, else None.
    """

    def __init__(self, deadline: float, cancelled: threading.Event) -> None:
        self.ended: str | None = None
        self._deadline = deadline
        self._cancelled = cancelled
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None

    def attach(self, connection: HTTPConnection) -> None:
        """Notes the connection in use, and its socket: http.client forgets it if the answer says "close"."""
        self._connection = connection
        if connection.sock is not None:
            self._socket = connection.sock

    def check(self) -> None:
        """Ends the exchange if it is over time or cancelled."""
        if self._cancelled.is_set():
            self.ended = self.ended or "cancelled"
        elif Clock.monotonic() >= self._deadline:
            self.ended = self.ended or "deadline"
        if self.ended:
            # Shut at each tick anew: the socket may have come into being after the last one.
            _shut(self._socket)
            _shut(self._connection.sock if self._connection else None)


def _shut(sock: socket.socket | None) -> None:
    if sock is not None:
        # Of the plain class: SSLSocket's own first takes the TLS layer away from the blocked reader.
        with contextlib.suppress(OSError):  # not connected yet, or closed already
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Watchdog:
    """Watches the exchanges of all threads of one connection pool."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._exchanges: set[Exchange] = set()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self, deadline: float, cancelled: threading.Event) -> Iterator[Exchange]:
        """Puts what this thread exchanges under watch.

        Args:
            deadline: by `Clock.monotonic`.
            cancelled: ends the exchange when set.
        """
        exchange = Exchange(deadline, cancelled)
        with self._condition:
            self._exchanges.add(exchange)
            if self._thread is None or not self._thread.is_alive():
                self._thread = System.thread(target=self._watch, name="famacase-watchdog", daemon=True)
                self._thread.start()
        _current.exchange = exchange
        try:
            yield exchange
        finally:
            _current.exchange = None
            with self._condition:
                self._exchanges.discard(exchange)
                if not self._exchanges:
                    self._condition.notify_all()

    def _watch(self) -> None:
        with self._condition:
            while self._exchanges:
                self._condition.wait(_TICK)
                for exchange in self._exchanges:
                    exchange.check()
            self._thread = None


def _attach(connection: HTTPConnection) -> None:
    exchange = getattr(_current, "exchange", None)
    if exchange is not None:
        exchange.attach(connection)


class WatchedHTTPConnection(HTTPConnection):
    """A connection that tells the exchange of its thread which socket it uses."""

    def connect(self) -> None:
        _attach(self)
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        _attach(self)
        super().request(*args, **kwargs)

    def getresponse(self) -> Any:
        _attach(self)
        return super().getresponse()


class WatchedHTTPSConnection(WatchedHTTPConnection, HTTPSConnection):
    """The same over TLS."""


class WatchedHTTPConnectionPool(HTTPConnectionPool):
    """A pool of watched connections."""

    ConnectionCls = WatchedHTTPConnection


class WatchedHTTPSConnectionPool(HTTPSConnectionPool):
    """A pool of watched connections over TLS."""

    ConnectionCls = WatchedHTTPSConnection


WATCHED_POOLS = {"http": WatchedHTTPConnectionPool, "https": WatchedHTTPSConnectionPool}
