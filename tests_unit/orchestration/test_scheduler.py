"""What is due when, on the real clock for seconds and on one in the test's hand for a day."""

from __future__ import annotations

import gc
import json
import os
import statistics
import threading
import time
from pathlib import Path

import pytest

from famacase_pytest.delivery.system import System
from famacase_pytest.orchestration.descriptions import find
from famacase_pytest.orchestration.record import Occurrence
from famacase_pytest.orchestration.scheduler import Scheduler


class Switch:
    """A kill switch of this process."""

    def __init__(self):
        event = threading.Event()
        self.set, self.is_set = event.set, event.is_set


class HeldClock:
    """Time goes on when nothing runs, by as much as somebody waits for."""

    def __init__(self):
        self.now = 1000.0
        self.scheduler = None

    def monotonic(self):
        return self.now

    def wait(self, event, seconds):
        while self.scheduler.running:
            time.sleep(0)
        self.now += seconds
        return event.is_set()


class Inline:
    """A thread that has ended when it was started: a day of real ones would take long to start."""

    def __init__(self, target, args, name, daemon):
        self.start = lambda: target(*args)


@pytest.fixture
def scheduled(tmp_path: Path):
    """Makes a scheduler of a description, given as its JSON without the name."""

    def make(text, functions, **options):
        (tmp_path / "soak.json").write_text('{"test_name": "soak", ' + text[1:], encoding="utf-8")
        (description,) = find(tmp_path, ["soak"])
        return Scheduler(description, functions, options.pop("kill_switch", Switch()), **options)

    return make


def held(make, *arguments, **options):
    """A scheduler with a clock in the test's hand."""
    clock = HeldClock()
    clock.scheduler = make(*arguments, clock=clock, **options)
    return clock.scheduler


def numbers(scheduler, key="work"):
    fields = scheduler.so_far()["fields"]
    return {name.partition(".")[2]: value for name, value in fields.items() if name.startswith(f"{key}.")}


def test_a_day_of_an_event_each_second(scheduled, monkeypatch):
    monkeypatch.setattr(System, "thread", Inline)
    occurred = 0
    sizes = []

    def work():
        nonlocal occurred
        occurred += 1

    def report():
        sizes.append(len(str(scheduler.so_far())))
        kept.append(sum(isinstance(one, Occurrence) for one in gc.get_objects()))

    kept: list[int] = []
    scheduler = held(
        scheduled,
        '{"total_hours": 24, "events": [{"name": "work", "interval_sec": 1}]}',
        {"work": work},
        report=report,
        report_every=3600,
    )
    scheduler.run()
    assert occurred == 86_400
    assert numbers(scheduler) == {"count": 86_400, "failed": 0, "missed": 0, "p50": 0, "p95": 0, "max": 0}
    assert len(sizes) == 24
    # Neither what is sent nor what is held grows.
    assert sizes[-1] < sizes[2] + 100
    assert max(kept) < 100
    steps = scheduler.so_far()["steps"]
    assert len(steps) == 40


def test_all_failures_up_to_a_number_are_steps_and_the_ends_beside(scheduled):
    attempts = 0

    def work():
        nonlocal attempts
        attempts += 1
        assert attempts % 2, f"attempt {attempts}"

    scheduler = held(
        scheduled,
        '{"total_seconds": 1000, "events": [{"name": "work", "interval_sec": 1, "params": {"a": "ü"}}]}',
        {"work": work},
    )
    scheduler.run()
    assert numbers(scheduler) | {"p50": 0, "p95": 0, "max": 0} == numbers(scheduler)
    assert numbers(scheduler)["failed"] == 500
    steps = scheduler.so_far()["steps"]
    failed = [step for step in steps if step["execution"]["status"] == "failed"]
    # 200 of all, 10 among the last 20; the first 10 that passed, and 10 of the last.
    assert (len(steps), len(failed)) == (230, 210)
    assert failed[0]["data"]["message"].startswith("AssertionError: attempt 2\n")
    assert "test_scheduler.py:" in failed[0]["data"]["message"]
    assert failed[-1]["data"]["message"].startswith("AssertionError: attempt 1000\n")
    assert steps[0]["data"] == {"action": "work", "input_data": '{"a": "ü"}'}
    starts = [step["execution"]["start_time"] for step in steps]
    assert starts == sorted(starts)


def test_fifty_milliseconds_for_three_seconds_do_not_drift(scheduled):
    late = []

    class Clock(HeldClock):
        def wait(self, event, seconds):
            # Nobody is woken in time.
            return super().wait(event, seconds + 0.003)

    clock = Clock()
    clock.scheduler = scheduled(
        '{"total_seconds": 3, "events": [{"name": "work", "interval_sec": 0.05}]}',
        {"work": lambda: late.append(clock.now - 1000 - len(late) * 0.05)},
        clock=clock,
    )
    clock.scheduler.run()
    assert numbers(clock.scheduler)["count"] == len(late) == 60
    assert statistics.mean(late) < 0.005
    assert max(late) < 0.01


