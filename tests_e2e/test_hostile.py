"""Suites that take their own process apart: everything is delivered all the same, with its right times."""

from __future__ import annotations

import os
import time

import pytest

from fault_layer import FOREVER, hang
from sessions import stored_content
from watched import stored_files

# For libraries that are pytest plugins: sessions of this directory load none that they do not name.
MOCKED_NETWORK = ("-p", "requests_mock", "-p", "socket", "--disable-socket")
MOVED_CLOCK = ("-p", "time_machine")
FAKE_FILES = ("-p", "fakefs")

# Libraries that answer HTTP in the place of servers: active before the session begins, and never stopped.
MOCKS = {
    "responses": "import responses; responses.start()",
    "requests_mock": "import requests_mock; requests_mock.Mocker().start()",
}
NETWORK = """
    import socket
    import pytest
    import requests
    import requests_mock
    import responses
    from pytest_socket import SocketBlockedError
    from qase.pytest import qase

    def test_mocked(requests_mock):
        requests_mock.get("http://shop.example/", text="answer")
        qase.attach((requests.get("http://shop.example/").content, "text/plain", "MARK-mocked.txt"))

    def test_nobody_is_asked_by_accident():
        with pytest.raises((requests.ConnectionError, requests_mock.NoMockAddress)):
            requests.get("http://shop.example/")

    @responses.activate
    def test_responses():
        qase.attach((b"r", "text/plain", "MARK-responses.txt"))

    def test_no_sockets():
        with pytest.raises(SocketBlockedError):
            socket.socket()
        qase.attach((b"x" * 100_000, "text/plain", "MARK-blocked.txt"))
"""

CLOCKS = """
    import time
    import freezegun
    import pytest
    import time_machine
    from qase.pytest import qase

    PAST = "1990-01-01 12:00:00"

    @freezegun.freeze_time(PAST)
    @qase.step("a step")
    def test_frozen():
        assert time.gmtime().tm_year == 1990
        with qase.step("within"):
            qase.attach((b"frozen", "text/plain", "MARK-frozen.txt"))

    @pytest.fixture
    def frozen_around():
        with freezegun.freeze_time(PAST):
            yield

    def test_frozen_by_a_fixture(frozen_around):
        assert time.gmtime().tm_year == 1990

    @time_machine.travel(0, tick=False)
    def test_travelled():
        assert time.gmtime().tm_year == 1970
        with qase.step("within"):
            qase.attach((b"travelled", "text/plain", "MARK-travelled.txt"))

    def test_travelling_by_its_fixture(time_machine):
        time_machine.move_to(10_000_000_000, tick=False)
        assert time.gmtime().tm_year == 2286

    def test_frozen_for_ever():
        freezegun.freeze_time(PAST).start()
        assert time.gmtime().tm_year == 1990

    def test_after_it():
        assert time.gmtime().tm_year == 1990
"""

FILES = """
    import builtins
    import io
    import os
    import pathlib
    import sys
    import pytest
    from qase.pytest import qase

    LARGE = b"l" * 300_000

    def test_fake_files(fs):
        fs.create_file("/only/here/MARK-fake.txt", contents="fake")
        fs.create_file("/only/here/MARK-fake-large.txt", contents=LARGE)
        qase.attach("/only/here/MARK-fake.txt")
        qase.attach(("/only/here/MARK-fake-large.txt", "text/plain"))
        with qase.step("within"):
            qase.attach((b"bytes", "text/plain", "MARK-fake-bytes.txt"))
        pathlib.Path("/only/here/MARK-fake-written.txt").write_text("written")
        qase.attach("/only/here/MARK-fake-written.txt")

    def test_deleted(tmp_path):
        for name, content in (("MARK-deleted.txt", b"small"), ("MARK-deleted-large.txt", LARGE[1:])):
            (tmp_path / name).write_bytes(content)
            qase.attach(str(tmp_path / name))
            (tmp_path / name).unlink()

    def test_growing(tmp_path):
        log = tmp_path / "MARK-growing.log"
        log.write_text("begin\\n")
        qase.attach(str(log))
        with log.open("a") as file:
            file.write("end\\n")

    def test_later(tmp_path):
        qase.attach(str(tmp_path / "MARK-later.txt"))
        (tmp_path / "MARK-later.txt").write_text("later")

    def test_elsewhere(tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        pathlib.Path("MARK-relative.txt").write_text("relative")
        qase.attach("MARK-relative.txt")

    def test_elsewhere_for_ever(tmp_path):
        os.chdir(tmp_path)
        pathlib.Path("MARK-there.txt").write_text("there")
        qase.attach("MARK-there.txt")

    def test_where_nothing_is_any_more(tmp_path):
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        qase.attach((b"nowhere", "text/plain", "MARK-nowhere.txt"))

    def test_standard_input():
        assert sys.stdin.read() == ""
        sys.stdin.close()
        os.close(0)
        qase.attach((b"closed", "text/plain", "MARK-closed.txt"))
"""
# Content by the part of a file's name between MARK- and its suffix.
CONTENTS = {
    "fake": b"fake",
    "fake-large": b"l" * 300_000,
    "fake-bytes": b"bytes",
    "fake-written": b"written",
    "deleted": b"small",
    "deleted-large": b"l" * 299_999,
    "growing": b"begin\nend\n",
    "later": b"later",
    "relative": b"relative",
    "there": b"there",
    "nowhere": b"nowhere",
    "closed": b"closed",
}

