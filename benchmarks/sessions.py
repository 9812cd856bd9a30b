"""One pytest session, measured from outside: the whole process, from its start to its exit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .recorder import Recorder
from .sides import Side, command_line, environment
from .work import Work

MIB = 1024 * 1024

# Seconds between two looks at the memory of all processes. The kernel keeps the peak, so only what a process
# does in the moment before its end can be missed.
_LOOK = 0.05


@dataclass(frozen=True)
class Measured:
    """What one session took.

    Attributes:
        wall: seconds from the start of the process to its exit.
        cpu: seconds of processor time, of pytest and all processes that it waited for: pip, ldconfig,
            workers, the relay.
        peak: MiB of the largest process among those.
        peaks: MiB by kind of process, where memory was watched.
        recorded: what the back end got, see ``recorder.Record.summary``.
    """

    wall: float
    cpu: float
    peak: float
    peaks: dict[str, float] = field(default_factory=dict)
    recorded: dict[str, Any] = field(default_factory=dict)


class Unusable(Exception):
    """A session did not do what it was measured for: its figures would be worth nothing."""


def measure(
    side: Side,
    work: Work,
    directory: Path,
    recorder: Recorder,
    *,
    tests: int,
    arguments: Sequence[str] = (),
    environ: dict[str, str] | None = None,
) -> Measured:
    """Run a session and check that everything has arrived.

    Args:
        side, work: which and what.
        directory: holds the suite.
        recorder: the back end.
        tests: number of tests in the suite.
        arguments, environ: beside those of side and work.

    Raises:
        Unusable: a test did not pass, or the back end did not get everything.
    """
    recorder.reset(work.latency if side.reports else 0.0)
    temporary = directory.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    output = directory.parent / "output.txt"
    with open(output, "wb") as file:
        start = time.perf_counter()
        process = subprocess.Popen(
            command_line(sys.executable, side, (*work.arguments, *arguments)),
            cwd=directory,
            env={**environment(side, recorder.url, temporary), **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        watch = _MemoryWatch(process.pid) if work.memory else None
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    peaks = watch.stop() if watch else {}
    said = output.read_text(encoding="utf-8", errors="replace")
    recorded = recorder.recorded()
    _check(side, work, tests, process.returncode, said, recorded)
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / MIB, peaks, recorded)


def _check(side: Side, work: Work, tests: int, exit_code: int, said: str, recorded: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {"results": 0, "steps": 0, "files": 0, "completed": 0}
    if side.reports:
        wanted = {
            "results": tests,
            "steps": tests * work.steps,
            "files": tests * work.files,
            "completed": 1,
        }
    got = {name: recorded[name] for name in wanted}
    if (
        exit_code != 0
        or f"{tests} passed" not in said
        or got != wanted
        or "unknown" in recorded["requests_by_kind"]
    ):
        raise Unusable(
            f"{side.name}, {work.name}: exit code {exit_code}, arrived {recorded}, wanted {wanted}.\n"
            f"{said[-4000:]}"
        )


class _MemoryWatch:
    """Looks at the peak memory of a process and of those below it, until ``stop``.

    Args:
        pid: of pytest.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peaks: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """The peaks in MiB, by kind of process."""
        self._stopped.set()
        self._thread.join()
        return {name: round(peak, 1) for name, peak in self._peaks.items()}

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK):
            for pid, kind in _family(self._pid).items():
                peak = _peak(pid)
                self._peaks[kind] = max(self._peaks.get(kind, 0.0), peak)


def _family(root: int) -> dict[int, str]:
    """The processes below one that are a relay of ours or pytest itself."""
    found = {root: "pytest"}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != root:
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_text()
            except (OSError, ValueError):
                continue  # it has ended meanwhile
            if parent == root and "famacase_pytest.relay.main" in line:
                found[int(entry.name)] = "relay"
    return found


def _peak(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MIB
    except OSError:
        return 0.0  # it has ended meanwhile
    return 0.0
