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
from pathlib import Path
from typing import Any, Callable

from sqlalchemy import Connection, and_, func, select, update
from sqlalchemy.dialects.sqlite import insert

from famacase_pytest.server.files import FileRoom, Received
from famacase_pytest.server.problems import invalid, not_found
from famacase_pytest.server.queries import (
    ATTACHMENT_COLUMNS,
    LARGEST_ID,
    PUT_RESULT,
    attachments_by_ids,
    environment_exists,
    find_plan_cases,
    find_runs,
    first_answer,
    keep_answer,
    require_attachments,
    require_open_run,
    require_run,
)
from famacase_pytest.server.records import Attachment, Project, Reference, Run, StoredResult
from famacase_pytest.server.tables import (
    attachments,
    environments,
    open_database,
    plans,
    projects,
    results,
    runs,
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
            found = find_plan_cases(connection, project, plan_id)
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
            first = first_answer(connection, project, "createRun", key)
            if first is not None:
                return first
            environment_id, plan_id = body.get("environment_id"), body.get("plan_id")
            if environment_id is not None and not environment_exists(connection, project, environment_id):
                raise invalid(f"There is no environment {environment_id} here.", "body", "environment_id")
            if plan_id is not None and find_plan_cases(connection, project, plan_id) is None:
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
            keep_answer(connection, project, "createRun", key, text)
        return text

    def run(self, run_id: int, project: Project | None = None) -> Run:
        """A run with its counts; Problem 404 if it is not there, or not in `project` where one is given."""
        if not 0 < run_id <= LARGEST_ID:
            raise not_found(f"run {run_id}")
        with self._read() as connection:
            found = find_runs(connection, runs.c.id == run_id)
        if not found or (project is not None and found[0].project_id != project.id):
            raise not_found(f"run {run_id}")
        return found[0]

    def latest_runs(self, limit: int, offset: int) -> tuple[int, list[Run]]:
        """The number of all runs, and a page of them, newest first."""
        with self._read() as connection:
            total = int(connection.execute(select(func.count()).select_from(runs)).scalar_one())
            page = select(runs.c.id).order_by(runs.c.id.desc()).limit(limit).offset(min(offset, LARGEST_ID))
            return total, find_runs(connection, runs.c.id.in_(page.scalar_subquery()))[::-1]

    def complete_run(self, project: Project, run_id: int) -> None:
        """Completes a run; nothing happens if it is complete. Problem 404 if it is not there."""
        with self._write() as connection:
            require_run(connection, project, run_id)
            connection.execute(
                update(runs)
                .where(runs.c.id == run_id, runs.c.completed_at.is_(None))
                .values(completed_at=self._clock())
            )

    def publish_run(self, project: Project, run_id: int, public: bool) -> None:
        """Marks a run as public or not. Problem 404 if it is not there."""
        with self._write() as connection:
            require_run(connection, project, run_id)
            connection.execute(update(runs).where(runs.c.id == run_id).values(is_public=public))

    # Results

    def require_open_run(self, project: Project, run_id: int) -> None:
        """Problem 404 if the run is not there, 409 if it is complete."""
        with self._read() as connection:
            require_open_run(connection, project, run_id)

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
            require_open_run(connection, project, run_id)
            require_attachments(connection, project, references)
            connection.execute(PUT_RESULT, rows)

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
            return first_answer(connection, project, "uploadAttachments", key)

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
            first = first_answer(connection, project, "uploadAttachments", key)
            if first is not None:
                return first
            rows = [{**vars(one), "project_id": project.id} for one in kept]
            connection.execute(insert(attachments), rows)
            keep_answer(connection, project, "uploadAttachments", key, text)
        return text

    def attachment(self, attachment_id: str, project: Project | None = None) -> Attachment:
        """An attachment by its id; Problem 404 if it is not there, or not in `project` where one is given."""
        query = select(*ATTACHMENT_COLUMNS).where(attachments.c.id == attachment_id.lower())
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
            rows = attachments_by_ids(connection, ATTACHMENT_COLUMNS, ids)
        return {row[0]: Attachment(*row) for row in rows}

    def environment_slug(self, environment_id: int) -> str | None:
        """The slug of an environment, or None if it is not there."""
        if not 0 < environment_id <= LARGEST_ID:
            return None
        query = select(environments.c.slug).where(environments.c.id == environment_id)
        with self._read() as connection:
            return connection.execute(query).scalar_one_or_none()
