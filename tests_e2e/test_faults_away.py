"""A back end that goes away: no test waits for it, no session sits through a deadline, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from fault_layer import FOREVER, hang
from watched import Watched, eventually

# A deadline that outlasts by far what a session may take here: none that sits through it passes.
PATIENT = {"FAMACASE_DRAIN_TIMEOUT": "3600"}

SUITE = """
    import pytest
    from qase.pytest import qase

    def test_before():
        qase.attach((b"before", "text/plain", "before.txt"))

    def test_gate(gate):
        gate("middle")

    @pytest.mark.parametrize("number", range(20))
    def test_after(number):
        qase.attach((f"after {number}".encode(), "text/plain", f"after-{number}.txt"))

    def test_fails():
        assert False
"""

SMALL = """
    def test_one():
        pass

    def test_two():
        assert False
"""


@pytest.fixture
def watched(project):
    project.write(test_one=SUITE)
    return Watched(project)


@pytest.fixture
def small(project):
    project.write(test_one=SMALL)
    return Watched(project)


@pytest.fixture
def resent(runs):
    """Sends what waits, which must be the given number of results; gives the run that they are in."""

    def resend(watched, waiting):
        assert f": {waiting} result" in watched.resend("--list", leaves=None).output
        sent = watched.resend()
        assert sent.code == 0, sent.output
        assert not (watched.project.directory / ".famacase").exists()
        again = watched.resend()
        assert (again.code, again.output.strip()) == (0, "Nothing waits.")
        run = runs.only()
        results = runs.results(run)
        assert len(results) == len({result["id"] for result in results}) == sum(run["stats"].values())
        return run

    return resend


@pytest.mark.parametrize("fault", ["down", "blackhole"])
def test_gone_from_the_middle_on(watched, layer, resent, fault):
    session = watched.project.start(FAMACASE_FLUSH_INTERVAL="0.1", **PATIENT)
    watched.wait_at("middle")
    layer.wait_for("createResults", answered=True)
    getattr(layer, fault)()
    watched.open("middle")
    outcome = watched.project.finish(session, leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (1, "1 failed, 22 passed")
    (line,) = outcome.lines("results wait")
    assert line.startswith("famacase: 22 results wait in ")
    assert "no usable answer" in line
    assert "[Errno" not in line
    assert line.endswith("Send them with: famacase resend")
    watched.alone()
    layer.up()
    run = resent(watched, 22)
    assert (run["status"], run["stats"]) == ("completed", {"passed": 22, "failed": 1})


def test_gone_and_back_again(watched, layer, runs):
    """The relay goes on trying while tests run."""
    session = watched.project.start(FAMACASE_FLUSH_INTERVAL="0.1", FAMACASE_RETRY_ATTEMPTS="1")
    watched.wait_at("middle")
    layer.wait_for("createResults", answered=True)
    layer.down()
    watched.open("middle")
    eventually(lambda: watched.finished().index("test_after[5]"), "the tests do not go on")
    layer.up()
    outcome = watched.project.finish(session)
    assert outcome.notices == []
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 22, "failed": 1})


def test_gone_from_the_start_with_a_fallback(small, layer, runs):
    layer.down()
    outcome = small.project.run(FAMACASE_FALLBACK="report", leaves=["build"])
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed")
    (notice,) = outcome.notices
    assert "GET /projects/SMOKE" in notice
    assert len(list((small.project.directory / "build" / "qase-report" / "results").iterdir())) == 2
    small.alone()
    assert runs.new() == []


def test_gone_from_the_start(small, layer, resent):
    """The run is created later, with the settings of the session, by whoever sends its results."""
    layer.down()
    settings = {
        "FAMACASE_TESTOPS_RUN_TITLE": "Nightly",
        "FAMACASE_TESTOPS_RUN_DESCRIPTION": "All of it",
        "FAMACASE_TESTOPS_RUN_TAGS": "nightly,slow",
        "FAMACASE_ENVIRONMENT": "staging",
        "FAMACASE_TESTOPS_PLAN_ID": "7",
        "FAMACASE_TESTOPS_CONFIGURATIONS_VALUES": "browser=chrome,os=linux",
    }
    outcome = small.project.run(**settings, **PATIENT, leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed")
    assert any(line.startswith("famacase: 2 results wait in ") for line in outcome.notices)
    assert any("plan 7 could not be read, so all tests run" in line for line in outcome.notices)
    small.alone()
    layer.up()
    run = resent(small, 2)
    assert (run["status"], run["stats"]) == ("completed", {"passed": 1, "failed": 1})
    (created,) = layer.exchanges("createRun")
    body = created.json()
    environment = body.pop("environment_id")
    assert isinstance(environment, int)
    assert body == {
        "title": "Nightly",
        "description": "All of it",
        "is_autotest": True,
        "plan_id": 7,
        "tags": ["nightly", "slow"],
        "configurations": [{"name": "browser", "value": "chrome"}, {"name": "os", "value": "linux"}],
    }


# A back end that accepts and does not answer


def test_the_deadline_holds(small, layer, resent):
    layer.faults.add("createResults", hang(), times=FOREVER)
    outcome = small.project.run(FAMACASE_DRAIN_TIMEOUT="3", leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed")
    (line,) = outcome.lines("famacase: 2 results wait in ")
    assert "longer than the 3 s of FAMACASE_DRAIN_TIMEOUT" in line
    assert "are being delivered" not in outcome.output  # this output is no terminal
    small.alone()
    layer.faults.clear()
    layer.release()
    assert resent(small, 2)["status"] == "completed"


def test_a_back_end_that_answers_nothing_any_more(watched, layer, resent):
    """Nobody sits through a deadline for it."""
    session = watched.project.start(FAMACASE_FLUSH_INTERVAL="0.1", **PATIENT)
    watched.wait_at("middle")
    layer.wait_for("createResults", answered=True)
    layer.faults.add("*", hang(), times=FOREVER)
    watched.open("middle")
    outcome = watched.project.finish(session, leaves=[".famacase"])
    assert outcome.lines("famacase: 22 results wait in ")
    layer.faults.clear()
    layer.release()
    assert resent(watched, 22)["status"] == "completed"


def test_not_waiting_at_all(small, layer, runs):
    """The relay goes on by itself, completes the run and cleans up."""
    rule = layer.faults.add("createResults", hang())
    outcome = small.project.run(FAMACASE_DRAIN_TIMEOUT="0", leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed")
    (line,) = outcome.notices
    assert line.startswith("famacase: 2 results are being delivered in the background to ")
    layer.wait_for("createResults")
    layer.faults.clear()
    layer.release()
    small.alone()
    assert len(rule.hits) == 1
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 1, "failed": 1})
    assert not (small.project.directory / ".famacase").exists()


def test_a_terminal_shows_what_is_left(small, layer):
    layer.faults.add("createResults", hang(), times=FOREVER)
    command = small.project.command(["-p", "no:xdist"])
    text = small.project.run_on_terminal(command, FAMACASE_DRAIN_TIMEOUT="4").output
    assert "2 results are being delivered, " in text
    assert "2 results wait in " in text.rpartition("are being delivered")[2]


# Ctrl-C


def test_interrupted_while_tests_run(watched, layer, runs):
    """What has ended is delivered; the test that was stopped is nobody's result."""
    session = watched.project.start()
    os.kill(watched.wait_at("middle"), signal.SIGINT)
    outcome = watched.project.finish(session)
    assert (outcome.code, outcome.counts) == (2, "1 passed")
    assert outcome.notices == []
    run = runs.only()
    assert run["stats"] == {"passed": 1}
    watched.alone()


