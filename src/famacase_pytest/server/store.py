"""What the local back end keeps: projects, runs, results, uploaded files. One transaction per effect.

Every method may be called from any thread. Writers take turns; readers see the last committed state and wait
for nobody. A method that returns has committed: what the API acknowledges survives a kill.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Callable, TypeVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session, sessionmaker

from .database import (
    LARGEST_ID,
    Answer,
    Attachment,
    Environment,
    Plan,
    Project,
    Result,
    Run,
    Summary,
    open_database,
)
from .files import FileRoom
from .models import Problem, invalid, not_found
from .results import Mention

Row = TypeVar("Row", Environment, Run)


class Store:
    """The database and the file room below one directory, which is created if it is not there."""

    def __init__(self, data: Path) -> None:
        self.files = FileRoom(data)
        try:
            self._engine = open_database(data / "famacase.sqlite3")
        except BaseException:
            self.files.close()
            raise
        self._read = sessionmaker(self._engine, expire_on_commit=False)
        self._writer = sessionmaker(self._engine.execution_options(write=True), expire_on_commit=False)
        self._writing = threading.Lock()

    def close(self) -> None:
        """Closes the database. A second call does nothing."""
        self._engine.dispose()
        self.files.close()

    def reading(self) -> Session:
        """A session for `queries`, to be closed; it sees the state in which it begins."""
        return self._read()

    @contextmanager
    def _write(self) -> Iterator[Session]:
        # SQLite has one writer; waiting here is fair and instant, waiting in SQLite is polling.
        with self._writing, self._writer.begin() as session:
            yield session

    def _once(self, project: Project, operation: str, key: str | None, work: Callable[[Session], str]) -> str:
        """The answer that `work` makes, or that of an earlier call with the same key."""
        with self._write() as session:
            first = key and session.get(Answer, (project.id, operation, key))
            if first:
                return first.body
            text = work(session)
            if key:
                session.add(Answer(project_id=project.id, operation=operation, key=key, body=text))
        return text

    def seed(
        self,
        codes: Iterable[str],
        slugs: Iterable[tuple[str, str]],
        plans: Iterable[tuple[str, int, Sequence[int]]],
    ) -> dict[str, Project]:
        """Makes sure that projects, environments and plans exist, and returns the projects by code."""
        with self._write() as session:
            for code in codes:
                session.execute(insert(Project).values(code=code).on_conflict_do_nothing())
            found = {project.code: project for project in session.scalars(select(Project))}
            for code, slug in slugs:
                row = {"project_id": found[code].id, "slug": slug}
                session.execute(insert(Environment).values(row).on_conflict_do_nothing())
            for code, plan_id, cases in plans:
                session.merge(Plan(project_id=found[code].id, plan_id=plan_id, case_ids=list(cases)))
        return found

    def environments(self, project: Project, slug: str | None = None) -> list[Environment]:
        """A project's environments, or the one that bears `slug`."""
        query = select(Environment).where(Environment.project_id == project.id)
        if slug is not None:
            query = query.where(Environment.slug == slug)
        with self._read() as session:
            return list(session.scalars(query.order_by(Environment.id)))

    def environment_slug(self, environment_id: int) -> str | None:
        """The slug of an environment, or None if it is not there."""
        with self._read() as session:
            found = _get(session, Environment, environment_id)
        return found.slug if found else None

    def plan_cases(self, project: Project, plan_id: int) -> list[int]:
        """Ids of the cases of a plan; Problem 404 if there is no such plan."""
        with self._read() as session:
            plan = _plan(session, project, plan_id)
        if plan is None:
            raise not_found(f"plan {plan_id}")
        return plan.case_ids

    def create_run(
        self, project: Project, body: Mapping[str, Any], key: str | None, answer: Callable[[Run], str]
    ) -> str:
        """Creates a run, once per key, and returns what `answer` makes of it; Problem 422 for unknown ids."""

        def work(session: Session) -> str:
            environment_id, plan_id = body.get("environment_id"), body.get("plan_id")
            found = None if environment_id is None else _get(session, Environment, environment_id)
            if environment_id is not None and (found is None or found.project_id != project.id):
                raise invalid(f"There is no environment {environment_id} here.", "body", "environment_id")
            if plan_id is not None and _plan(session, project, plan_id) is None:
                raise invalid(f"There is no plan {plan_id} here.", "body", "plan_id")
            run = Run(project_id=project.id, body=dict(body), created_at=time.time())
            run.stats = {}
            session.add(run)
            session.flush()
            return answer(run)

        return self._once(project, "createRun", key, work)

    def run(self, run_id: int, project: Project | None = None) -> Run:
        """A run with its counts; Problem 404 if it is not there, or not in `project` where one is given."""
        with self._read() as session:
            run = _run(session, run_id, project)
            count(session, [run])
        return run

    def complete_run(self, project: Project, run_id: int) -> None:
        """Completes a run; nothing happens if it is complete. Problem 404 if it is not there."""
        with self._write() as session:
            run = _run(session, run_id, project)
            if run.completed_at is None:
                run.completed_at = time.time()
                run.changes += 1

    def publish_run(self, project: Project, run_id: int, public: bool) -> None:
        """Marks a run as public or not. Problem 404 if it is not there."""
        with self._write() as session:
            _run(session, run_id, project).is_public = public

    def put_results(
        self, project: Project, run_id: int, rows: Sequence[Mapping[str, Any]], mentions: Sequence[Mention]
    ) -> None:
        """Stores all of the results, or none. One whose id the run holds already is replaced in its place."""
        query = insert(Result)
        query = query.on_conflict_do_update(
            index_elements=["run_id", "id"],
            set_={"status": query.excluded.status, "body": query.excluded.body},
        )
        with self._write() as session:
            run = _run(session, run_id, project)
            if run.completed_at is not None:
                raise Problem(409, f"Run {run_id} is complete and takes no more results.")
            _require_attachments(session, project, mentions)
            columns = ("id", "status", "body")
            session.execute(
                query, [{"run_id": run_id, **{name: row[name] for name in columns}} for row in rows]
            )
            _summarize(session, run_id, [row["summary"] for row in rows])
            run.changes += 1

    def results(self, run_id: int, limit: int, offset: int) -> tuple[int, list[str]]:
        """How many results a run has, and a page of their JSON, oldest first."""
        page = select(Result.body).where(Result.run_id == run_id).order_by(Result.position)
        with self._read() as session:
            total = session.scalar(select(func.count()).where(Result.run_id == run_id)) or 0
            return total, list(session.scalars(page.limit(limit).offset(min(offset, LARGEST_ID))))

    def result(self, run_id: int, result_id: str) -> str:
        """The JSON of one result; Problem 404 if it is not there."""
        query = select(Result.body).where(Result.run_id == run_id, Result.id == result_id.lower())
        with self._read() as session:
            body = session.scalar(query) if run_id <= LARGEST_ID else None
        if body is None:
            raise not_found(f"result {result_id} in run {run_id}")
        return body

    def put_attachments(
        self,
        project: Project,
        received: Mapping[Attachment, BinaryIO],
        key: str | None,
        answer: Callable[[Iterable[Attachment]], str],
    ) -> str:
        """Keeps uploaded files, once per key, and returns what `answer` makes of them."""
        # The bytes are in place before the row that promises them; a kill in between leaves a file, no lie.
        for one, content in received.items():
            one.project_id, one.sha256 = project.id, self.files.keep(content)

        def work(session: Session) -> str:
            session.add_all(received)
            session.flush()
            return answer(received)

        return self._once(project, "uploadAttachments", key, work)

    def attachment(self, attachment_id: str, project: Project | None = None) -> Attachment:
        """An attachment by its id; Problem 404 if it is not there, or not in `project` where one is given."""
        with self._read() as session:
            found = session.get(Attachment, attachment_id.lower())
        if found is None or (project is not None and found.project_id != project.id):
            raise not_found(f"attachment {attachment_id}")
        return found

    def attachments(self, ids: Iterable[str]) -> dict[str, Attachment]:
        """Those of the attachments that are there, by id."""
        with self._read() as session:
            return {one.id: one for one in session.scalars(select(Attachment).where(_among(ids)))}


