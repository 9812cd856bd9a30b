"""What is in the outbox, where it is, how much it takes, and what is seen of it while tests run."""

from __future__ import annotations

import json
import os
import signal

import pytest

from fault_layer import FOREVER, hang
from sessions import TOKENS
from watched import Watched, check, eventually


def test_results_are_seen_while_the_suite_runs(project, layer, api):
    project.write(
        test_one="""
        import pytest
        from qase.pytest import qase

        @pytest.mark.parametrize("number", range(11))
        def test_before(number):
            qase.attach((f"before {number}".encode(), "text/plain", "before.txt"))

        def test_gate(gate):
            gate("middle")

        def test_after():
            pass
        """
    )
    watched = Watched(project)
    session = project.start(FAMACASE_TESTOPS_BATCH_SIZE="5")
    watched.wait_at("middle")
    (created,) = layer.wait_for("createRun", answered=True)
    run_id = json.loads(created.answer)["id"]
    eventually(lambda: check(len(list(api.list_results("SMOKE", run_id))) == 11), "nothing is seen of it")
    assert api.get_run("SMOKE", run_id)["status"] == "in_progress"
    watched.open("middle")
    outcome = project.finish(session)
    assert outcome.notices == []
    posts = [len(exchange.results) for exchange in layer.exchanges("createResults")]
    assert max(posts) <= 5
    assert sum(posts) == 13


def test_no_token_in_an_outbox_nor_in_its_relay(project, layer, runs, tmp_path):
    """In a directory that holds other things, too, which stay there."""
    project.write(
        test_one="""
        from qase.pytest import qase

        def test_first():
            qase.attach((b"f" * 100_000, "text/plain", "first.txt"))

        def test_gate(gate):
            gate("middle")
        """
    )
    place = tmp_path / "place"
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    everywhere = {
        "FAMACASE_OUTBOX_DIR": str(place),
        "FAMACASE_REPORTER_TOKENS": ",".join(f"{code}={token}" for code, token in TOKENS.items()),
        "QASE_TESTOPS_API_TOKEN": TOKENS["SMOKE"],
        "FAMACASE_FLUSH_INTERVAL": "0.1",
        "FAMACASE_DEBUG": "true",
    }
    layer.faults.add("createResults", hang(), times=FOREVER)
    watched = Watched(project)
    session = project.start(**everywhere)
    pytest_process = watched.wait_at("middle")
    layer.wait_for("createResults")
    relay = watched.relay()

    def held():
        """All bytes that the outbox and its relay show."""
        found = [path.read_bytes() for path in place.rglob("*") if path.is_file()]
        assert any(b"test_first" in content for content in found)
        for name in ("cmdline", "environ") if relay in watched.processes() else ():
            with open(f"/proc/{relay}/{name}", "rb") as file:
                found.append(file.read())
        return b"\0".join(found)

    assert not [token for token in TOKENS.values() if token.encode() in held()]
    assert relay in watched.processes()
    (outbox,) = (path for path in place.iterdir() if path.is_dir())
    assert (outbox.stat().st_mode & 0o777) == 0o700
    assert sorted(os.listdir(place)) == sorted([outbox.name, "mine.txt"])
    os.kill(relay, signal.SIGKILL)
    os.kill(pytest_process, signal.SIGKILL)
    project.finish(session, leaves=["qase.log", "logs"])
    watched.alone()
    assert not [token for token in TOKENS.values() if token.encode() in held()]

    layer.faults.clear()
    layer.release()
    listed = watched.resend("--list", **everywhere)
    assert ": 1 result, 1 file (0.1 MiB)" in listed.output
    assert "1 test was running when the process ended" in listed.output
    assert watched.resend(**everywhere).code == 0
    assert os.listdir(place) == ["mine.txt"]
    assert runs.only()["stats"] == {"passed": 1, "invalid": 1}


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["one process", "xdist"])
def test_a_full_outbox_drops_files_before_results(project, runs, arguments):
    project.write(
        test_one="""
        import os
        import pytest
        from qase.pytest import qase

        @pytest.mark.parametrize("number", range(4))
        def test_large(number, tmp_path):
            path = tmp_path / f"large-{number}.bin"
            path.write_bytes(os.urandom(400_000))
            qase.attach(str(path))
            assert number != 3
        """
    )
    outcome = project.run(*arguments, FAMACASE_OUTBOX_MAX_MB="1")
    assert outcome.counts == "1 failed, 3 passed"
    assert outcome.notices == [
        "famacase: 2 files were not sent (large-2.bin, ...): the outbox is full (FAMACASE_OUTBOX_MAX_MB). "
        "A step in its result says so."
    ]
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 3, "failed": 1})
    results = {int(result["params"]["number"]): result for result in runs.results(run)}
    assert [len(results[number]["attachments"]) for number in range(4)] == [1, 1, 0, 0]
    for number in (2, 3):
        (step,) = results[number]["steps"]
        missing = f"Attachments that could not be uploaded: large-{number}.bin (the outbox is full"
        assert step["data"]["action"].startswith(missing)
        assert "large" not in (results[number]["message"] or "")


def test_many_earlier_sessions(project, runs):
    """The newest of them are looked at, so that a session does not begin late for them."""
    project.write(test_one="def test_one(): pass")
    script = """
        import time
        from pathlib import Path
        from famacase_pytest.delivery.outbox.store import Outbox

        for number in range(22):
            with Outbox.create(Path(".famacase/outbox"), {"created": time.time()}) as outbox:
                outbox.writer("main", max_bytes=10**9).put("SMOKE", 1, "id", "{}")
        """
    project.run_script(script, leaves=None)
    (notice,) = project.run(leaves=None).notices
    assert notice.startswith("famacase: 20 results of 20 earlier sessions, and those of 2 more, wait in ")
    assert runs.only()["stats"] == {"passed": 1}


def test_steps_that_are_nested_deep(project, runs):
    project.write(
        test_one="""
        import contextlib
        import pytest
        from qase.pytest import qase

        @pytest.mark.parametrize("depth", [350, 900])
        def test_nested(depth):
            with contextlib.ExitStack() as stack:
                for level in range(1, depth + 1):
                    stack.enter_context(qase.step(f"step {level}"))
                qase.attach((b"deep", "text/plain", "deep.txt"))
        """
    )
    outcome = project.run()
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 2})
    for result in runs.results(run):
        actions, deepest = [], 0
        waiting = [(step, 1) for step in result["steps"]]
        while waiting:
            step, depth = waiting.pop()
            deepest = max(deepest, depth)
            actions.append(step["data"]["action"])
            if step["data"]["action"] == f"step {result['params']['depth']}":
                assert [entry["file_name"] for entry in step["execution"]["attachments"]] == ["deep.txt"]
            waiting += [(child, depth + 1) for child in step["steps"]]
        count = int(result["params"]["depth"])
        assert sorted(actions) == sorted(f"step {level}" for level in range(1, count + 1))
        assert 100 <= deepest <= 101
