"""What the local back end keeps: projects, runs, results, uploaded files. One transaction per effect.

Every method may be called from any thread. Writers take turns; readers see the last committed state and wait
for nobody. A method that returns has committed: what the API acknowledges survives a kill.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from sqlalchemy import ColumnElement, Connection, and_, func, select, update
from sqlalchemy.dialects.sqlite import insert

from famacase_pytest.server.files import FileRoom, Received
from famacase_pytest.server.problems import Problem, invalid, not_found
from famacase_pytest.server.tables import (
    answers,
    attachments,
    environments,
    open_database,
    plans,
    projects,
    results,
    runs,
)

LARGEST_ID = 2**63 - 1
"""SQLite's largest integer. A larger id is one that does not exist."""


@dataclass(frozen=True)
class Project:
    """A project of which somebody has the token."""

    id: int
    code: str


@dataclass(frozen=True)
class Run:
    """A run with its counts.

    Attributes:
        body: what `createRun` was given.
        created_at: Unix time in seconds; `completed_at` too, or None while the run is in progress.
        stats: number of results by status; a result without a status counts as "untested".
    """

    id: int
    project_id: int
    project_code: str
    body: dict[str, Any]
    created_at: float
    completed_at: float | None
    is_public: bool
    stats: dict[str, int]

    @property
    def status(self) -> str:
        return "in_progress" if self.completed_at is None else "completed"


@dataclass(frozen=True)
class StoredResult:
    """A result as it is kept: `id` in lower case, `body` the JSON text that goes back out."""

    id: str
    status: str | None
    body: str


@dataclass(frozen=True)
class Attachment:
    """An uploaded file. Its bytes are in the file room under `sha256`."""

    id: str
    file_name: str
    mime_type: str
    file_size: int
    sha256: str


@dataclass(frozen=True)
class Reference:
    """A mention of an attachment in a result, and where in the request it stands."""

    attachment_id: str
    where: tuple[Any, ...]


_ATTACHMENT_COLUMNS = (
    attachments.c.id,
    attachments.c.file_name,
    attachments.c.mime_type,
    attachments.c.file_size,
    attachments.c.sha256,
)

_INSERT_RESULT = insert(results)
_PUT_RESULT = _INSERT_RESULT.on_conflict_do_update(
    index_elements=["run_id", "id"],
    set_={"status": _INSERT_RESULT.excluded.status, "body": _INSERT_RESULT.excluded.body},
)


