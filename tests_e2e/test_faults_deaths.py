"""Processes that die: pytest, its workers, the relay."""

from __future__ import annotations

import os
import signal

import pytest

from fault_layer import hang
from watched import Watched, check, eventually, stored_files

GATES = """
    import pytest
    from qase.pytest import qase

    @pytest.mark.parametrize("gate_name", ["first", "second", "third"])
    def test_gates(gate, gate_name):
        qase.attach((gate_name.encode(), "text/plain", f"MARK-{gate_name}.txt"))
        gate(gate_name)

    def test_last():
        qase.attach((b"last", "text/plain", "MARK-last.txt"))
"""


@pytest.fixture
def gates(project, tmp_path):
    project.write(test_one=GATES.replace("MARK", tmp_path.name))
    project.environ["FAMACASE_FLUSH_INTERVAL"] = "0"
    return Watched(project)


def check_gates(gates, server, runs, mark, outcome):
    """All of the suite has arrived, once."""
    assert (outcome.code, outcome.counts) == (0, "4 passed")
    assert outcome.lines("famacase: 4 results delivered to ")
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 4})
    assert stored_files(server, mark) == [
        f"{mark}-{name}.txt" for name in ("first", "last", "second", "third")
    ]
    gates.alone()


# The relay


@pytest.mark.parametrize("fatal", ["uploadAttachments", "createResults"])
def test_the_relay_is_killed(gates, server, layer, runs, tmp_path, fatal):
    """While the answer to a call is on its way, of which the next one cannot know whether it was done."""
    layer.faults.add(fatal, hang(applied=True))
    session = gates.project.start()
    gates.wait_at("first")
    gates.open("first")
    gates.wait_at("second")
    eventually(
        lambda: check(any(exchange.forwarded for exchange in layer.exchanges(fatal))),
        "the back end does not get the call",
    )
    gates.kill_relay()
    for gate in ("second", "third"):
        gates.open(gate)
    outcome = gates.project.finish(session)
    assert outcome.notices == []
    check_gates(gates, server, runs, tmp_path.name, outcome)


def test_the_relay_is_killed_twice(gates, server, layer, runs, tmp_path):
    session = gates.project.start()
    for gate in ("first", "second"):
        gates.wait_at(gate)
        gates.kill_relay()
        gates.open(gate)
    gates.wait_at("third")
    assert not any("relay.main" in command for command in gates.processes().values())
    gates.open("third")
    outcome = gates.project.finish(session)
    assert outcome.notices == [
        "famacase: The relay process died twice: pytest itself delivers, after the last test."
    ]
    check_gates(gates, server, runs, tmp_path.name, outcome)


# The process of the tests

DEADLY = """
    import ctypes, os, signal, threading, time
    import pytest
    from qase.pytest import qase

    def exit_at_once():
        os._exit(3)

    def be_killed():
        os.kill(os.getpid(), signal.SIGKILL)

    def crash():
        ctypes.string_at(0)

    def exit_from_a_thread():
        # What pytest-timeout does with its method "thread".
        threading.Timer(0.1, os._exit, (1,)).start()
        time.sleep(60)

    WAYS = {function.__name__: function for function in (exit_at_once, be_killed, crash, exit_from_a_thread)}

    @pytest.mark.parametrize("number", range(3))
    def test_before(number):
        pass

    @qase.id(77)
    @qase.title("A deadly one")
    @pytest.mark.parametrize("way", os.environ["WAYS"].split())
    def test_deadly(way):
        WAYS[way]()

    @pytest.mark.parametrize("number", range(3))
    def test_after(number):
        pass
"""


@pytest.fixture
def deadly(project):
    project.write(test_one=DEADLY)
    return Watched(project)


def test_workers_die(deadly, runs):
    ways = ["exit_at_once", "be_killed", "crash"]
    outcome = deadly.project.run("-n2", WAYS=" ".join(ways))
    assert (outcome.code, outcome.counts) == (1, "3 failed, 6 passed")
    assert outcome.notices == []
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 6, "failed": 3})
    failed = [result for result in runs.results(run) if result["execution"]["status"] == "failed"]
    assert sorted(result["params"]["way"] for result in failed) == sorted(ways)
    for result in failed:
        assert result["title"] == "A deadly one"
        assert result["testops_ids"] == [77]
        assert "crashed while running" in result["message"]
        assert f"test_deadly[{result['params']['way']}]" in result["message"]
    deadly.alone()


@pytest.mark.parametrize("way", ["exit_at_once", "exit_from_a_thread"])
def test_pytest_dies_in_a_test(deadly, runs, way):
    """The relay sees to what is left."""
    outcome = deadly.project.run(WAYS=way, leaves=[".famacase"])
    assert outcome.code == {"exit_at_once": 3, "exit_from_a_thread": 1}[way]
    deadly.alone()
    assert not (deadly.project.directory / ".famacase").exists()
    run = runs.only()
    assert (run["status"], run["stats"]) == ("in_progress", {"passed": 3, "invalid": 1})
    (result,) = [result for result in runs.results(run) if result["execution"]["status"] == "invalid"]
    assert (result["title"], result["testops_ids"]) == ("A deadly one", [77])
    assert result["params"] == {"way": way}
    assert result["message"] == "the process ended during this test"


def test_pytest_and_the_relay_die_in_a_test(gates, layer, runs):
    """Whoever sends the rest sees to the test as well."""
    session = gates.project.start()
    gates.wait_at("first")
    gates.open("first")
    pytest_process = gates.wait_at("second")
    relay = gates.relay()
    os.kill(pytest_process, signal.SIGSTOP)
    os.kill(relay, signal.SIGKILL)
    os.kill(pytest_process, signal.SIGKILL)
    gates.project.finish(session, leaves=[".famacase"])
    gates.alone()
    assert gates.resend().code == 0
    assert not (gates.project.directory / ".famacase").exists()
    run = runs.only()
    assert (run["status"], run["stats"]) == ("in_progress", {"passed": 1, "invalid": 1})
