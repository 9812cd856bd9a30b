"""The calls of the contract, each a few lines: who calls, what is asked, what the store says."""

# No `from __future__ import annotations` here: FastAPI evaluates these annotations, on Python 3.9 too.

import hmac
import json
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Optional
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from famacase_pytest.server import bodies
from famacase_pytest.server.contract import DEFAULT_PAGE, MAX_PAGE, PREFIX
from famacase_pytest.server.problems import Problem, invalid, not_found
from famacase_pytest.server.records import Attachment, Project, Run
from famacase_pytest.server.shape import UUID
from famacase_pytest.server.store import Store
from famacase_pytest.server.uploads import Upload, refuse_by_length

_INTEGER = re.compile(r"-?[0-9]+\Z", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?\Z|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?\Z", re.ASCII)


class Reception:
    """What the calls share: the store, and who may speak for which project.

    Args:
        store: an open store.
        projects: the projects by token.
    """

    def __init__(self, store: Store, projects: Mapping[str, Project]) -> None:
        self.store = store
        self._tokens = [(token.encode(), project) for token, project in projects.items()]

    def project_of(self, authorization: str) -> Optional[Project]:
        """The project whose token an Authorization header bears, or None."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "token":
            return None
        given = token.strip().encode("latin-1", "replace")
        found = None
        for known, project in self._tokens:
            if hmac.compare_digest(known, given):
                found = project
        return found


class JsonText(Response):
    """An answer whose body is JSON text already."""

    media_type = "application/json"


def json_answer(content: Any, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> JsonText:
    """An answer with a JSON body, ASCII only: what was sent with lone surrogates goes back unharmed."""
    return JsonText(json.dumps(content), status, headers=dict(headers or {}))


def reception(request: Request) -> Reception:
    """The reception of the application that serves a request."""
    desk: Reception = request.app.state.reception
    return desk


async def caller(request: Request, code: str) -> Project:
    """The project of the path, if the caller has its token."""
    project = reception(request).project_of(request.headers.get("authorization", ""))
    if project is None:
        message = "The token is missing or not known. Send it as `Authorization: Token <raw>`."
        raise Problem(401, message, {"WWW-Authenticate": "Token"})
    if project.code != code:
        raise not_found(f"project {code}")
    return project


async def run_number(run_id: str) -> int:
    """The run id of the path."""
    return _integer(run_id, "path", "run_id")


async def plan_number(plan_id: str) -> int:
    """The plan id of the path."""
    return _integer(plan_id, "path", "plan_id")


async def idempotency_key(request: Request) -> Optional[str]:
    """The call's Idempotency-Key in lower case, or None if it has none."""
    key = request.headers.get("idempotency-key")
    if key is not None and not UUID.match(key):
        raise invalid("The key must be a UUID.", "header", "Idempotency-Key", kind="format")
    return None if key is None else key.lower()


Caller = Annotated[Project, Depends(caller)]
RunNumber = Annotated[int, Depends(run_number)]
PlanNumber = Annotated[int, Depends(plan_number)]
Key = Annotated[Optional[str], Depends(idempotency_key)]

router = APIRouter(prefix=PREFIX + "/projects/{code}")


@router.get("")
async def get_project(project: Caller) -> Response:
    """`getProject`"""
    return json_answer({"id": project.id, "code": project.code, "title": project.code})


@router.get("/environments")
async def list_environments(project: Caller, request: Request) -> Response:
    """`listEnvironments`"""
    slug = request.query_params.get("slug")
    found = await run_in_threadpool(reception(request).store.environments, project, slug)
    return json_answer([{"id": number, "slug": name, "title": name} for number, name in found])


@router.get("/plans/{plan_id}/cases")
async def list_plan_cases(project: Caller, plan_id: PlanNumber, request: Request) -> Response:
    """`listPlanCases`"""
    cases = await run_in_threadpool(reception(request).store.plan_cases, project, plan_id)
    return json_answer({"case_ids": cases})


@router.post("/runs")
async def create_run(project: Caller, key: Key, request: Request) -> Response:
    """`createRun`"""
    raw = await bodies.read_json(request, limit_status=422)
    store = reception(request).store

    def work() -> str:
        body = bodies.parse_run(raw)

        def answer(run_id: int) -> str:
            return json.dumps(_described(run_id, body, "in_progress", {}))

        return store.create_run(project, body, key, answer)

    return JsonText(await run_in_threadpool(work), 201)


@router.get("/runs/{run_id}")
async def get_run(project: Caller, run_id: RunNumber, request: Request) -> Response:
    """`getRun`; beside the contract's members it gives back what the run was created with."""
    run: Run = await run_in_threadpool(reception(request).store.run, run_id, project)
    described = _described(run.id, run.body, run.status, run.stats)
    described.update(created_at=run.created_at, completed_at=run.completed_at, is_public=run.is_public)
    return json_answer(described)


@router.get("/runs/{run_id}/results")
async def list_results(project: Caller, run_id: RunNumber, request: Request) -> Response:
    """`listResults`"""
    limit = _page_number(request, "limit", DEFAULT_PAGE, 1, MAX_PAGE)
    offset = _page_number(request, "offset", 0, 0, None)
    store = reception(request).store

    def work() -> str:
        store.run(run_id, project)
        total, page = store.results(run_id, limit, offset)
        return f'{{"total": {total}, "results": [{",".join(page)}]}}'

    return JsonText(await run_in_threadpool(work))


@router.post("/runs/{run_id}/results")
async def create_results(project: Caller, run_id: RunNumber, request: Request) -> Response:
    """`createResults`"""
    store = reception(request).store
    await run_in_threadpool(store.require_open_run, project, run_id)
    raw = await bodies.read_json(request)

    def work() -> None:
        store.put_results(project, run_id, *bodies.parse_results(raw))

    await run_in_threadpool(work)
    return json_answer({}, 201)


@router.post("/runs/{run_id}/complete")
async def complete_run(project: Caller, run_id: RunNumber, request: Request) -> Response:
    """`completeRun`"""
    await run_in_threadpool(reception(request).store.complete_run, project, run_id)
    return json_answer({})


@router.post("/runs/{run_id}/public")
async def publish_run(project: Caller, run_id: RunNumber, request: Request) -> Response:
    """`publishRun`; the page is there either way, the url is given while the run is public."""
    public = bodies.parse_publication(await bodies.read_json(request, limit_status=422))
    await run_in_threadpool(reception(request).store.publish_run, project, run_id, public)
    return json_answer({"url": f"{_address(request)}/runs/{run_id}" if public else None})


@router.post("/attachments")
async def upload_attachments(project: Caller, key: Key, request: Request) -> Response:
    """`uploadAttachments`"""
    store = reception(request).store
    refuse_by_length(bodies.declared_length(request))
    if key is not None:
        first = await run_in_threadpool(store.first_upload_answer, project, key)
        if first is not None:
            # Read and dropped, since a proxy on the way may not expect an answer in mid-request.
            async for _ in request.stream():
                pass
            return JsonText(first, 201)
    with Upload(store.files, request.headers.get("content-type", "")) as upload:
        received = await upload.receive(request.stream())
        text = await run_in_threadpool(store.put_attachments, project, received, key, _uploaded)
    return JsonText(text, 201)


@router.get("/attachments/{attachment_id}")
async def get_attachment(project: Caller, attachment_id: str, request: Request) -> Response:
    """`getAttachment`"""
    if not UUID.match(attachment_id):
        raise invalid("The id must be a UUID.", "path", "attachment_id", kind="format")
    store = reception(request).store
    found = await run_in_threadpool(store.attachment, attachment_id, project)
    return download(store.files.path(found.sha256), found)


def download(path: FilePath, attachment: Attachment, *, show_as: Optional[str] = None) -> Response:
    """An answer with the bytes of an attachment.

    Args:
        path: where they lie.
        attachment: their description.
        show_as: media type under which a browser may show them in a page; None makes it save them.
    """
    headers = {
        "X-Content-Type-Options": "nosniff",
        # Opened on its own, the file must not run anything in the name of this server.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "Content-Disposition": content_disposition(
            "inline" if show_as else "attachment", attachment.file_name
        ),
    }
    return FileResponse(path, media_type=show_as or "application/octet-stream", headers=headers)


