"""What the pages ask of the database: search, counts, groups of failures, history, comparison, trends.

All of it is SQL over the table of summaries; the bodies of results are read for those that are opened.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, literal, null, or_, select
from sqlalchemy.orm import Session, aliased

from .database import LARGEST_ID, Environment, Project, Result, Run, Summary
from .summaries import FAILING, STATUS_ORDER, SUITE_SEPARATOR, title_stem

MARKS = ("flaky", "muted", "files")
SORTS = ("status", "duration", "name", "order")
CHANGES = ("newly failing", "still failing", "mended", "new", "gone", "slower")

# A test is slower than before if it takes twice as long, and if that is long enough to be more than noise.
_SLOWER, _NOTICEABLE_MS = 2, 100

_FAILING_RANKS = len(FAILING)  # ranks below this are failures


@dataclass(frozen=True)
class Filter:
    """Which results of a run a reader asks for, and in which order."""

    q: str = ""
    statuses: tuple[str, ...] = ()
    suite: str = ""
    tag: str = ""
    marks: tuple[str, ...] = ()
    cause: str = ""
    sort: str = "status"

    @property
    def is_grouped(self) -> bool:
        """Whether failures of one cause are shown as one line."""
        return self.sort == "status" and not self.cause


@dataclass(frozen=True)
class Group:
    """Failures that say the same: how many, and the first of them."""

    cause: str
    count: int
    first: Row[Any]


@dataclass(frozen=True)
class Facet:
    """How many results have a status, a suite, marks and tags in common."""

    status: str
    suite: str
    flaky: bool
    muted: bool
    files: bool
    tags: tuple[str, ...]
    count: int

    def fits(self, wanted: Filter) -> bool:
        """Whether these results are among those wanted, search and cause aside."""
        return (
            (not wanted.statuses or self.status in wanted.statuses)
            and (
                not wanted.suite
                or f"{self.suite}{SUITE_SEPARATOR}".startswith(f"{wanted.suite}{SUITE_SEPARATOR}")
            )
            and (not wanted.tag or wanted.tag in self.tags)
            and all(getattr(self, mark) for mark in wanted.marks)
        )


def facets(session: Session, run_id: int, wanted: Filter) -> list[Facet]:
    """Counts of what the search and the cause leave of a run: one pass serves the counts of all filters."""
    marks = (Summary.flaky, Summary.muted, Summary.has_files)
    columns = (Summary.status, Summary.suite, *marks, Summary.tags)
    searched = _conditions(run_id, Filter(q=wanted.q, cause=wanted.cause))
    # An expression is in no index: in the order of one, every text that is searched would be looked up alone.
    first = Summary.status.concat("") if wanted.q else Summary.status
    query = select(*columns, func.count()).where(*searched).group_by(first, *columns[1:])
    return [
        Facet(*row[:5], tags=tuple(json.loads(row[5] or "[]")), count=row[6])
        for row in session.execute(query)
    ]


def page(
    session: Session, run_id: int, wanted: Filter, counted: Sequence[Facet], limit: int, offset: int
) -> tuple[int, list[Group | Row[Any]]]:
    """The number of lines, and a page of them: groups of failures where they are grouped, then results.

    `counted` are the facets that fit the filter.
    """
    offset = min(offset, LARGEST_ID)
    conditions = _conditions(run_id, wanted)
    total = sum(facet.count for facet in counted)
    if not wanted.is_grouped:
        found = _rows(session, run_id, conditions, wanted.sort, limit, offset) if offset < total else []
        return total, [*found]
    others = total - sum(facet.count for facet in counted if facet.status in FAILING)
    first = func.min(Summary.position)
    query = select(Summary.cause, func.count(), first).where(*conditions, Summary.rank < _FAILING_RANKS)
    query = query.group_by(Summary.cause).order_by(func.count().desc(), first)
    causes = session.execute(query).all() if total > others else []
    shown = causes[offset : offset + limit]
    positions = [position for _, _, position in shown]
    rows = {row.position: row for row in session.execute(_lines(run_id, Summary.position.in_(positions)))}
    lines: list[Group | Row[Any]] = [
        rows[position] if count == 1 else Group(cause, count, rows[position])
        for cause, count, position in shown
    ]
    left, skipped = limit - len(lines), max(0, offset - len(causes))
    if left and skipped < others:
        rest = [*conditions, Summary.rank >= _FAILING_RANKS]
        lines += _rows(session, run_id, rest, "status", left, skipped)
    return len(causes) + others, lines


def history(session: Session, run: Run, test: str, runs: int = 30) -> Sequence[Row[Any]]:
    """A test in the last runs of its project up to this one, newest first; of several results the worst."""
    # The bare columns of a group with `min` are those of the row that has it: so SQLite promises.
    worst: Any = func.min(Summary.rank).label("rank")
    query = (
        select(Summary.run_id, worst, Summary.id, Summary.duration, Run.created_at)
        .join(Run, Run.id == Summary.run_id)
        .where(Summary.test == test, Run.project_id == run.project_id, Summary.run_id <= run.id)
        .group_by(Summary.run_id)
        .order_by(Summary.run_id.desc())
        .limit(runs)
    )
    return list(session.execute(query))


def newest_body(session: Session, run_id: int) -> str | None:
    """The JSON text of the result that a run got last."""
    newest = select(Result.body).where(Result.run_id == run_id).order_by(Result.position.desc()).limit(1)
    return session.scalar(newest)


def run_before(session: Session, run: Run) -> Run | None:
    """The run before this one that has the same project and the same stem of a title."""
    query = select(Run).where(Run.project_id == run.project_id, Run.id < run.id).order_by(Run.id.desc())
    stem = title_stem(run.body["title"])
    for other in session.scalars(query.limit(500)):
        if title_stem(other.body["title"]) == stem:
            return other
    return None


def comparison(
    session: Session, run_id: int, other_id: int, limit: int
) -> dict[str, tuple[int, list[Row[Any]]]]:
    """How a run differs from another one: for each of `CHANGES` how many tests, and the first of them.

    A test that a run has several results of counts by the worst of them.
    """
    counts: dict[str, tuple[int, list[Row[Any]]]] = {}
    for change in CHANGES:
        mine, theirs = (other_id, run_id) if change == "gone" else (run_id, other_id)
        tests = _changed(mine, theirs, change)
        total = session.scalar(select(func.count()).select_from(tests.subquery())) or 0
        rows: list[Row[Any]] = []
        if total and limit:
            listed = tests.limit(limit).subquery()
            query = _lines(mine, Summary.test == listed.c.test, Summary.rank == listed.c.rank)
            query = query.add_columns(listed.c.took_before).group_by(Summary.test)
            rows = list(session.execute(query.order_by(Summary.rank, Summary.title)))
        counts[change] = total, rows
    return counts


def _changed(run_id: int, other_id: int, change: str) -> Select[Any]:
    """The tests of a run with a change: the test, its worst rank, and how long a slower one took before."""
    other = aliased(Summary)
    worst_before = (
        select(func.min(other.rank))
        .where(other.run_id == other_id, other.test == Summary.test)
        .scalar_subquery()
    )
    worst = func.min(Summary.rank)
    took_before: Any = null()
    if change == "slower":
        earlier = select(func.max(other.duration)).where(other.run_id == other_id, other.test == Summary.test)
        took_before = earlier.scalar_subquery()
    query = select(Summary.test, worst.label("rank"), took_before.label("took_before"))
    query = query.where(Summary.run_id == run_id).group_by(Summary.test)
    failed_before, failing = worst_before < _FAILING_RANKS, worst < _FAILING_RANKS
    if change == "newly failing":
        return query.where(Summary.rank < _FAILING_RANKS).having(worst_before >= _FAILING_RANKS)
    if change == "still failing":
        return query.where(Summary.rank < _FAILING_RANKS).having(failed_before)
    if change == "mended":
        then = select(other.test).where(other.run_id == other_id, other.rank < _FAILING_RANKS)
        passed = STATUS_ORDER.index("passed")
        return query.where(Summary.test.in_(then)).having(worst == passed)
    exists = select(literal(1)).where(other.run_id == other_id, other.test == Summary.test).exists()
    if change in ("new", "gone"):
        return query.where(~exists)
    assert change == "slower"
    took = func.max(Summary.duration)
    query = query.where(Summary.duration >= _NOTICEABLE_MS)
    return query.having(and_(took > _SLOWER * took_before, ~failing))


@dataclass(frozen=True)
class RunFilter:
    """Which runs a reader asks for."""

    project: Project | None = None
    title: str = ""
    environments: tuple[int, ...] | None = None
    tag: str = ""


def runs_page(session: Session, chosen: RunFilter, limit: int, offset: int) -> tuple[int, list[Run]]:
    """The number of runs, and a page of them, newest first."""
    conditions = _run_conditions(chosen)
    total = session.scalar(select(func.count()).select_from(Run).where(*conditions)) or 0
    query = select(Run).where(*conditions).order_by(Run.id.desc())
    return total, list(session.scalars(query.limit(limit).offset(min(offset, LARGEST_ID))))


def _run_conditions(chosen: RunFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if chosen.project is not None:
        conditions.append(Run.project_id == chosen.project.id)
    if chosen.title:
        # Both by SQLite, which knows the cases of ASCII letters alone.
        conditions.append(func.instr(func.lower(_member("title")), func.lower(chosen.title)) > 0)
    if chosen.environments is not None:
        conditions.append(_member("environment_id").in_(chosen.environments))
    if chosen.tag:
        tags = func.json_each(Run.body, "$.tags").table_valued("value")
        conditions.append(literal(chosen.tag).in_(select(tags.c.value)))
    return conditions


def _member(name: str) -> Any:
    return func.json_extract(Run.body, f"$.{name}")


def project(session: Session, code: str) -> Project | None:
    """The project with this code, or None."""
    return session.scalar(select(Project).where(Project.code == code))


def project_codes(session: Session) -> list[str]:
    """The codes of all projects."""
    return list(session.scalars(select(Project.code).order_by(Project.id)))


def environments(session: Session, project: Project | None) -> list[Environment]:
    """The environments of a project, or of all."""
    query = select(Environment).order_by(Environment.id)
    if project is not None:
        query = query.where(Environment.project_id == project.id)
    return list(session.scalars(query))


def unsteady(session: Session, run_ids: Sequence[int], limit: int = 10) -> Sequence[Row[Any]]:
    """The most flaky tests of some runs: the test, how often it passed, failed and was said to be flaky.

    A test is flaky here if it both failed and passed, or if its reporter says so.
    """
    failed = func.sum(case((Summary.rank < _FAILING_RANKS, 1), else_=0))
    passed = func.sum(case((Summary.status == "passed", 1), else_=0))
    flaky = func.sum(case((Summary.flaky, 1), else_=0))
    score = func.min(failed, passed) + flaky
    suspects = select(Summary.test).where(
        Summary.run_id.in_(run_ids), or_(Summary.rank < _FAILING_RANKS, Summary.flaky)
    )
    query = (
        select(
            func.max(Summary.run_id).label("run_id"),
            Summary.id,
            Summary.title,
            Summary.suite,
            Summary.params,
            failed.label("failed"),
            passed.label("passed"),
            flaky.label("flaky"),
        )
        .where(Summary.run_id.in_(run_ids), Summary.test.in_(suspects))
        .group_by(Summary.test)
        .having(score > 0)
        .order_by(score.desc(), failed.desc())
        .limit(limit)
    )
    return session.execute(query).all()


def slowest(session: Session, run_ids: Sequence[int], limit: int = 10) -> Sequence[Row[Any]]:
    """The tests of some runs that took longest on average."""
    mean = func.avg(Summary.duration)
    tests = (
        select(Summary.test, mean.label("mean"), func.max(Summary.run_id).label("run_id"))
        .where(Summary.run_id.in_(run_ids), Summary.duration.is_not(None))
        .group_by(Summary.test)
        .order_by(mean.desc())
        .limit(limit)
        .subquery()
    )
    found = and_(Summary.run_id == tests.c.run_id, Summary.test == tests.c.test)
    columns = (Summary.run_id, Summary.id, Summary.title, Summary.suite, Summary.params, tests.c.mean)
    query = select(*columns).join(tests, found).group_by(Summary.test).order_by(tests.c.mean.desc())
    return session.execute(query).all()


def _conditions(run_id: int, wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [Summary.run_id == run_id]
    if wanted.statuses:
        conditions.append(Summary.status.in_(wanted.statuses))
    if wanted.suite:
        below = f"{wanted.suite}{SUITE_SEPARATOR}"
        start = func.substr(Summary.suite, 1, len(below))
        conditions.append(or_(Summary.suite == wanted.suite, start == below))
    if wanted.tag:
        conditions.append(func.instr(Summary.tags, json.dumps(wanted.tag)) > 0)
    marks = {"flaky": Summary.flaky, "muted": Summary.muted, "files": Summary.has_files}
    conditions += [marks[mark].is_(True) for mark in wanted.marks]
    if wanted.cause:
        conditions.append(Summary.cause == wanted.cause)
    conditions += [func.instr(Summary.text, word) > 0 for word in wanted.q.casefold().split()]
    return conditions


# All but what is long, or only searched and sorted by.
_LINE = [column for column in Summary.__table__.columns if column.name not in ("rank", "test", "text")]


def _lines(run_id: int, *conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*_LINE).where(Summary.run_id == run_id, *conditions)


def _rows(
    session: Session,
    run_id: int,
    conditions: Sequence[ColumnElement[bool]],
    sort: str,
    limit: int,
    offset: int,
) -> Sequence[Row[Any]]:
    order: dict[str, tuple[Any, ...]] = {
        "status": (Summary.rank, Summary.position),
        "duration": (Summary.duration.desc().nulls_last(), Summary.position),
        "name": (func.lower(Summary.title), Summary.position),
        "order": (Summary.position,),
    }
    # Sorted by themselves first: sorting whole lines would move all that they hold.
    wanted = select(Summary.position).where(*conditions).order_by(*order[sort]).limit(limit).offset(offset)
    positions = list(session.scalars(wanted))
    rows = {row.position: row for row in session.execute(_lines(run_id, Summary.position.in_(positions)))}
    return [rows[position] for position in positions]
