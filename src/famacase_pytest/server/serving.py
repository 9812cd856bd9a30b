"""Runs the application on a socket, from the first line printed to the exit code."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Callable

import uvicorn

from famacase_pytest.server import DEFAULT_PROJECTS
from famacase_pytest.server.app import create_app
from famacase_pytest.server.database import UnknownFormat
from famacase_pytest.server.files import DataInUse

DEFAULT_ENVIRONMENT = "staging"
DEFAULT_PLAN: tuple[int, tuple[int, ...]] = (1, (1, 2))

_LOOPBACK = ("127.", "localhost", "::1")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# All of it to standard error: standard output has the lines to copy and nothing after them.
_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {
        **{
            name: {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
            for name in ("uvicorn", "famacase_pytest.server")
        },
        # What it finds wrong with a body is in the answer to the one who sent it.
        "python_multipart": {"level": "CRITICAL"},
    },
}


def serve(
    *,
    host: str,
    port: int,
    data: Path,
    projects: Mapping[str, str],
    ready: Callable[[str], None] | None,
    port_file: Path | None,
    environments: Iterable[tuple[str, str]],
    plans: Iterable[tuple[str, int, Sequence[int]]],
    verbose: bool,
    stop_with_stdin: bool,
) -> int:
    """Runs the local back end; see `famacase_pytest.server.serve`."""
    code, token = next(iter(projects.items()))
    # The default project is made first, so that its environment has the number 1 whatever else is asked for.
    projects = dict(sorted(projects.items(), key=lambda item: item[0] not in DEFAULT_PROJECTS))
    slugs = dict.fromkeys([*((each, DEFAULT_ENVIRONMENT) for each in projects), *environments])
    plan_cases = {(each, DEFAULT_PLAN[0]): DEFAULT_PLAN[1] for each in projects}
    plan_cases.update({(each, plan_id): tuple(cases) for each, plan_id, cases in plans})
    try:
        listener = _listen(host, port)
    except OSError as error:
        return _refuse(
            f"The back end cannot listen on {host} port {port}: {error.strerror or error}. It did not start. "
            "Stop what uses the port, or let --port 0 take a free one."
        )
    with listener:
        try:
            app = create_app(data, projects, slugs, [(*plan, cases) for plan, cases in plan_cases.items()])
        except (DataInUse, UnknownFormat, ValueError) as error:
            return _refuse(str(error))
        except OSError as error:
            return _refuse(
                f"{data} cannot be used: {error.strerror or error}. The back end did not start. "
                "Give a directory that can be written with --data."
            )
        bound = int(listener.getsockname()[1])
        address = base_url(host, bound)

        def started() -> None:
            if port_file is not None:
                _write_whole(port_file, f"{bound}\n")
            print(_greeting(address, host, data, code, token, list(projects)), flush=True)
            if ready is not None:
                ready(address)

        config = uvicorn.Config(
            app,
            # The parts that are always there, so that no other installed package changes how it behaves.
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="on",
            log_config=_LOGGING,
            log_level="info" if verbose else "warning",
            access_log=verbose,
            server_header=False,
            # Longer than clients keep an idle connection, so that theirs is the end that closes it.
            timeout_keep_alive=120,
            timeout_graceful_shutdown=5,
        )
        server = _Server(config, started)
        with _stopping(server, stop_with_stdin):
            asyncio.run(server.serve(sockets=[listener]))
    return 0


def base_url(host: str, port: int) -> str:
    """The URL under which this machine reaches a server that listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


class _Server(uvicorn.Server):
    """A server that tells when it answers calls."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.should_exit:
            self._tell_started()


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # A restart on the same port must not wait for old connections to be forgotten.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(256)
    except BaseException:
        listener.close()
        raise
    return listener


@contextmanager
def _stopping(server: uvicorn.Server, stop_with_stdin: bool) -> Iterator[None]:
    """Makes SIGINT, SIGTERM and the end of standard input end the server, as an exit like any other."""

    def stop(_signal: int = 0, _frame: FrameType | None = None) -> None:
        server.should_exit = True

    def wait_for_end_of_stdin() -> None:
        # Not through sys.stdin: its lock would be held when the interpreter ends, which is fatal.
        while os.read(0, 4096):
            pass
        stop()

    if stop_with_stdin:
        threading.Thread(target=wait_for_end_of_stdin, name="stdin", daemon=True).start()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # uvicorn has handlers of its own while it serves, and afterwards raises the signal again for these.
    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _greeting(address: str, host: str, data: Path, code: str, token: str, codes: list[str]) -> str:
    lines = [
        f"Famacase local back end: {address}",
        f"Projects: {', '.join(codes)}. Data: {data}. Stop it with Ctrl-C.",
        "It is for trying, for tests and for offline work, not for keeping results that matter.",
    ]
    if not host.startswith(_LOOPBACK):
        lines.append(f"It listens on {host or 'every address'}: whoever reaches that can read the pages.")
    lines += [
        "",
        "export FAMACASE_MODE=testops",
        f"export FAMACASE_API_URL={shlex.quote(address)}",
        f"export FAMACASE_REPORTER_TOKEN={shlex.quote(token)}",
        f"export FAMACASE_TESTOPS_PROJECT={shlex.quote(code)}",
    ]
    return "\n".join(lines)


def _write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader finds either nothing or all of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _refuse(message: str) -> int:
    print(message, file=sys.stderr, flush=True)
    return 1
