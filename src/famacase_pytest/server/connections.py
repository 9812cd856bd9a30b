"""Whom the server listens to, and how long: its own names, times for a head and a body, connections."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from ipaddress import ip_address

import h11
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import Limits

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


class OwnNames:
    """Lets requests through whose Host header is a loopback name, the address called, or a name given.

    A page could make any other name lead here (DNS rebinding) and read what the server shows without a token.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request with 400, or hands it on."""
        app = self._app
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "").lower()
            if not self._is_own(host, scope["server"][0]):
                app = PlainTextResponse(
                    f"This server does not know itself as {host[:100]!r}, so the request was not looked at. "
                    "If the name is its own, start it with --allow-host NAME.\n",
                    400,
                )
        await app(scope, receive, send)

    def _is_own(self, host: str, address: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]")
        try:
            return ip_address(name).is_loopback or name in {address.removeprefix("::ffff:"), *self._names}
        except ValueError:
            return name in self._names


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol, which by itself waits for the rest of a head or a body for ever, with `Limits`."""

    _timer: asyncio.TimerHandle | None = None
    _awaited: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection. Beyond the limit, the one that has been idle longest is closed for it."""
        super().connection_made(transport)
        self._limits: Limits = self.config.app.state.limits  # type: ignore[union-attr]
        self._heard = self.loop.time()
        if len(self.connections) > self._limits.connections:
            others = [one for one in self.connections if one is not self and isinstance(one, LimitedProtocol)]
            idle = [one for one in others if one.conn.our_state is h11.IDLE]
            if idle:
                silent = min(idle, key=lambda one: one._heard)
                silent.transport.close()
                # It is told of its end only later, and would be counted until then.
                self.connections.discard(silent)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Takes a piece of a request."""
        self._heard = self.loop.time()
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Goes on to the next request, of which a part may have come already."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, error: Exception | None) -> None:
        """Forgets a connection."""
        self._await(None)
        super().connection_lost(error)

    def _watch(self) -> None:
        reading = self.conn.their_state
        if reading is h11.SEND_BODY:
            self._await(reading, self._limits.body_idle_seconds)
        elif reading is not h11.IDLE or (self.cycle is not None and not self.conn.trailing_data[0]):
            # Nothing is due: a request is complete, or the next one has not begun, which uvicorn times.
            self._await(None)
        elif self._awaited is not reading:
            # For the head as a whole: more of it does not start the clock again.
            self._await(reading, self._limits.head_seconds)

    def _await(self, part: object, seconds: float | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._awaited = part
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._close_if_late)

    def _close_if_late(self) -> None:
        # If reading is paused, it is this server that is late.
        self._watch() if self.flow.read_paused else self.transport.close()
