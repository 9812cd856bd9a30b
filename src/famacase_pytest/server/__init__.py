"""The local back end behind ``famacase serve``: for trying, for tests and for offline work.

It speaks the whole of the reporter ingestion contract and shows each run on a page. It needs the packages of
the extra ``server``; importing this module does not, calling `serve` or `create_app` does.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from famacase_pytest.errors import FamacaseError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["DEFAULT_PROJECTS", "Limits", "ServerExtraMissing", "Settings", "create_app", "serve"]

DEFAULT_PROJECTS: Mapping[str, str] = {"SMOKE": "rep_local"}
"""Token by code of the projects that are there without being asked for."""


class ServerExtraMissing(FamacaseError, ImportError):
    """The packages of the local back end are not installed: ``pip install 'famacase-pytest[server]'``."""


@dataclass(frozen=True)
class Limits:
    """What clients may take up.

    Attributes:
        head_seconds: time for the head of a request, from the connection or the head's first byte on.
        body_idle_seconds: time between two pieces of a body.
        connections: how many at a time; beyond, the one that has been idle longest is closed.
    """

    head_seconds: float = 10.0
    body_idle_seconds: float = 30.0
    connections: int = 256


@dataclass(frozen=True)
class Settings:
    """What a local back end is started with; ``famacase serve --help`` says what each means.

    Attributes:
        projects: token by project code. Tokens are kept in memory only.
        environments: pairs of project code and environment slug.
        plans: project code, plan id and case ids.
        allowed_hosts: names that the server answers to, beside its address and those of loopback.
        public_url: what links are made with; the address that a request came in on if None.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    data: Path = Path(".famacase/server")
    projects: Mapping[str, str] = field(default_factory=lambda: DEFAULT_PROJECTS)
    environments: Sequence[tuple[str, str]] = ()
    plans: Sequence[tuple[str, int, Sequence[int]]] = ()
    allowed_hosts: Sequence[str] = ()
    public_url: str | None = None
    port_file: Path | None = None
    verbose: bool = False
    stop_with_stdin: bool = False
    limits: Limits = Limits()


def serve(settings: Settings) -> int:
    """Runs the local back end until it is told to stop.

    Prints the lines to copy into a shell, for the first project. SIGTERM and SIGINT end it cleanly: calls
    under way are answered. For the main thread, which alone can be told so.

    Returns:
        The exit code: 0 after a stop, 1 if it could not start (the reason is on standard error).

    Raises:
        ServerExtraMissing: see there.
    """
    return int(_needing_extra("serving").serve(settings))


def create_app(settings: Settings) -> FastAPI:
    """The local back end as an ASGI application; see `famacase_pytest.server.app.create_app`.

    Raises:
        ServerExtraMissing: see there.
    """
    app: FastAPI = _needing_extra("app").create_app(settings)
    return app


def _needing_extra(module: str) -> Any:
    try:
        return importlib.import_module(f"{__name__}.{module}")
    except ModuleNotFoundError as error:
        raise ServerExtraMissing(
            f"The local back end needs the package {error.name}, which is not installed, so it cannot start. "
            "Install it with the rest: pip install 'famacase-pytest[server]'"
        ) from error
