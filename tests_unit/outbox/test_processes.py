"""Processes that are killed, forked, or want the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from famacase_pytest.delivery.models import Attachment
from famacase_pytest.delivery.outbox.database import OutboxGone, OutboxUnavailable
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY

Child = Callable[..., "subprocess.Popen[str]"]

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

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


_HOLD = """
import sys
from pathlib import Path
from famacase_pytest.delivery.outbox.store import Outbox

with Outbox.open(Path(sys.argv[1])) as outbox:
    right = outbox.delivery_lock()
    print(right.acquire(float(sys.argv[2])), flush=True)
    sys.stdin.readline()
    if sys.argv[3:] == ["remove"]:
        outbox.remove()
"""


def answer_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


class TestTheRightToDeliver:
    def test_one_process_at_a_time(self, outbox: Outbox, child: Child):
        first, second = child(_HOLD, outbox.directory, 0), child(_HOLD, outbox.directory, 0)
        assert sorted([answer_of(first), answer_of(second)]) == ["False", "True"]
        assert not outbox.delivery_lock().acquire()

    def test_a_dead_process_has_it_no_more(self, outbox: Outbox, child: Child):
        process = child(_HOLD, outbox.directory, 0)
        assert answer_of(process) == "True"
        right = outbox.delivery_lock()
        assert not right.acquire(0.1)
        process.kill()
        assert right.acquire(10)
        assert right.held

    def test_whoever_waits_gets_it(self, outbox: Outbox, child: Child):
        right = outbox.delivery_lock()
        assert right.acquire()
        process = child(_HOLD, outbox.directory, 30)
        right.release()
        assert answer_of(process) == "True"

    def test_waiting_can_be_interrupted(self, outbox: Outbox):
        holder, waiting = outbox.delivery_lock(), outbox.delivery_lock()
        assert holder.acquire()
        assert holder.acquire()
        interrupted = threading.Event()
        threading.Timer(0.05, interrupted.set).start()
        assert not waiting.acquire(None, interrupted)
        holder.release()
        holder.release()
        assert waiting.acquire()

    def test_whoever_waits_for_a_session_that_is_removed_learns_it(self, outbox: Outbox, child: Child):
        process = child(_HOLD, outbox.directory, 0, "remove")
        assert answer_of(process) == "True"
        right = outbox.delivery_lock()
        assert not right.acquire()
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        with pytest.raises(OutboxGone):
            right.acquire(10)

    def test_presence_is_another_right(self, outbox: Outbox):
        presence = outbox.presence_lock()
        assert presence.acquire()
        assert outbox.delivery_lock().acquire()
        assert not outbox.presence_lock().acquire()


@forking
class TestFork:
    @staticmethod
    def in_child(act: Callable[[], None]) -> None:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                act()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def test_a_child_writes_into_a_database_of_its_own(self, outbox: Outbox, writer: Writer, ledger: Ledger):
        writer.put("P", 1, "parent", "{}")
        small = writer.store(Attachment("r1", "n", content=b"from the parent"))

        def act() -> None:
            again = writer.store(Attachment("r2", "n", content=b"from the parent"))
            writer.put("P", 1, "child", "{}", [again])
            assert writer.name == f"main-1-{os.getpid()}"

        writer.begin("P", 1, "child", "{}")
        self.in_child(act)
        self.in_child(act)
        writer.put("P", 1, "later", "{}", [small])

        items = outbox.pending(ledger, 9)
        assert sorted(item.result_id for item in items) == ["child", "child", "later", "parent"]
        assert len(outbox.writers()) == 3
        assert outbox.unfinished() == []
        for item in items:
            for file in outbox.attachments(item):
                with file.open() as content:
                    assert content.read() == b"from the parent"

    def test_a_grandchild(self, outbox: Outbox, writer: Writer, ledger: Ledger):
        self.in_child(lambda: self.in_child(lambda: writer.put("P", 1, "a", "{}")))
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

        self.in_child(act)
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


def test_contents_are_read_while_databases_come_and_go(outbox: Outbox, ledger: Ledger):
    files = []
    for number in range(40):
        writer = outbox.writer(f"gw{number}", max_bytes=MANY)
        stored = writer.store(Attachment("r", "n", content=b"%d" % number))
        writer.put("P", 1, str(number), "{}", [stored])
        writer.close()
    for item in outbox.pending(ledger, 100):
        files += outbox.attachments(item)
    problems: list[BaseException] = []

    def read() -> None:
        try:
            for file in files:
                with file.open() as content:
                    assert content.read()
        except BaseException as error:  # noqa: BLE001 (shown below)
            problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        outbox.pending(ledger, 100)
    for thread in threads:
        thread.join()
    assert problems == []
