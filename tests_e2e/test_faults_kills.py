"""Fifty sessions are killed, each at another moment: no result is lost, none is stored twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from watched import Watched, check, eventually

KILLS = 50
TESTS = 30
AT_A_TIME = 3
SEED = 20

# Sessions are forked from one process that has imported everything: so many would start for too long.
LAUNCHER = """
    import os, signal, sys
    import pytest, xdist, qase.pytest, qase.pytest.conftest
    import famacase_pytest.session, famacase_pytest.wiring, famacase_pytest.upstream.client
    import famacase_pytest.upstream.config_reader, famacase_pytest.upstream.capture
    import famacase_pytest.upstream.patches, famacase_pytest.upstream.plan_loader

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        name = line.strip()
        pid = os.fork()
        if not pid:
            os.environ.update(SESSION=name, SIGNALS=os.path.join(os.environ["SIGNALS"], name))
            output = os.open(os.path.join(os.environ["SIGNALS"], "output"), os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os._exit(pytest.main(["-p", "no:xdist", "--rootdir", os.getcwd()]))
        print(pid, flush=True)
"""

SUITE = f"""
    import os, time
    import pytest
    from qase.pytest import qase

    @pytest.mark.parametrize("name", [f"{{os.environ['SESSION']}}/{{number}}" for number in range({TESTS})])
    def test_one(name):
        qase.attach((name.encode(), "text/plain", "name.txt"))
        time.sleep(0.005)
"""


class Killer:
    """Starts sessions, and kills each at a moment of its own.

    Args:
        watched: the project; its launcher is started by the first session.
    """

    def __init__(self, watched: Watched) -> None:
        self._signals = watched.signals
        self._launcher = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(LAUNCHER)],
            cwd=watched.project.directory,
            env=watched.project.environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, name: str) -> int:
        """Start a session; returns its process."""
        (self._signals / name).mkdir()
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        print(name, file=self._launcher.stdin, flush=True)
        return int(self._launcher.stdout.readline())

    def kill(self, name: str, pid: int, after: int, pause: float, with_relay: bool) -> None:
        """Kill a session.

        Args:
            name, pid: of the session.
            after: tests that have ended before.
            pause: seconds after that.
            with_relay: kill its relay first.
        """
        eventually(
            lambda: check(len(self.noted(name)) >= after or not Path(f"/proc/{pid}").exists()),
            f"session {name} does not get to its test {after}",
        )
        # No event is waited for: the moment is what is chosen at random.
        time.sleep(pause)
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if with_relay:
                # Stopped first, so that it does not start another one.
                os.kill(pid, signal.SIGSTOP)
                for relay in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                    os.kill(int(relay), signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)

    def noted(self, name: str) -> list[str]:
        """The tests of a session whose ``pytest_runtest_logfinish`` had returned."""
        path = self._signals / name / "finished"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition("[")[2].rstrip("]") for line in lines]

    def close(self) -> None:
        """End the launcher."""
        self._launcher.communicate()


def test_fifty_kills(project, runs, server):
    project.write(test_one=SUITE)
    project.environ["FAMACASE_FLUSH_INTERVAL"] = "0.05"
    watched = Watched(project)
    rng = random.Random(SEED)
    moments = []
    for number in range(KILLS):
        # Some before the first test or after the last one, where a session begins, waits and cleans up.
        after, span = rng.choice([(0, 1.0), (TESTS, 0.5), *[(rng.randrange(TESTS), 0.02)] * 4])
        moments.append((f"{number:02}", after, rng.uniform(0, span), rng.random() < 0.4))
    killer = Killer(watched)
    try:
        started = ThreadPoolExecutor(AT_A_TIME)
        starting = ThreadPoolExecutor(1)

        def one(moment):
            name, *when = moment
            killer.kill(name, starting.submit(killer.start, name).result(), *when)

        with starting, started:
            list(started.map(one, moments))
    finally:
        killer.close()
    watched.alone()
    resent = watched.resend()
    assert resent.code == 0, resent.output
    # A process that is killed while it makes the directory of its session, or the one above it, leaves that.
    left = project.directory.glob(".famacase/outbox/[!.]*")
    assert [path.name for path in left if path.name != "CACHEDIR.TAG"] == []

    stored: Counter[str] = Counter()
    invalid: Counter[str] = Counter()
    passed = set()
    for run in runs.new():
        for result in runs.results(run):
            name = result["params"]["name"]
            stored[name] += 1
            if result["execution"]["status"] == "passed":
                passed.add(name)
            else:
                assert result["message"] == "the process ended during this test"
                invalid[name.partition("/")[0]] += 1
    noted = {name for session, *_ in moments for name in killer.noted(session)}
    assert noted - passed == set()
    assert [name for name, count in stored.items() if count > 1] == []
    assert all(count == 1 for count in invalid.values())
    # The moments were such that it meant something.
    assert len(noted) > 5 * KILLS
    assert len(invalid) > KILLS // 10
