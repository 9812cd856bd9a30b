"""The pages: runs, a project, one run, one result, a comparison, and the files that results mention.

They need no token. The back end listens on a loopback address unless it is told otherwise, and then says that
whoever reaches it can read them. Each page works without its script, which makes it quicker to use.
"""

# No `from __future__ import annotations` here: FastAPI evaluates these annotations, on Python 3.9 too.

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse

from . import presentation, queries, trends
from .api import Data, download
from .database import LARGEST_ID, Project, Run
from .models import UUID, not_found
from .queries import Facet, Filter, Group, RunFilter
from .store import Store, count
from .summaries import FAILING, STATUS_ORDER, mentioned_files, summary_of

if TYPE_CHECKING:
    from jinja2 import Environment

LINES_ON_A_PAGE = 150
RUNS_ON_A_PAGE = 100
COMPARED_ON_A_PAGE = 100  # of each kind of change

T = TypeVar("T")

HERE = Path(__file__).parent
_STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_METHODS = ["GET", "HEAD"]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "frame-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

router = APIRouter()


@router.api_route("/", methods=_METHODS)
@router.api_route("/runs", methods=_METHODS)
def list_runs(request: Request, data: Data) -> Response:
    """The runs of all projects, newest first."""
    return _runs_page(request, data, None)


@router.api_route("/projects/{code}", methods=_METHODS)
def show_project(code: str, request: Request, data: Data) -> Response:
    """The runs of a project, how they went over time, and its most flaky and slowest tests."""
    with data.reading() as session:
        project = queries.project(session, code)
    if project is None:
        raise not_found(f"project {code}")
    return _runs_page(request, data, project)


@router.api_route("/runs/{run_id}", methods=_METHODS)
def show_run(run_id: str, request: Request, data: Data) -> Response:
    """One run with its results, searched, filtered and sorted as the query says."""
    run = data.run(_number_of(run_id))
    tag = f'"{run.changes}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    wanted = _filter_of(request)
    with data.reading() as session:
        facets = queries.facets(session, run.id, wanted)
        fitting = [facet for facet in facets if facet.fits(wanted)]
        find = functools.partial(queries.page, session, run.id, wanted, fitting)
        page, total, found = _turned_to(request, find, LINES_ON_A_PAGE)
        before = queries.run_before(session, run)
        newest = queries.newest_body(session, run.id) if run.completed_at is None else None
    links = Links(f"/runs/{run.id}", wanted)
    text = _render(
        "run.html",
        run=_run_view(run, data),
        lines=[_line(one) for one in found],
        total=total,
        results=sum(facet.count for facet in fitting),
        wanted=wanted,
        links=links,
        facets=_offered(facets, wanted),
        tree=presentation.suite_tree(
            (one for one in facets if one.fits(replace(wanted, suite=""))), wanted.suite
        ),
        sorts=queries.SORTS,
        before=before,
        # A run whose session was killed stays open: this tells when something came last.
        latest=presentation.moment(json.loads(newest)["execution"].get("end_time")) if newest else None,
        pages=_pages(links.path, links.query(), page, total, LINES_ON_A_PAGE),
    )
    return _page(text, headers={"ETag": tag})


@router.api_route("/runs/{run_id}/results/{result_id}", methods=_METHODS)
def show_result(run_id: str, result_id: str, request: Request, data: Data) -> Response:
    """One result with all that is known about it; `?part=1` is what a list shows in place."""
    number = _number_of(run_id)
    if not UUID.match(result_id):
        raise not_found(f"result {result_id}")
    run, result = data.run(number), json.loads(data.result(number, result_id))
    summary = summary_of(result)
    with data.reading() as session:
        history = queries.history(session, run, summary["test"])
    view = presentation.result_view(result, data.attachments(mentioned_files(result)))
    strip = presentation.history_view(history, number)
    is_part = request.query_params.get("part") == "1"
    template = "result_part.html" if is_part else "result.html"
    values = {"run": _run_view(run, data), "result": view, "history": strip, "suite": summary["suite"]}
    return _page(_render(template, **values))


