"""When the loop sends, when it takes the back end for away, and when it gives up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from famacase_pytest.delivery.outbox.database import OutboxUnavailable
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.relay import deliver
from famacase_pytest.delivery.relay.loop import FIRST_PAUSE, LAST_TRY, MAX_PAUSE, POLL
from famacase_pytest.delivery.system import SystemClock

from .scripted_api import Death, Lost, error_of

FOR_EVER = 10_000.0


def always(*names, status=503, **more):
    """A rule: these calls fail."""
    return lambda call: error_of(status, **more) if call.name in names else None


@contextmanager
def unreadable(outbox: Outbox) -> Iterator[None]:
    """The outbox is not where it was."""
    aside = outbox.directory.with_name("aside")
    outbox.directory.rename(aside)
    yield
    aside.rename(outbox.directory)


# While tests run


def test_a_result_waits_for_others_as_long_as_the_flush_interval(relay):
    relay.put("a")
    assert relay.loop.step() == POLL
    relay.clock.now += 0.95
    relay.put("b")
    assert 0 < relay.loop.step() < POLL
    assert relay.api.calls == []
    relay.clock.now += 0.05
    relay.catch_up()
    assert [call.content for call in relay.api.calls] == [["a", "b"]]


def test_each_flush_has_an_interval_of_its_own(relay):
    relay.put("a")
    relay.pass_time(1.2)
    relay.put("b")
    relay.pass_time(0.9)
    assert [call.content for call in relay.api.calls] == [["a"]]
    relay.pass_time(0.2)
    assert [call.content for call in relay.api.calls] == [["a"], ["b"]]


def test_without_an_interval_nothing_waits(make_relay):
    relay = make_relay(flush_interval=0.0)
    relay.put("a")
    relay.catch_up()
    assert relay.left() == []


def test_a_full_batch_is_sent_at_once(relay):
    for number in range(12):
        relay.put(str(number))
    relay.catch_up()
    assert [len(call.content) for call in relay.api.calls] == [10, 2]


def test_so_is_one_that_is_full_by_its_bytes(relay, monkeypatch):
    monkeypatch.setattr(deliver, "MAX_POST_BYTES", 300)
    relay.put("a", message="x" * 200)
    relay.catch_up()
    assert relay.api.calls == []
    relay.put("b", message="x" * 200)
    relay.catch_up()
    assert [call.content for call in relay.api.calls] == [["a"], ["b"]]


def test_what_an_earlier_relay_was_delivering_waits_for_no_others(relay):
    relay.put("a", files=["a.txt"])
    relay.api.script["upload"].append(Death())
    with pytest.raises(Death):
        relay.pass_time(2)
    successor = relay.again(flush_interval=FOR_EVER)
    successor.catch_up()
    assert successor.left() == []
    # What comes then waits as usual.
    successor.put("b")
    successor.catch_up()
    assert successor.left() == ["b"]


def test_an_outbox_in_which_nothing_waits_is_looked_at_again_and_again(relay):
    assert relay.loop.step() == POLL
    assert relay.api.calls == []


# A back end that is away


def test_the_pauses_between_tries_grow_up_to_the_longest(relay):
    tries = []
    relay.api.rule = lambda call: tries.append(relay.clock.now) or error_of(503)
    relay.put("a")
    relay.pass_time(200)
    pauses = [after - before for before, after in zip(tries, tries[1:])]
    assert pauses == [FIRST_PAUSE, 1, 2, 4, 8, 16, MAX_PAUSE, MAX_PAUSE, MAX_PAUSE, MAX_PAUSE, MAX_PAUSE]


@pytest.mark.parametrize(("asked", "pause"), [(0.1, FIRST_PAUSE), (100.0, 100.0), (None, FIRST_PAUSE)])
def test_the_server_can_ask_for_a_longer_pause(relay, asked, pause):
    relay.api.script["post_results"].append(error_of(503, retry_after=asked))
    relay.put("a")
    relay.pass_time(1)
    relay.catch_up()
    assert relay.loop.step() == pause
    relay.clock.now += pause
    relay.catch_up()
    assert relay.left() == []


def test_after_a_success_the_pauses_begin_anew(relay):
    relay.api.script["post_results"] += [error_of(503)] * 4
    relay.put("a")
    relay.pass_time(20)
    assert relay.left() == []
    relay.api.script["post_results"].append(error_of(503))
    relay.put("b")
    relay.pass_time(1)
    relay.catch_up()
    assert relay.loop.step() == FIRST_PAUSE


def test_other_processes_can_read_why_it_is_away_until_it_is_back(relay):
    relay.api.script["post_results"] += [error_of(503), error_of(None)]
    relay.put("a")
    relay.pass_time(1)
    relay.catch_up()
    assert (relay.loop.away, relay.ledger.state()["away"]) == ("away with 503", "away with 503")
    relay.pass_time(20)
    assert (relay.loop.away, relay.ledger.state()["away"]) == (None, None)


def test_calls_that_fail_since_they_are_cancelled_say_nothing_of_the_back_end(relay):
    def stopped(call):
        relay.loop.stop()
        return error_of(None)

    relay.api.rule = stopped
    relay.put("a")
    relay.pass_time(1)
    relay.loop.step()
    assert relay.cancelled.is_set()
    assert (relay.loop.away, relay.ledger.state().get("away")) == (None, None)
    assert relay.left() == ["a"]


# The end of a session


def test_a_drain_waits_for_no_interval_and_completes_runs(make_relay):
    relay = make_relay(flush_interval=FOR_EVER)
    for number in range(25):
        relay.put(str(number))
    relay.want_completed()
    assert relay.drain()
    assert len(relay.api.results["P", 1]) == 25
    assert relay.api.completed == [("P", 1)]


def test_a_drain_with_nothing_to_do_is_done(relay):
    assert relay.drain()
    assert relay.drain()
    assert relay.api.calls == []


def test_a_drain_that_is_asked_for_during_another_one_sees_what_came_between(relay):
    def meanwhile(call):
        if call.name == "complete_run":
            relay.put("late")
            assert not relay.loop.drain(0.02, threading.Event())

    relay.api.rule = meanwhile
    relay.put("early")
    relay.want_completed()
    assert relay.drain()
    assert relay.left() == []


def test_a_drain_tells_each_time_that_it_waits(relay):
    looks = []
    relay.api.script["post_results"].append(error_of(429))
    relay.put("a")
    assert relay.drain(on_wait=lambda: looks.append(relay.left()))
    assert looks[0] == looks[-1] == ["a"]
    assert len(looks) > 2


def test_a_drain_ends_at_its_deadline(relay):
    relay.api.rule = always("post_results", status=429, retry_after=100.0)
    relay.put("a")
    began = relay.clock.now
    assert not relay.drain(7.0)
    assert relay.clock.now - began == pytest.approx(7.0, abs=0.02)
    assert relay.left() == ["a"]


def test_a_drain_can_be_stopped(relay):
    stop = threading.Event()
    relay.api.rule = lambda call: stop.set() or error_of(429, retry_after=100.0)
    relay.put("a")
    assert not relay.drain(FOR_EVER, stop)
    assert relay.left() == ["a"]


def test_a_back_end_that_is_still_away_gets_one_short_last_try(relay):
    relay.api.rule = always("post_results", "get_project")
    relay.put("a")
    relay.pass_time(30)
    began = relay.clock.now
    assert not relay.drain(FOR_EVER)
    assert relay.clock.now - began < 1
    assert relay.api.limits == [{"timeout": LAST_TRY, "attempts": 1, "total": LAST_TRY}]
    assert relay.api.calls[-1].name == "get_project"
    assert (relay.left(), relay.loop.away) == (["a"], "away with 503")


def test_the_last_try_takes_no_longer_than_what_is_left_to_the_deadline(relay):
    relay.api.rule = always("post_results", "get_project")
    relay.put("a")
    relay.pass_time(30)
    assert not relay.drain(2.0)
    (limits,) = relay.api.limits
    assert limits["total"] == pytest.approx(2.0, abs=0.02)


def test_one_that_is_back_is_not_kept_waiting_for_the_rest_of_a_pause(relay):
    relay.api.rule = always("post_results")
    relay.put("a")
    relay.pass_time(100)
    assert relay.loop.step() > 5
    relay.api.rule = lambda call: None
    began = relay.clock.now
    assert relay.drain()
    assert relay.clock.now - began < 1


def test_one_that_answers_and_takes_nothing_is_tried_with_growing_pauses(relay):
    tries = []
    relay.api.rule = lambda call: (
        tries.append(relay.clock.now) or error_of(502) if call.name == "post_results" else None
    )
    relay.put("a")
    assert not relay.drain(60.0)
    pauses = [after - before for before, after in zip(tries, tries[1:])]
    # The second try comes at once: the back end may just have come back.
    assert pauses[0] < 0.1
    assert pauses[1:] == pytest.approx([1, 2, 4, 8, 16], abs=0.02)


def test_after_so_many_rounds_nothing_more_is_expected_of_it(relay):
    relay.api.rule = always("post_results", status=502)
    relay.put("a")
    assert not relay.drain(FOR_EVER, rounds=3)
    assert relay.api.count()["post_results"] == 3


def test_rounds_that_failed_before_a_success_do_not_count(relay):
    relay.api.script["post_results"] += [error_of(502), error_of(502), None, error_of(502), error_of(502)]
    for number in range(25):
        relay.put(str(number))
    assert relay.drain(rounds=3)


@pytest.mark.parametrize("status", [429, 401, 422])
def test_whoever_answers_the_last_try_is_there(relay, status):
    relay.api.script["post_results"].append(error_of(503))
    relay.api.rule = always("get_project", status=status)
    relay.put("a")
    assert relay.drain()
    assert "get_project" in relay.api.count()


def test_who_asks_for_patience_is_there_and_is_waited_for(relay):
    relay.api.script["post_results"].append(error_of(429, retry_after=20.0))
    relay.put("a")
    began = relay.clock.now
    assert relay.drain()
    assert relay.clock.now - began == pytest.approx(20.0, abs=0.1)
    assert "get_project" not in relay.api.count()
    assert relay.ledger.state()["away"] is None


def test_a_call_without_a_sign_of_life_is_as_good_as_none(relay):
    """The drain comes while the call is under way, and it alone is what ends."""
    drained = []

    def silent(call):
        if call.name == "post_results":
            relay.clock.now += LAST_TRY + 1
            drained.append((relay.loop.drain(60.0, threading.Event()), relay.loop.away))
            return None
        return error_of(None)

    relay.api.rule = silent
    relay.put("a")
    relay.pass_time(1)
    relay.loop.step()
    assert drained == [(False, "away with None")]
    assert [call.name for call in relay.api.calls] == ["post_results", "get_project"]
    # It has answered after all.
    assert (relay.loop.away, relay.left()) == (None, [])


def test_a_long_round_in_which_the_back_end_takes_one_thing_after_the_other_is_none(relay):
    def slow(call):
        relay.clock.now += LAST_TRY - 1
        relay.loop.drain(0.05, threading.Event())

    relay.api.rule = slow
    for number in range(30):
        relay.put(str(number), files=[f"{number}.txt"])
    relay.pass_time(1)
    relay.catch_up()
    assert "get_project" not in relay.api.count()
    assert len(relay.api.calls) == 6
    assert relay.left() == []


# An outbox that fails


def test_an_outbox_that_cannot_be_read_for_a_while_costs_nothing_but_time(relay, outbox):
    relay.put("a")
    with unreadable(outbox):
        relay.pass_time(5)
    assert "cannot be read" in relay.loop.trouble
    relay.pass_time(20)
    assert relay.left() == []


def test_a_drain_overcomes_one_round_in_which_it_cannot_be_read(relay, outbox):
    relay.put("a")
    with unreadable(outbox):
        assert relay.loop.step() == 0
    assert relay.drain()


def test_a_drain_gives_up_after_two_of_them(relay, outbox):
    relay.put("a")
    began = relay.clock.now
    with unreadable(outbox):
        assert not relay.drain(FOR_EVER)
    assert relay.clock.now - began < 1
    assert "cannot be read" in relay.loop.trouble
    assert relay.left() == ["a"]
    assert relay.drain()


def test_what_could_not_be_acknowledged_is_sent_again(relay, monkeypatch):
    """As on a full disk: the back end has it, and the ledger does not say so."""

    def fail(items):
        raise OutboxUnavailable("The disk is full.")

    relay.put("a")
    with monkeypatch.context() as full:
        full.setattr(relay.ledger, "acknowledge", fail)
        relay.pass_time(1)
        relay.catch_up()
    assert relay.left() == ["a"]
    assert relay.loop.trouble == "The disk is full."
    relay.pass_time(10)
    assert relay.left() == []
    assert [call.content for call in relay.api.calls] == [["a"], ["a"]]


# The thread


def test_the_thread_delivers_until_it_is_stopped(make_relay):
    relay = make_relay(clock=SystemClock())
    relay.put("a")
    relay.loop.start()
    assert relay.loop.drain(60.0, threading.Event())
    relay.put("b")
    assert relay.loop.drain(60.0, threading.Event())
    relay.loop.stop()
    assert "famacase-delivery" not in [thread.name for thread in threading.enumerate()]
    assert sorted(relay.api.results["P", 1]) == ["a", "b"]
    assert relay.loop.failure is None


def test_a_defect_ends_the_thread_and_is_kept_for_whoever_waits(make_relay):
    relay = make_relay(clock=SystemClock())
    defect = ZeroDivisionError()
    relay.api.rule = lambda call: Lost(defect)
    relay.put("a")
    relay.loop.start()
    relay.loop._thread.join(60)
    looks = []
    assert not relay.loop.drain(60.0, threading.Event(), lambda: looks.append("waiting"))
    assert looks == []
    assert relay.loop.failure is defect
    assert relay.left() == ["a"]
