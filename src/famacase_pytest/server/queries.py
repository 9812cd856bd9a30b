"""The questions that the store asks within a transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.dialects.sqlite import insert

from famacase_pytest.server.problems import Problem, invalid, not_found
from famacase_pytest.server.records import Project, Reference, Run
from famacase_pytest.server.tables import answers, attachments, environments, plans, projects, results, runs

LARGEST_ID = 2**63 - 1
"""SQLite's largest integer. A larger id is one that does not exist."""

ATTACHMENT_COLUMNS = (
    attachments.c.id,
    attachments.c.file_name,
    attachments.c.mime_type,
    attachments.c.file_size,
    attachments.c.sha256,
)

_INSERT_RESULT = insert(results)
PUT_RESULT = _INSERT_RESULT.on_conflict_do_update(
    index_elements=["run_id", "id"],
    set_={"status": _INSERT_RESULT.excluded.status, "body": _INSERT_RESULT.excluded.body},
)
"""Stores a result; one whose id the run holds already is replaced and keeps its position."""


def first_answer(connection: Connection, project: Project, operation: str, key: str | None) -> str | None:
    """The answer that the first call with this key got, or None; None too if there is no key."""
    if key is None:
        return None
    query = select(answers.c.body).where(
        answers.c.project_id == project.id, answers.c.operation == operation, answers.c.key == key
    )
    return connection.execute(query).scalar_one_or_none()


def keep_answer(connection: Connection, project: Project, operation: str, key: str | None, body: str) -> None:
    """Keeps the answer for calls that repeat this one, if it has a key."""
    if key is not None:
        row = {"project_id": project.id, "operation": operation, "key": key, "body": body}
        connection.execute(insert(answers).values(row))


def environment_exists(connection: Connection, project: Project, environment_id: int) -> bool:
    """Whether the project has an environment with this id."""
    if not 0 < environment_id <= LARGEST_ID:
        return False
    query = select(environments.c.id).where(
        environments.c.project_id == project.id, environments.c.id == int(environment_id)
    )
    return connection.execute(query).one_or_none() is not None


def find_plan_cases(connection: Connection, project: Project, plan_id: int) -> list[int] | None:
    """The ids of the cases of a plan, or None if the project has no such plan."""
    if not -LARGEST_ID <= plan_id <= LARGEST_ID:
        return None
    query = select(plans.c.case_ids).where(plans.c.project_id == project.id, plans.c.plan_id == int(plan_id))
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else list(json.loads(found))


def find_runs(connection: Connection, wanted: ColumnElement[bool]) -> list[Run]:
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


def require_run(connection: Connection, project: Project, run_id: int) -> float | None:
    """The time when the run was completed, or None; Problem 404 if it is not in the project."""
    row = None
    if 0 < run_id <= LARGEST_ID:
        query = select(runs.c.completed_at).where(runs.c.id == run_id, runs.c.project_id == project.id)
        row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found(f"run {run_id}")
    completed_at: float | None = row[0]
    return completed_at


def require_open_run(connection: Connection, project: Project, run_id: int) -> None:
    """Problem 404 if the run is not in the project, 409 if it is complete."""
    if require_run(connection, project, run_id) is not None:
        raise Problem(409, f"Run {run_id} is complete and takes no more results.")


def require_attachments(connection: Connection, project: Project, references: Sequence[Reference]) -> None:
    """Problem 422, with the place of the first mention of an attachment that the project does not have."""
    if not references:
        return
    # An id with a lone surrogate cannot even be asked for; it is not one of ours in any case.
    ids = {one.attachment_id.lower() for one in references if one.attachment_id.isascii()}
    rows = attachments_by_ids(connection, (attachments.c.id,), ids, attachments.c.project_id == project.id)
    known = {row[0] for row in rows}
    for one in references:
        if one.attachment_id.lower() not in known:
            message = f"There is no attachment {one.attachment_id} here; upload it first."
            raise invalid(message, *one.where, kind="unknown_attachment")


def attachments_by_ids(
    connection: Connection, columns: Sequence[Any], ids: Iterable[str], *conditions: ColumnElement[bool]
) -> list[Any]:
    """Rows of the attachments with these ids. SQLite takes a limited number of values at a time."""
    wanted = sorted(ids)
    rows: list[Any] = []
    for start in range(0, len(wanted), 500):
        query = select(*columns).where(attachments.c.id.in_(wanted[start : start + 500]), *conditions)
        rows.extend(connection.execute(query).all())
    return rows