def test_an_event_does_not_overlap_itself_beyond_its_number_and_what_is_missed_is_counted(scheduled):
    lock = threading.Lock()
    at_once = {"one": 0, "two": 0}
    most = {"one": 0, "two": 0}
    release = threading.Event()

    def work(name):
        with lock:
            at_once[name] += 1
            most[name] = max(most[name], at_once[name])
        release.wait(60)
        with lock:
            at_once[name] -= 1

    class Clock(HeldClock):
        def wait(self, event, seconds):
            if self.now >= 1000 + 8:
                release.set()
                return super().wait(event, seconds)
            self.now += seconds
            return event.is_set()

    clock = Clock()
    events = [
        {"name": "one", "interval_sec": 1},
        {"name": "two", "interval_sec": 1, "max_overlap": 2, "at_startup": False},
    ]
    clock.scheduler = scheduled(
        json.dumps({"total_seconds": 10, "events": events}),
        {"one": lambda: work("one"), "two": lambda: work("two")},
        clock=clock,
    )
    clock.scheduler.run()
    assert most == {"one": 1, "two": 2}
    one, two = numbers(clock.scheduler, "one"), numbers(clock.scheduler, "two")
    assert (one["count"] + one["missed"], two["count"] + two["missed"]) == (10, 9)
    assert one["missed"] >= 7
    assert two["missed"] >= 5


def test_a_moment_in_which_the_machine_stood_still_is_not_made_up_for(scheduled):
    class Clock(HeldClock):
        def wait(self, event, seconds):
            return super().wait(event, 5.3 if self.now == 1002 else seconds)

    clock = Clock()
    occurred = []
    clock.scheduler = scheduled(
        '{"total_seconds": 10, "events": [{"name": "work", "interval_sec": 1}]}',
        {"work": lambda: occurred.append(clock.now)},
        clock=clock,
    )
    clock.scheduler.run()
    # Back on the grid at once: 7.3 stands for 7, and 8 comes at 8.
    assert occurred == [1000, 1001, 1002, 1007.3, 1008, 1009]
    assert numbers(clock.scheduler)["missed"] == 4


def test_an_event_that_hangs_fails_at_its_timeout_and_does_not_hold_up_the_end(scheduled):
    hanging = threading.Event()
    scheduler = scheduled(
        '{"total_seconds": 0.3, "events": [{"name": "work", "timeout_sec": 0.1}, '
        '{"name": "report", "at_startup": false, "at_teardown": true}]}',
        {"work": lambda: hanging.wait(60), "report": lambda: None},
    )
    scheduler.run()
    assert numbers(scheduler)["failed"] == 1
    assert numbers(scheduler, "report")["count"] == 1
    step = scheduler.so_far()["steps"][0]
    assert step["execution"]["status"] == "failed"
    assert "still running after" in step["data"]["message"]
    hanging.set()
    while scheduler.running:
        time.sleep(0.01)
    # It ended well, but too late.
    assert scheduler.so_far()["steps"][0] == step


def test_a_failure_that_stops(scheduled):
    order = []
    switch = Switch()

    def work():
        order.append("work")
        raise SystemExit("no more")

    def blocked():
        while not switch.is_set():
            time.sleep(0.01)
        order.append("blocked")

    scheduler = scheduled(
        '{"total_hours": 24, "events": [{"name": "work", "on_error": "stop"}, {"name": "blocked"}, '
        '{"name": "last", "at_startup": false, "at_teardown": true}]}',
        {"work": work, "blocked": blocked, "last": lambda: order.append("last")},
        kill_switch=switch,
    )
    scheduler.run()
    assert scheduler.stopped == "work failed"
    assert order[0] == "work"
    assert sorted(order[1:]) == ["blocked", "last"]


def test_the_kill_switch_that_an_event_sets_ends_it(scheduled):
    switch = Switch()
    scheduler = held(
        scheduled,
        '{"total_hours": 24, "events": [{"name": "work", "interval_sec": 5, "at_startup": false}]}',
        {"work": switch.set},
        kill_switch=switch,
    )
    scheduler.run()
    assert numbers(scheduler)["count"] == 1
    assert scheduler.stopped is not None
    assert scheduler.stopped.startswith("the kill switch was set after 5.")


def test_an_event_may_skip_and_may_be_there_twice(scheduled):
    scheduler = held(
        scheduled,
        '{"total_seconds": 2, "events": [{"name": "work"}, {"name": "work", "interval_sec": 1}]}',
        {"work": lambda: pytest.skip("not now"), "work (2)": os.getpid},
    )
    scheduler.run()
    assert scheduler.record.failed == 0
    steps = [(step["data"], step["execution"]["status"]) for step in scheduler.so_far()["steps"]]
    assert steps == [
        ({"action": "work", "message": "not now"}, "skipped"),
        ({"action": "work (2)"}, "passed"),
        ({"action": "work (2)"}, "passed"),
    ]
