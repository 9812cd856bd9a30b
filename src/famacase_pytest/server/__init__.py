"""The local back end behind ``famacase serve``: for trying, for tests and for offline work.

It speaks the whole of the reporter ingestion contract and shows each run on a page. It needs the packages of
the extra ``server``; importing this module does not, calling `serve` or `create_app` does.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from famacase_pytest.errors import FamacaseError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["DEFAULT_PROJECTS", "ServerExtraMissing", "create_app", "serve"]

DEFAULT_PROJECTS: Mapping[str, str] = {"SMOKE": "rep_local"}
"""Token by code of the projects that are there without being asked for."""


class ServerExtraMissing(FamacaseError, ImportError):
    """The packages of the local back end are not installed: ``pip install 'famacase-pytest[server]'``."""


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    data: Path = Path(".famacase/server"),
    projects: Mapping[str, str] | None = None,
    ready: Callable[[str], None] | None = None,
    port_file: Path | None = None,
    *,
    environments: Iterable[tuple[str, str]] = (),
    plans: Iterable[tuple[str, int, Sequence[int]]] = (),
    verbose: bool = False,
    stop_with_stdin: bool = False,
) -> int:
    """Runs the local back end until it is told to stop.

    Prints the lines to copy into a shell. SIGTERM and SIGINT end it cleanly: calls under way are answered.

    Args:
        host: address to listen on. Pages and their downloads need no token, so everybody who reaches another
            address than a loopback one can read them.
        port: port to listen on; 0 takes a free one.
        data: directory in which everything is kept.
        projects: token by project code; `DEFAULT_PROJECTS` if None. The lines to copy are for the first one.
        ready: called with the base URL once calls are answered.
        port_file: file into which the port is written at that moment.
        environments: pairs of project code and environment slug to have beside ``staging``, which each
            project has.
        plans: project code, plan id and case ids to have; beside them each project has plan 1 with the
            cases 1 and 2.
        verbose: log each request.
        stop_with_stdin: stop when standard input ends, as it does when the process that holds it dies.

    Returns:
        The exit code: 0 after a stop, 1 if it could not start (the reason is on standard error).

    Raises:
        ServerExtraMissing: see there.
    """
    return int(
        _needing_extra("serving").serve(
            host=host,
            port=port,
            data=data,
            projects=DEFAULT_PROJECTS if projects is None else projects,
            ready=ready,
            port_file=port_file,
            environments=environments,
            plans=plans,
            verbose=verbose,
            stop_with_stdin=stop_with_stdin,
        )
    )


def create_app(
    data: Path,
    projects: Mapping[str, str] = DEFAULT_PROJECTS,
    environments: Iterable[tuple[str, str]] = (),
    plans: Iterable[tuple[str, int, Sequence[int]]] = (),
) -> FastAPI:
    """The local back end as an ASGI application; see `famacase_pytest.server.app.create_app`.

    Raises:
        ServerExtraMissing: see there.
    """
    app: FastAPI = _needing_extra("app").create_app(data, projects, environments, plans)
    return app


def _needing_extra(module: str) -> Any:
    try:
        return importlib.import_module(f"{__name__}.{module}")
    except ModuleNotFoundError as error:
        raise ServerExtraMissing(
            f"The local back end needs the package {error.name}, which is not installed, so it cannot start. "
            "Install it with the rest: pip install 'famacase-pytest[server]'"
        ) from error
