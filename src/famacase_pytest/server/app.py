"""The application: the calls of the contract, the pages, and how errors are told."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from famacase_pytest.server import api, pages
from famacase_pytest.server.models import PREFIX
from famacase_pytest.server.problems import Problem, unavailable
from famacase_pytest.server.store import Store

_log = logging.getLogger("famacase_pytest.server")


def create_app(
    data: Path,
    projects: Mapping[str, str],
    environments: Iterable[tuple[str, str]] = (),
    plans: Iterable[tuple[str, int, Sequence[int]]] = (),
) -> FastAPI:
    """Builds the local back end over a directory.

    Args:
        data: where everything is kept; created if it is not there, and claimed until the application closes.
        projects: token by project code. Tokens are kept in memory only.
        environments: pairs of project code and environment slug to have.
        plans: project code, plan id and case ids to have.

    Raises:
        ValueError: two projects share a token, a token or a code is empty, or an environment or a plan is of
            a project that is not in `projects`.
        DataInUse: another back end works on `data`.
        UnknownFormat: `data` was written by a newer release.
    """
    seeds: list[tuple[str, str]] = list(environments)
    plan_seeds = list(plans)
    _check_seeds(projects, [code for code, _ in seeds] + [code for code, _, _ in plan_seeds])
    store = Store(data)
    known = store.seed(projects, seeds, plan_seeds)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        # Held by the call whose large body is in memory. On Python 3.9 a lock must be made within its loop.
        app.state.large_body = asyncio.Lock()
        yield
        store.close()

    app = FastAPI(
        title="Famacase local back end",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.store = store
    app.state.projects = {token: known[code] for code, token in projects.items()}
    app.include_router(api.router)
    app.include_router(pages.router, include_in_schema=False)
    app.add_exception_handler(HTTPException, _tell_problem)
    app.add_exception_handler(RequestValidationError, _tell_faults)
    app.add_exception_handler(ClientDisconnect, _tell_nobody)
    app.add_exception_handler(OperationalError, _tell_storage_error)
    app.add_exception_handler(OSError, _tell_storage_error)
    return app


def _check_seeds(projects: Mapping[str, str], codes: Iterable[str]) -> None:
    if not all(projects) or not all(projects.values()):
        raise ValueError("A project needs a code and a token, as in CODE:TOKEN.")
    by_token: dict[str, str] = {}
    for code, token in projects.items():
        if token in by_token:
            raise ValueError(
                f"Projects {by_token[token]} and {code} share a token, but a token belongs to one project. "
                "Give each its own."
            )
        by_token[token] = code
    for code in codes:
        if code not in projects:
            raise ValueError(f"Project {code} has no token. Add --project {code}:TOKEN.")


async def _tell_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request.scope["path"]))
    if request.scope["path"].startswith(PREFIX):
        return api.JsonText(json.dumps({"detail": error.detail}), error.status_code, headers)
    return pages.error_page(error.status_code, str(error.detail), headers)


def _allowed_methods(path: str) -> list[str]:
    """The methods of every call at this path; the framework names those of the first one alone."""
    methods: set[str] = set()
    for route in [*api.router.routes, *pages.router.routes]:
        if isinstance(route, APIRoute) and route.path_regex.match(path):
            methods.update(route.methods or ())
    return sorted(methods)


async def _tell_faults(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in error.errors():
        place = one["loc"]
        if one["type"] == "string_unicode":
            place = (*place, _lone_surrogate(error.body, place))
        # Of each result, as of each member of a run, the first fault.
        faults.setdefault(place[:3], {"loc": list(place), "msg": one["msg"], "type": one["type"]})
    return await _tell_problem(request, Problem(422, list(faults.values())))


def _lone_surrogate(body: Any, place: Sequence[Any]) -> str:
    """The name with a lone surrogate in it that pydantic cannot put into words: of a member at `place`."""
    for step in place[1:]:
        body = body[step]
    names: Iterable[str] = body
    return next(name for name in names if name != name.encode("utf-8", "replace").decode())


async def _tell_nobody(request: Request, error: Exception) -> Response:
    # The caller is gone in mid-request; the answer goes nowhere, and this is no error of ours.
    return Response(status_code=400)


async def _tell_storage_error(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %s", request.method, request.scope["path"], error)
    return await _tell_problem(request, unavailable())
