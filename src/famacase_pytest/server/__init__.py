"""The local back end behind ``famacase serve``: for trying, for tests and for offline work.

It speaks the whole of the reporter ingestion contract and shows each run on a page. It needs the packages of
the extra ``server``; importing this module does not, calling `serve` or `create_app` does.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import FamacaseError
from ..summary import telling

if TYPE_CHECKING:
    from fastapi import FastAPI

    from .report import Written

__all__ = [
    "DEFAULT_PROJECTS",
    "CannotServe",
    "Limits",
    "ServerExtraMissing",
    "Settings",
    "create_app",
    "serve",
    "write_report",
]

DEFAULT_PROJECTS: Mapping[str, str] = {"SMOKE": "rep_local"}
"""Token by code of the projects that are there without being asked for."""


class ServerExtraMissing(FamacaseError, ImportError):
    """The packages of the local back end are not installed: ``pip install 'famacase-pytest[server]'``."""


class CannotServe(FamacaseError):
    """The local back end cannot start; the message says why, and what to do."""


@dataclass(frozen=True)
class Limits:
    """What clients may take up."""

    head_seconds: float = 10.0  # for the head of a request as a whole
    body_idle_seconds: float = 30.0  # between two pieces of a body
    connections: int = 256  # at a time; beyond, the one that has been idle longest is closed


@dataclass(frozen=True)
class Settings:
    """What a local back end is started with; ``famacase serve --help`` says what each means."""

    host: str = "127.0.0.1"
    port: int = 8000
    data: Path = Path(".famacase/server")
    projects: Mapping[str, str] = field(default_factory=lambda: DEFAULT_PROJECTS)  # token by code
    environments: Sequence[tuple[str, str]] = ()  # project code and slug
    plans: Sequence[tuple[str, int, Sequence[int]]] = ()  # project code, plan id and case ids
    allowed_hosts: Sequence[str] = ()
    public_url: str | None = None
    port_file: Path | None = None
    verbose: bool = False
    stop_with_stdin: bool = False
    limits: Limits = Limits()


def serve(settings: Settings) -> None:
    """Runs the local back end until SIGTERM or SIGINT; calls under way are still answered.

    Prints the lines to copy into a shell, for the first project. For the main thread, which gets the signals.

    Raises:
        CannotServe: the port, the data or the projects cannot be used.
        ServerExtraMissing: see there.
    """
    with telling("starting the local back end"):
        serving = _needing_extra("serving")
    serving.serve(settings)


def create_app(settings: Settings) -> FastAPI:
    """The local back end as an ASGI application; errors as those of `serve`."""
    app: FastAPI = _needing_extra("app").create_app(settings)
    return app


def write_report(what: str, out: Path, data: Path, max_file_bytes: float) -> Written:
    """Writes a run as one HTML file; see `famacase_pytest.server.report`.

    Raises:
        CannotReport: there is nothing to make a report of, or it cannot be written.
        ServerExtraMissing: see there.
    """
    written: Written = _needing_extra("report").write_report(what, out, data, max_file_bytes)
    return written


def _needing_extra(module: str) -> ModuleType:
    try:
        return importlib.import_module(f"{__name__}.{module}")
    except ModuleNotFoundError as error:
        raise _missing(error.name) from error


def check_extra() -> None:
    """Raise ServerExtraMissing if the local back end cannot run here; nothing of it is imported."""
    for package in ("fastapi", "jinja2", "sqlalchemy", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise _missing(package)


def _missing(package: str | None) -> ServerExtraMissing:
    return ServerExtraMissing(
        f"The local back end and its reports need the package {package}, which is not installed. "
        "Install it with the rest: pip install 'famacase-pytest[server]'"
    )