# Each is broken during its own test, then all of them to the end of the session.
PATCHES = """
    import builtins
    import io
    import json
    import os
    import sqlite3
    import subprocess
    import threading
    import time
    import unittest.mock
    import pytest
    from qase.pytest import qase

    PLACES = [
        "builtins.open", "io.open", "json.dumps", "json.loads", "os.fork", "os.getpid", "os.path.exists",
        "os.stat", "sqlite3.connect", "subprocess.Popen", "tempfile.gettempdir", "threading.Thread",
        "threading.Event", "time.monotonic", "time.sleep", "time.time", "uuid.uuid4",
    ]

    @pytest.mark.parametrize("place", PLACES)
    def test_broken(place, request):
        name = f"MARK-{PLACES.index(place)}.txt"
        with unittest.mock.patch(place, side_effect=AssertionError(place)):
            # Upstream itself gives a file its id by uuid4, and needs it.
            if place != "uuid.uuid4":
                qase.attach((place.encode(), "text/plain", name))

    @pytest.mark.parametrize("place", PLACES)
    def test_mocked(place):
        with unittest.mock.patch(place):
            if place != "uuid.uuid4":
                qase.attach((b"mock " + place.encode(), "text/plain", f"MARK-mock-{PLACES.index(place)}.txt"))

    def test_children():
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        qase.attach((b"parent", "text/plain", "MARK-parent.txt"))

    def test_a_child_that_attaches():
        qase.attach((b"before", "text/plain", "MARK-before.txt"))
        pid = os.fork()
        if pid == 0:
            qase.attach((b"child", "text/plain", "MARK-child.txt"))
            os._exit(0)
        os.waitpid(pid, 0)
        qase.attach((b"after", "text/plain", "MARK-after.txt"))

    def test_a_child_that_stays_behind():
        if os.fork() == 0:
            os.closerange(1, 3)
            time.sleep(2)
            os._exit(0)
"""
# Started in the first test and never stopped; pytest and upstream go on without these.
LEFT = """
    import glob
    import os
    import pathlib
    import signal
    import threading
    import unittest.mock
    import freezegun
    import pytest
    from qase.pytest import qase

    LEFT = [
        "builtins.open", "os.fork", "sqlite3.connect", "subprocess.Popen", "threading.Thread", "time.sleep",
    ]

    def relays():
        # The relay is no child of this process: it is known by the directory for temporary files.
        mark = f"TMPDIR={os.environ['TMPDIR']}".encode()
        for name in glob.glob("/proc/[0-9]*"):
            try:
                ours = mark in pathlib.Path(name, "environ").read_bytes().split(b"\\0")
                command = pathlib.Path(name, "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if ours and b"relay.main" in command:
                yield int(os.path.basename(name))

    def is_dead(pid):
        # Its command is gone before its pipe is closed, which is what the session sees of its end.
        try:
            state = pathlib.Path("/proc", str(pid), "stat").read_bytes()
        except OSError:
            return True
        return state.rpartition(b") ")[2][:1] in (b"Z", b"X")

    def kill_relay():
        for _ in range(10_000):
            found = set(relays())  # one that has just been started shows only when its program runs
            if found:
                for pid in found:
                    os.kill(pid, signal.SIGKILL)
                while not all(map(is_dead, found)):
                    pass
                # The session looks after its relay with the next result, but not more often than this.
                threading.Event().wait(0.1)
                return
        pytest.fail("there is no relay")

    def test_starts():
        freezegun.freeze_time("1990-01-01").start()
        for place in LEFT:
            unittest.mock.patch(place, side_effect=AssertionError(place)).start()
        # As a mock that nobody has told what to do.
        unittest.mock.patch("json.dumps").start()

    @pytest.mark.parametrize("number", range(int(os.environ["KILLS"])))
    def test_kills(number):
        kill_relay()

    def test_after_it():
        qase.attach((b"small", "text/plain", "MARK-small.txt"))
        for size in range(100_000, 100_030):
            qase.attach((b"s" * size, "text/plain", "MARK-large.txt"))
"""


