"""The sessions' directory, marked as ours and gone with the last of them, and the locks in it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from famacase_pytest.delivery.outbox import directory as session_directory
from famacase_pytest.delivery.outbox.database import (
    OutboxGone,
    OutboxUnavailable,
)
from famacase_pytest.delivery.outbox.directory import sessions
from famacase_pytest.delivery.outbox.store import Outbox

from .conftest import Child


def test_the_first_session_makes_the_base_and_the_last_one_removes_it(base: Path):
    first, second = Outbox.create(base, {}), Outbox.create(base, {})
    assert (base / ".gitignore").read_text() == "*\n"
    assert (base / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert {path.name for path in sessions(base)} == {first.session_id, second.session_id}
    first.remove()
    assert sessions(base) == [second.directory]
    assert (base / ".gitignore").exists()
    second.remove()
    assert not base.parent.exists()
    assert base.parent.parent.exists()


def test_a_session_is_for_its_owner_alone(outbox: Outbox):
    if sys.platform != "win32":
        assert stat.S_IMODE(outbox.directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((outbox.directory / "files").stat().st_mode) == 0o700


def test_what_else_is_in_the_parent_stays(base: Path):
    outbox = Outbox.create(base, {})
    (base.parent / "run.json").write_text("{}")
    outbox.remove()
    assert [path.name for path in base.parent.iterdir()] == ["run.json"]


def test_a_parent_of_another_name_stays(tmp_path: Path):
    Outbox.create(tmp_path / "mine" / "results", {}).remove()
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


@pytest.mark.parametrize("content", [[], ["README"], [".gitignore"]])
def test_a_directory_of_the_users_gets_no_marks_and_is_not_removed(tmp_path: Path, content: list[str]):
    for name in content:
        (tmp_path / name).write_text("mine")
    outbox = Outbox.create(tmp_path, {})
    assert (outbox.directory / ".gitignore").read_text() == "*\n"
    outbox.remove()
    assert [path.name for path in tmp_path.iterdir()] == content
    assert all((tmp_path / name).read_text() == "mine" for name in content)


def test_no_base_no_sessions(base: Path, tmp_path: Path):
    assert sessions(base) == []
    (tmp_path / "file").touch()
    assert sessions(tmp_path / "file") == []


def test_what_is_no_session_is_not_listed(outbox: Outbox, base: Path):
    (base / "empty").mkdir()
    (base / ".half-made").mkdir()
    assert sessions(base) == [outbox.directory]


def test_what_a_killed_removal_has_left_goes_with_the_next(outbox: Outbox, base: Path):
    (base / ".old.gone").mkdir()
    (base / ".old.gone" / "main.db").touch()
    outbox.remove()
    assert not base.exists()


def test_a_session_that_begins_while_the_last_one_ends(base: Path, monkeypatch: pytest.MonkeyPatch):
    first = Outbox.create(base, {})
    begun: list[Outbox] = []
    rmdir = session_directory.System.rmdir

    def late(path: str) -> None:
        if not begun:
            begun.append(Outbox.create(base, {}))
        rmdir(path)

    monkeypatch.setattr(session_directory.System, "rmdir", late)
    first.remove()

    assert sessions(base) == [begun[0].directory]
    assert (base / ".gitignore").exists()
    begun[0].remove()
    assert not base.exists()


def test_sessions_that_begin_and_end_at_once(base: Path):
    problems: list[BaseException] = []

    def live() -> None:
        try:
            for _ in range(15):
                outbox = Outbox.create(base, {"a": 1})
                assert outbox.meta() == {"a": 1}
                outbox.remove()
        except BaseException as error:  # noqa: BLE001 (shown below)
            problems.append(error)

    threads = [threading.Thread(target=live) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sessions(base) == []


def test_a_base_that_is_always_removed_again(base: Path, monkeypatch: pytest.MonkeyPatch):
    def gone(path: str, mode: int = 0o777) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(session_directory.System, "mkdir", gone)
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(base, {})


def test_removing_twice_is_harmless(outbox: Outbox):
    outbox.remove()
    outbox.remove()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everywhere")
def test_a_place_without_permission(base: Path):
    base.mkdir(parents=True)
    base.chmod(0o500)
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(base, {})


def test_a_place_below_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(tmp_path / "file" / "outbox", {})


_HOLD = """
import sys
from pathlib import Path
from famacase_pytest.delivery.outbox.store import Outbox

