"""Attached files that are finished when fixtures are torn down."""

from __future__ import annotations

import sqlite3

import pytest

from famacase_pytest.delivery.late import LateFiles
from famacase_pytest.delivery.models import Attachment
from famacase_pytest.delivery.outbox.writer import Writer, database_path


@pytest.fixture
def writer(tmp_path):
    directory = tmp_path / "session"
    (directory / "files").mkdir(parents=True)
    writer = Writer(str(directory), "main", max_bytes=1 << 30)
    yield writer
    writer.close()


@pytest.fixture
def late(writer):
    return LateFiles(writer)


@pytest.fixture
def attach(writer, late):
    """Stores a result with one file, as a test does that has ended."""

    def attach(test, path):
        key = ("SMOKE", -1, test)
        file = writer.store(Attachment("ref", path.name, path=str(path)))
        writer.put(*key, "{}", [file])
        late.watch(test, key, [file])

    return attach


@pytest.fixture
def sizes(writer, tmp_path):
    """The size of the file that each result has."""

    def sizes():
        with sqlite3.connect(database_path(str(tmp_path / "session"), "main")) as connection:
            rows = connection.execute("SELECT result_id, size FROM file JOIN result USING (seq)").fetchall()
        connection.close()
        return dict(rows)

    return sizes


def torn_down(late, node, change):
    late.begin(node)
    change()
    late.end()


def test_a_file_that_a_fixture_finishes(late, attach, sizes, tmp_path):
    path = tmp_path / "video"
    path.write_bytes(b"1234567")
    attach("a.py::A::one", path)
    attach("a.py::A::two", path)
    torn_down(late, "a.py::A", lambda: path.write_bytes(b"x" * 40))
    assert sizes() == {"a.py::A::one": 40, "a.py::A::two": 40}


def test_a_file_that_was_not_there(late, attach, sizes, tmp_path):
    path = tmp_path / "video"
    attach("a.py::one", path)
    torn_down(late, "", lambda: path.write_bytes(b"made"))
    assert sizes() == {"a.py::one": 4}


def test_a_file_that_has_grown_before(late, attach, sizes, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"begin")
    attach("a.py::one", path)
    path.write_bytes(b"begin, and more")
    torn_down(late, "a.py", lambda: None)
    assert sizes() == {"a.py::one": 15}


def test_another_file_of_the_same_name_is_not_taken(late, attach, sizes, tmp_path):
    path = tmp_path / "page"
    path.write_bytes(b"first")
    attach("a.py::one", path)
    path.write_bytes(b"the second one")
    torn_down(late, "a.py", lambda: None)
    torn_down(late, "", lambda: path.write_bytes(b"a third"))
    assert sizes() == {"a.py::one": 5}


def test_the_file_of_a_later_test_is_its_own(late, attach, sizes, tmp_path):
    path = tmp_path / "page"
    path.write_bytes(b"first")
    attach("a.py::one", path)
    path.write_bytes(b"the second one")
    attach("a.py::two", path)
    torn_down(late, "", lambda: path.write_bytes(b"the second one, finished"))
    assert sizes() == {"a.py::one": 5, "a.py::two": 24}


def test_what_goes_on_is_not_looked_at(late, attach, sizes, tmp_path):
    path = tmp_path / "video"
    path.write_bytes(b"1")
    attach("a.py::one", path)
    torn_down(late, "b.py", lambda: path.write_bytes(b"12"))
    assert sizes() == {"a.py::one": 1}


def test_a_file_that_is_gone_leaves_its_copy(late, attach, sizes, tmp_path):
    path = tmp_path / "video"
    path.write_bytes(b"1234567")
    attach("a.py::one", path)
    torn_down(late, "", path.unlink)
    assert sizes() == {"a.py::one": 7}
