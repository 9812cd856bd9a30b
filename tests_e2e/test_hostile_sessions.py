"""Surroundings that leave a session no network, no processes, no descriptors or no peace.

What fails is in our code or beside it, never in a test: so the tests end as they would without us, results
are delivered or kept, and what happened is said in one line.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import textwrap
from pathlib import Path

import pytest

from fault_layer import FOREVER, hang
from watched import Watched, stored_files

# Where a guard of a suite comes in: as a plugin before any other, in the conftest, or in the conftest of a
# session whose address stands on the command line, so that it is not known before.
PLACES = ("plugin", "conftest", "late")

SUITE = """
    from qase.pytest import qase

    def test_first():
        qase.attach((b"small", "text/plain", "MARK-small.txt"))

    def test_second():
        qase.attach((b"l" * 100_000, "text/plain", "MARK-large.txt"))

    def test_third():
        with qase.step("within"):
            pass
"""


@pytest.fixture
def hostile(project, server, runs, tmp_path):
    """Runs a session of a suite in hostile surroundings; everything arrives, and no process stays behind."""
    mark = tmp_path.name

    def run(guard, *arguments, place="conftest", suite=SUITE, passed=3, files=("large", "small"), **environ):
        project.write(test_one=suite.replace("MARK", mark))
        if place == "plugin":
            # It comes before those that pytest finds by itself.
            project.as_found = True
            project.write(guard=guard)
            arguments = ("-p", "guard", *arguments)
            environ["PYTHONPATH"] = str(project.directory)
        else:
            project.write(conftest=guard)
        if place == "late":
            arguments = (*arguments, f"--famacase-api-url={project.environ['FAMACASE_API_URL']}")
            environ["FAMACASE_API_URL"] = None
        outcome = project.run(*arguments, timeout=60, **environ)
        assert (outcome.code, outcome.counts) == (0, f"{passed} passed"), outcome.output
        created = runs.only()
        assert (created["status"], created["stats"]) == ("completed", {"passed": passed}), outcome.output
        results = runs.results(created)
        assert (
            len({result["signature"] + str(result["params"]) for result in results}) == len(results) == passed
        )
        assert outcome.lines(f"famacase: {passed} results delivered to ")
        assert stored_files(server, mark) == [f"{mark}-{name}.txt" for name in files]
        Watched(project).alone()
        return outcome

    return run


# Where the session cannot reach the network

NO_NETWORK = {
    "a path that is no text": """
        import pathlib, sys
        sys.path += [pathlib.Path("/somewhere"), b"/elsewhere", None, 7]
    """,
    "socket.socket": """
        import socket
        def refuse(*args, **kwargs):
            raise RuntimeError("no sockets here")
        socket.socket = refuse
    """,
    "pytest_socket": """
        import pytest_socket
        pytest_socket.disable_socket()
    """,
    "pytest_socket, unix allowed": """
        import pytest_socket
        pytest_socket.socket_allow_hosts(["192.0.2.1"])
    """,
    "httpretty": """
        import httpretty
        httpretty.enable(allow_net_connect=False)
    """,
    "mocket": """
        from mocket import Mocketizer
        Mocketizer(strict_mode=True).enter()
    """,
    "socket.getaddrinfo": """
        import socket
        def refuse(*args, **kwargs):
            raise OSError("no names here")
        socket.getaddrinfo = refuse
    """,
    "threading.Thread.start": """
        import threading
        def refuse(self):
            raise RuntimeError("no threads here")
        threading.Thread.start = refuse
    """,
    "an audit hook": """
        import sys
        def refuse(event, args):
            if event in ("socket.connect", "socket.getaddrinfo"):
                raise RuntimeError("no network here")
        sys.addaudithook(refuse)
    """,
}


@pytest.mark.parametrize("place", ["conftest", "late"])
@pytest.mark.parametrize("guard", NO_NETWORK)
def test_a_guard_of_the_network_stands_in_no_way(hostile, guard, place):
    assert hostile(NO_NETWORK[guard], place=place).notices == []


@pytest.mark.parametrize("guard", ["a path that is no text", "pytest_socket", "an audit hook"])
def test_nor_does_it_in_workers(hostile, guard):
    assert hostile(NO_NETWORK[guard], "-n", "2").notices == []


# Where no process can be started

NO_PROCESS = {
    "sys.executable": """
        import sys
        sys.executable = None
    """,
    "subprocess.Popen": """
        import subprocess
        def refuse(*args, **kwargs):
            raise RuntimeError("no processes here")
        subprocess.Popen = refuse
        subprocess._fork_exec = refuse
        subprocess._USE_POSIX_SPAWN = subprocess._USE_VFORK = False
    """,
    "an audit hook": """
        import sys
        def refuse(event, args):
            if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec"):
                raise RuntimeError("no processes here")
        sys.addaudithook(refuse)
    """,
}
NO_THREADS = """
        import threading
        def no_threads(*args, **kwargs):
            raise RuntimeError("no threads here")
        threading.Thread.start = no_threads
