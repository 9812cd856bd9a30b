"""``python -m benchmarks.memory``: what attachments add to the memory of pytest and of the relay.

Three sessions against a local back end: without attachments, with 1 GiB of files on disk, with 10,000
attachments of 200 KB that a test has as bytes. What counts is the peak of the resident memory of each of the
two processes, as the kernel keeps it (VmHWM of /proc/PID/status), beside that of the session without any.
Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from famacase_pytest.server.process import ServerProcess

MIB = 1024 * 1024
PROJECT, TOKEN = "MEMORY", "rep_memory_benchmark"

# MiB that attachments may add to the peak of either process.
LIMIT = 64.0

# Of one file on disk, and of one attachment that is given as bytes.
FILE_SIZE = 16 * MIB
BYTES_SIZE = 200_000

# Attachments a test.
_OF_ONE_TEST = 20

# Seconds between two looks: the kernel keeps the peak, so only the last moment of a process can be missed.
_LOOK = 0.01

# Seconds that one session may take.
_TIMEOUT = 1800.0

SUITE = """
import os
import pathlib

import pytest
from qase.pytest import qase

AMOUNT = os.environ["AMOUNT"]
KIND, COUNT, SIZE = AMOUNT.split(",")
TESTS = -(-int(COUNT) // {of_one_test}) or 1

@pytest.mark.parametrize("number", range(TESTS))
def test_attaching(number):
    for index in range(number * {of_one_test}, min(int(COUNT), (number + 1) * {of_one_test})):
        if KIND == "files":
            qase.attach(str(pathlib.Path(os.environ["FILES"], f"{{index}}.bin")))
        else:
            qase.attach((os.urandom(int(SIZE)), "application/octet-stream", f"{{index}}.bin"))
"""


@dataclass(frozen=True)
class Peaks:
    """The peaks of one session.

    Attributes:
        pytest, relay: MiB.
        seconds: from the start of the session to its end.
        stored: MiB of attachments that the back end has of it.
    """

    pytest: float
    relay: float
    seconds: float
    stored: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if attachments add more than the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--files", type=int, default=64, help=f"of {FILE_SIZE // MIB} MiB each, on disk")
    parser.add_argument("--bytes", type=int, default=10_000, help=f"attachments of {BYTES_SIZE} bytes each")
    parser.add_argument("--json", type=Path, help="file to write the figures to, too")
    options = parser.parse_args(arguments)
    sessions = {
        "without attachments": ("bytes", 0, 0),
        f"{options.files * FILE_SIZE // MIB} MiB in {options.files} files": (
            "files",
            options.files,
            FILE_SIZE,
        ),
        f"{options.bytes} times {BYTES_SIZE} bytes": ("bytes", options.bytes, BYTES_SIZE),
    }
    with tempfile.TemporaryDirectory(prefix="famacase-memory-") as base:
        measured = _measure_all(Path(base), sessions)
    first = next(iter(measured.values()))
    grown = {
        name: (peaks.pytest - first.pytest, peaks.relay - first.relay) for name, peaks in measured.items()
    }
    print(f"{'':32}{'pytest':>16}{'relay':>18}{'stored':>10}{'time':>8}")
    for name, peaks in measured.items():
        more = grown[name]
        print(
            f"{name:32}{peaks.pytest:8.1f} ({more[0]:+5.1f}){peaks.relay:10.1f} ({more[1]:+5.1f})"
            f"{peaks.stored:10.0f}{peaks.seconds:8.1f}"
        )
    print(f"Memory and amounts in MiB, time in seconds; the limit is {LIMIT:+.0f}.")
    if options.json:
        document = {name: vars(peaks) for name, peaks in measured.items()}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0 if all(more <= LIMIT for both in grown.values() for more in both) else 1


def _measure_all(base: Path, sessions: Mapping[str, tuple[str, int, int]]) -> dict[str, Peaks]:
    files = base / "files"
    files.mkdir()
    for index in range(max(count for kind, count, _ in sessions.values() if kind == "files")):
        with open(files / f"{index}.bin", "wb") as file:
            for _ in range(FILE_SIZE // MIB):
                file.write(os.urandom(MIB))
    measured = {}
    with ServerProcess.start(base / "server", projects={PROJECT: TOKEN}) as server:
        for number, (name, amount) in enumerate(sessions.items()):
            directory = base / f"session-{number}"
            directory.mkdir()
            (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
            (directory / "test_attaching.py").write_text(
                SUITE.format(of_one_test=_OF_ONE_TEST), encoding="utf-8"
            )
            before = _stored(base / "server")
            began = time.monotonic()
            pytest_peak, relay_peak = _peaks(directory, server.url, amount, files)
            seconds = time.monotonic() - began
            stored = _stored(base / "server") - before
            if stored < amount[1] * amount[2] / MIB * 0.99:
                output = (directory / "output").read_text("utf-8", "replace")
                raise SystemExit(f"{name}: only {stored:.0f} MiB have arrived.\n{output}")
            measured[name] = Peaks(pytest_peak, relay_peak, seconds, stored)
    return measured


def _peaks(directory: Path, url: str, amount: tuple[str, int, int], files: Path) -> tuple[float, float]:
    """Run one session; gives the peaks of pytest and of its relay, in MiB."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("FAMACASE_", "QASE_"))
    }
    environ.update(
        FAMACASE_MODE="testops",
        FAMACASE_API_URL=url,
        FAMACASE_REPORTER_TOKEN=TOKEN,
        FAMACASE_TESTOPS_PROJECT=PROJECT,
        FAMACASE_OUTBOX_MAX_MB="65536",
        FAMACASE_DRAIN_TIMEOUT="1200",
        AMOUNT=",".join(map(str, amount)),
        FILES=str(files),
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no"]
    with open(directory / "output", "w+b") as output:
        session = subprocess.Popen(
            command, cwd=directory, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        ends = time.monotonic() + _TIMEOUT
        peaks: dict[int, int] = {}
        relay = 0
        while session.poll() is None:
            if time.monotonic() > ends:
                session.kill()
                raise SystemExit(f"A session did not end within {_TIMEOUT:.0f} s.")
            relay = relay or _relay_of(session.pid)
            for pid in (session.pid, relay):
                peaks[pid] = max(peaks.get(pid, 0), _high_water(pid))
            time.sleep(_LOOK)
        if session.returncode:
            output.seek(0)
            raise SystemExit(output.read().decode("utf-8", "replace"))
    return peaks[session.pid] / 1024, peaks.get(relay, 0) / 1024


def _relay_of(pid: int) -> int:
    """The relay among the children of a process; 0 if there is none yet."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        for child in children:
            if b"relay.main" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    except OSError:
        return 0  # one of them has just ended
    return 0


def _high_water(pid: int) -> int:
    """The peak of a process's resident memory, in KiB; 0 if it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0


def _stored(directory: Path) -> float:
    """MiB of files that the back end keeps."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / MIB


if __name__ == "__main__":
    sys.exit(main())
