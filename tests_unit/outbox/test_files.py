"""Files: copied when they are attached, again when they have changed, equal contents once."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from famacase_pytest.delivery.api.multipart import ExactReader
from famacase_pytest.delivery.models import MIB, Attachment, StoredFile
from famacase_pytest.delivery.outbox import blobs
from famacase_pytest.delivery.outbox import writer as writer_module
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY

SMALL, LARGE = blobs.SMALL, blobs.SMALL + 1


def content_of(stored: StoredFile) -> bytes:
    with stored.open() as file:
        return file.read()


def by_path(path: Path, ref: str = "r1") -> Attachment:
    return Attachment(ref, path.name, path=str(path))


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
    count = "SELECT COUNT(*) FROM content"
    assert [writer._database.rows(count) for writer in writers] == [[(int(size <= SMALL),)]] * 2


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
        # Its size was looked at, and then it grew.
        monkeypatch.setattr(blobs, "_check", lambda state: None)
        monkeypatch.setattr(blobs, "FILE_LIMIT", MIB)
        assert "more than the 1 MiB" in self.problem(writer, tmp_path / "log")
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
        monkeypatch.setattr(writer_module, "_SCAN_BYTES", 100_000)
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
