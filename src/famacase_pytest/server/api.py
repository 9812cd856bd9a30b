"""The calls of the contract, each a few lines: who calls, what is asked, what the store says."""

# No `from __future__ import annotations` here: FastAPI evaluates these annotations, on Python 3.9 too.

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, BinaryIO, Optional
from urllib.parse import quote

from fastapi import APIRouter, Depends, File, Header, Path, Query, Request, Response, Security, UploadFile
from fastapi.responses import FileResponse
from fastapi.security import APIKeyHeader
from pydantic import Field, WithJsonSchema

from . import models
from .database import Attachment, Project, Run
from .models import DEFAULT_PAGE, MAX_FILE_BYTES, MAX_UPLOAD_BYTES, MEBIBYTE, Problem
from .reading import ContractRoute, file_name
from .results import to_rows
from .store import Store

OCTET_STREAM = "application/octet-stream"

_MEDIA_TYPE = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+", re.ASCII)
BYTES_SCHEMA = {"type": "string", "contentMediaType": OCTET_STREAM}
UUID_SCHEMA = {"type": "string", "format": "uuid"}


class JsonText(Response):
    """An answer whose body is JSON text already, ASCII only: lone surrogates go back as they came."""

    media_type = "application/json"


def _refusals(*statuses: int) -> dict[Any, dict[str, Any]]:
    return {status: {"model": models.Error, "description": "What went wrong"} for status in statuses}


async def _store(request: Request) -> object:
    return request.app.state.store


async def _caller(code: str, request: Request) -> object:
    # That of `code`: `ContractRoute` has seen to it.
    return request.state.project


async def _sent(request: Request) -> object:
    return await request.json()


Data = Annotated[Store, Depends(_store)]
Caller = Annotated[Project, Depends(_caller)]
Sent = Annotated[Any, Depends(_sent)]
"""A JSON body as it was sent, with the members that no model names."""
RunId = Annotated[int, models.AS_IN_ADDRESS, Path()]
PlanId = Annotated[int, models.AS_IN_ADDRESS, Path()]
AttachmentId = Annotated[models.UuidText, Path()]
Slug = Annotated[Optional[str], Query(), WithJsonSchema({"type": "string"})]
Limit = Annotated[int, Field(ge=1, le=models.MAX_PAGE), models.AS_IN_ADDRESS, Query()]
Offset = Annotated[int, Field(ge=0), models.AS_IN_ADDRESS, Query()]
Key = Annotated[Optional[models.UuidText], Header(alias="Idempotency-Key"), WithJsonSchema(UUID_SCHEMA)]
Files = Annotated[
    list[Annotated[UploadFile, WithJsonSchema(BYTES_SCHEMA)]], File(min_length=1, max_length=models.MAX_FILES)
]

router = APIRouter(
    prefix=models.PREFIX + "/projects/{code}",
    route_class=ContractRoute,
    # For the description alone: `ContractRoute` looks at the token before anything else is done.
    dependencies=[
        Security(APIKeyHeader(name="Authorization", scheme_name="reporterToken", auto_error=False))
    ],
    responses=_refusals(401, 403, 404, 422),
)


@router.get("", operation_id="getProject")
def get_project(project: Caller) -> models.Project:
    """The project itself."""
    return models.Project(id=project.id, code=project.code, title=project.code)


@router.get("/environments", operation_id="listEnvironments")
def list_environments(project: Caller, data: Data, slug: Slug = None) -> list[models.Environment]:
    """The environments of the project; with `slug`, the one that bears it or an empty list."""
    found = data.environments(project, slug)
    return [models.Environment(id=one.id, slug=one.slug, title=one.slug) for one in found]


@router.get("/plans/{plan_id}/cases", operation_id="listPlanCases")
def list_plan_cases(project: Caller, data: Data, plan_id: PlanId) -> models.PlanCases:
    """The ids of the cases that the plan holds."""
    return models.PlanCases(case_ids=data.plan_cases(project, plan_id))


@router.post("/runs", operation_id="createRun", status_code=201, response_model=models.Run)
def create_run(project: Caller, data: Data, body: models.RunCreate, sent: Sent, key: Key = None) -> Response:
    """Creates a run, once for each key."""
    return JsonText(data.create_run(project, sent, key and key.lower(), _described), 201)


@router.get("/runs/{run_id}", operation_id="getRun", response_model=models.Run)
def get_run(project: Caller, data: Data, run_id: RunId) -> Response:
    """The run; beside the contract's members it gives back what the run was created with."""
    run = data.run(run_id, project)
    since = {"created_at": run.created_at, "completed_at": run.completed_at, "is_public": run.is_public}
    return JsonText(_described(run, **since))


