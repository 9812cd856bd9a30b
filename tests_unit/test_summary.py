"""The lines that say how far delivery is."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from famacase_pytest import summary
from famacase_pytest.delivery.models import Progress
from famacase_pytest.summary import ProgressLine, size, telling


@pytest.fixture
def clock(monkeypatch):
    """The time, in the test's hand."""
    now = [100.0]
    monkeypatch.setattr(summary, "_monotonic", lambda: now[0])
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


def test_without_a_limit_there_is_only_the_time(clock):
    written = []
    line = ProgressLine(lambda text, renews: written.append(text), is_terminal=True)
    for _ in range(2):
        line.show(lambda: "reading the reports")
        clock[0] += 2
    assert written == ["reading the reports, 2 s"]


class Terminal(io.StringIO):
    """Standard error, which knows when something was written."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_written = threading.Event()
        self.isatty = lambda: is_terminal

    def write(self, text):
        self.is_written.set()
        return super().write(text)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_command_tells_what_takes_long(is_terminal, monkeypatch):
    monkeypatch.setattr(summary, "_PATIENCE", 0.0)
    monkeypatch.setattr(summary, "_INTERVAL", 0.0)
    monkeypatch.setattr(sys, "stderr", stream := Terminal(is_terminal))
    with telling("storing 5 results"):
        assert stream.is_written.wait(60)
    text = stream.getvalue()
    assert "famacase: storing 5 results, 0 s" in text
    if is_terminal:
        # Taken away again: what comes next stands at the beginning of an empty line.
        *_, cleared, nothing = text.split("\r")
        assert (cleared.strip(), nothing) == ("", "")
    assert ("\n" in text) != is_terminal


def test_a_command_is_silent_about_what_is_quick(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := Terminal(True))
    with telling("storing 5 results"):
        pass
    assert stream.getvalue() == ""
