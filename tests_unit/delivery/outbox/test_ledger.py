"""The ledger: what the deliverer notes, and what others read of it."""

from __future__ import annotations

import contextlib
import sqlite3

from famacase_pytest.delivery.models import (
    Fingerprint,
    Rejection,
)
from famacase_pytest.delivery.outbox.ledger import Ledger, Upload
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.outbox.writer import Writer

ONE = Fingerprint("1" * 64, 10, "a.txt", "text/plain")


TWO = Fingerprint("2" * 64, 20, "b.txt", "text/plain")


def test_a_rejected_result_is_kept_with_its_reason(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.put("P", 1, "a", "{}")
    writer.put("P", 1, "b", "{}")
    ledger.reject(outbox.pending(ledger, 1)[0], "422 title: too long \ud800")

    assert [item.result_id for item in outbox.pending(ledger, 9)] == ["b"]
    (rejection,) = ledger.rejected()
    assert rejection == Rejection("main-1", 1, "P", 1, "a", "422 title: too long ?")


def test_rejected_results_can_be_tried_again(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.put("P", 1, "a", "{}")
    ledger.reject(outbox.pending(ledger, 1)[0], "no")
    assert outbox.pending(ledger, 1) == []

    ledger.retry_rejected()

    items = outbox.pending(ledger, 1)
    assert [item.result_id for item in items] == ["a"]
    ledger.acknowledge(items)
    assert (ledger.rejected(), outbox.pending(ledger, 1)) == ([], [])


def test_a_later_result_of_the_same_key_makes_up_for_a_rejected_one(
    outbox: Outbox, writer: Writer, ledger: Ledger
):
    writer.put("P", 1, "a", "{}")
    ledger.reject(outbox.pending(ledger, 1)[0], "no")
    writer.put("P", 1, "a", "[]")
    ledger.acknowledge(outbox.pending(ledger, 1))
    assert ledger.rejected() == []


def test_acknowledging_twice_is_harmless(outbox: Outbox, writer: Writer, ledger: Ledger):
    writer.put("P", 1, "a", "{}")
    items = outbox.pending(ledger, 1)
    ledger.acknowledge(items)
    ledger.acknowledge(items)
    assert outbox.count_done(ledger) == 1


def test_another_deliverer_goes_on_where_the_first_one_stopped(
    outbox: Outbox, writer: Writer, ledger: Ledger
):
    for name in "abc":
        writer.put("P", 1, name, "{}")
    other = outbox.ledger()
    assert len(outbox.pending(other, 9)) == 3
    ledger.acknowledge(outbox.pending(ledger, 2))
    assert [item.result_id for item in outbox.pending(other, 9)] == ["c"]


def test_uploads(ledger: Ledger, outbox: Outbox):
    assert ledger.upload("P", ONE) is None
    ledger.record_uploads("P", [(ONE, "id-1")])
    ledger.record_problem("P", ONE, "late")
    ledger.record_problem("P", TWO, "refused")
    with outbox.ledger() as again:
        assert again.upload("P", ONE) == Upload("id-1", None)
        assert again.upload("P", TWO) == Upload(None, "refused")
        assert again.upload("Q", ONE) is None


def test_a_ledger_of_an_earlier_build_with_a_table_more_is_read(ledger: Ledger, outbox: Outbox):
    ledger.record_uploads("P", [(ONE, "id-1")])
    with contextlib.closing(sqlite3.connect(outbox.directory / "ledger.db")) as connection:
        connection.execute("CREATE TABLE planned (number INTEGER PRIMARY KEY, key TEXT NOT NULL)")
    with outbox.ledger() as again:
        assert again.upload("P", ONE) == Upload("id-1", None)


def test_runs(ledger: Ledger):
    assert (ledger.real_run("P", 5), ledger.real_run("P", -1)) == (5, None)
    ledger.record_run("P", -1, 40)
    assert ledger.real_run("P", -1) == 40
    ledger.record_completion("P", -1, "https://public")
    ledger.record_run("P", -1, 40)
    assert (ledger.is_completed("P", -1), ledger.public_url("P", -1)) == (True, "https://public")
    ledger.record_run("P", -1, 41)
    assert (ledger.is_completed("P", -1), ledger.public_url("P", -1)) == (False, None)
    ledger.record_completion("P", 5)
    assert (ledger.is_completed("P", 5), ledger.real_run("P", 5)) == (True, 5)


def test_state_is_read_while_the_deliverer_writes(ledger: Ledger, outbox: Outbox):
    reader = outbox.ledger()
    assert reader.state() == {}
    ledger.set_state(delivered=3, away=None)
    with contextlib.closing(sqlite3.connect(outbox.directory / "ledger.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM state")
        assert reader.state() == {"delivered": 3, "away": None}