@router.get("/runs/{run_id}/results", operation_id="listResults", response_model=models.ResultPage)
def list_results(
    project: Caller, data: Data, run_id: RunId, limit: Limit = DEFAULT_PAGE, offset: Offset = 0
) -> Response:
    """What the run holds, oldest first."""
    data.run(run_id, project)
    total, page = data.results(run_id, limit, offset)
    return JsonText(f'{{"total": {total}, "results": [{",".join(page)}]}}')


@router.post(
    "/runs/{run_id}/results",
    operation_id="createResults",
    status_code=201,
    response_class=Response,
    responses=_refusals(409, 413),
)
def create_results(
    project: Caller, data: Data, run_id: RunId, body: models.ResultsCreate, sent: Sent
) -> Response:
    """Stores results. One that was stored before is replaced, never doubled."""
    data.put_results(project, run_id, *to_rows(sent["results"]))
    return JsonText("{}", 201)


@router.post("/runs/{run_id}/complete", operation_id="completeRun", response_class=Response)
def complete_run(project: Caller, data: Data, run_id: RunId) -> Response:
    """Completes a run; nothing happens if it is complete."""
    data.complete_run(project, run_id)
    return JsonText("{}")


@router.post("/runs/{run_id}/public", operation_id="publishRun")
def publish_run(
    project: Caller, data: Data, run_id: RunId, body: models.Publication, request: Request
) -> models.Link:
    """The link of the run's page, which is there either way; it is given while the run is public."""
    data.publish_run(project, run_id, body.status)
    return models.Link(url=f"{_address(request)}/runs/{run_id}" if body.status else None)


@router.post(
    "/attachments",
    operation_id="uploadAttachments",
    status_code=201,
    response_model=models.Attachments,
    responses=_refusals(413),
)
def upload_attachments(project: Caller, data: Data, files: Files, key: Key = None) -> Response:
    """Keeps files, once for each key; the answer lists them in the order sent."""
    received: dict[Attachment, BinaryIO] = {}
    for file in files:
        size, given = file.size or 0, (file.content_type or "").strip()
        if size > MAX_FILE_BYTES:
            limit = MAX_FILE_BYTES // MEBIBYTE
            raise Problem(413, f"File {len(received)} of the request is larger than {limit} MiB.")
        media_type = given if _MEDIA_TYPE.match(given) else OCTET_STREAM
        attachment = Attachment(file_name=file_name(file), mime_type=media_type, file_size=size)
        received[attachment] = file.file
    if sum(one.file_size for one in received) > MAX_UPLOAD_BYTES:
        raise Problem(413, f"The request is larger than {MAX_UPLOAD_BYTES // MEBIBYTE} MiB.")
    return JsonText(data.put_attachments(project, received, key and key.lower(), _uploaded), 201)


@router.get(
    "/attachments/{attachment_id}",
    operation_id="getAttachment",
    response_class=FileResponse,
    responses={200: {"content": {OCTET_STREAM: {"schema": BYTES_SCHEMA}}}},
)
def get_attachment(project: Caller, data: Data, attachment_id: AttachmentId) -> Response:
    """The bytes as they were sent."""
    return download(data, data.attachment(attachment_id, project))


def download(data: Store, attachment: Attachment, *, show_as: Optional[str] = None) -> Response:
    """The bytes of an attachment, to be saved; or for a page to show, as the media type `show_as`."""
    headers = {
        "X-Content-Type-Options": "nosniff",
        # Opened on its own, the file must not run anything in the name of this server.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
        "Content-Disposition": _content_disposition(
            "inline" if show_as else "attachment", attachment.file_name
        ),
    }
    return FileResponse(
        data.files.path(attachment.sha256), media_type=show_as or OCTET_STREAM, headers=headers
    )


def _content_disposition(kind: str, file_name: str) -> str:
    """A Content-Disposition header as RFC 6266 has it: the name for all, and the exact one beside it."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", file_name)
    exact = quote(file_name.encode("utf-8", "replace"), safe="")
    header = f'{kind}; filename="{plain}"'
    return header if plain == file_name else f"{header}; filename*=UTF-8''{exact}"


def _described(run: Run, **more: object) -> str:
    return json.dumps({**run.body, "id": run.id, "status": run.status, "stats": run.stats, **more})


def _uploaded(kept: Iterable[Attachment]) -> str:
    members = ("id", "file_name", "mime_type", "file_size")
    return json.dumps({"attachments": [{name: getattr(one, name) for name in members} for one in kept]})


def _address(request: Request) -> str:
    # Not made of the Host header, which is what a caller says.
    return request.app.state.public_url or base_url(*request.scope["server"])


def base_url(host: str, port: int) -> str:
    """The URL under which this machine reaches a server that listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
