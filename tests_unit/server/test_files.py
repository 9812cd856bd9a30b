"""Files are kept once each, and by one process."""

from __future__ import annotations

import hashlib
import io

import pytest

from famacase_pytest.server import CannotServe
from famacase_pytest.server.files import FileRoom, write_whole


@pytest.fixture
def room(tmp_path):
    room = FileRoom(tmp_path)
    yield room
    room.close()


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def test_equal_contents_are_kept_once_and_under_their_hash(room, tmp_path):
    content = b"x" * 300_000  # several pieces
    assert (
        room.keep(io.BytesIO(content))
        == room.keep(io.BytesIO(content))
        == hashlib.sha256(content).hexdigest()
    )
    assert room.keep(io.BytesIO(b"")) != room.keep(io.BytesIO(b"y"))
    kept = room.path(hashlib.sha256(content).hexdigest())
    assert kept.read_bytes() == content
    assert len(files(tmp_path)) == 3


def test_a_file_that_breaks_off_leaves_nothing(room, tmp_path):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError("the disk has failed")
            return super().read(3)

    with pytest.raises(OSError, match="the disk has failed"):
        room.keep(Broken(b"content"))
    assert files(tmp_path) == []


def test_a_directory_has_one_owner_at_a_time(room, tmp_path):
    with pytest.raises(CannotServe, match="in use by another back end"):
        FileRoom(tmp_path)
    room.close()
    room.close()
    FileRoom(tmp_path).close()


def test_what_a_killed_process_was_receiving_is_removed_and_what_it_kept_is_not(tmp_path):
    first = FileRoom(tmp_path)
    kept = first.path(first.keep(io.BytesIO(b"kept")))
    (tmp_path / "arriving" / "half").write_bytes(b"ha")
    first.close()
    FileRoom(tmp_path).close()
    assert files(tmp_path) == [kept]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert files(tmp_path) == [path]
    assert path.read_bytes() == b"second"
    # A folder in its place, a file where its folder should be, and a name that no file system takes.
    (tmp_path / "folder").mkdir()
    for wrong in (tmp_path / "folder", path / "below", tmp_path / ("x" * 300)):
        with pytest.raises(OSError, match=r"rectory|too long"):
            write_whole(wrong, b"third")
    assert files(tmp_path) == [path]
