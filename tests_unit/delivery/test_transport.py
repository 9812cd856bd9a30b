"""What a process does with its results: into the outbox, or held in memory."""

from __future__ import annotations

from base64 import b64decode

import pytest

from famacase_pytest.delivery.models import Attachment, CapturedResult
from famacase_pytest.delivery.outbox.database import OutboxUnavailable
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer
from famacase_pytest.delivery.transport import Transport


@pytest.fixture
def told():
    return []


@pytest.fixture
def without_outbox(told):
    return Transport(None, told.append)


def result(*files, copies=None):
    return CapturedResult({"id": "a", "title": "t"}, files, copies or {})


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def files_of(transport):
    """Content and problem by name, of the one result that is held."""
    (packed,) = transport.unstored()
    return {
        file["file_name"]: (file["content"] and b64decode(file["content"]), file["problem"])
        for file in packed["files"]
    }


def test_a_result_that_cannot_be_stored_is_held_with_the_contents_of_its_files(without_outbox, tmp_path):
    (tmp_path / "log.txt").write_bytes(b"log")
    files = [
        Attachment("r1", "dir/bytes.txt", content=b"bytes"),
        Attachment("r2", "log.txt", path=str(tmp_path / "log.txt")),
        Attachment("r3", "missing.txt", path=str(tmp_path / "missing")),
        Attachment("r4", "folder", path=str(tmp_path)),
    ]
    without_outbox.put("P", -1, [result(*files)])
    assert files_of(without_outbox) == {
        "bytes.txt": (b"bytes", None),
        "log.txt": (b"log", None),
        "missing.txt": (None, "the file does not exist"),
        "folder": (None, "it is a directory"),
    }
    assert without_outbox.unstored() == []


def test_a_file_that_is_too_large_is_left_out(without_outbox, tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(33 * 2**20)
    large = Attachment("r1", "large", path=str(tmp_path / "large"))
    without_outbox.put("P", -1, [result(large)])
    assert files_of(without_outbox) == {
        "large": (None, "33.0 MiB, more than the 32 MiB that one file may have")
    }


def test_a_copy_is_sent_in_the_place_of_a_file_that_is_gone(told, tmp_path):
    with Outbox.create(tmp_path / "outbox", {}) as outbox:
        transport = Transport(outbox.writer("main-1", max_bytes=1 << 40), told.append)
        (tmp_path / "log.txt").write_bytes(b"x" * 100_000)
        source = Attachment("r1", "log.txt", path=str(tmp_path / "log.txt"))
        copied = transport.copy(source)
        (tmp_path / "log.txt").unlink()
        outbox.close()  # from here on nothing can be stored
        transport.put("P", 1, [result(source, copies={"r1": copied})])
        assert files_of(transport) == {"log.txt": (b"x" * 100_000, None)}
    assert "Results are held in memory" in told[0]


def test_what_could_not_be_stored_is_tried_again(told, tmp_path, monkeypatch):
    with Outbox.create(tmp_path / "outbox", {}) as outbox:
        transport = Transport(outbox.writer("main-1", max_bytes=1 << 40), told.append)
        with monkeypatch.context() as full:
            full.setattr(Writer, "put", raising(OutboxUnavailable("The disk is full.")))
            transport.put("P", 1, [result()])
        assert transport.unstored() == []
        assert [item.result_id for item in outbox.pending(outbox.ledger(), 9)] == ["a"]
    assert told == ["The disk is full. Results are held in memory and sent after the last test."]
