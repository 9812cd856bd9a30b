"""Files that are attached by path and finished later: by fixtures of wider scopes and by hooks of the end."""

from __future__ import annotations

import pytest

from sessions import stored_content
from watched import check, eventually

# With EXITS its hook ends the process, as in suites whose threads do not end.
CONFTEST = """
import os

import pytest

CLOSED, MADE = [], []

@pytest.fixture
def record(tmp_path_factory):
    def record(files, name, begin):
        path = tmp_path_factory.mktemp("end") / name
        if begin:
            path.write_bytes(begin)
        files.append(path)
        return str(path)

    return record

def pytest_sessionfinish():
    for path in CLOSED:
        path.write_bytes(b"another beginning, and the rest")
    if "EXITS" in os.environ:
        os._exit(7)

class Last:
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        for path in MADE:
            path.write_bytes(b"made by the last hook")

def pytest_configure(config):
    config.pluginmanager.register(Last())
"""

SUITE = """
import conftest
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

@pytest.fixture(scope="module", params=["one", "two"])
def archive(request, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "archive.bin"
    path.write_bytes(b"not closed")
    yield path
    path.write_bytes(b"closed: " + request.param.encode())

def test_archived(archive):
    qase.attach(str(archive))

@pytest.fixture(scope="session")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "session.bin"
    yield path
    path.write_bytes(b"written at the session's end")

def test_at_the_end(log):
    qase.attach(str(log))

def test_after_it():
    pass

def test_of_the_end(record):
    qase.attach(record(conftest.CLOSED, "closed.bin", b"begin"), record(conftest.MADE, "made.bin", b""))
"""

EXPECTED = {
    "test_first": [b"begin; the rest of the video"],
    "test_second": [b"begin; the rest of the video"],
    "test_traced": [b"made by the module's fixture"],
    "test_one_page": [b"the page of the first"],
    "test_archived one": [b"closed: one"],
    "test_archived two": [b"closed: two"],
    "test_at_the_end": [b"written at the session's end"],
    "test_of_the_end": [b"another beginning, and the rest", b"made by the last hook"],
}


def arrived(runs, server, run):
    """The contents of the files of each result that has any."""
    return {
        " ".join([result["title"], *result["params"].values()]): [
            stored_content(server.url, "SMOKE", entry["id"]) for entry in result["attachments"]
        ]
        for result in runs.results(run)
        if result.get("attachments")
    }


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_file_arrives_as_its_fixture_has_left_it(project, runs, server, arguments):
    project.write(conftest=CONFTEST, test_late=SUITE)
    outcome = project.run(*arguments)
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 11})
    assert arrived(runs, server, run) == EXPECTED
    assert not any(result.get("message") for result in runs.results(run))


def test_a_hook_of_the_end_ends_the_process(project, runs, server):
    project.write(conftest=CONFTEST, test_late=SUITE)
    outcome = project.run(EXITS="1", leaves=None)
    assert outcome.code == 7, outcome.output
    outbox = project.directory / ".famacase"
    eventually(lambda: check(not outbox.exists()), "the relay has not cleaned up")
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 11})
    expected = {title: files for title, files in EXPECTED.items() if title != "test_of_the_end"}
    assert arrived(runs, server, run) == {**expected, "test_of_the_end": [b"begin"]}
    (result,) = [result for result in runs.results(run) if result["title"] == "test_of_the_end"]
    (note,) = result["steps"]
    said = "Attachments that could not be uploaded: made.bin (the file does not exist)"
    assert (result["message"], note["data"]["action"], note["execution"]["status"]) == (None, said, "skipped")


SECRETS = """
import conftest
import pytest
from qase.pytest import qase

@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.txt"
    path.write_text("begin")
    yield path
    path.write_text("begin, password='s3cret-1', a parameter: hunter-22")

@pytest.mark.parametrize("password", ["hunter-22"], ids=["weak"])
def test_failed(log, record, password):
    qase.attach(str(log), record(conftest.MADE, "made.bin", b""), record([], "never.bin", b""))
    assert False

def test_passed(log):
    qase.attach(str(log))
"""


def test_what_is_masked_and_left_out(project, runs, server):
    project.write(conftest=CONFTEST, test_late=SECRETS)
    outcome = project.run(FAMACASE_MASK="password", FAMACASE_ATTACHMENTS="failed")
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed"), outcome.output
    assert outcome.notices == [
        "famacase: 1 file was not sent (never.bin): the file does not exist. A step in its result says so."
    ]
    assert arrived(runs, server, runs.only()) == {
        "test_failed ***": [b"begin, password='***', a parameter: ***", b"made by the last hook"]
    }
