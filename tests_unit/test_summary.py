"""The lines that say how far delivery is."""

from __future__ import annotations

import pytest

from famacase_pytest.delivery.models import Progress
from famacase_pytest.delivery.system import System
from famacase_pytest.summary import ProgressLine, size


@pytest.fixture
def clock(monkeypatch):
    """The time, in the test's hand."""
    now = [100.0]
    monkeypatch.setattr(System, "monotonic", staticmethod(lambda: now[0]))
    return now


def shown(clock, looks, *, is_terminal):
    """What is written where delivery is looked at each second."""
    written = []
    line = ProgressLine(
        lambda text, renews: written.append((text, renews)), is_terminal=is_terminal, hint="h"
    )
    for second, progress in enumerate(looks):
        clock[0] = 100.0 + second
        line.show(lambda progress=progress: progress, 300.0 - second)
    line.clear()
    return written


def test_a_terminal_has_a_line_that_is_renewed(clock):
    looks = [Progress(3), Progress(3), Progress(2, 1, 1024**2), Progress(1, 2, 3 * 1024**2)]
    assert shown(clock, looks, is_terminal=True) == [
        ("3 results are being delivered, 1 s of at most 300 s (h)", False),
        ("2 results are being delivered, 1 file (1.0 MiB) sent, 2 s of at most 300 s (h)", True),
        ("1 result is being delivered, 2 files (3.0 MiB) sent, 2.0 MiB/s, 3 s of at most 300 s (h)", True),
        ("", True),
    ]


def test_elsewhere_there_is_a_line_each_15_seconds(clock):
    looks = [Progress(3, is_away=True)] * 40
    line = "3 results are being delivered, the back end is not reached, {} s of at most 300 s (h)"
    assert shown(clock, looks, is_terminal=False) == [(line.format(15), False), (line.format(30), False)]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_short_wait_shows_nothing(clock, is_terminal):
    assert shown(clock, [Progress(1)], is_terminal=is_terminal) == []


def test_sizes_are_not_rounded_to_nothing():
    assert [size(0), size(2000), size(5 * 1024**2)] == ["0.0 KiB", "2.0 KiB", "5.0 MiB"]
