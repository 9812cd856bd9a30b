"""A run as one file: everything that its pages show, usable offline, from the data of a back end or of Qase.

The file has no other part and asks no other host for anything. What is large in it, the details of results
and the bytes of files, is packed text that is looked at when it is opened.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..errors import FamacaseError
from .database import LARGEST_ID, Attachment, Environment, Project, Result, Run, open_database
from .files import place_of, write_whole
from .models import canonical
from .pages import HERE, templates
from .presentation import file_kind, line_of, media_type, result_view, run_view
from .summaries import STATUS_ORDER, mentioned_files, summary_of

DETAILS_IN_A_PIECE = 100

_JSONP = re.compile(r"\s*\w+\(\s*(\{.*\})\s*\);?\s*\Z", re.DOTALL)


class CannotReport(FamacaseError):
    """There is no such run, or what is given is no report; the message says what to do."""


@dataclass(frozen=True)
class Written:
    """What a report has become: counts of its results and files, and the names of files that are left out."""

    results: int
    files: int
    left_out: list[str]
    size: int


@dataclass(frozen=True)
class _Material:
    """What a report is made of."""

    run: Run
    environment: str | None
    results: list[dict[str, Any]]
    files: dict[str, Attachment]
    contents: dict[str, Path | bytes] = field(default_factory=dict)  # by attachment id

    def content(self, attachment_id: str) -> bytes:
        content = self.contents[attachment_id]
        return content if isinstance(content, bytes) else content.read_bytes()


def write_report(what: str, out: Path, data: Path, max_file_bytes: float) -> Written:
    """Writes a report.

    Args:
        what: number of a run of the back end, or path of a local report of Qase.
        out: the file to write; one that is there is replaced.
        data: directory of the back end, which may be running.
        max_file_bytes: larger files are left out.

    Raises:
        CannotReport: there is nothing to make a report of, or it cannot be written.
    """
    material = (
        _of_back_end(data, min(int(what[:20]), LARGEST_ID))
        if what.isdecimal()
        else _of_qase_report(Path(what))
    )
    used, left_out = _chosen_files(material, max_file_bytes)
    text = _page(material, used, max_file_bytes).encode("utf-8", "replace")
    try:
        write_whole(out, text)
    except OSError as error:
        raise CannotReport(
            f"{out} cannot be written: {error.strerror or error}. No report was written. "
            "Give another file with -o."
        ) from error
    return Written(len(material.results), len(used), left_out, len(text))


def _of_back_end(data: Path, run_id: int) -> _Material:
    path = data / "famacase.sqlite3"
    if not path.is_file():
        raise CannotReport(
            f"{data} has no data of a local back end, so there is no run {run_id} to report. "
            "Name its directory with --data, or give the path of a local Qase report instead of a number."
        )
    engine = open_database(path)
    try:
        with Session(engine) as session:
            run = session.get(Run, run_id)
            if run is None:
                newest = session.scalar(select(Run.id).order_by(Run.id.desc()).limit(1))
                raise CannotReport(
                    f"{data} has no run {run_id}; no report was written. "
                    + (f"Its newest is run {newest}." if newest else "It has no runs at all.")
                )
            bodies = session.scalars(
                select(Result.body).where(Result.run_id == run_id).order_by(Result.position)
            )
            results = [json.loads(body) for body in bodies]
            mentioned = {one for result in results for one in mentioned_files(result)}
            stored = select(Attachment).where(Attachment.project_id == run.project_id)
            files = {one.id: one for one in session.scalars(stored) if one.id in mentioned}
            number = run.body.get("environment_id")
            environment = session.get(Environment, number) if number is not None else None
            session.expunge_all()
    finally:
        engine.dispose()
    contents: dict[str, Path | bytes] = {
        number: place_of(data / "attachments", one.sha256) for number, one in files.items()
    }
    return _Material(run, environment.slug if environment else None, results, files, contents)


def _of_qase_report(folder: Path) -> _Material:
    """The local report of any Qase reporter, with ``Format.json`` or ``Format.jsonp``."""
    found = [path for suffix in ("json", "jsonp") for path in [folder / f"run.{suffix}"] if path.is_file()]
    paths = sorted((folder / "results").glob("*.json*"))
    if not found and not paths:
        raise CannotReport(
            f"{folder} is no local Qase report: it has neither run.json nor results. No report was written. "
            "Give the number of a run, or the folder of a local report, such as build/qase-report."
        )
    path = found[0] if found else folder
    try:
        told = _read_json(path) if found else {}
        material = _Material(_qase_run(told, folder), told.get("environment"), [], {})
        for path in paths:
            result = _qase_result(_read_json(path), folder / "attachments", material)
            # What does not fit is found here, where the file is known.
            result_view(result, {})
            summary_of(result)
            material.results.append(result)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CannotReport(
            f"{path} cannot be read: {error}. No report was written. Let the suite write its report anew."
        ) from error
    material.results.sort(key=lambda result: result["execution"].get("start_time") or 0)
    return material


def _read_json(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    wrapped = _JSONP.match(text) if path.suffix == ".jsonp" else None
    value = json.loads(wrapped[1] if wrapped else text)
    if not isinstance(value, dict):
        raise TypeError("it is no JSON object, so it is none of Qase's")
    return value


def _qase_run(told: Mapping[str, Any], folder: Path) -> Run:
    execution = told.get("execution") or {}
    began = float(execution.get("start_time") or folder.stat().st_mtime)
    ended = float(execution.get("end_time") or began)
    run = Run(id=0, body={"title": told.get("title") or folder.name}, created_at=began, completed_at=ended)
    run.project = Project(code="local report")
    return run


def _qase_result(told: Mapping[str, Any], folder: Path, material: _Material) -> dict[str, Any]:
    """A result as the contract has it, of one as Qase's models write it; its files go into `material`."""
    result = dict(told)
    case = told.get("testops_id")
    relations = told.get("relations") or {}
    suites = (relations.get("suite") or {}).get("data") or []
    result.update(
        id=str(told.get("id") or len(material.results)),
        title=str(told.get("title") or ""),
        testops_ids=told.get("testops_ids") or ([case] if isinstance(case, int) else []),
        fields=told.get("fields") or {},
        params={str(name): str(value) for name, value in (told.get("params") or {}).items()},
        tags=[str(tag) for tag in told.get("tags") or []],
        attachments=_qase_files(told.get("attachments"), folder, material),
        relations={"suite": {"data": [{"title": str(one.get("title", ""))} for one in suites]}},
        execution=_qase_execution(told.get("execution")),
        steps=[_qase_step(step, folder, material) for step in told.get("steps") or []],
    )
    return result


