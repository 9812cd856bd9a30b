"""A test's files: which can be copied, which have changed, and in which file system they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem_unittest import Patcher

from famacase_pytest.delivery.models import (
    MIB,
    Attachment,
)
from famacase_pytest.delivery.outbox import blobs
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY, by_path, content_of


class TestWhatCannotBeStored:
    def problem(self, writer: Writer, path: object) -> str:
        stored = writer.store(Attachment("r1", "a.txt", path=str(path)))
        with pytest.raises(OSError, match=re.escape(stored.problem or "?")):
            stored.open()
        assert (stored.sha256, stored.size, stored.ref) == (None, 0, "r1")
        return stored.problem or ""

    def test_missing(self, writer: Writer, tmp_path: Path):
        assert self.problem(writer, tmp_path / "none") == "the file does not exist"
        assert self.problem(writer, tmp_path / "none" / "below") == "the file does not exist"
        assert "null" in self.problem(writer, "with\0null")

    def test_a_directory(self, writer: Writer, tmp_path: Path):
        assert self.problem(writer, tmp_path) == "it is a directory"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
    def test_pipes_and_devices_do_not_block(self, writer: Writer, tmp_path: Path):
        os.mkfifo(tmp_path / "pipe")
        assert self.problem(writer, tmp_path / "pipe") == "it is not a regular file"
        assert self.problem(writer, "/dev/zero") == "it is not a regular file"

    @pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
    def test_without_permission(self, writer: Writer, tmp_path: Path):
        (tmp_path / "secret").write_text("x")
        (tmp_path / "secret").chmod(0)
        assert self.problem(writer, tmp_path / "secret") == "no permission to read the file"

    def test_too_large(self, outbox: Outbox, writer: Writer, tmp_path: Path):
        with (tmp_path / "large").open("wb") as file:
            file.truncate(33 * MIB)
        expected = "33.0 MiB, more than the 32 MiB that one file may have"
        assert self.problem(writer, tmp_path / "large") == expected
        assert writer.store(Attachment("r", "n", content=bytes(33 * MIB))).problem == expected

    def test_growing_beyond_the_limit_while_it_is_read(
        self, outbox: Outbox, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (tmp_path / "log").write_bytes(bytes(2 * MIB))
        read = blobs.System.read

        def read_and_log(descriptor: int, size: int) -> bytes:
            with (tmp_path / "log").open("ab") as log:
                log.write(bytes(size))
            return read(descriptor, size)

        monkeypatch.setattr(blobs, "FILE_LIMIT", 5 * MIB)
        with monkeypatch.context() as patched:
            patched.setattr(blobs.System, "read", read_and_log)
            assert "more than the 5 MiB" in self.problem(writer, tmp_path / "log")
        assert list((outbox.directory / "files").iterdir()) == []

    def test_problems_are_stored_with_the_result(self, outbox: Outbox, writer: Writer, ledger: Ledger):
        stored = writer.store(Attachment("r1", "a.txt", path="/nowhere/at/all"))
        writer.put("P", 1, "a", "{}", [stored])
        (item,) = outbox.pending(ledger, 1)
        assert outbox.attachments(item) == [stored]


class TestRefresh:
    def test_a_file_that_has_grown(self, writer: Writer, tmp_path: Path):
        log = tmp_path / "log"
        log.write_text("begin")
        stored = writer.store(by_path(log))
        assert writer.refresh(stored) is stored
        log.write_text("begin, end")
        again = writer.refresh(stored)
        assert (content_of(stored), content_of(again), again.ref) == (b"begin", b"begin, end", "r1")
        assert writer.refresh(again) is again

    def test_a_file_that_came_later(self, writer: Writer, tmp_path: Path):
        stored = writer.store(by_path(tmp_path / "video"))
        assert writer.refresh(stored) is stored
        (tmp_path / "video").write_bytes(b"film")
        again = writer.refresh(stored)
        assert (again.problem, content_of(again)) == (None, b"film")

    def test_a_file_of_the_same_size_and_time_under_its_name(self, writer: Writer, tmp_path: Path):
        log = tmp_path / "log"
        log.write_text("one")
        stored = writer.store(by_path(log))
        (tmp_path / "next").write_text("two")
        os.utime(tmp_path / "next", ns=(log.stat().st_atime_ns, log.stat().st_mtime_ns))
        (tmp_path / "next").replace(log)
        assert content_of(writer.refresh(stored)) == b"two"

    def test_a_file_that_is_gone_keeps_its_copy(self, writer: Writer, tmp_path: Path):
        log = tmp_path / "log"
        log.write_text("begin")
        stored = writer.store(by_path(log))
        log.unlink()
        assert writer.refresh(stored) is stored
        assert content_of(stored) == b"begin"

    def test_a_file_that_cannot_be_copied_any_more_keeps_its_copy(self, writer: Writer, tmp_path: Path):
        log = tmp_path / "log"
        log.write_text("begin")
        stored = writer.store(by_path(log))
        with log.open("wb") as file:
            file.truncate(33 * MIB)
        assert writer.refresh(stored) is stored
        log.unlink()
        log.mkdir()
        assert writer.refresh(stored) is stored

    def test_bytes_do_not_change(self, writer: Writer):
        stored = writer.store(Attachment("r1", "a", content=b"x"))
        assert writer.refresh(stored) is stored

    def test_a_relative_path_is_that_of_the_moment(
        self, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (tmp_path / "log").write_text("begin")
        monkeypatch.chdir(tmp_path)
        stored = writer.store(Attachment("r1", "log", path="log"))
        later = writer.store(Attachment("r2", "later", path="later"))
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        (tmp_path / "log").write_text("begin, end")
        (tmp_path / "later").write_text("there")
        assert content_of(writer.refresh(stored)) == b"begin, end"
        assert content_of(writer.refresh(later)) == b"there"


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
