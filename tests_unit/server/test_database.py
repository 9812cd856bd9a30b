"""How a file of SQLite is opened: one of this format, of another, or none at all."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from famacase_pytest.server import CannotServe
from famacase_pytest.server.database import FORMAT, Result, Run, Summary, open_database

from .in_process import result_of


def execute(path, *statements):
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
        return database.execute("PRAGMA user_version").fetchone()[0]


def test_data_of_a_newer_format_is_refused_and_stays_as_it_is(tmp_path):
    path = tmp_path / "data"
    open_database(path).dispose()
    assert execute(path) == FORMAT
    execute(path, f"PRAGMA user_version = {FORMAT + 1}", "DROP TABLE summary")
    with pytest.raises(CannotServe, match=f"is of format {FORMAT + 1}"):
        open_database(path)
    assert execute(path, "CREATE TABLE summary (a)") == FORMAT + 1


@pytest.mark.parametrize(
    "content", [b"no database at all, and longer than its head" * 9, b"SQLite format 3\0" * 99]
)
def test_what_is_no_database_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(CannotServe, match="cannot be used as a database"):
        open_database(path)
    assert path.read_bytes() == content


def test_data_of_the_first_format_gets_what_lists_are_made_of(tmp_path):
    path = tmp_path / "data"
    engine = open_database(path)
    body = json.dumps(result_of("failed", title="Pays", tags=["a"]))
    with Session(engine) as session:
        session.connection().exec_driver_sql("INSERT INTO project VALUES (1, 'SMOKE')")
        session.add(Run(id=1, project_id=1, body={"title": "x"}, created_at=1.0))
        session.flush()
        session.add(Result(run_id=1, id="a", status="failed", body=body))
        session.commit()
    engine.dispose()
    execute(path, "DROP TABLE summary", "ALTER TABLE run DROP COLUMN changes", "PRAGMA user_version = 1")
    for _ in range(2):
        engine = open_database(path)
        with Session(engine) as session:
            [row] = session.scalars(select(Summary))
            assert (row.run_id, row.position, row.title, row.status, row.tags) == (
                1,
                1,
                "Pays",
                "failed",
                '["a"]',
            )
            assert session.get(Run, 1).changes == 0
        engine.dispose()
        assert execute(path) == FORMAT


def test_what_a_row_belongs_to_has_to_be_there(tmp_path):
    engine = open_database(tmp_path / "data")
    with Session(engine) as session:
        session.add(Run(project_id=7, body={}, created_at=1.0))
        with pytest.raises(IntegrityError):
            session.flush()
    engine.dispose()


def test_the_number_of_a_run_is_never_given_again(tmp_path):
    engine = open_database(tmp_path / "data")
    numbers = []
    for _ in range(2):
        with Session(engine) as session:
            session.connection().exec_driver_sql("INSERT OR IGNORE INTO project VALUES (1, 'SMOKE')")
            run = Run(project_id=1, body={}, created_at=1.0)
            session.add(run)
            session.flush()
            numbers.append((run.id, run.status))
            session.delete(run)
            session.commit()
    engine.dispose()
    assert numbers == [(1, "in_progress"), (2, "in_progress")]