def _qase_step(told: Mapping[str, Any], folder: Path, material: _Material) -> dict[str, Any]:
    execution = _qase_execution(told.get("execution"))
    # Some reporters have the files of a step in the step.
    files = [*(execution.get("attachments") or []), *(told.get("attachments") or [])]
    execution["attachments"] = _qase_files(files, folder, material)
    steps = [_qase_step(step, folder, material) for step in told.get("steps") or []]
    return {**told, "data": told.get("data") or {}, "execution": execution, "steps": steps}


def _qase_execution(told: Mapping[str, Any] | None) -> dict[str, Any]:
    execution = dict(told or {})
    status = canonical(execution.get("status"))
    execution["status"] = status if status in STATUS_ORDER else None
    return execution


def _qase_files(
    mentions: Iterable[Mapping[str, Any]] | None, folder: Path, material: _Material
) -> list[dict[str, Any]]:
    kept = []
    for one in mentions or []:
        number, name = str(one.get("id", "")).lower(), str(one.get("file_name") or "file")
        kept.append({"id": number, "file_name": name})
        # Only its last part is believed: a report may come from anywhere.
        place = folder / Path(f"{one.get('id')}-{name}").name
        content: Path | bytes | None = place if place.is_file() else None
        if content is None and isinstance(one.get("content"), str):
            content = one["content"].encode("utf-8", "replace")
        if content is not None:
            size = content.stat().st_size if isinstance(content, Path) else len(content)
            mime = str(one.get("mime_type") or "application/octet-stream")
            material.files[number] = Attachment(id=number, file_name=name, mime_type=mime, file_size=size)
            material.contents[number] = content
    return kept


def _chosen_files(material: _Material, most: float) -> tuple[list[Attachment], list[str]]:
    """The files that go into a report, and the names of those that are too large for it."""
    for number, content in material.contents.items():
        if isinstance(content, Path) and not content.is_file():
            material.files.pop(number, None)
    files = material.files.values()
    return [one for one in files if one.file_size <= most], [
        one.file_name for one in files if one.file_size > most
    ]


def _page(material: _Material, files: Iterable[Attachment], max_file_bytes: float) -> str:
    run = material.run
    run.stats = {}
    for result in material.results:
        status = result["execution"]["status"] or "untested"
        run.stats[status] = run.stats.get(status, 0) + 1
    style = (HERE / "static" / "page.css").read_text(encoding="utf-8")
    parts = [(HERE / "static" / name).read_text(encoding="utf-8") for name in ("report.js", "page.js")]
    script = "\n" + "\n".join(parts)
    contents, by_id = _contents(material, files)
    environment = templates()
    module = environment.get_template("parts.html").make_module({"offline": True})
    rows = [_row(module, summary_of(result)) for result in material.results]
    return environment.get_template("report.html").render(
        offline=True,
        run=run_view(run, material.environment),
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        rows=_packed({"rows": rows, "files": by_id, "piece": DETAILS_IN_A_PIECE}),
        details=_details(module, material, max_file_bytes),
        contents=contents,
    )


def _row(module: Any, summary: Mapping[str, Any]) -> dict[str, Any]:
    line = line_of(SimpleNamespace(run_id=0, **summary))
    shown = ("id", "status", "rank", "title", "suite", "message", "cause", "duration", "muted", "flaky")
    return {
        **{name: summary[name] for name in shown},
        "files": summary["has_files"],
        "tags": line.tags,
        "text": f"{summary['text']}\n{summary['id']}",
        "html": str(module.line(line, f"#q={line.id}")),
    }


def _details(module: Any, material: _Material, max_file_bytes: float) -> Iterator[str]:
    """The details of results in packed pieces, so that to open one is to unpack few."""
    for start in range(0, len(material.results), DETAILS_IN_A_PIECE):
        some = material.results[start : start + DETAILS_IN_A_PIECE]
        views = [result_view(result, material.files, max_file_bytes) for result in some]
        yield _packed([str(module.detail(view, [])) for view in views])


def _contents(
    material: _Material, files: Iterable[Attachment]
) -> tuple[list[dict[str, str]], dict[str, dict[str, Any]]]:
    """The bytes of files, each content once, and for each attachment where its own are."""
    contents: dict[str, dict[str, str]] = {}
    by_id: dict[str, dict[str, Any]] = {}
    for one in files:
        content = material.content(one.id)
        name = hashlib.sha256(content).hexdigest()
        is_text = file_kind(one) in ("text", "json", "csv", "html")
        if name not in contents:
            packed = _compressed(content) if is_text else base64.b64encode(content).decode()
            contents[name] = {"name": name, "packing": "gzip" if is_text else "", "text": packed}
        by_id[one.id] = {"content": name, "type": media_type(one)}
    return list(contents.values()), by_id


def _packed(value: object) -> str:
    return _compressed(json.dumps(value, separators=(",", ":")).encode())


def _compressed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
