"""The outbox of a session: results are stored, handed out, and done."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from famacase_pytest.delivery.models import (
    Attachment,
    Item,
    Run,
    StoredFile,
    Waiting,
)
from famacase_pytest.delivery.outbox.database import (
    OutboxGone,
    OutboxUnavailable,
)
from famacase_pytest.delivery.outbox.ledger import Ledger
from famacase_pytest.delivery.outbox.store import Outbox, finish, finish_all
from famacase_pytest.delivery.outbox.writer import Writer

from .conftest import MANY, content_of, ids


def test_a_result_is_pending_until_it_is_acknowledged(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.put("P", 7, "a", '{"id": "a"}')

    (item,) = outbox.pending(ledger, 10)
    assert item == Item("main-1", 1, "P", 7, "a", '{"id": "a"}')
    assert outbox.pending(ledger, 10) == [item]

    ledger.acknowledge([item])
    assert outbox.pending(ledger, 10) == []


def test_results_in_delivery_are_passed_over(outbox: Outbox, writer: Writer, ledger: Ledger):
    for name in "abcd":
        writer.put("P", 1, name, "{}")
    first = outbox.pending(ledger, 2)

    rest = outbox.pending(ledger, 2, excluding={item.key for item in first})

    assert (ids(first), ids(rest)) == (["a", "b"], ["c", "d"])


def test_one_acknowledged_out_of_order_leaves_the_earlier_ones_pending(
    outbox: Outbox, writer: Writer, ledger: Ledger
):
    for name in "abc":
        writer.put("P", 1, name, "{}")
    ledger.acknowledge(outbox.pending(ledger, 3)[1:2])
    for _ in range(3):
        assert ids(outbox.pending(ledger, 3)) == ["a", "c"]
    ledger.acknowledge(outbox.pending(ledger, 3))
    assert outbox.pending(ledger, 3) == []
    writer.put("P", 1, "d", "{}")
    assert ids(outbox.pending(ledger, 3)) == ["d"]


def test_writers_take_turns(outbox: Outbox, ledger: Ledger):
    for name in ("gw0", "gw1", "gw2"):
        writer = outbox.writer(name, max_bytes=MANY)
        for number in range(20):
            writer.put("P", 1, f"{name}-{number:02}", "{}")

    items = outbox.pending(ledger, 6)

    assert sorted(item.writer for item in items) == ["gw0", "gw0", "gw1", "gw1", "gw2", "gw2"]
    assert {item.result_id[-2:] for item in items} == {"00", "01"}
    assert {outbox.pending(ledger, 1)[0].writer for _ in range(3)} == {"gw0", "gw1", "gw2"}


def test_a_writer_that_comes_later_is_seen(outbox: Outbox, writer: Writer, ledger: Ledger):
    assert outbox.pending(ledger, 1) == []
    outbox.writer("gw0-2", max_bytes=MANY).put("P", 1, "late", "{}")
    assert ids(outbox.pending(ledger, 1)) == ["late"]


def test_a_result_put_again_is_delivered_again(outbox: Outbox, writer: Writer, ledger: Ledger):
    stored = writer.store(Attachment("r1", "a.txt", content=b"1"))
    writer.put("P", 1, "a", '"first"', [stored])
    ledger.acknowledge(outbox.pending(ledger, 1))
    writer.put("P", 1, "a", '"second"')

    (item,) = outbox.pending(ledger, 10)
    assert (item.payload, item.has_files, outbox.attachments(item)) == ('"second"', False, [])
    assert outbox.count_pending(ledger) == {("P", 1): Waiting(1, 0, 0)}


def test_one_id_in_several_projects_and_runs(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.put("P", 1, "a", "{}")
    writer.put("Q", 1, "a", "{}")
    writer.put("P", 2, "a", "{}")
    assert len(outbox.pending(ledger, 10)) == 3


def test_more_results_than_one_look(outbox: Outbox, writer: Writer, ledger: Ledger):
    names = [f"{number:03}" for number in range(450)]
    for name in names:
        writer.put("P", 1, name, "{}")
    seen: list[str] = []
    while items := outbox.pending(ledger, 40):
        seen += ids(items)
        ledger.acknowledge(items)
    assert seen == names


def test_totals_by_run_count_equal_contents_once(outbox: Outbox, writer: Writer, ledger: Ledger):
    for run_id, name in ((1, "a"), (1, "b"), (2, "c")):
        files = [
            writer.store(Attachment("small", "s.txt", content=b"12345")),
            writer.store(Attachment("own", "o.txt", content=name.encode())),
            writer.store(Attachment("lost", "l.txt", path="/nowhere/at/all")),
        ]
        writer.put("P", run_id, name, "{}", files)
    assert outbox.count_pending(ledger) == {("P", 1): Waiting(2, 3, 7), ("P", 2): Waiting(1, 2, 6)}
    ledger.acknowledge([item for item in outbox.pending(ledger, 9) if item.run_id == 2])
    assert outbox.count_pending(ledger) == {("P", 1): Waiting(2, 3, 7)}


def test_a_begun_result_is_unfinished_until_it_is_put(outbox: Outbox, writer: Writer):
    writer.begin("P", 1, "a", '"old"')
    writer.begin("P", 1, "a", '"begun"')
    assert outbox.unfinished() == [Item("main-1", 0, "P", 1, "a", '"begun"')]
    writer.put("P", 1, "a", '"done"')
    assert outbox.unfinished() == []


def test_begun_results_can_be_forgotten(outbox: Outbox, writer: Writer):
    writer.begin("P", 1, "a", "{}")
    writer.drop_unfinished()
    assert outbox.unfinished() == []


def test_an_unfinished_result_is_finished_once(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.begin("P", 1, "a", '"begun"')
    writer.begin("Q", 2, "a", '"begun"')
    writer.close()
    first, second = outbox.unfinished()

    assert outbox.finish_unfinished(first, '"failed"')
    assert not outbox.finish_unfinished(first, '"again"')

    assert [(item.project, item.payload) for item in outbox.pending(ledger, 9)] == [("P", '"failed"')]
    assert outbox.unfinished() == [second]


def test_what_another_writer_has_put_is_not_unfinished(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.begin("P", 1, "a", '"begun"')
    (begun,) = outbox.unfinished()
    outbox.writer("main-1-2", max_bytes=MANY).put("P", 1, "a", '"done"')

    assert outbox.unfinished() == []
    assert not outbox.finish_unfinished(begun, '"failed"')
    assert [item.payload for item in outbox.pending(ledger, 9)] == ['"done"']


def attempt(number: int, **more: object) -> str:
    return json.dumps({"fields": {"attempts": str(number)} if number > 1 else {}, **more})


def test_a_second_attempt_that_does_not_end_takes_the_place_of_the_first(
    outbox: Outbox, writer: Writer, ledger: Ledger
):
    file = writer.store(Attachment("r1", "a.txt", content=b"of the first"))
    writer.put("P", 1, "a", attempt(1), [file])
    ledger.acknowledge(outbox.pending(ledger, 9))
    writer.begin("P", 1, "a", attempt(2, message="It failed.", execution={"status": None}))
    writer.close()

    (begun,) = outbox.unfinished()
    finish(outbox, begun, "invalid", "The process ended.")

    (item,) = outbox.pending(ledger, 9)
    payload = json.loads(item.payload)
    assert payload["execution"]["status"] == "invalid"
    assert payload["message"] == "It failed.\n\nThe process ended."
    assert [content_of(stored) for stored in outbox.attachments(item)] == [b"of the first"]
    assert outbox.unfinished() == []
    assert outbox.count_done(ledger) == 0


def test_a_second_attempt_that_has_ended_is_not_unfinished(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.put("P", 1, "a", attempt(1))
    writer.begin("P", 1, "a", attempt(2))
    outbox.writer("main-1-2", max_bytes=MANY).put("P", 1, "a", attempt(2))
    assert outbox.unfinished() == []


def test_results_are_handed_over_once(outbox: Outbox, writer: Writer, ledger: Ledger):
    assert outbox.handed_over("test_a.py::test") == []
    file = writer.store(Attachment("r1", "a.txt", content=b"of the first"))
    writer.put("P", 1, "a", "{}", [file])
    outbox.hand_over("test_a.py::test", [Item("main-1", 0, "P", 1, "a", '"begun"')])
    outbox.hand_over("test_b.py::test", [Item("main-1", 0, "P", 1, "a", '"begun"')])
    outbox.take_back("test_b.py::test")

    assert outbox.handed_over("test_b.py::test") == []
    (item,) = outbox.handed_over("test_a.py::test")
    assert outbox.handed_over("test_a.py::test") == []
    assert [content_of(stored) for stored in outbox.attachments(item)] == [b"of the first"]
    outbox.remove_result(item)
    assert outbox.pending(ledger, 9) == []


def test_what_was_replaced_is_not_counted_as_done(outbox: Outbox, writer: Writer, ledger: Ledger):
    for number in (1, 2):
        writer.put("P", 1, "a", attempt(number))
        writer.put("P", 1, f"other {number}", "{}")
        ledger.acknowledge(outbox.pending(ledger, 9))
    assert outbox.count_done(ledger) == 3


def test_a_result_by_its_number(outbox: Outbox, writer: Writer):
    writer.put("P", 1, "a", "{}")
    writer.put("P", 1, "a", "[]")
    assert outbox.item("main-1", 1) is None
    assert outbox.item("main-1", 2) == Item("main-1", 2, "P", 1, "a", "[]")


def test_one_unreadable_database_does_not_hold_the_others_back(
    outbox: Outbox, writer: Writer, ledger: Ledger
):
    (outbox.directory / "gw0.db").write_bytes(b"this is no database" * 100)
    writer.put("P", 1, "a", "{}")
    assert ids(outbox.pending(ledger, 9)) == ["a"]
    assert list(outbox.unreadable) == ["gw0"]
    assert outbox.unfinished() == []
    assert ("P", 1) in outbox.count_pending(ledger)


def test_runs(outbox: Outbox):
    first = Run("P", -1, body={"title": "ü"}, key="k", environment_slug="stage")
    outbox.add_run(first)
    outbox.add_run(Run("Q", 5))
    assert outbox.runs() == [first, Run("Q", 5)]

    outbox.request_completion("Q", 5, publish=True)
    outbox.request_completion("Q", 5)
    outbox.request_completion("P", -1)
    assert outbox.runs() == [
        first._replace(requested=True),
        Run("Q", 5, publish=True, requested=True),
    ]


def test_meta(outbox: Outbox):
    outbox.set_meta(ended=True, pid=4)
    with Outbox.open(outbox.directory) as other:
        assert other.meta() == {"created": "today", "ended": True, "pid": 4}


def test_a_closed_outbox_says_so(outbox: Outbox, writer: Writer):
    outbox.close()
    outbox.close()
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        writer.put("P", 1, "a", "{}")


def test_an_outbox_that_is_not_there(base: Path):
    with pytest.raises(OutboxGone, match="no outbox in"):
        Outbox.open(base / "session")


@pytest.mark.parametrize("content", [None, b"", b"x" * 5000, bytes(5000)])
def test_a_lost_ledger_is_made_anew(content: bytes | None, base: Path):
    """What was delivered is sent again, which changes nothing at the back end."""
    with Outbox.create(base, {}) as outbox:
        outbox.writer("main-1", max_bytes=MANY).put("P", 1, "a", "{}")
        directory = outbox.directory
    for path in directory.glob("ledger.db*"):
        path.unlink()
    if content is not None:
        (directory / "ledger.db").write_bytes(content)
    with Outbox.open(directory) as outbox:
        ledger = outbox.ledger()
        (item,) = outbox.pending(ledger, 10)
        ledger.acknowledge([item])
        assert outbox.pending(ledger, 10) == []


# A result that is put while its test goes on


def put_in_progress(writer: Writer, files: Sequence[StoredFile] = ()) -> None:
    payload = json.dumps({"execution": {"status": "in_progress", "start_time": 1.0}, "steps": [1, 2]})
    writer.put("SMOKE", 1, "r1", payload, files)
    writer.begin("SMOKE", 1, "r1", payload)


def test_a_result_in_progress_is_delivered_and_stays_unfinished(
    outbox: Outbox, writer: Writer, ledger: Ledger
):
    put_in_progress(writer)
    put_in_progress(writer)
    items = outbox.pending(ledger, 10)
    assert [(item.seq, item.result_id) for item in items] == [(2, "r1")]
    ledger.acknowledge(items)
    assert [item.result_id for item in outbox.unfinished()] == ["r1"]
    writer.put("SMOKE", 1, "r1", "{}")
    assert outbox.unfinished() == []
    ledger.acknowledge(outbox.pending(ledger, 10))
    assert (len(ledger.done("main-1")), outbox.count_done(ledger)) == (2, 1)


def test_what_a_dead_process_left_in_progress_is_invalid_and_keeps_its_steps_and_files(
    outbox: Outbox, writer: Writer, ledger: Ledger
):
    file = writer.store(Attachment("f1", "log.txt", content=b"log"))
    put_in_progress(writer, [file])
    finish_all(outbox)
    (item,) = outbox.pending(ledger, 10)
    payload = json.loads(item.payload)
    assert (payload["execution"]["status"], payload["steps"]) == ("invalid", [1, 2])
    assert re.fullmatch(r"the process ended after \d+ s of this test", payload["message"])
    assert [stored.file_name for stored in outbox.attachments(item)] == ["log.txt"]
    assert outbox.unfinished() == []


def test_a_result_that_is_amended_is_delivered_again_and_keeps_its_files(
    outbox: Outbox, writer: Writer, ledger: Ledger
):
    writer.put("SMOKE", 1, "r1", "{}", [writer.store(Attachment("f1", "log.txt", content=b"log"))])
    writer.put("SMOKE", 1, "r2", "{}")
    ledger.acknowledge(outbox.pending(ledger, 10))
    first, _ = outbox.results()
    outbox.amend(first, '{"fields": {}}')
    (item,) = outbox.pending(ledger, 10)
    assert (item.result_id, item.payload) == ("r1", '{"fields": {}}')
    assert [stored.file_name for stored in outbox.attachments(item)] == ["log.txt"]
    assert len(outbox.results()) == 2