"""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("guard", NO_PROCESS)
def test_where_no_process_can_be_started_pytest_delivers(hostile, guard, place):
    outcome = hostile(NO_PROCESS[guard], place=place)
    # The relay of a session whose address is known is started before any conftest.
    assert len(outcome.notices) == (0 if place == "conftest" else 1)
    for line in outcome.notices:
        assert line.startswith("famacase: No relay process can be started (")
        assert line.endswith("): pytest itself delivers, after the last test.")


@pytest.mark.parametrize("place", PLACES)
def test_gevent_takes_everything_apart(hostile, place):
    assert hostile("import gevent.monkey; gevent.monkey.patch_all()", place=place).notices == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (NO_NETWORK["an audit hook"], "no network here"),
        (NO_THREADS, "delivery was stopped by RuntimeError: no threads here"),
    ],
    ids=["no network", "no threads"],
)
def test_what_nobody_can_deliver_waits(project, more, reason):
    project.write(test_one=SUITE, guard=NO_PROCESS["an audit hook"] + more)
    debug = {"FAMACASE_DEBUG": "true", "FAMACASE_LOGGING_CONSOLE": "false", "FAMACASE_LOGGING_FILE": "false"}
    environ = {"PYTHONPATH": str(project.directory), **debug}
    project.as_found = True
    outcome = project.run("-p", "guard", timeout=60, leaves=[".famacase"], **environ)
    assert (outcome.code, outcome.counts) == (0, "3 passed")
    started, waits = outcome.notices
    assert started.startswith("famacase: No relay process can be started (")
    assert waits.startswith("famacase: 3 results wait in ")
    assert reason in waits
    assert ("POST /projects/SMOKE/runs: no answer" in outcome.requests) == (more != NO_THREADS)
    sent = Watched(project).resend(**debug)
    assert sent.code == 0
    assert "POST /projects/SMOKE/runs: 201" in sent.requests
    assert not (project.directory / ".famacase").exists()


NO_DATABASE = {
    "plugin": "import sys; sys.modules['sqlite3'] = None",
    "conftest": """
        import sys
        def refuse(event, args):
            if event == "sqlite3.connect":
                raise RuntimeError("no sqlite3 here")
        sys.addaudithook(refuse)
    """,
}


@pytest.mark.parametrize("place", NO_DATABASE)
def test_where_nothing_can_be_stored_results_are_sent_from_memory(hostile, place):
    (line,) = hostile(NO_DATABASE[place], place=place).notices
    assert "no sqlite3" in line
    assert "Results of this session are held in memory" in line


NOWHERE = """
    import os
    import tempfile

    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)
"""


def test_the_working_directory_is_gone_before_the_first_test(hostile):
    assert hostile(NOWHERE).notices == []


@pytest.mark.parametrize("change", ["os.environ.clear()", "os.environ = {'PATH': os.environ['PATH']}"])
def test_the_environment_is_gone_before_it_is_read(project, runs, change):
    project.write(test_one=SUITE, conftest=f"import os; {change}")
    outcome = project.run()
    assert (outcome.code, outcome.counts) == (0, "3 passed")
    (line,) = outcome.notices
    assert "a conftest or a plugin has changed the environment or the files since" in line
    assert runs.new() == []


# What is said, and what is not

# As a library that fakes HTTP, where pytest itself delivers: the error shows the request, with its headers.
SHOWS_HEADERS = """
        import pytest
        import urllib3.connectionpool
        def urlopen(self, method, url, body=None, headers=None, **kwargs):
            raise ERROR(f"nobody answers\\n{method} {url}\\n{dict(headers)}")
        urllib3.connectionpool.HTTPConnectionPool.urlopen = urlopen
