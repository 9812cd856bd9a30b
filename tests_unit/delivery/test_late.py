"""Attached files that are finished when fixtures are torn down."""

from __future__ import annotations

import sqlite3

import pytest

from famacase_pytest.delivery.late import LateFiles
from famacase_pytest.delivery.models import Attachment, Late
from famacase_pytest.delivery.outbox.blobs import Unstorable
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

    def attach(test, path, screen=None):
        key = ("SMOKE", -1, test)
        file = seen = writer.store(Attachment("ref", path.name, path=str(path)))
        if screen is not None and not seen.problem:
            content = screen(path.read_bytes(), seen.mime_type)
            file = writer.store(Attachment("ref", path.name, content=content))
        writer.put(*key, "{}", [file])
        late.watch(test, key, [file], {} if screen is None else {"ref": Late(seen, screen)})

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


@pytest.fixture
def stored(writer, tmp_path):
    """The content of the file that each result has, or what is wrong with it."""

    def stored():
        with sqlite3.connect(database_path(str(tmp_path / "session"), "main")) as connection:
            rows = connection.execute(
                "SELECT result_id, coalesce(bytes, problem) FROM file JOIN result USING (seq) "
                "LEFT JOIN content USING (sha256)"
            ).fetchall()
        connection.close()
        return dict(rows)

    return stored


def without_vowels(content, mime_type):
    if len(content) > 20:
        raise Unstorable(f"too much of {mime_type}")
    return content.translate(None, b"aeiou")


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


def test_what_the_settings_change_is_changed_again(late, attach, stored, tmp_path):
    grows, made, large = tmp_path / "log.txt", tmp_path / "made.txt", tmp_path / "large.txt"
    grows.write_bytes(b"begin")
    large.write_bytes(b"begin")
    attach("a.py::one", grows, without_vowels)
    attach("a.py::two", made, without_vowels)
    attach("a.py::three", large, without_vowels)
    grows.write_bytes(b"begin, and more")
    large.write_bytes(b"begin" + b"a" * 20)
    torn_down(late, "a.py", lambda: made.write_bytes(b"made"))
    assert stored() == {
        "a.py::one": b"bgn, nd mr",
        "a.py::two": b"md",
        "a.py::three": "too much of text/plain",
    }
    torn_down(late, "", lambda: (made.unlink(), large.write_bytes(b"at last")))
    assert stored() == {"a.py::one": b"bgn, nd mr", "a.py::two": b"md", "a.py::three": b"t lst"}


def test_another_file_of_the_same_name_is_not_screened(late, attach, stored, tmp_path):
    path = tmp_path / "page"
    path.write_bytes(b"first")
    attach("a.py::one", path, without_vowels)
    path.write_bytes(b"the second one")
    torn_down(late, "a.py", lambda: None)
    assert stored() == {"a.py::one": b"frst"}


def test_a_suite_of_many_files_is_not_looked_through_for_each_test(late, attach, sizes, tmp_path):
    """What does not end is not even asked for: the test that has run last is another's."""
    path = tmp_path / "log"
    path.write_bytes(b"1")
    attach("a.py::one", path)
    attach("b.py::one", tmp_path / "missing")
    path.write_bytes(b"12")
    torn_down(late, "a.py", lambda: None)
    assert sizes()["a.py::one"] == 1
    torn_down(late, "", lambda: None)
    assert sizes()["a.py::one"] == 2