with Outbox.open(Path(sys.argv[1])) as outbox:
    lock = outbox.delivery_lock()
    print(lock.acquire(float(sys.argv[2])), flush=True)
    sys.stdin.readline()
    if sys.argv[3:] == ["remove"]:
        outbox.remove()
"""


def answer_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


class Interrupted(threading.Event):
    """Set as soon as somebody waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return super().wait(timeout)


class TestTheDeliveryLock:
    def test_one_process_at_a_time(self, outbox: Outbox, child: Child):
        first, second = child(_HOLD, outbox.directory, 0), child(_HOLD, outbox.directory, 0)
        assert sorted([answer_of(first), answer_of(second)]) == ["False", "True"]
        assert not outbox.delivery_lock().acquire()

    def test_a_dead_process_has_it_no_more(self, outbox: Outbox, child: Child):
        process = child(_HOLD, outbox.directory, 0)
        assert answer_of(process) == "True"
        lock = outbox.delivery_lock()
        assert not lock.acquire(0.1)
        process.kill()
        assert lock.acquire(10)
        assert lock.held

    def test_whoever_waits_gets_it(self, outbox: Outbox, child: Child):
        lock = outbox.delivery_lock()
        assert lock.acquire()
        process = child(_HOLD, outbox.directory, 30)
        lock.release()
        assert answer_of(process) == "True"

    def test_waiting_can_be_interrupted(self, outbox: Outbox):
        holder, waiting = outbox.delivery_lock(), outbox.delivery_lock()
        assert holder.acquire()
        assert holder.acquire()
        assert not waiting.acquire(None, Interrupted())
        holder.release()
        holder.release()
        assert waiting.acquire()

    def test_whoever_waits_for_a_session_that_is_removed_learns_it(self, outbox: Outbox, child: Child):
        process = child(_HOLD, outbox.directory, 0, "remove")
        assert answer_of(process) == "True"
        lock = outbox.delivery_lock()
        assert not lock.acquire()
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        with pytest.raises(OutboxGone):
            lock.acquire(10)

    def test_presence_is_another_lock(self, outbox: Outbox):
        presence = outbox.presence_lock()
        assert presence.acquire()
        assert outbox.delivery_lock().acquire()
        assert not outbox.presence_lock().acquire()


def test_a_link_that_leads_to_itself_hides_no_session(base: Path, outbox: Outbox):
    (base / "loop").symlink_to(base / "loop")
    assert sessions(base) == [outbox.directory]


@pytest.mark.skipif(sys.platform == "win32", reason="directories have no modes there")
class TestAPrivateBase:
    """In a shared directory, only what nobody else can have put there is trusted."""

    def test_it_is_made_and_removed_with_its_last_session(self, tmp_path: Path):
        base = tmp_path / "spare"
        assert session_directory.make_private(base)
        assert stat.S_IMODE(base.stat().st_mode) == 0o700
        Outbox.create(base, {}).remove()
        assert not base.exists()

    def test_it_is_found_again(self, tmp_path: Path):
        assert session_directory.make_private(tmp_path / "spare")
        assert session_directory.make_private(tmp_path / "spare")

    @pytest.mark.parametrize("mode", [0o755, 0o777, 0o770])
    def test_it_is_closed_to_others(self, mode: int, tmp_path: Path):
        base = tmp_path / "spare"
        base.mkdir()
        base.chmod(mode)
        assert not session_directory.make_private(base)

    def test_it_is_no_link(self, tmp_path: Path):
        target = tmp_path / "target"
        target.mkdir(0o700)
        (tmp_path / "spare").symlink_to(target)
        assert not session_directory.make_private(tmp_path / "spare")

    def test_it_is_no_file_and_has_to_be_there(self, tmp_path: Path):
        (tmp_path / "file").touch(0o600)
        assert not session_directory.make_private(tmp_path / "file")
        assert not session_directory.is_private(tmp_path / "missing")

    def test_it_is_of_this_user(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        base = tmp_path / "spare"
        assert session_directory.make_private(base)
        # Root alone can give a directory away, so it is the asking user who is another one.
        monkeypatch.setattr(os, "getuid", lambda: base.stat().st_uid + 1)
        assert not session_directory.is_private(base)


def test_what_was_left_half_made_goes_with_a_later_session(base: Path):
    session = Outbox.create(base, {})
    for name in (".half-made", ".just-made"):
        (base / name).mkdir()
    os.utime(base / ".half-made", (0, 0))
    session.remove()
    assert not (base / ".half-made").exists()
    # It may be another session that begins at this moment.
    assert (base / ".just-made").exists()
