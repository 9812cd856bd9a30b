"""A writer: what it has stored comes back, whatever its process does or suffers."""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import io
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest

from famacase_pytest.delivery.api.multipart import ExactReader
from famacase_pytest.delivery.models import (
    MIB,
    Attachment,
)
from famacase_pytest.delivery.outbox import blobs
from famacase_pytest.delivery.outbox import writer as writer_module
from famacase_pytest.delivery.outbox.database import (
    OutboxUnavailable,
)
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY, Child, by_path, content_of, forking, ids, in_child

SMALL, LARGE = blobs.SMALL, blobs.SMALL + 1


@pytest.mark.parametrize("size", [0, 1, SMALL, LARGE, 3 * MIB + 5])
@pytest.mark.parametrize("kind", ["bytes", "path"])
def test_a_content_comes_back_as_it_was(
    outbox: Outbox, writer: Writer, ledger: Ledger, tmp_path: Path, size: int, kind: str
):
    content = os.urandom(size)
    source = Attachment("r1", "dir/shot.png", content=content)
    if kind == "path":
        (tmp_path / "shot.png").write_bytes(content)
        source = by_path(tmp_path / "shot.png")

    stored = writer.store(source)
    (tmp_path / "shot.png").unlink(missing_ok=True)
    writer.put("P", 1, "a", "{}", [stored])

    (item,) = outbox.pending(ledger, 1)
    assert item.has_files
    assert outbox.attachments(item) == [stored]
    assert (stored.size, stored.file_name, stored.mime_type) == (size, "shot.png", "image/png")
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    for copy in (stored, *outbox.attachments(item)):
        assert content_of(copy) == content
        assert copy.fingerprint == stored.fingerprint
        reader = ExactReader(copy.part)
        assert reader.read() == content
        reader.close()


def test_several_files_of_a_result_in_their_order(outbox: Outbox, writer: Writer, ledger: Ledger):
    files = [writer.store(Attachment(f"r{n}", f"{n}.txt", content=b"same")) for n in (3, 1, 2)]
    writer.put("P", 1, "a", "{}", files)
    writer.put("Q", 1, "a", "{}", files[:1])
    first, second = outbox.pending(ledger, 2)
    assert [file.ref for file in outbox.attachments(first)] == ["r3", "r1", "r2"]
    assert [file.ref for file in outbox.attachments(second)] == ["r3"]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_equal_contents_are_stored_once(outbox: Outbox, tmp_path: Path, size: int):
    content = os.urandom(size)
    (tmp_path / "one").write_bytes(content)
    writers = [outbox.writer(name, max_bytes=MANY) for name in ("gw0", "gw1")]
    for number in range(5):
        for writer in writers:
            writer.store(Attachment(f"r{number}", "two", content=content))
            writer.store(by_path(tmp_path / "one"))
    assert len(list((outbox.directory / "files").iterdir())) == (1 if size > SMALL else 0)
    for name in ("gw0", "gw1"):
        with contextlib.closing(sqlite3.connect(outbox.directory / f"{name}.db")) as connection:
            assert connection.execute("SELECT COUNT(*) FROM content").fetchall() == [(int(size <= SMALL),)]


