"""Runs the application on a socket, from the first line printed to the exit code."""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import signal
import socket
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from ..summary import telling
from . import CannotServe, Settings
from .api import base_url
from .app import create_app
from .connections import LimitedProtocol
from .files import write_whole

_REMEDIES = {
    errno.EADDRINUSE: "Stop what uses the port, or let --port 0 take a free one.",
    errno.EADDRNOTAVAIL: "Give an address of this machine with --host, or 0.0.0.0 for all of them.",
    errno.EACCES: "Give a --port of 1024 or above.",
}

_LOOPBACK = ("127.", "localhost", "::1")

# All of it to standard error: standard output has the lines to copy and nothing after them.
_TO_STDERR = {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    # What python_multipart finds wrong with a body is in the answer to the one who sent it.
    "loggers": {"uvicorn": _TO_STDERR, __package__: _TO_STDERR, "python_multipart": {"level": "CRITICAL"}},
}


def serve(settings: Settings) -> None:
    """Runs the local back end; see `famacase_pytest.server.serve`."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        # By itself: the error of the next call does not tell that it is this which failed.
        socket.getaddrinfo(host or None, port, family)
        listener = socket.create_server((host, port), family=family, backlog=256, dualstack_ipv6=both)
    except socket.gaierror as error:
        raise CannotServe(
            f"The back end cannot listen on {host}: it is neither an address nor the name of one "
            f"({error.strerror}). It did not start. Correct --host."
        ) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotServe(
            f"The back end cannot listen on {host} port {port}: {reason}. It did not start. "
            f"{_REMEDIES.get(error.errno or 0, 'Correct --host or --port.')}"
        ) from error
    with listener:
        try:
            with telling(f"reading the data in {settings.data}"):
                app = create_app(settings)
        except OSError as error:
            raise CannotServe(
                f"{settings.data} cannot be used: {error.strerror or error}. The back end did not start. "
                "Give a directory that can be written with --data."
            ) from error
        config = uvicorn.Config(
            app,
            # The parts that are always there, so that no other installed package changes how it behaves.
            loop="asyncio",
            http=LimitedProtocol,
            limit_concurrency=settings.limits.connections + 1,
            # Nobody is believed to speak for another: what a proxy is for is said with --public-url.
            proxy_headers=False,
            ws="none",
            lifespan="on",
            log_config=_LOGGING,
            log_level="info" if settings.verbose else "warning",
            access_log=settings.verbose,
            server_header=False,
            # Longer than clients keep an idle connection, so that theirs is the end that closes it.
            timeout_keep_alive=120,
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        _stop_when_told(server, settings.stop_with_stdin)
        # From here on connections are taken, if only to wait for the server that starts below.
        bound = int(listener.getsockname()[1])
        if settings.port_file is not None:
            _write_port(settings.port_file, bound)
        print(_greeting(base_url(host, bound), settings), flush=True)
        asyncio.run(server.serve(sockets=[listener]))


def _write_port(path: Path, port: int) -> None:
    try:
        write_whole(path, f"{port}\n".encode())
    except OSError as error:
        raise CannotServe(
            f"{path} cannot be written: {error.strerror or error}. The back end did not start. "
            "Give another file with --port-file."
        ) from error


def _stop_when_told(server: uvicorn.Server, stop_with_stdin: bool) -> None:
    """Makes SIGINT, SIGTERM and the end of standard input end the server, as an exit like any other."""

    def stop(_signal: int = 0, _frame: FrameType | None = None) -> None:
        server.should_exit = True

    def wait_for_end_of_stdin() -> None:
        # Not through sys.stdin: its lock would be held when the interpreter ends, which is fatal.
        while os.read(0, 4096):
            pass
        stop()

    # uvicorn has handlers of its own while it serves, and afterwards raises the signal again for these.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if stop_with_stdin:
        threading.Thread(target=wait_for_end_of_stdin, name="stdin", daemon=True).start()


def _greeting(address: str, settings: Settings) -> str:
    code, token = next(iter(settings.projects.items()))
    listens = settings.host or "every address"
    warning = f"It listens on {listens}: whoever reaches that can read the pages. --allow-host adds names.\n"
    return (
        f"Famacase local back end: {address}\n"
        f"Projects: {', '.join(settings.projects)}. Data: {settings.data}. Stop it with Ctrl-C.\n"
        "It is for trying, for tests and for offline work, not for keeping results that matter.\n"
        f"{'' if settings.host.startswith(_LOOPBACK) else warning}\n"
        "export FAMACASE_MODE=testops\n"
        f"export FAMACASE_API_URL={shlex.quote(address)}\n"
        f"export FAMACASE_REPORTER_TOKEN={shlex.quote(token)}\n"
        f"export FAMACASE_TESTOPS_PROJECT={shlex.quote(code)}"
    )