"""


@pytest.mark.parametrize("error", ["Exception", "OSError", "pytest.fail.Exception"])
def test_an_error_that_shows_the_headers(project, error):
    """The project checks that no output shows a token."""
    project.as_found = True
    project.write(test_one=SUITE, guard=NO_PROCESS["an audit hook"] + SHOWS_HEADERS.replace("ERROR", error))
    outcome = project.run("-p", "guard", timeout=60, leaves=[".famacase"], PYTHONPATH=str(project.directory))
    assert (outcome.code, outcome.counts) == (0, "3 passed")
    started, waits = outcome.notices
    assert started.endswith(": pytest itself delivers, after the last test.")
    assert waits.startswith("famacase: 3 results wait in ")
    assert "nobody answers" in waits
    assert "***" in waits or error != "pytest.fail.Exception"


@pytest.mark.parametrize("error", ["Exception", "pytest.fail.Exception"])
def test_an_internal_error_that_shows_a_token(hostile, project, error):
    token = project.environ["FAMACASE_REPORTER_TOKEN"]
    guard = f"""
        import pytest
        from famacase_pytest.delivery.controller import ControllerTransport
        def broken(*args):
            raise {error}("with the header\\nAuthorization: Token {token}")
        ControllerTransport.wait_until_opened = broken
    """
    (line,) = hostile(guard).notices
    assert line.startswith("famacase: a defect of famacase-pytest, ")
    assert "with the header Authorization: Token ***" in line


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("pytest.exit('enough', returncode=7)", 7),
        ("raise KeyboardInterrupt", 2),
        ("broken.append(1)", 3),
        ("", 0),
    ],
)
def test_what_waits_is_said_however_a_session_ends(project, layer, ending, code):
    layer.down()
    project.write(
        conftest="""
            broken = []
            def pytest_runtest_logfinish():
                assert not broken
        """,
        test_one=f"""
            import pytest
            from conftest import broken

            def test_first():
                pass

            def test_second():
                {ending or "pass"}
        """,
    )
    arguments = ["--no-summary"] if not ending else []
    outcome = project.run(*arguments, leaves=[".famacase"])
    assert outcome.code == code
    (line,) = outcome.lines(" in " + str(project.directory / ".famacase" / "outbox") + "/")[-1:]
    assert line.startswith("famacase: ")
    assert " wait" in line
    assert len(outcome.lines("Send them with: famacase resend")) == 1


def test_interrupted_again_and_again_while_results_are_delivered(project, layer, runs):
    """What is said to wait does wait, and nothing else does."""
    layer.faults.add("createResults", hang(), times=FOREVER)
    watched = Watched(project)
    project.write(test_one=SUITE)
    session = project.start()
    layer.wait_for("createResults")
    for _ in range(2):
        os.kill(session.pid, signal.SIGINT)
    layer.faults.clear()
    layer.release()
    outcome = project.finish(session, timeout=60, leaves=[".famacase"])
    watched.alone()
    waits = outcome.lines("Send them with: famacase resend")
    assert bool(waits) == (project.directory / ".famacase").exists(), outcome.output
    if waits:
        assert watched.resend().code == 0
    assert runs.only()["stats"] == {"passed": 3}


CLOCK_PUT_BACK = """
    from qase.commons.utils import QaseUtils
    from qase.pytest import qase

    def put_back():
        now = QaseUtils.get_real_time()
        QaseUtils.get_real_time = staticmethod(lambda: now - 3600)

    def test_first():
        with qase.step("within"):
            put_back()
