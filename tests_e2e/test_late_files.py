"""Files that are attached by path and finished later: by a fixture of a wider scope."""

from __future__ import annotations

import pytest

from sessions import stored_content

SUITE = """
import pytest
from qase.pytest import qase

@pytest.fixture(scope="class")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "class.webm"
    with path.open("wb", buffering=0) as file:
        file.write(b"begin; ")
        yield path
        file.write(b"the rest of the video")

class TestRecorded:
    def test_first(self, video):
        qase.attach(str(video))

    def test_second(self, video):
        qase.attach(str(video))

@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "trace.bin"
    yield path
    path.write_bytes(b"made by the module's fixture")

def test_traced(trace):
    qase.attach(str(trace))

def test_between(trace):
    pass

def test_one_page(tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "page.html"
    path.write_text("the page of the first")
    qase.attach(str(path))

def test_same_name(tmp_path_factory):
    (tmp_path_factory.getbasetemp() / "page.html").write_text("another test's, not attached")

@pytest.fixture(scope="session")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "session.bin"
    yield path
    path.write_bytes(b"written at the session's end")

def test_at_the_end(log):
    qase.attach(str(log))

def test_after_it():
    pass
"""

EXPECTED = {
    "test_first": b"begin; the rest of the video",
    "test_second": b"begin; the rest of the video",
    "test_traced": b"made by the module's fixture",
    "test_one_page": b"the page of the first",
    "test_at_the_end": b"written at the session's end",
}


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_file_arrives_as_its_fixture_has_left_it(project, runs, server, arguments):
    project.write(test_late=SUITE)
    outcome = project.run(*arguments)
    assert outcome.code == 0, outcome.output
    results = runs.by_title(runs.only())
    assert len(results) == 8
    files = {title: result["attachments"] for title, result in results.items() if result.get("attachments")}
    assert {title: len(entries) for title, entries in files.items()} == dict.fromkeys(EXPECTED, 1)
    arrived = {title: stored_content(server.url, "SMOKE", entry["id"]) for title, (entry,) in files.items()}
    assert arrived == EXPECTED
    assert not any(result.get("message") for result in results.values())
