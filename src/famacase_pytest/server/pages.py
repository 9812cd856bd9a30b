"""The pages: the list of runs, one run, and the files that its results mention.

They need no token. The back end listens on a loopback address unless it is told otherwise, and then says that
whoever reaches it can read them.
"""

# No `from __future__ import annotations` here: FastAPI evaluates these annotations, on Python 3.9 too.

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse

from famacase_pytest.server import presentation
from famacase_pytest.server.api import Data, download
from famacase_pytest.server.models import UUID
from famacase_pytest.server.problems import not_found

if TYPE_CHECKING:
    from jinja2 import Environment

RESULTS_ON_A_PAGE = 500
RUNS_ON_A_PAGE = 100
REFRESH_SECONDS = 5

_HERE = Path(__file__).parent
_STATIC = {"page.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
_METHODS = ["GET", "HEAD"]
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

router = APIRouter()


@router.api_route("/", methods=_METHODS)
def list_runs(request: Request, data: Data) -> Response:
    """All runs, newest first."""
    page = _page_of(request)
    total, runs = data.latest_runs(RUNS_ON_A_PAGE, (page - 1) * RUNS_ON_A_PAGE)
    views = [presentation.run_view(run, None) for run in runs]
    pages = _pages("/", {}, page, total, RUNS_ON_A_PAGE)
    return _page(_render("runs.html", runs=views, total=total, pages=pages))


@router.api_route("/runs/{run_id}", methods=_METHODS)
def show_run(run_id: str, request: Request, data: Data) -> Response:
    """One run with its results; `?status=failed` shows only those, `?refresh=off` keeps the page still."""
    if not (run_id.isascii() and run_id.isdigit() and len(run_id) < 20):
        raise not_found(f"run {run_id}")
    number = int(run_id)
    page = _page_of(request)
    status = request.query_params.get("status")
    if status not in presentation.STATUS_ORDER:
        status = None
    still = request.query_params.get("refresh") == "off"
    run = data.run(number)
    total, bodies = data.results(number, RESULTS_ON_A_PAGE, (page - 1) * RESULTS_ON_A_PAGE, status)
    files = data.attachments(presentation.mentioned_files(bodies))
    path = f"/runs/{number}"
    kept = {"refresh": "off"} if still else {}
    environment = run.body.get("environment_id")
    filters = {name: _link(path, {"status": name, **kept}) for name in presentation.STATUS_ORDER}
    chosen = {"status": status} if status else {}
    return _page(
        _render(
            "run.html",
            run=presentation.run_view(run, environment and data.environment_slug(environment)),
            results=presentation.result_views(bodies, files),
            chosen=status,
            filters=filters,
            unfiltered=_link(path, kept),
            pages=_pages(path, {**chosen, **kept}, page, total, RESULTS_ON_A_PAGE),
            refresh=REFRESH_SECONDS if run.status == "in_progress" and not still else None,
            still=still,
            refresh_link=_link(path, chosen if still else {**chosen, "refresh": "off"}),
        )
    )


@router.api_route("/files/{attachment_id}", methods=_METHODS)
def get_file(attachment_id: str, data: Data) -> Response:
    """An attachment: a picture to be shown in a page, anything else to be saved."""
    if not UUID.match(attachment_id):
        raise not_found("such file")
    found = data.attachment(attachment_id)
    return download(data, found, show_as=presentation.picture_type(found))


@router.api_route("/static/{name}", methods=_METHODS)
def get_static(name: str) -> Response:
    """The style sheet and the icon."""
    if name not in _STATIC:
        raise not_found("such file")
    headers = {"Cache-Control": "max-age=60", "X-Content-Type-Options": "nosniff"}
    return FileResponse(_HERE / "static" / name, media_type=_STATIC[name], headers=headers)


def error_page(status: int, sentence: str, headers: Mapping[str, str]) -> Response:
    """A page that says what is wrong."""
    answer = _page(_render("error.html", status=status, sentence=sentence), status)
    answer.headers.update(headers)
    return answer


def _page(text: str, status: int = 200) -> Response:
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    # What has no UTF-8 form, a lone surrogate, becomes a question mark here; the API gives it back as it was.
    return HTMLResponse(text.encode("utf-8", "replace"), status, headers=headers)


def _render(template: str, **values: object) -> str:
    return _templates().get_template(template).render(values)


@functools.cache
def _templates() -> "Environment":
    # Imported with the first page: most back ends in tests never show one, and all of them start faster.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def _page_of(request: Request) -> int:
    text = request.query_params.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 and int(text) > 0 else 1


def _link(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _pages(path: str, query: dict[str, str], page: int, total: int, size: int) -> Optional[dict[str, Any]]:
    """Links to the pages before and after, or None if everything is on one page."""
    last = max(1, math.ceil(total / size))
    if last == 1 and page == 1:
        return None

    def to(number: int) -> str:
        return _link(path, {**query, "page": str(number)})

    return {
        "number": page,
        "last": last,
        "before": to(min(page - 1, last)) if page > 1 else None,
        "after": to(page + 1) if page < last else None,
    }
