"""What is kept of very many occurrences, and the numbers of all of them."""

from __future__ import annotations

import random

import pytest

from famacase_pytest.orchestration.descriptions import Event
from famacase_pytest.orchestration.record import Record


def event(name="work", **members):
    return Event(name, (), name, **members)


def fill(record, count, *, of=None, fails=lambda number: False, lasts=lambda number: 0.001):
    """Lets an event occur so often, one after the other."""
    of = of or event()
    for number in range(count):
        occurrence = record.begin(of, 0.0, 1.0)
        record.end(occurrence, lasts(number), "failed" if fails(number) else "passed", f"{number}")


def actions(record):
    return [(step["data"]["action"], step["data"].get("message")) for step in record.so_far()["steps"]]


def test_the_first_and_the_last_of_each_event_become_steps_and_all_are_counted():
    record = Record()
    fill(record, 1000, of=event("a"))
    fill(record, 3, of=event("b"))
    kept = [*range(20), *range(980, 1000)]
    assert actions(record) == [*(("a", f"{number}") for number in kept), ("b", "0"), ("b", "1"), ("b", "2")]
    fields = record.so_far()["fields"]
    assert (record.count, fields["a.count"], fields["b.count"]) == (1003, 1000, 3)


def test_failures_become_steps_wherever_they_are_the_first_of_them():
    record = Record()
    fill(record, 1000, fails=lambda number: number in (500, 600))
    assert {"500", "600"} < {message for _, message in actions(record)}
    assert [one.message for one in record.failures] == ["500", "600"]
    # Each once, also if it is among the first.
    record = Record()
    fill(record, 1000, fails=lambda number: True)
    assert len(record.failures) == 200
    assert len(actions(record)) == 220
    assert (record.failed, record.so_far()["fields"]["work.failed"]) == (1000, 1000)


def test_steps_are_in_the_order_in_which_they_began():
    record, events = Record(), [event("a"), event("b")]
    begun = [record.begin(events[number % 2], 0.0, 1.0) for number in range(6)]
    random.Random(1).shuffle(begun)
    for one in begun:
        record.end(one, 1.0, "failed", "")
    assert [action for action, _ in actions(record)] == ["a", "b"] * 3


def test_what_ends_after_it_was_given_up_stays_as_it_was():
    record = Record()
    occurrence = record.begin(event(), 1.0, 2.0)
    assert record.so_far()["steps"][0]["execution"]["status"] == "in_progress"
    record.end(occurrence, 2.0, "failed", "still running")
    before = record.so_far()
    record.end(occurrence, 9.0, "passed", "")
    assert record.so_far() == before
    assert (record.failed, before["fields"]["work.max"]) == (1, 1000)


@pytest.mark.parametrize(
    ("durations", "p50", "p95", "most"),
    [
        ([7], 7, 7, 7),
        ([1, 2], 1, 2, 2),
        (list(range(1, 101)), 50, 95, 100),
        ([5] * 99 + [900], 5, 5, 900),
        ([0, 0], 0, 0, 0),
        # By three digits.
        ([123456], 123000, 123000, 123000),
    ],
)
def test_percentiles_are_of_all_durations(durations, p50, p95, most):
    record = Record()
    fill(record, len(durations), lasts=lambda number: durations[number] / 1000 + 1e-9)
    fields = record.so_far()["fields"]
    assert (fields["work.p50"], fields["work.p95"], fields["work.max"]) == (p50, p95, most)


def test_what_has_not_ended_has_no_duration_and_a_clock_no_negative_one():
    record = Record()
    record.miss(event(), 3)
    record.begin(event(), 0.0, 1.0)
    assert record.so_far()["fields"] == {"work.count": 1, "work.failed": 0, "work.missed": 3}
    late = record.begin(event("late"), 5.0, 6.0)
    record.end(late, 4.0, "passed", "")
    assert record.so_far()["fields"]["late.max"] == 0


def test_what_is_reported_is_added_to_its_occurrence_up_to_a_length():
    record = Record()
    first = record.begin(event(), 0.0, 1.0)
    second = record.begin(event(), 0.0, 1.0)
    record.report(second.number, "one")
    record.end(second, 1.0, "failed", "Error: two")
    record.report(second.number, "three")
    assert (first.message, second.message) == ("", "one\nError: two\nthree")
    record.report(second.number, "x" * 5000)
    assert len(second.message) == 2000
    # From nobody, or from one that is not kept.
    record.report(None, "y")
    record.report(99, "y")
    assert "y" not in first.message + second.message


def test_a_step_has_the_parameters_of_its_event():
    record = Record()
    record.begin(event(params={"of": "ä", "path": {1}}), 0.0, 1.0)
    [step] = record.so_far()["steps"]
    assert step["data"]["input_data"] == '{"of": "ä", "path": "{1}"}'
    record = Record()
    record.begin(event(), 0.0, 1.0)
    assert "input_data" not in record.so_far()["steps"][0]["data"]
