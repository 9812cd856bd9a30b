"""The application: the calls of the contract, the pages, and how errors are told."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from . import DEFAULT_PROJECTS, CannotServe, Settings, api, pages
from .connections import OwnNames
from .models import PREFIX, Problem
from .store import Store

DEFAULT_ENVIRONMENT = "staging"
DEFAULT_PLAN = (1, (1, 2))

_log = logging.getLogger("famacase_pytest.server")


def create_app(settings: Settings) -> FastAPI:
    """Builds the local back end over a directory, which is claimed until the application closes."""
    # The default project is made first, so that its environment has the number 1 whatever else is asked for.
    codes = sorted(settings.projects, key=lambda code: code not in DEFAULT_PROJECTS)
    slugs = [*((code, DEFAULT_ENVIRONMENT) for code in codes), *settings.environments]
    plans = [*((code, *DEFAULT_PLAN) for code in codes), *settings.plans]
    _check_projects(settings.projects, [*(code for code, _ in slugs), *(code for code, _, _ in plans)])
    store = Store(settings.data)
    known = store.seed(codes, slugs, plans)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        # Held by the call whose large body is in memory. On Python 3.9 a lock must be made within its loop.
        app.state.large_body = asyncio.Lock()
        yield
        store.close()

    # Pages with the documentation would be fetched from elsewhere.
    options: dict[str, Any] = {"docs_url": None, "redoc_url": None, "redirect_slashes": False}
    title = "Famacase local back end"
    app = FastAPI(title=title, lifespan=life, separate_input_output_schemas=False, **options)
    own = {settings.host, *settings.allowed_hosts, urlsplit(settings.public_url or "").hostname or ""}
    app.add_middleware(OwnNames, names=own - {"", "0.0.0.0", "::"})
    app.state.limits = settings.limits
    app.state.public_url = settings.public_url
    app.state.store = store
    app.state.projects = {token: known[code] for code, token in settings.projects.items()}
    app.include_router(api.router)
    app.include_router(pages.router, include_in_schema=False)
    app.add_exception_handler(HTTPException, _tell_problem)
    app.add_exception_handler(RequestValidationError, _tell_faults)
    for failing in (OperationalError, OSError):
        app.add_exception_handler(failing, _tell_storage_error)
    return app


def _check_projects(tokens: Mapping[str, str], mentioned: Iterable[str]) -> None:
    if not all(tokens) or not all(tokens.values()):
        raise CannotServe("A project needs a code and a token, as in CODE:TOKEN.")
    codes = {token: code for code, token in tokens.items()}
    for code, token in tokens.items():
        if codes[token] != code:
            raise CannotServe(
                f"Projects {code} and {codes[token]} share a token, but a token belongs to one project. "
                "Give each its own."
            )
    for code in mentioned:
        if code not in tokens:
            raise CannotServe(f"Project {code} has no token. Add --project {code}:TOKEN.")


async def _tell_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request.scope["path"]))
    if request.scope["path"].startswith(PREFIX):
        return api.JsonText(json.dumps({"detail": error.detail}), error.status_code, headers)
    # The framework's own word: no route has this path.
    is_unknown = error.detail == HTTPStatus.NOT_FOUND.phrase
    sentence = "There is no page at this address." if is_unknown else str(error.detail)
    return pages.error_page(error.status_code, sentence, headers)


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
            place = (*place, _lone_surrogate(error.body, place[1:]))
        # Of each result, as of each member of a run, the first fault.
        faults.setdefault(place[:3], {"loc": list(place), "msg": one["msg"], "type": one["type"]})
    return await _tell_problem(request, Problem(422, list(faults.values())))


def _lone_surrogate(body: object, place: Iterable[Any]) -> str:
    """The name, of a member at `place`, that pydantic cannot put into words: it has a lone surrogate."""
    names: Any = body
    for step in place:
        names = names[step]
    return str(next(name for name in names if name != name.encode("utf-8", "replace").decode()))


async def _tell_storage_error(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %s", request.method, request.scope["path"], error)
    sentence = "The data cannot be written or read now: the disk is full or failing. Try again later."
    return await _tell_problem(request, Problem(503, sentence))