def _get(session: Session, kind: type[Row], number: int) -> Row | None:
    return session.get(kind, int(number)) if abs(number) <= LARGEST_ID else None


def _run(session: Session, run_id: int, project: Project | None) -> Run:
    run = _get(session, Run, run_id)
    if run is None or (project is not None and run.project_id != project.id):
        raise not_found(f"run {run_id}")
    return run


def count(session: Session, runs: Sequence[Run]) -> None:
    """Gives runs their counts of results by status."""
    status = func.coalesce(Result.status, "untested").label("status")
    ids = [run.id for run in runs]
    query = select(Result.run_id, status, func.count()).where(Result.run_id.in_(ids))
    counts = session.execute(query.group_by(Result.run_id, status)).all()
    for run in runs:
        run.stats = {name: count for run_id, name, count in counts if run_id == run.id}


def _summarize(session: Session, run_id: int, summaries: Sequence[Mapping[str, Any]]) -> None:
    """Writes the summaries of results that have just been stored."""
    # Of two results with one id, the later one was stored.
    latest = {one["id"]: one for one in summaries}
    listed = func.json_each(json.dumps(list(latest))).table_valued("value")
    query = select(Result.id, Result.position).where(Result.run_id == run_id)
    found = session.execute(query.where(Result.id.in_(select(listed.c.value)))).all()
    rows = [{"run_id": run_id, "position": position, **latest[number]} for number, position in found]
    session.execute(insert(Summary).prefix_with("OR REPLACE"), rows)


def _plan(session: Session, project: Project, plan_id: int) -> Plan | None:
    return session.get(Plan, (project.id, int(plan_id))) if abs(plan_id) <= LARGEST_ID else None


def _require_attachments(session: Session, project: Project, mentions: Sequence[Mention]) -> None:
    """Problem 422, with the place of the first mention of an attachment that the project does not have."""
    # An id with a lone surrogate cannot even be asked for; it is not one of ours in any case.
    ids = [one.attachment_id.lower() for one in mentions if one.attachment_id.isascii()]
    query = select(Attachment.id).where(Attachment.project_id == project.id, _among(ids))
    known = set(session.scalars(query))
    for one in mentions:
        if one.attachment_id.lower() not in known:
            message = f"There is no attachment {one.attachment_id} here; upload it first."
            raise invalid(message, *one.where, kind="unknown_attachment")


def _among(ids: Iterable[str]) -> ColumnElement[bool]:
    """That an attachment's id is one of these, of which there may be more than SQLite has variables."""
    listed = func.json_each(json.dumps(list(ids))).table_valued("value")
    return Attachment.id.in_(select(listed.c.value))
