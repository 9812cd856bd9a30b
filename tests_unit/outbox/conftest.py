"""An outbox to work with, and child processes that use one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

MANY = 1 << 40  # bytes: no limit


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / ".famacase" / "outbox"


@pytest.fixture
def outbox(base: Path) -> Iterator[Outbox]:
    with Outbox.create(base, {"created": "today"}) as outbox:
        yield outbox


@pytest.fixture
def writer(outbox: Outbox) -> Writer:
    return outbox.writer("main-1", max_bytes=MANY)


@pytest.fixture
def ledger(outbox: Outbox) -> Ledger:
    return outbox.ledger()


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python process: `child(script, *arguments)`. It is killed at the end."""
    started = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of its own: `tiny_disk("size=1m")`. Needs the right to mount."""
    mounted = []

    def mount(options: str) -> Path:
        place = tmp_path / "disk"
        place.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("file systems cannot be mounted here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