@router.api_route("/runs/{run_id}/comparison", methods=_METHODS)
def compare(run_id: str, request: Request, data: Data) -> Response:
    """A run against the one before it, or against `?with=`; `?part=1` has the figures alone."""
    run = data.run(_number_of(run_id))
    given = request.query_params.get("with", "")
    is_part = request.query_params.get("part") == "1"
    with data.reading() as session:
        other = data.run(_number_of(given)) if given else queries.run_before(session, run)
        changes = {}
        if other is not None:
            limit = 0 if is_part else COMPARED_ON_A_PAGE
            found = queries.comparison(session, run.id, other.id, limit)
            changes = {
                name: (
                    total,
                    [
                        (presentation.line_of(row), presentation.duration_text(row.took_before))
                        for row in rows
                    ],
                )
                for name, (total, rows) in found.items()
            }
        of_project = RunFilter(project=run.project)
        choice = [] if is_part else queries.runs_page(session, of_project, 200, 0)[1]
    template = "comparison_part.html" if is_part else "comparison.html"
    others = [one for one in choice if one.id != run.id]
    if other is not None and other.id not in {one.id for one in others}:
        others.append(other)
    return _page(_render(template, run=_run_view(run, data), other=other, changes=changes, others=others))


@router.api_route("/files/{attachment_id}", methods=_METHODS)
def get_file(attachment_id: str, request: Request, data: Data) -> Response:
    """An attachment: a picture, video or sound to be shown in a page, anything else to be saved.

    With `?show=frame` a page may show HTML and PDF too, in a sandboxed frame.
    """
    if not UUID.match(attachment_id):
        raise not_found("such file")
    found = data.attachment(attachment_id)
    shown = {"picture", "video", "audio"}
    if request.query_params.get("show") == "frame":
        shown = {"html", "pdf"}
    is_shown = presentation.file_kind(found) in shown
    return download(data, found, show_as=presentation.media_type(found) if is_shown else None)


@router.api_route("/static/{name}", methods=_METHODS)
def get_static(name: str) -> Response:
    """The style sheet, the script and the icon."""
    if name not in _STATIC:
        raise not_found("such file")
    headers = {"Cache-Control": "max-age=60", "X-Content-Type-Options": "nosniff"}
    return FileResponse(HERE / "static" / name, media_type=_STATIC[name], headers=headers)


def error_page(status: int, sentence: str, headers: Mapping[str, str]) -> Response:
    """A page that says what is wrong."""
    return _page(_render("error.html", status=status, sentence=sentence), status, headers)


class Links:
    """Links to the same run with another filter, which templates ask for."""

    def __init__(self, path: str, wanted: Filter) -> None:
        self.path = path
        self._wanted = wanted

    def query(self, **changed: Any) -> dict[str, str]:
        """The query of an address, without what is at its default."""
        wanted = replace(self._wanted, **changed)
        values = {
            "q": wanted.q,
            "status": ",".join(wanted.statuses),
            "suite": wanted.suite,
            "tag": wanted.tag,
            "has": ",".join(wanted.marks),
            "cause": wanted.cause,
            "sort": "" if wanted.sort == "status" else wanted.sort,
        }
        return {name: value for name, value in values.items() if value}

    def to(self, **changed: Any) -> str:
        """The address of the run with parts of the filter changed."""
        return link(self.path, self.query(**changed))

    def toggled(self, mark: str) -> str:
        """The address with a mark added to the filter, or taken away."""
        marks = self._wanted.marks
        return self.to(marks=tuple(one for one in marks if one != mark) if mark in marks else (*marks, mark))


def _runs_page(request: Request, data: Store, project: Optional[Project]) -> Response:
    asked = request.query_params
    with data.reading() as session:
        environments = queries.environments(session, project)
        wanted = RunFilter(
            project=project,
            title=asked.get("title", "").strip(),
            environments=tuple(one.id for one in environments if one.slug == asked.get("environment"))
            if asked.get("environment")
            else None,
            tag=asked.get("tag", "").strip(),
        )
        find = functools.partial(queries.runs_page, session, wanted)
        page, total, runs = _turned_to(request, find, RUNS_ON_A_PAGE)
        count(session, runs)
        latest = queries.runs_page(session, wanted, trends.RUNS, 0)[1] if project else []
        trend = trends.project_trend(session, latest) if project else None
        codes = queries.project_codes(session)
    kept = {name: asked[name] for name in ("title", "environment", "tag") if asked.get(name)}
    path = f"/projects/{project.code}" if project else "/"
    slugs = {one.id: one.slug for one in environments}
    views = [presentation.run_view(run, slugs.get(run.body.get("environment_id", 0))) for run in runs]
    return _page(
        _render(
            "runs.html",
            runs=views,
            total=total,
            pages=_pages(path, kept, page, total, RUNS_ON_A_PAGE),
            project=project,
            codes=codes,
            asked=kept,
            path=path,
            environments=sorted({one.slug for one in environments}),
            trend=trend,
        )
    )


