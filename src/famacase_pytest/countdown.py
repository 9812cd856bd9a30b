"""The line that counts down while the end of a session waits for delivery, on a terminal."""

from __future__ import annotations

from typing import Any, Callable

from .delivery.system import System

# Seconds that pass in silence, and seconds between two changes of the line.
_PATIENCE = 1.0
_PAUSE = 0.5


class Countdown:
    """Shows how much waits. A wait that is short shows nothing.

    Args:
        terminal: pytest's terminal reporter, of a session whose output is a terminal.
    """

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal
        self._next: float | None = None
        self._shown = False

    def show(self, count: Callable[[], int], seconds: float) -> None:
        """Renew the line, if it is time to.

        Args:
            count: counts the results that wait; it is called only if the line is renewed.
            seconds: that are left.
        """
        now = System.monotonic()
        if self._next is None:
            self._next = now + _PATIENCE
        if now < self._next:
            return
        self._next = now + _PAUSE
        if not self._shown:
            self._terminal.ensure_newline()
            self._shown = True
        line = f"famacase: {count()} results are being delivered, {seconds:.0f} s left (Ctrl-C stops waiting)"
        self._terminal.rewrite(line, erase=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._terminal.rewrite("", erase=True)
            self._terminal.rewrite("")
            self._shown = False
