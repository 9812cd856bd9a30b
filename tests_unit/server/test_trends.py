"""The bars of a project, and what is said of the tests that stand out."""

from __future__ import annotations

from famacase_pytest.server.database import Run
from famacase_pytest.server.trends import _bars, _flakiness, project_trend

from .in_process import result_of


def run(number, seconds, **stats):
    """A run that took so long; None: it goes on."""
    made = Run(id=number, body={"title": f"Run {number}"}, created_at=1000.0)
    made.completed_at = None if seconds is None else 1000.0 + seconds
    made.stats = stats
    return made


def test_bars_are_measured_by_the_largest_and_the_longest():
    bars = _bars([run(1, 30, passed=5), run(2, 60, passed=8, failed=2), run(3, None, passed=1), run(4, 0)])
    assert [(one.height, one.level, one.took) for one in bars] == [
        (50, 50, "30.00 s"),
        (100, 100, "1 min 0 s"),
        (10, 0, ""),
        (0, 0, "0 ms"),
    ]
    assert [one.outcome for one in bars] == [
        "passed, 0 of 5 failed",
        "failed, 2 of 10 failed",
        "running, 0 of 1 failed",
        "empty, 0 of 0 failed",
    ]


def test_runs_without_results_or_time_divide_nothing_by_zero():
    assert _bars([]) == []
    assert [(one.height, one.level) for one in _bars([run(1, 0), run(2, None)])] == [(0, 0), (0, 0)]


def test_a_clock_that_was_set_back_lets_no_level_leave_the_chart():
    bars = _bars([run(1, -3600, passed=1), run(2, -10, passed=1)])
    assert all(0 <= one.level <= 100 for one in bars)
    assert 0 <= _bars([run(1, -3600), run(2, 10)])[0].level <= 100


def test_flakiness_is_said_in_numbers():
    assert _flakiness(2, 3, 0) == "2 failed, 3 passed"
    assert _flakiness(0, 1, 1) == "0 failed, 1 passed, 1 flaky"


def test_a_trend_goes_from_the_oldest_run_to_the_newest(data):
    older = data.run(result_of("failed", title="t", params={"x": "1"}, duration=1500))
    newer = data.run(result_of(title="t", params={"x": "1"}, duration=500))
    with data.store.reading() as session:
        trend = project_trend(session, [newer, older])
        empty = project_trend(session, [])
    assert [one.run_id for one in trend.bars] == [older.id, newer.id]
    [flaky], [slow] = trend.flaky, trend.slow
    assert (flaky.run_id, flaky.title, flaky.params, flaky.figure) == (
        newer.id,
        "t",
        "x=1",
        "1 failed, 1 passed",
    )
    assert (slow.run_id, slow.figure) == (newer.id, "1.00 s")
    assert (empty.bars, empty.flaky, empty.slow) == ([], [], [])
