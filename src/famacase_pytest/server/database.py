"""The tables of the local back end, and how its SQLite file is opened.

What clients send is kept as JSON text, ASCII only: it goes back out as it came in, and neither NUL characters
nor lone surrogates nor integers beyond 64 bits have to pass through a column type.
"""

# No `from __future__ import annotations` here: SQLAlchemy evaluates these annotations, on Python 3.9 too.

import json
import sqlite3
import uuid
from pathlib import Path
from typing import Any, Optional

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    ForeignKey,
    Index,
    UniqueConstraint,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from . import CannotServe
from .summaries import summary_of

FORMAT = 2  # of the data that this release writes, kept in ``PRAGMA user_version``
LARGEST_ID = 2**63 - 1  # for SQLite; a larger id is one that does not exist


class Table(DeclarativeBase):
    """The declarations below."""


class Project(Table):
    """A project that some start of the back end knew."""

    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)


class Environment(Table):
    """An environment of a project."""

    __tablename__ = "environment"
    __table_args__ = (UniqueConstraint("project_id", "slug"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    slug: Mapped[str]


class Plan(Table):
    """A plan of a project, with the ids of its cases."""

    __tablename__ = "plan"
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    plan_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    case_ids: Mapped[list[int]] = mapped_column(JSON)


class Run(Table):
    """A run; `body` is what `createRun` was given, and the store counts results by status in `stats`."""

    __tablename__ = "run"
    __allow_unmapped__ = True  # for `stats`
    # A page that somebody has open must never turn into another run's.
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy reads it
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[float]
    completed_at: Mapped[Optional[float]]
    is_public: Mapped[bool] = mapped_column(default=False)
    # Grows with each change, so that a page knows whether it has to ask for more.
    changes: Mapped[int] = mapped_column(default=0, server_default="0")
    project: Mapped[Project] = relationship(lazy="joined")
    stats: dict[str, int]

    @property
    def status(self) -> str:
        """Whether it is ``in_progress`` or ``completed``."""
        return "in_progress" if self.completed_at is None else "completed"


class Result(Table):
    """A result of a run: `id` in lower case, `body` the JSON text that goes back out."""

    __tablename__ = "result"
    __table_args__ = (
        UniqueConstraint("run_id", "id"),
        Index("result_in_order", "run_id", "position"),
        Index("result_by_status", "run_id", "status"),
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    id: Mapped[str]
    status: Mapped[Optional[str]]
    body: Mapped[str]


class Summary(Table):
    """What lists show, search and count of a result, made of its body by `summaries.summary_of`."""

    __tablename__ = "summary"
    __table_args__ = (
        Index("summary_by_id", "run_id", "id"),
        Index("summary_by_test", "test", "run_id", "rank", "duration"),
        Index("summary_counted", "run_id", "status", "suite", "flaky", "muted", "has_files", "tags"),
        Index("summary_ranked", "run_id", "rank", "position"),
        Index("summary_compared", "run_id", "test", "rank", "duration"),
        # A run's rows lie together, in their order.
        {"sqlite_with_rowid": False},
    )
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str]
    status: Mapped[str]
    rank: Mapped[int]  # of the status, the most urgent first
    title: Mapped[str]
    suite: Mapped[str]
    params: Mapped[str]
    cases: Mapped[str]
    message: Mapped[str]  # its first line
    cause: Mapped[str]
    duration: Mapped[Optional[float]]
    muted: Mapped[bool]
    flaky: Mapped[bool]
    has_files: Mapped[bool]
    tags: Mapped[str]
    test: Mapped[str]  # which test it is, in every run
    text: Mapped[str]  # what a search looks through


class Attachment(Table):
    """An uploaded file. Its bytes are in the file room under `sha256`."""

    __tablename__ = "attachment"
    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: str(uuid.uuid4()))
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    file_name: Mapped[str]
    mime_type: Mapped[str]
    file_size: Mapped[int]
    sha256: Mapped[str]


class Answer(Table):
    """The first answer to calls that bore an ``Idempotency-Key``, as JSON text."""

    __tablename__ = "answer"
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    operation: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]


def open_database(path: Path) -> Engine:
    """Opens a SQLite file, creating its tables if they are not there; CannotServe if it is none of ours.

    A transaction under the execution option ``write=True`` takes the write lock at its beginning, so that it
    can never fail half-way because another one wrote.
    """
    options = {"timeout": 30, "check_same_thread": False}
    engine = create_engine(f"sqlite+pysqlite:///{path}", connect_args=options, pool_size=8, max_overflow=56)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # Transactions are begun below, not by the driver, whose own rules differ between Python versions.
        connection.isolation_level = None
        # What is in the log survives the death of this process; only a power cut could take the last commits.
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    try:
        with engine.execution_options(write=True).begin() as connection:
            found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if found < FORMAT:
                Table.metadata.create_all(connection)
                if found == 1:
                    _add_summaries(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {FORMAT}")
    except DatabaseError as error:
        engine.dispose()
        raise CannotServe(
            f"{path} cannot be used as a database: {error.orig}. Nothing was changed. "
            "Mend it, or use another --data directory."
        ) from error
    if found > FORMAT:
        engine.dispose()
        raise CannotServe(
            f"{path} is of format {found}, this release knows {FORMAT} and below. Nothing was changed. "
            "Use the newer release that wrote it, or another --data directory."
        )
    return engine


def _add_summaries(connection: Connection) -> None:
    """Brings data of format 1 to the present one: results get the rows that lists are made of."""
    connection.exec_driver_sql("ALTER TABLE run ADD COLUMN changes INTEGER NOT NULL DEFAULT 0")
    rows = connection.execute(select(Result.run_id, Result.position, Result.body))
    for part in rows.partitions(1000):
        summaries = [
            {"run_id": run_id, "position": position, **summary_of(json.loads(body))}
            for run_id, position, body in part
        ]
        connection.execute(insert(Summary), summaries)