class TestTheLimit:
    FULL = "the outbox is full (FAMACASE_OUTBOX_MAX_MB)"

    @pytest.mark.parametrize("kind", ["bytes", "path"])
    @pytest.mark.parametrize("size", [SMALL, 100_000])
    def test_files_beyond_it_are_dropped_and_results_are_not(
        self, outbox: Outbox, ledger: Ledger, tmp_path: Path, size: int, kind: str
    ):
        writer = outbox.writer("gw0", max_bytes=500_000)
        problems = []
        for number in range(20):
            content = os.urandom(size)
            source = Attachment("r1", "a", content=content)
            if kind == "path":
                (tmp_path / "file").write_bytes(content)
                source = by_path(tmp_path / "file")
            stored = writer.store(source)
            problems.append(stored.problem)
            writer.put("P", 1, str(number), "{}", [stored])
        assert set(problems) == {None, self.FULL}
        assert problems == sorted(problems, key=bool)
        assert len(outbox.pending(ledger, 100)) == 20
        assert not list((outbox.directory / "files").glob("*.part"))

    def test_what_other_writers_have_stored_counts(self, outbox: Outbox, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(writer_module, "SCAN_BYTES", 100_000)
        one, two = (outbox.writer(name, max_bytes=2_000_000) for name in ("gw0", "gw1"))
        assert one.store(Attachment("r", "n", content=bytes(1_500_000))).problem is None
        results = [two.store(Attachment("r", "n", content=os.urandom(150_000))).problem for _ in range(8)]
        assert results[0] is None
        assert results[-1] == self.FULL

    def test_a_content_that_is_there_fits_always(self, outbox: Outbox):
        writer = outbox.writer("gw0", max_bytes=500_000)
        content = os.urandom(300_000)
        for _ in range(5):
            assert writer.store(Attachment("r", "n", content=content)).problem is None


def test_reserved_and_odd_names_of_writers(outbox: Outbox):
    with pytest.raises(ValueError, match="ledger"):
        outbox.writer("ledger", max_bytes=MANY)
    assert outbox.writer("../gw 0", max_bytes=MANY).name == ".._gw_0"


def test_a_name_that_comes_back_goes_on(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.put("P", 1, "a", "{}")
    writer.close()
    outbox.writer("main-1", max_bytes=MANY).put("P", 1, "b", "{}")
    assert ids(outbox.pending(ledger, 9)) == ["a", "b"]


_LIMITED = """
import resource, sys
from pathlib import Path
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.database import OutboxUnavailable
from famacase_pytest.delivery.models import Attachment

with Outbox.create(Path(sys.argv[1]), {}) as outbox:
    writer = outbox.writer("gw0", max_bytes=1 << 40)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    stored = 0
    try:
        while True:
            writer.put("P", 1, str(stored), "x" * 5000)
            stored += 1
    except OutboxUnavailable:
        pass
    assert writer.store(Attachment("r", "n", content=bytes(300_000))).problem
    assert list((outbox.directory / "files").iterdir()) == []
    assert len(outbox.pending(outbox.ledger(), 1000)) == stored > 0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_file_that_may_not_grow(base: Path):
    subprocess.run([sys.executable, "-W", "error", "-c", _LIMITED, str(base)], check=True)


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
    (item,) = outbox.pending(ledger, 9)
    stored = [content_of(file) for file in outbox.attachments(item)]
    assert (item.result_id, stored) == ("a", [b"l" * 100_000, b"b" * 10])


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


_WRITE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.models import Attachment

writer = Outbox.open(Path(sys.argv[1])).writer("gw0", max_bytes=1 << 40)
for number in itertools.count():
    name = f"{number:05}"
    writer.begin("P", 1, name, "x" * 1000)
    content = name.encode() * (10_000 if number % 10 == 0 else 10)
    writer.put("P", 1, name, "x" * 1000, [writer.store(Attachment("r", "n", content=content))])
    print(name, flush=True)
"""


@pytest.mark.parametrize("lines", [0, 1, *(random.Random(7).randrange(2, 700) for _ in range(6))])
def test_sigkill_loses_nothing_that_was_put(outbox: Outbox, ledger: Ledger, child: Child, lines: int):
    process = child(_WRITE_FOR_EVER, outbox.directory)
    assert process.stdout is not None
    printed = [process.stdout.readline().strip() for _ in range(lines)]
    # The relay reads along.
    outbox.pending(ledger, 50)
    process.kill()
    printed += process.stdout.read().split()

    items = outbox.pending(ledger, 100_000)
    stored = [item.result_id for item in items]
    assert stored[: len(printed)] == printed
    assert len(stored) <= len(printed) + 1
    assert len(outbox.unfinished()) <= 1
    for item in items:
        (file,) = outbox.attachments(item)
        with file.open() as content:
            assert content.read().startswith(item.result_id.encode())


@forking
class TestFork:
    def test_a_child_writes_into_a_database_of_its_own(self, outbox: Outbox, writer: Writer, ledger: Ledger):
        writer.put("P", 1, "parent", "{}")
        small = writer.store(Attachment("r1", "n", content=b"from the parent"))

        def act() -> None:
            again = writer.store(Attachment("r2", "n", content=b"from the parent"))
            writer.put("P", 1, "child", "{}", [again])
            assert writer.name == f"main-1-{os.getpid()}"

        writer.begin("P", 1, "child", "{}")
        in_child(act)
        in_child(act)
        writer.put("P", 1, "later", "{}", [small])

        items = outbox.pending(ledger, 9)
        assert sorted(item.result_id for item in items) == ["child", "child", "later", "parent"]
        assert len({item.writer for item in items}) == 3
        assert outbox.unfinished() == []
        for item in items:
            for file in outbox.attachments(item):
                with file.open() as content:
                    assert content.read() == b"from the parent"

    def test_a_grandchild(self, outbox: Outbox, writer: Writer, ledger: Ledger):
        in_child(lambda: in_child(lambda: writer.put("P", 1, "a", "{}")))
        assert len(outbox.pending(ledger, 9)) == 1

    def test_a_child_that_ends_like_any_process_leaves_the_parents_files_alone(self, base: Path):
        # The interpreter's end closes what is open, which os._exit would not show.
        script = """
import os, sys
from pathlib import Path
from famacase_pytest.delivery.outbox.store import Outbox
outbox = Outbox.create(Path(sys.argv[1]), {})
writer, ledger = outbox.writer("main", max_bytes=1 << 40), outbox.ledger()
writer.put("P", 1, "a", "{}")
assert len(outbox.pending(ledger, 9)) == 1
pid = os.fork()
if pid == 0:
    writer.put("P", 1, "b", "{}")
    outbox.close()
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert (outbox.directory / "main.db-wal").stat().st_size
writer.put("P", 1, "c", "{}")
assert len(outbox.pending(ledger, 9)) == 3
outbox.close()
"""
        subprocess.run([sys.executable, "-W", "error", "-c", script, str(base)], check=True)

    def test_what_the_parent_has_opened_is_refused_to_a_child(self, outbox: Outbox, ledger: Ledger):
        def act() -> None:
            for call in (outbox.meta, ledger.state, lambda: outbox.set_meta(a=1)):
                with pytest.raises(OutboxUnavailable, match="forked"):
                    call()

        in_child(act)
        assert outbox.meta() == {"created": "today"}


def test_several_threads_put_at_once(outbox: Outbox, writer: Writer, ledger: Ledger):
    def put(thread: int) -> None:
        for number in range(50):
            stored = writer.store(Attachment("r", "n", content=b"%d" % number * 20_000))
            writer.put("P", 1, f"{thread}-{number}", "{}", [stored])

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outbox.pending(ledger, 1000)) == 200
    assert not list((outbox.directory / "files").glob("*.part"))


_CLOSING = """
import os
import sys
from pathlib import Path
from famacase_pytest.delivery.models import Attachment
from famacase_pytest.delivery.outbox.store import Outbox

outbox = Outbox.open(Path(sys.argv[1]))
presence = outbox.presence_lock()
assert presence.acquire()
writer = outbox.writer("main-1", max_bytes=1 << 40)
outbox.rest()
writer.put("P", 1, "a", "{}")
writer.begin("P", 1, "b", "{}")
stored = writer.store(Attachment("r1", "a.txt", content=b"early"))
os.closerange(3, 400)
os.open(os.devnull, os.O_RDONLY)
writer.put("P", 1, "b", "{}", [stored])
os.closerange(3, 400)
writer.put("P", 1, "c", "{}", [stored])
outbox.renew_presence()
assert presence.held
writer.close()
others = [os.open(os.devnull, os.O_RDONLY) for _ in range(9)]
outbox.close()
assert writer.stored == {"main-1": 1, **dict.fromkeys(list(writer.stored)[1:], 1)}, writer.stored
for other in others:
    os.fstat(other)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SQLite has no descriptors there")
def test_descriptors_that_a_test_has_closed(outbox: Outbox, ledger: Ledger, child: Child):
    """The process goes on in another database; both are read by whoever delivers, content by content."""
    process = child(_CLOSING, outbox.directory)
    assert process.wait(60) == 0
    items = outbox.pending(ledger, 10)
    assert sorted(ids(items)) == ["a", "b", "c"]
    assert len({item.writer for item in items}) == 3
    contents = [content_of(file) for item in items for file in outbox.attachments(item)]
    assert sorted(contents) == [b"early", b"early"]
    # What was begun in one and put in another is finished.
    assert outbox.unfinished() == []
    assert sum(outbox.count_stored().values()) == 3
