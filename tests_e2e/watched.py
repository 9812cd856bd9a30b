"""Sessions that can be watched, stopped at a gate and killed at a known moment.

The suite's conftest notes each test once all hooks of its end have returned, and has a fixture ``gate``, at
which a test waits until it is let through. Both work through files in a directory beside the project.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CONFTEST = """
import os
import time

import pytest

SIGNALS = os.environ["SIGNALS"]


# The outermost wrapper: what follows the yield comes after everybody else.
@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_logfinish(nodeid):
    yield
    with open(f"{SIGNALS}/finished", "a") as file:
        file.write(f"{nodeid.partition('::')[2]}\\n")


@pytest.fixture
def gate():
    def wait_at(name):
        with open(f"{SIGNALS}/at-{name}", "w") as file:
            file.write(str(os.getpid()))
        ends = time.monotonic() + 60
        while not os.path.exists(f"{SIGNALS}/open-{name}"):
            assert time.monotonic() < ends, f"nobody has opened the gate {name}"
            time.sleep(0.01)

    return wait_at
"""


class Watched:
    """One project whose sessions are watched.

    Args:
        project: of the fixture of this name; gets a conftest.py.
    """

    def __init__(self, project: Any) -> None:
        self.project = project
        self.signals: Path = project.directory.parent / f"{project.directory.name}-signals"
        self.signals.mkdir()
        project.environ["SIGNALS"] = str(self.signals)
        project.write(conftest=CONFTEST)
        self.outbox: Path = project.directory / ".famacase" / "outbox"

    def wait_at(self, gate: str) -> int:
        """Wait until a test stands at the gate; returns its process."""
        path = self.signals / f"at-{gate}"
        return eventually(lambda: int(path.read_text()), f"no test came to the gate {gate}")

    def open(self, gate: str) -> None:
        """Let the test through."""
        (self.signals / f"open-{gate}").touch()

    def finished(self) -> list[str]:
        """The names of the tests that have ended, in their order."""
        path = self.signals / "finished"
        return path.read_text().splitlines() if path.exists() else []

    def resend(self, *arguments: str, leaves: Collection[str] | None = (), **environ: str | None) -> Any:
        """Run ``famacase resend``; returns its outcome."""
        call = f"main({['resend', *arguments]!r})"
        script = f"import sys; from famacase_pytest.cli.main import main; sys.exit({call})"
        return self.project.run_script(script, leaves=leaves, **environ)

    def processes(self) -> dict[int, str]:
        """The processes that sessions of the project have started and that are there: command by number."""
        mark = f"TMPDIR={self.project.temporary}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                # A process may end while it is looked at, or be a zombie, which has no command.
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                        if command:
                            found[int(entry.name)] = command
        return found

    def relay(self) -> int:
        """The process of the one relay that works, once it does."""

        def look() -> int:
            (pid,) = [pid for pid, command in self.processes().items() if "relay.main" in command]
            return pid

        return eventually(look, "there is no relay")

    def kill_relay(self) -> None:
        """Kill the relay, and wait until it is gone."""
        pid = self.relay()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: check(is_dead(pid)), f"the relay {pid} does not die")

    def alone(self) -> None:
        """Wait until no process of the project's sessions is there any more."""
        eventually(lambda: check(not self.processes()), lambda: f"still there: {self.processes()}")


def is_dead(pid: int) -> bool:
    """Whether a process has closed all that it held: its first thread may end before the others."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        state = Path("/proc", str(pid), "stat").read_bytes()
    except OSError:
        return True
    return len(threads) == 1 and state.rpartition(b") ")[2][:1] in (b"Z", b"X")


def check(condition: bool) -> None:
    """For `eventually`: fail as long as the condition does not hold."""
    if not condition:
        raise ValueError


def eventually(look: Callable[[], T], problem: str | Callable[[], str], timeout: float = 60.0) -> T:
    """Look until there is something to see.

    Args:
        look: raises OSError or ValueError as long as there is nothing.
        problem: what is said if there never is.
        timeout: seconds until then.
    """
    ends = time.monotonic() + timeout
    while True:
        try:
            return look()
        except (OSError, ValueError):
            if time.monotonic() > ends:
                raise AssertionError(problem if isinstance(problem, str) else problem()) from None
        time.sleep(0.01)


def stored_files(server: Any, mark: str) -> list[str]:
    """The names of the files that a back end has stored, as often as it has each, sorted.

    Args:
        server: a ServerProcess.
        mark: how the names begin.
    """
    path = Path(server.data) / "famacase.sqlite3"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT file_name FROM attachment").fetchall()
    return sorted(name for (name,) in rows if name.startswith(mark))