class Store:
    """The database and the file room below one directory.

    Args:
        data: the directory; it is created if it is not there.
        clock: the current Unix time in seconds.
    """

    def __init__(self, data: Path, clock: Callable[[], float] = time.time) -> None:
        self.files = FileRoom(data)
        try:
            self._engine = open_database(data / "famacase.sqlite3")
        except BaseException:
            self.files.close()
            raise
        self._clock = clock
        self._writing = threading.Lock()

    def close(self) -> None:
        """Closes the database. A second call does nothing."""
        self._engine.dispose()
        self.files.close()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        # SQLite has one writer; waiting here is fair and instant, waiting in SQLite is polling.
        with self._writing, self._connect(write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._connect(write=False) as connection, connection.begin():
            yield connection

    def _connect(self, *, write: bool) -> Connection:
        return self._engine.connect().execution_options(write=write)

    # What is there before the first call

    def seed(
        self,
        codes: Iterable[str],
        environment_slugs: Iterable[tuple[str, str]],
        plan_cases: Iterable[tuple[str, int, Sequence[int]]],
    ) -> dict[str, Project]:
        """Makes sure that projects, environments and plans exist.

        Args:
            codes: codes of the projects.
            environment_slugs: pairs of project code and slug.
            plan_cases: project code, plan id and the ids of the cases; replaces what the plan held before.

        Returns:
            The projects by code.
        """
        with self._write() as connection:
            for code in codes:
                connection.execute(insert(projects).values(code=code).on_conflict_do_nothing())
            found = {row.code: Project(row.id, row.code) for row in connection.execute(select(projects))}
            for code, slug in environment_slugs:
                row = {"project_id": found[code].id, "slug": slug}
                connection.execute(insert(environments).values(row).on_conflict_do_nothing())
            for code, plan_id, cases in plan_cases:
                row = {"project_id": found[code].id, "plan_id": plan_id, "case_ids": json.dumps(list(cases))}
                connection.execute(
                    insert(plans)
                    .values(row)
                    .on_conflict_do_update(
                        index_elements=["project_id", "plan_id"], set_={"case_ids": row["case_ids"]}
                    )
                )
        return found

    def environments(self, project: Project, slug: str | None = None) -> list[tuple[int, str]]:
        """Ids and slugs of a project's environments, or of the one that bears `slug`."""
        query = select(environments.c.id, environments.c.slug).where(environments.c.project_id == project.id)
        if slug is not None:
            query = query.where(environments.c.slug == slug)
        with self._read() as connection:
            return [(row.id, row.slug) for row in connection.execute(query.order_by(environments.c.id))]

    def plan_cases(self, project: Project, plan_id: int) -> list[int]:
        """Ids of the cases of a plan; Problem 404 if there is no such plan."""
        with self._read() as connection:
            found = _plan_cases(connection, project, plan_id)
        if found is None:
            raise not_found(f"plan {plan_id}")
        return found

    # Runs

    def create_run(
        self, project: Project, body: Mapping[str, Any], key: str | None, answer: Callable[[int], str]
    ) -> str:
        """Creates a run, once per key.

        Args:
            project: the run's project.
            body: a valid RunCreate.
            key: the call's Idempotency-Key in lower case, or None.
            answer: makes the answer's JSON text from the new run's id.

        Returns:
            The answer, or the one that the first call with this key got.

        Raises:
            Problem: 422, the environment or the plan is not in this project.
        """
        with self._write() as connection:
            first = _first_answer(connection, project, "createRun", key)
            if first is not None:
                return first
            environment_id, plan_id = body.get("environment_id"), body.get("plan_id")
            if environment_id is not None and not _environment_exists(connection, project, environment_id):
                raise invalid(f"There is no environment {environment_id} here.", "body", "environment_id")
            if plan_id is not None and _plan_cases(connection, project, plan_id) is None:
                raise invalid(f"There is no plan {plan_id} here.", "body", "plan_id")
            inserted: Any = connection.execute(
                insert(runs).values(
                    project_id=project.id,
                    body=json.dumps(body, allow_nan=False),
                    created_at=self._clock(),
                    is_public=False,
                )
            )
            text = answer(int(inserted.inserted_primary_key[0]))
            _keep_answer(connection, project, "createRun", key, text)
        return text

    def run(self, run_id: int, project: Project | None = None) -> Run:
        """A run with its counts; Problem 404 if it is not there, or not in `project` where one is given."""
        if not 0 < run_id <= LARGEST_ID:
            raise not_found(f"run {run_id}")
        with self._read() as connection:
            found = _runs(connection, runs.c.id == run_id)
        if not found or (project is not None and found[0].project_id != project.id):
            raise not_found(f"run {run_id}")
        return found[0]

    def latest_runs(self, limit: int, offset: int) -> tuple[int, list[Run]]:
        """The number of all runs, and a page of them, newest first."""
        with self._read() as connection:
            total = int(connection.execute(select(func.count()).select_from(runs)).scalar_one())
            page = select(runs.c.id).order_by(runs.c.id.desc()).limit(limit).offset(min(offset, LARGEST_ID))
            return total, _runs(connection, runs.c.id.in_(page.scalar_subquery()))[::-1]

    def complete_run(self, project: Project, run_id: int) -> None:
        """Completes a run; nothing happens if it is complete. Problem 404 if it is not there."""
        with self._write() as connection:
            _require_run(connection, project, run_id)
            connection.execute(
                update(runs)
                .where(runs.c.id == run_id, runs.c.completed_at.is_(None))
                .values(completed_at=self._clock())
            )

    def publish_run(self, project: Project, run_id: int, public: bool) -> None:
        """Marks a run as public or not. Problem 404 if it is not there."""
        with self._write() as connection:
            _require_run(connection, project, run_id)
            connection.execute(update(runs).where(runs.c.id == run_id).values(is_public=public))

    # Results

    def require_open_run(self, project: Project, run_id: int) -> None:
        """Problem 404 if the run is not there, 409 if it is complete."""
        with self._read() as connection:
            _require_open_run(connection, project, run_id)

    def put_results(
        self,
        project: Project,
        run_id: int,
        stored: Sequence[StoredResult],
        references: Sequence[Reference],
    ) -> None:
        """Stores all of the results, or none. One whose id the run holds already is replaced in its place.

        Raises:
            Problem: 404, the run is not there; 409, it is complete; 422, an attachment is not known.
        """
        rows = [{"run_id": run_id, "id": one.id, "status": one.status, "body": one.body} for one in stored]
        with self._write() as connection:
            _require_open_run(connection, project, run_id)
            _require_attachments(connection, project, references)
            connection.execute(_PUT_RESULT, rows)

    def results(
        self, run_id: int, limit: int, offset: int, status: str | None = None
    ) -> tuple[int, list[str]]:
        """How many results a run has, and the JSON texts of one page of them, oldest first.

        Args:
            run_id: a run that exists.
            limit: results on the page.
            offset: results before the page.
            status: count and return only those of this status.
        """
        wanted = results.c.run_id == run_id
        if status == "untested":
            wanted = and_(wanted, results.c.status.is_(None) | (results.c.status == status))
        elif status is not None:
            wanted = and_(wanted, results.c.status == status)
        with self._read() as connection:
            total = int(connection.execute(select(func.count()).where(wanted)).scalar_one())
            page = select(results.c.body).where(wanted).order_by(results.c.position)
            page = page.limit(limit).offset(min(offset, LARGEST_ID))
            return total, list(connection.execute(page).scalars())

    # Attachments

    def first_upload_answer(self, project: Project, key: str | None) -> str | None:
        """The answer that an earlier upload with this key got, or None."""
        with self._read() as connection:
            return _first_answer(connection, project, "uploadAttachments", key)

    def put_attachments(
        self,
        project: Project,
        received: Sequence[Received],
        key: str | None,
        answer: Callable[[list[Attachment]], str],
    ) -> str:
        """Keeps uploaded files, once per key, each under a new id.

        Args:
            project: the files' project.
            received: the files, in the order in which they were sent.
            key: the call's Idempotency-Key in lower case, or None.
            answer: makes the answer's JSON text from the attachments.

        Returns:
            The answer, or the one that the first call with this key got.
        """
        kept = [
            Attachment(str(uuid.uuid4()), one.file_name, one.mime_type, one.size, one.sha256)
            for one in received
        ]
        text = answer(kept)
        # The bytes are in place before the row that promises them; a kill in between leaves a file, no lie.
        self.files.keep(received)
        with self._write() as connection:
            first = _first_answer(connection, project, "uploadAttachments", key)
            if first is not None:
                return first
            rows = [{**vars(one), "project_id": project.id} for one in kept]
            connection.execute(insert(attachments), rows)
            _keep_answer(connection, project, "uploadAttachments", key, text)
        return text

    def attachment(self, attachment_id: str, project: Project | None = None) -> Attachment:
        """An attachment by its id; Problem 404 if it is not there, or not in `project` where one is given."""
        query = select(*_ATTACHMENT_COLUMNS).where(attachments.c.id == attachment_id.lower())
        if project is not None:
            query = query.where(attachments.c.project_id == project.id)
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise not_found(f"attachment {attachment_id}")
        return Attachment(*row)

    def attachments(self, ids: Iterable[str]) -> dict[str, Attachment]:
        """Those of the attachments that are there, by id."""
        with self._read() as connection:
            rows = _by_ids(connection, _ATTACHMENT_COLUMNS, ids)
        return {row[0]: Attachment(*row) for row in rows}

    def environment_slug(self, environment_id: int) -> str | None:
        """The slug of an environment, or None if it is not there."""
        if not 0 < environment_id <= LARGEST_ID:
            return None
        query = select(environments.c.slug).where(environments.c.id == environment_id)
        with self._read() as connection:
            return connection.execute(query).scalar_one_or_none()


def _first_answer(connection: Connection, project: Project, operation: str, key: str | None) -> str | None:
    if key is None:
        return None
    query = select(answers.c.body).where(
        answers.c.project_id == project.id, answers.c.operation == operation, answers.c.key == key
    )
    return connection.execute(query).scalar_one_or_none()


def _keep_answer(
    connection: Connection, project: Project, operation: str, key: str | None, body: str
) -> None:
    if key is not None:
        row = {"project_id": project.id, "operation": operation, "key": key, "body": body}
        connection.execute(insert(answers).values(row))


def _environment_exists(connection: Connection, project: Project, environment_id: int) -> bool:
    if not 0 < environment_id <= LARGEST_ID:
        return False
    query = select(environments.c.id).where(
        environments.c.project_id == project.id, environments.c.id == int(environment_id)
    )
    return connection.execute(query).one_or_none() is not None


def _plan_cases(connection: Connection, project: Project, plan_id: int) -> list[int] | None:
    if not -LARGEST_ID <= plan_id <= LARGEST_ID:
        return None
    query = select(plans.c.case_ids).where(plans.c.project_id == project.id, plans.c.plan_id == int(plan_id))
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else list(json.loads(found))


def _runs(connection: Connection, wanted: ColumnElement[bool]) -> list[Run]:
    """The runs that fulfil a condition, in the order of their ids, with their counts."""
    columns = (*runs.c, projects.c.code)
    rows = connection.execute(
        select(*columns).join(projects, projects.c.id == runs.c.project_id).where(wanted).order_by(runs.c.id)
    ).all()
    status = func.coalesce(results.c.status, "untested").label("status")
    counts: dict[int, dict[str, int]] = {row.id: {} for row in rows}
    for run_id, name, count in connection.execute(
        select(results.c.run_id, status, func.count())
        .where(results.c.run_id.in_([row.id for row in rows]))
        .group_by(results.c.run_id, status)
    ):
        counts[run_id][name] = count
    return [
        Run(
            id=row.id,
            project_id=row.project_id,
            project_code=row.code,
            body=json.loads(row.body),
            created_at=row.created_at,
            completed_at=row.completed_at,
            is_public=row.is_public,
            stats=counts[row.id],
        )
        for row in rows
    ]


def _require_run(connection: Connection, project: Project, run_id: int) -> float | None:
    """The time when the run was completed, or None; Problem 404 if it is not in the project."""
    row = None
    if 0 < run_id <= LARGEST_ID:
        query = select(runs.c.completed_at).where(runs.c.id == run_id, runs.c.project_id == project.id)
        row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found(f"run {run_id}")
    completed_at: float | None = row[0]
    return completed_at


def _require_open_run(connection: Connection, project: Project, run_id: int) -> None:
    if _require_run(connection, project, run_id) is not None:
        raise Problem(409, f"Run {run_id} is complete and takes no more results.")


def _require_attachments(connection: Connection, project: Project, references: Sequence[Reference]) -> None:
    if not references:
        return
    # An id with a lone surrogate cannot even be asked for; it is not one of ours in any case.
    ids = {one.attachment_id.lower() for one in references if one.attachment_id.isascii()}
    rows = _by_ids(connection, (attachments.c.id,), ids, attachments.c.project_id == project.id)
    known = {row[0] for row in rows}
    for one in references:
        if one.attachment_id.lower() not in known:
            message = f"There is no attachment {one.attachment_id} here; upload it first."
            raise invalid(message, *one.where, kind="unknown_attachment")


def _by_ids(
    connection: Connection, columns: Sequence[Any], ids: Iterable[str], *conditions: ColumnElement[bool]
) -> list[Any]:
    """Rows of the attachments with these ids. SQLite takes a limited number of values at a time."""
    wanted = sorted(ids)
    rows: list[Any] = []
    for start in range(0, len(wanted), 500):
        query = select(*columns).where(attachments.c.id.in_(wanted[start : start + 500]), *conditions)
        rows.extend(connection.execute(query).all())
    return rows
