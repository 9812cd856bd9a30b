"""Whom the server listens to: those who call it by a name of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


class OwnNames:
    """Lets requests through whose Host header names this server.

    Its own are loopback names and addresses, the address that a connection came in on, and those given. With
    any other name, a page of a stranger's could make that name lead here (DNS rebinding) and read what the
    server shows without a token.
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
