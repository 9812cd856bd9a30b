"""An outbox to work with, and processes that use one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from famacase_pytest.delivery.models import Attachment, Item, StoredFile
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

MANY = 1 << 40  # bytes: no limit

Child = Callable[..., "subprocess.Popen[str]"]

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


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
def child() -> Iterator[Child]:
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


def in_child(act: Callable[[], None]) -> None:
    """Do something in a forked child, in which it must not fail."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def by_path(path: Path, ref: str = "r1") -> Attachment:
    """A file that is attached by its path."""
    return Attachment(ref, path.name, path=str(path))


def content_of(stored: StoredFile) -> bytes:
    """What is stored of a file."""
    with stored.open() as file:
        return file.read()


def ids(items: list[Item]) -> list[str]:
    """The ids of results."""
    return [item.result_id for item in items]
