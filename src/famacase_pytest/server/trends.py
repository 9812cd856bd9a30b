"""How the runs of a project went over time, as its page draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from . import queries
from .database import Run
from .presentation import Moment, StatusCount, counts_of, duration_text, failing_of, moment, outcome
from .store import count

RUNS = 30  # that a trend shows


@dataclass(frozen=True)
class Bar:
    """One run in the chart; `height` is that of its stack, and `level` that of its duration, in per cent."""

    run_id: int
    title: str
    outcome: str
    counts: list[StatusCount]
    total: int
    took: str
    when: Moment | None
    height: float
    level: float


@dataclass(frozen=True)
class TestFigure:
    """A test that stands out, with its latest result."""

    run_id: int
    id: str
    title: str
    suite: str
    params: str
    figure: str


@dataclass(frozen=True)
class Trend:
    """What a project's page shows beside its list of runs."""

    bars: list[Bar]
    flaky: list[TestFigure]
    slow: list[TestFigure]


def project_trend(session: Session, latest: Sequence[Run]) -> Trend:
    """The chart and the tests that stand out of some runs, which are given newest first."""
    count(session, latest)
    ids = [run.id for run in latest]
    flaky = [
        _figure(row, _flakiness(row.failed, row.passed, row.flaky)) for row in queries.unsteady(session, ids)
    ]
    slow = [_figure(row, duration_text(row.mean)) for row in queries.slowest(session, ids)]
    return Trend(_bars(list(reversed(latest))), flaky, slow)


def _figure(row: Row[Any], figure: str) -> TestFigure:
    return TestFigure(row.run_id, row.id, row.title, row.suite, row.params, figure)


def _flakiness(failed: int, passed: int, said: int) -> str:
    parts = [f"{failed} failed", f"{passed} passed", *([f"{said} flaky"] if said else [])]
    return ", ".join(parts)


def _bars(runs: Sequence[Run]) -> list[Bar]:
    # A clock may have been set back.
    took = [max(0.0, (run.completed_at or run.created_at) - run.created_at) for run in runs]
    most = max((sum(run.stats.values()) for run in runs), default=0) or 1
    longest = max(took, default=0.0) or 1.0
    bars: list[Bar] = []
    for run, seconds in zip(runs, took):
        total = sum(run.stats.values())
        bars.append(
            Bar(
                run_id=run.id,
                title=run.body["title"],
                outcome=f"{outcome(run)}, {failing_of(run.stats)} of {total} failed",
                counts=counts_of(run.stats),
                total=total,
                took=duration_text(seconds * 1000) if run.completed_at else "",
                when=moment(run.created_at),
                height=round(100 * total / most, 2),
                level=round(100 * seconds / longest, 2),
            )
        )
    return bars