@pytest.fixture
def delivered(project, server, runs):
    """Runs a session of a suite, of which everything must have arrived; gives its results by title."""

    def run(suite, *arguments, conftest=None, counts, files, notices=(), **environ):
        mark = os.urandom(8).hex()
        project.write(test_one=suite.replace("MARK", mark))
        if conftest is not None:
            project.write(conftest=conftest)
        began = time.time()
        outcome = project.run(*arguments, **environ)
        ended = time.time()
        assert (outcome.code, outcome.counts) == (0, counts), outcome.output
        assert outcome.notices == [f"famacase: {notice}" for notice in notices]
        created = runs.only()
        results = runs.results(created)
        count = int(counts.split()[0])
        assert (created["status"], created["stats"]) == ("completed", {"passed": count})
        assert len({result["id"] for result in results}) == count
        assert [result["message"] for result in results] == [None] * count
        assert outcome.lines(f"famacase: {count} results delivered to ")
        for result in results:
            for timed in (result, *result["steps"]):
                execution = timed["execution"]
                assert began <= execution["start_time"] <= execution["end_time"] <= ended, result["title"]
        assert stored_files(server, mark) == sorted(f"{mark}-{name}" for name in files)
        project_attachments = [entry for result in results for entry in attachments(result)]
        return {
            entry["file_name"][len(mark) + 1 :]: stored_content(server.url, "SMOKE", entry["id"])
            for entry in project_attachments
        }

    return run


def attachments(result):
    """Those of a result and of its steps."""
    steps = [entry for step in result["steps"] for entry in step["execution"]["attachments"]]
    return [*result["attachments"], *steps]


@pytest.mark.parametrize("library", MOCKS)
def test_http_is_mocked_and_sockets_are_blocked(delivered, library):
    contents = delivered(
        NETWORK,
        *MOCKED_NETWORK,
        conftest=MOCKS[library],
        counts="4 passed",
        files=["mocked.txt", "responses.txt", "blocked.txt"],
    )
    assert contents == {"mocked.txt": b"answer", "responses.txt": b"r", "blocked.txt": b"x" * 100_000}


def test_clocks_are_stopped_and_moved(delivered):
    delivered(CLOCKS, *MOVED_CLOCK, counts="6 passed", files=["frozen.txt", "travelled.txt"])


@pytest.mark.parametrize("arguments", [("-s",), ("-p", "no:capture"), ("-n", "1")], ids=" ".join)
def test_files_come_and_go(delivered, arguments):
    """Standard input is at its end, unless pytest captures."""
    suite = FILES
    if "-n" in arguments:  # standard input of a worker is how its controller speaks to it
        suite = FILES.partition("    def test_standard_input")[0] + "    def test_nothing(): pass\n"
    wanted = {
        f"{name}{'.log' if name == 'growing' else '.txt'}": content
        for name, content in CONTENTS.items()
        if "-n" not in arguments or name != "closed"
    }
    assert delivered(suite, *FAKE_FILES, *arguments, counts="8 passed", files=list(wanted)) == wanted


def test_functions_are_broken_and_processes_forked(delivered):
    """A child that is not a test's own process keeps nothing: it ends by ``os._exit``."""
    count = PATCHES.partition("PLACES = [")[2].partition("]")[0].count('",')
    numbers = [number for number in range(count - 1)]
    files = [f"{number}.txt" for number in numbers] + [f"mock-{number}.txt" for number in numbers]
    files += ["parent.txt", "before.txt", "after.txt"]
    delivered(PATCHES, counts=f"{2 * count + 3} passed", files=files)


@pytest.mark.parametrize("kills", [1, 2])
def test_functions_stay_broken_to_the_end(delivered, kills):
    """The relay is started anew while they are, and at last its work is done in their process."""
    contents = delivered(
        LEFT,
        KILLS=str(kills),
        counts=f"{2 + kills} passed",
        files=["small.txt"] + ["large.txt"] * 30,
        notices=["The relay process died twice: pytest itself delivers, after the last test."]
        if kills == 2
        else [],
    )
    assert contents == {"small.txt": b"small", "large.txt": b"s" * 100_029}


def test_the_deadline_holds_while_the_clock_stands_still(project, layer):
    layer.faults.add("createResults", hang(), times=FOREVER)
    project.write(test_one=LEFT)
    outcome = project.run(KILLS="1", FAMACASE_DRAIN_TIMEOUT="1", leaves=[".famacase"])
    assert outcome.code == 0, outcome.output
    assert outcome.lines("famacase: 3 results wait in ")
