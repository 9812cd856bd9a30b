"""What tests do to their own process, and the outbox must not notice."""

from __future__ import annotations

import builtins
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest
from pyfakefs.fake_filesystem_unittest import Patcher

from famacase_pytest.delivery.models import Attachment, StoredFile
from famacase_pytest.delivery.outbox import blobs
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY


def content_of(stored: StoredFile) -> bytes:
    with stored.open() as file:
        return file.read()


def contents(outbox: Outbox, ledger: Ledger) -> list[tuple[str, list[bytes]]]:
    return [
        (item.result_id, [content_of(file) for file in outbox.attachments(item)])
        for item in outbox.pending(ledger, 100)
    ]


@pytest.mark.parametrize("large", [False, True])
def test_a_fake_file_system(outbox: Outbox, writer: Writer, ledger: Ledger, tmp_path: Path, large: bool):
    text = "fake " * (20_000 if large else 2)
    both, real = tmp_path / "both.log", tmp_path / "real.log"
    both.write_text("the real one")
    real.write_text("real")
    real_os = os
    with Patcher() as patcher:
        assert blobs.os is not real_os
        patcher.fs.create_file(str(both), contents=text)
        patcher.fs.create_file("/only/fake.log", contents=text)
        writer.begin("P", 1, "a", "{}")
        files = [
            writer.store(Attachment("r1", "both.log", path=str(both))),
            writer.store(Attachment("r2", "fake.log", path="/only/fake.log")),
            writer.store(Attachment("r3", "real.log", path=str(real))),
            writer.store(Attachment("r4", "bytes", content=text.encode())),
        ]
        missing = writer.store(Attachment("r5", "later.log", path="/only/later.log"))
        fifo = writer.store(Attachment("r6", "directory", path="/only"))
        patcher.fs.create_file("/only/later.log", contents="later")
        files.append(writer.refresh(missing))
        with open("/only/fake.log", "a") as file:
            file.write("more")
        files.append(writer.refresh(files[1]))
        assert (missing.problem, fifo.problem) == ("the file does not exist", "it is a directory")
        writer.put("P", 1, "a", "{}", files)
        late = outbox.writer("late", max_bytes=MANY)
        late.put("P", 1, "b", "{}")
        assert len(outbox.pending(ledger, 9)) == 2
        ledger.set_state(a=1)

    assert blobs.os is real_os
    # The fake file system is gone: the real file of that name is not what was attached.
    assert writer.refresh(files[0]) is files[0]
    stored = dict(contents(outbox, ledger))
    expected = [text, text, "real", text, "later", text + "more"]
    assert stored == {"a": [one.encode() for one in expected], "b": []}
    assert ledger.state() == {"a": 1}


def test_a_fork_under_a_fake_file_system(base: Path):
    script = """
import os, sys
from pathlib import Path
from pyfakefs.fake_filesystem_unittest import Patcher
from famacase_pytest.delivery.outbox.store import Outbox
outbox = Outbox.create(Path(sys.argv[1]), {})
writer = outbox.writer("main", max_bytes=1 << 40)
fork, leave, wait = os.fork, os._exit, os.waitpid
with Patcher():
    pid = fork()
    if pid == 0:
        writer.put("P", 1, "a", "{}")
        leave(0)
    assert wait(pid, 0)[1] == 0
assert len(outbox.pending(outbox.ledger(), 9)) == 1
outbox.remove()
"""
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    subprocess.run([sys.executable, "-c", script, str(base)], check=True)


def test_patched_functions(
    outbox: Outbox, writer: Writer, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = tmp_path / "log"
    log.write_bytes(b"l" * 100_000)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a test has replaced this")

    with monkeypatch.context() as patched:
        for owner, names in (
            (builtins, ["open"]),
            (io, ["open", "BytesIO"]),
            (
                os,
                ["open", "read", "write", "stat", "lstat", "replace", "rename", "unlink", "mkdir", "getpid"],
            ),
            (os, ["makedirs", "scandir", "listdir", "close", "fstat", "urandom"]),
            (shutil, ["rmtree", "copyfile"]),
            (sqlite3, ["connect"]),
            (time, ["time", "monotonic", "sleep", "strftime", "gmtime"]),
        ):
            for name in names:
                patched.setattr(owner, name, refuse)
        if hasattr(os, "fork"):
            patched.setattr(os, "fork", refuse)
        writer.begin("P", 1, "a", "{}")
        files = [
            writer.store(Attachment("r1", "log", path=str(log))),
            writer.store(Attachment("r2", "bytes", content=b"b" * 10)),
        ]
        writer.refresh(files[0])
        writer.put("P", 1, "a", "{}", files)
        outbox.pending(ledger, 9)
    assert contents(outbox, ledger) == [("a", [b"l" * 100_000, b"b" * 10])]


def test_another_working_directory_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with Outbox.create(Path("outbox"), {}) as outbox:
        writer, ledger = outbox.writer("main", max_bytes=MANY), outbox.ledger()
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        files = [
            writer.store(Attachment("r1", "n", content=b"x" * 40_000)),
            writer.store(Attachment("r2", "n", path="relative")),
        ]
        writer.put("P", 1, "a", "{}", files)
        assert files[1].problem == "the file does not exist"
        (item,) = outbox.pending(ledger, 9)
        assert content_of(outbox.attachments(item)[0]) == b"x" * 40_000


def test_nothing_of_it_is_imported_with_the_package(monkeypatch):
    # `make coverage` would import sqlite3 itself.
    monkeypatch.delenv("MEASURE_COVERAGE", raising=False)
    script = (
        "import sys, famacase_pytest, famacase_pytest.plugin, famacase_pytest.session\n"
        "assert 'sqlite3' not in sys.modules, 'sqlite3'\n"
        "import famacase_pytest.delivery.models\n"
        "assert 'sqlite3' not in sys.modules, 'records'"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