def content_disposition(kind: str, file_name: str) -> str:
    """A Content-Disposition header as RFC 6266 has it: the name for all, and the exact one beside it."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", file_name)
    exact = quote(file_name.encode("utf-8", "replace"), safe="")
    header = f'{kind}; filename="{plain}"'
    return header if plain == file_name else f"{header}; filename*=UTF-8''{exact}"


def _described(run_id: int, body: Mapping[str, Any], status: str, stats: Mapping[str, int]) -> dict[str, Any]:
    return {**body, "id": run_id, "status": status, "stats": dict(stats)}


def _uploaded(kept: list[Attachment]) -> str:
    members = ("id", "file_name", "mime_type", "file_size")
    return json.dumps({"attachments": [{name: getattr(one, name) for name in members} for one in kept]})


def _integer(text: str, *where: str) -> int:
    if not _INTEGER.match(text):
        raise invalid("This must be an integer.", *where, kind="type")
    # Beyond 64 bits every number is equally unknown; Python would refuse to read thousands of digits.
    return int(text[:40])


def _page_number(request: Request, name: str, default: int, least: int, most: Optional[int]) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    value = _integer(text, "query", name)
    if value < least or (most is not None and value > most):
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise invalid(f"This must be {limits}.", "query", name, kind="range")
    return value


def _address(request: Request) -> str:
    """Scheme, host and port under which the caller knows this server."""
    host = request.headers.get("host", "")
    if not _HOST.match(host):
        name, port = request.scope["server"]
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return f"{request.scope['scheme']}://{host}"