def _run_view(run: Run, data: Store) -> presentation.RunView:
    environment = run.body.get("environment_id")
    return presentation.run_view(run, environment and data.environment_slug(environment))


def _line(found: Any) -> presentation.Line:
    if isinstance(found, Group):
        return presentation.line_of(found.first, found.count)
    return presentation.line_of(found)


def _offered(facets: Sequence[Facet], wanted: Filter) -> dict[str, dict[str, int]]:
    """For each filter its values, with the number of results that each would leave."""
    offered: dict[str, dict[str, int]] = {"status": {}, "has": {}, "tag": {}}

    def add(name: str, value: str, number: int) -> None:
        offered[name][value] = offered[name].get(value, 0) + number

    for facet in facets:
        if facet.fits(replace(wanted, statuses=())):
            add("status", facet.status, facet.count)
        for mark in queries.MARKS:
            if getattr(facet, mark) and facet.fits(replace(wanted, marks=())):
                add("has", mark, facet.count)
        if facet.fits(replace(wanted, tag="")):
            for tag in facet.tags:
                add("tag", tag, facet.count)
    by_rank = sorted(offered["status"].items(), key=lambda item: STATUS_ORDER.index(item[0]))
    by_count = sorted(offered["tag"].items(), key=lambda item: (-item[1], item[0]))
    return {"status": dict(by_rank), "has": offered["has"], "tag": dict(by_count[:100])}


def _page(text: str, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Response:
    always = {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    # What has no UTF-8 form, a lone surrogate, becomes a question mark here; the API gives it back as it was.
    return HTMLResponse(text.encode("utf-8", "replace"), status, headers={**always, **(headers or {})})


def _render(template: str, **values: object) -> str:
    return templates().get_template(template).render(values)


@functools.cache
def templates() -> "Environment":
    """The templates of all pages."""
    # Imported with the first page: most back ends in tests never show one, and all of them start faster.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals.update(failing=FAILING, offline=False, link=link)
    environment.filters.update(words=lambda name: name.replace("_", " "), thousands="{:,}".format)
    return environment


def _number_of(text: str) -> int:
    """The number of a run in an address; Problem 404 if it cannot be one."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST_ID):
        raise not_found(f"run {text}")
    return int(text)


def _filter_of(request: Request) -> Filter:
    asked = request.query_params
    sort = asked.get("sort", "")
    return Filter(
        q=asked.get("q", "").strip()[:500],
        statuses=tuple(one for one in STATUS_ORDER if one in asked.get("status", "").split(",")),
        suite=asked.get("suite", ""),
        tag=asked.get("tag", ""),
        marks=tuple(one for one in queries.MARKS if one in asked.get("has", "").split(",")),
        cause=asked.get("cause", ""),
        sort=sort if sort in queries.SORTS else "status",
    )


def _turned_to(
    request: Request, find: Callable[[int, int], tuple[int, list[T]]], size: int
) -> tuple[int, int, list[T]]:
    """The number of the page that is asked for, the total, and what is on it; past the end it is the last."""
    text = request.query_params.get("page", "1")
    page = int(text) if text.isascii() and text.isdigit() and len(text) < 12 and int(text) > 0 else 1
    total, found = find(size, (page - 1) * size)
    last = max(1, math.ceil(total / size))
    if page > last:
        page, (total, found) = last, find(size, (last - 1) * size)
    return page, total, found


def link(path: str, query: Mapping[str, str]) -> str:
    """An address with a query, if there is one."""
    return f"{path}?{urlencode(query, errors='replace')}" if query else path


def _pages(path: str, query: Mapping[str, str], page: int, total: int, size: int) -> Optional[dict[str, Any]]:
    """Links to the pages before and after, or None if everything is on one page."""
    last = max(1, math.ceil(total / size))
    if last == 1:
        return None

    def to(number: int) -> str:
        return link(path, {**query, "page": str(number)})

    return {
        "number": page,
        "last": last,
        "before": to(page - 1) if page > 1 else None,
        "after": to(page + 1) if page < last else None,
    }