"""


def test_no_duration_is_negative(project, runs):
    project.write(test_one=CLOCK_PUT_BACK)
    outcome = project.run()
    assert (outcome.code, outcome.counts, outcome.notices) == (0, "1 passed", [])
    (result,) = runs.results(runs.only())
    assert result["execution"]["duration"] == 0
    assert [step["execution"]["duration"] for step in result["steps"]] == [0]


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_the_debug_log_cannot_be_made(project, runs, arguments):
    """A file in the place of its directory: whoever runs as root may write everywhere."""
    (project.directory / "logs").touch()
    project.write(test_one=SUITE)
    outcome = project.run(*arguments, FAMACASE_DEBUG="true")
    assert (outcome.code, outcome.counts) == (0, "3 passed")
    (line,) = set(outcome.notices)
    assert line.startswith("famacase: The debug log of qase-pytest cannot be written (")
    assert runs.only()["stats"] == {"passed": 3}


def test_a_test_leaves_the_directory_of_the_debug_log(project, runs):
    project.write(
        test_one="""
        import os

        def test_first(tmp_path):
            os.chdir(tmp_path)

        def test_second():
            pass
        """
    )
    outcome = project.run(FAMACASE_DEBUG="true", leaves=["logs"])
    assert (outcome.code, outcome.counts) == (0, "2 passed")
    assert runs.only()["stats"] == {"passed": 2}


# pytest 9.2 warns of qase-pytest's own import of pytest.
WARNINGS = ("-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning")


@pytest.mark.parametrize("arguments", [WARNINGS, ("-p", "no:capture"), ("-p", "no:terminal")], ids=" ".join)
@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
def test_options_of_pytest(project, layer, runs, arguments, away):
    if away:
        layer.down()
    project.write(test_one=SUITE)
    outcome = project.run(*arguments, leaves=[".famacase"] if away else ())
    assert outcome.code == 0
    if away:
        assert len(outcome.lines("famacase: 3 results wait in ")) == 1
    elif "no:terminal" in arguments:
        assert "famacase: " not in outcome.output
    else:
        assert outcome.notices == []
    if not away:
        assert runs.only()["stats"] == {"passed": 3}


# Guests

CHILDREN = """
    import os
    import psutil
    import pytest

    def test_no_children():
        assert psutil.Process().children() == []

    @pytest.mark.parametrize("wait", [os.wait, lambda: os.waitpid(-1, 0), lambda: os.waitpid(-1, os.WNOHANG)])
    def test_nobody_to_wait_for(wait):
        with pytest.raises(ChildProcessError):
            wait()

    def test_no_children_any_more():
        assert psutil.Process().children() == []
"""


@pytest.mark.parametrize("place", ["conftest", "late"])
def test_no_test_finds_a_child_of_ours(hostile, place):
    assert hostile("", suite=CHILDREN, passed=5, files=(), place=place).notices == []


FAKETIME = shutil.which("faketime")


@pytest.mark.skipif(FAKETIME is None, reason="the program faketime is not installed (Debian: faketime)")
@pytest.mark.parametrize("clock", ["-20y", "+20y", "2001-01-01 00:00:00"], ids=["back", "on", "still"])
@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
def test_a_clock_that_the_loader_has_moved(project, layer, runs, away, clock):
    """Results bear the times that the tests saw; delivery and the relay go by the real clock."""
    watched = Watched(project)
    project.write(test_one=SUITE)
    if away:
        layer.faults.add("createResults", hang(), times=FOREVER)
    session = project.start_command([FAKETIME, "-f", clock, *project.command(())], FAMACASE_DRAIN_TIMEOUT="5")
    outcome = project.finish(session, timeout=60, leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (0, "3 passed")
    watched.alone()
    if away:
        assert outcome.lines("famacase: 3 results wait in ")
    else:
        assert outcome.notices == []
        assert runs.only()["stats"] == {"passed": 3}


FORKS = """
    import os
    import pytest
    from qase.pytest import qase

    def test_before():
        pass

    def test_that_returns_twice():
        child = os.fork()
        if child:
            os.waitpid(child, 0)

    def test_after():
        qase.attach((b"after", "text/plain", "MARK-after.txt"))

    def test_last():
        pass
"""


def test_a_child_that_runs_the_rest_of_the_session(hostile):
    outcome = hostile("", suite=FORKS, passed=4, files=("after",))
    assert outcome.notices == []
    assert len(outcome.lines("results delivered to")) == 1


# Descriptors

# Each closes, takes or locks up what this package has open.
DESCRIPTORS = {
    "all closed": """
        os.closerange(3, 400)
    """,
    "all closed again and again": """
        global close
        close = lambda: os.closerange(3, 400)
        close()
    """,
    "all taken by another file": """
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3, 60):
            os.dup2(null, number)
    """,
    "the files closed one by one": """
        for number in range(3, 60):
            with contextlib.suppress(OSError):
                if stat.S_ISREG(os.fstat(number).st_mode):
                    os.close(number)
    """,
    "none left": """
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
    """,
    "no more than there are": """
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
    """,
    "no permission": """
        if os.getuid() == 0:
            os.setuid(65534)
    """,
}
TAKEN = """
import contextlib
import os
import resource
import stat
import pytest
from qase.pytest import qase

held = []
close = lambda: None

@pytest.fixture(autouse=True)
def again():
    close()

