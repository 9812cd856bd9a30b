"""The tables of the local back end, and how its SQLite file is opened.

What clients send is kept as JSON text, ASCII only: it goes back out as it came in, and neither NUL characters
nor lone surrogates nor integers beyond 64 bits have to pass through a column type.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
)

FORMAT = 1
"""Format of the data that this release writes, kept in ``PRAGMA user_version``."""

metadata = MetaData()

projects = Table(
    "project",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("code", String, nullable=False, unique=True),
)

environments = Table(
    "environment",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("project.id"), nullable=False),
    Column("slug", String, nullable=False),
    UniqueConstraint("project_id", "slug"),
)

plans = Table(
    "plan",
    metadata,
    Column("project_id", ForeignKey("project.id"), primary_key=True),
    Column("plan_id", Integer, primary_key=True, autoincrement=False),
    Column("case_ids", Text, nullable=False),
)

runs = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("project.id"), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("completed_at", Float),
    Column("is_public", Boolean, nullable=False),
    # A page that somebody has open must never turn into another run's.
    sqlite_autoincrement=True,
)

results = Table(
    "result",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("run_id", ForeignKey("run.id"), nullable=False),
    Column("id", String, nullable=False),
    Column("status", String),
    Column("body", Text, nullable=False),
    UniqueConstraint("run_id", "id"),
    Index("result_in_order", "run_id", "position"),
    Index("result_by_status", "run_id", "status"),
)

attachments = Table(
    "attachment",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", ForeignKey("project.id"), nullable=False),
    Column("file_name", String, nullable=False),
    Column("mime_type", String, nullable=False),
    Column("file_size", Integer, nullable=False),
    Column("sha256", String, nullable=False),
)

answers = Table(
    "answer",
    metadata,
    Column("project_id", ForeignKey("project.id"), primary_key=True),
    Column("operation", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("body", Text, nullable=False),
)
"""First answers to calls that bore an ``Idempotency-Key``."""


class UnknownFormat(Exception):
    """The data was written by a newer release. Use that release, or another ``--data`` directory."""


def open_database(path: Path) -> Engine:
    """Opens the database, creating its tables if they are not there.

    Args:
        path: the SQLite file; its directory exists.

    Returns:
        An engine whose connections use WAL. A transaction under the execution option ``write=True`` takes the
        write lock at its beginning, so that it can never fail half-way because another one wrote.

    Raises:
        UnknownFormat: the file is of a newer format than `FORMAT`.
    """
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        connect_args={"timeout": 30, "check_same_thread": False},
        pool_size=8,
        max_overflow=56,
    )

    def prepare(connection: Any, _record: Any) -> None:
        # Transactions are begun below, not by the driver, whose own rules differ between Python versions.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # What is in the log survives the death of this process; only a power cut could take the last commits.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def begin(connection: Any) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    try:
        _bring_up_to_date(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _bring_up_to_date(engine: Engine, path: Path) -> None:
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if found > FORMAT:
            raise UnknownFormat(
                f"{path} is of format {found}, this release knows {FORMAT} and below. Nothing was changed. "
                "Use the newer release that wrote it, or another --data directory."
            )
        if found < FORMAT:
            metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {FORMAT}")