def test_interrupted_with_workers_from_a_terminal(watched, layer, runs):
    """A terminal sends the signal to all processes of its group: the workers, not the relay."""
    session = subprocess.Popen(
        watched.project.command(["-n2", "--dist=loadfile"]),
        cwd=watched.project.directory,
        env=watched.project.environment({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    watched.wait_at("middle")
    os.killpg(session.pid, signal.SIGINT)
    outcome = watched.project.finish(session, leaves=())
    assert outcome.code == 2
    assert outcome.notices == []
    assert runs.only()["stats"] == {"passed": 1}
    watched.alone()


def test_interrupted_again_while_results_are_delivered(watched, layer, resent):
    layer.faults.add("createResults", hang(), times=FOREVER)
    # Nothing is sent before the end.
    session = watched.project.start(FAMACASE_FLUSH_INTERVAL="60", **PATIENT)
    pytest_process = watched.wait_at("middle")
    os.kill(pytest_process, signal.SIGINT)
    layer.wait_for("createResults")
    os.kill(pytest_process, signal.SIGINT)
    outcome = watched.project.finish(session, leaves=[".famacase"])
    assert outcome.code == 2
    assert outcome.lines("Interrupted while results were being delivered")
    assert outcome.lines("famacase: 1 result waits in ")
    watched.alone()
    layer.faults.clear()
    layer.release()
    # Its session did not end normally, so nobody completes it but by hand.
    assert resent(watched, 1)["status"] == "in_progress"