def test_before():
    qase.attach((b"before", "text/plain", "MARK-before.txt"))

def test_takes():
    qase.attach((b"early", "text/plain", "MARK-early.txt"))
    BODY
    qase.attach((b"late", "text/plain", "MARK-late.txt"))

def test_after():
    qase.attach((b"after", "text/plain", "MARK-after.txt"))

def test_last():
    pass
"""


BARE = ("-p", "no:logging", "-p", "no:faulthandler")


@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
@pytest.mark.parametrize("body", DESCRIPTORS)
def test_a_test_takes_our_descriptors(project, layer, server, runs, tmp_path, body, away):
    """pytest without what would not survive it itself."""
    if away:
        layer.down()
    # Another user has to get as far as the project.
    for directory in (tmp_path, *tmp_path.parents):
        if directory == Path(tempfile.gettempdir()):
            break
        directory.chmod(0o755)
    suite = TAKEN.replace("MARK", tmp_path.name)
    project.write(
        test_one=suite.replace("    BODY\n", textwrap.indent(textwrap.dedent(DESCRIPTORS[body]), "    "))
    )
    outcome = project.run("-s", *BARE, timeout=60, leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (0, "4 passed"), outcome.output
    watched = Watched(project)
    watched.alone()
    if away:
        assert outcome.lines("famacase: 4 results wait in ")
        layer.up()
        assert watched.resend().code == 0
    else:
        assert outcome.notices == []
        assert outcome.lines("famacase: 4 results delivered to ")
    assert not (project.directory / ".famacase").exists()
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 4})
    names = ["after", "before", "early", "late"]
    assert stored_files(server, tmp_path.name) == [f"{tmp_path.name}-{name}.txt" for name in names]


def test_a_worker_that_closes_all_descriptors(project, runs):
    """execnet's are among them, so the worker dies."""
    watched = Watched(project)
    project.write(
        test_one="""
        import os

        def test_before():
            pass

        def test_closes():
            os.closerange(3, 400)

        def test_after():
            pass
        """
    )
    outcome = project.run("-n", "1", timeout=90)
    assert outcome.counts == "1 failed, 2 passed"
    assert outcome.notices == []
    watched.alone()
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"failed": 1, "passed": 2})


# A controller that dies alone

GATE = """
    def test_quick_NAME():
        pass

    def test_at_a_gate_NAME(gate):
        gate("NAME")
"""


@pytest.mark.parametrize("opened", [True, False], ids=["finished", "interrupted"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_controller_dies_alone(project, runs, how, opened):
    """A worker's result counts if its test still ends; execnet interrupts one that goes on for 5 s."""
    watched = Watched(project)
    project.write(test_one=GATE.replace("NAME", "first"), test_two=GATE.replace("NAME", "second"))
    session = project.start("-n", "2", "--dist", "loadfile")
    for name in ("first", "second"):
        watched.wait_at(name)
    os.kill(session.pid, how)
    assert session.wait(30) == -how
    if opened:
        for name in ("first", "second"):
            watched.open(name)
    watched.alone()
    project.finish(session, leaves=None)
    logs = [path.read_text() for path in (project.directory / ".famacase").rglob("relay.log")]
    assert not (project.directory / ".famacase").exists(), logs
    run = runs.only()
    assert run["status"] == "in_progress"
    assert run["stats"] == ({"passed": 4} if opened else {"passed": 2, "invalid": 2})


def test_a_relay_that_nobody_needs_ends_before_the_first_test(project):
    """The environment asks for a back end, so it is launched; the command line then chooses another mode."""
    project.write(
        test_one="""
        import glob, os, pathlib, threading

        def relays():
            mark = f"TMPDIR={os.environ['TMPDIR']}".encode()
            for name in glob.glob("/proc/[0-9]*"):
                try:
                    ours = mark in pathlib.Path(name, "environ").read_bytes().split(b"\\0")
                    command = pathlib.Path(name, "cmdline").read_bytes()
                except OSError:
                    continue  # it has ended meanwhile
                if ours and b"relay.main" in command:
                    yield name

        def test_one():
            for _ in range(600):
                if not list(relays()):
                    return
                threading.Event().wait(0.05)
            raise AssertionError("there still is a relay")
        """
    )
    outcome = project.run("-p", "famacase", "--famacase-mode", "off")
    assert (outcome.code, outcome.counts) == (0, "1 passed"), outcome.output
