"""Saying something to the user, where pytest has a place for it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest


class Speaker:
    """Prints what there is to say when pytest has a place for it.

    Notices do not go through Python's warnings: under ``-W error`` those would turn a green suite red.

    Args:
        config: pytest's.
        notices: one line each.
    """

    def __init__(self, config: pytest.Config, notices: Sequence[str] = ()) -> None:
        self._config = config
        self._is_worker = hasattr(config, "workerinput")
        # A worker has the controller's settings, which are said once.
        self._notices = [] if self._is_worker else list(notices)

    def announce(self) -> None:
        """Say what there is to say before the first test."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            self.summarize(reporter)

    def summarize(self, terminalreporter: Any) -> None:
        """Say what there is to say after the last test. The controller speaks for its workers."""
        if self._is_worker:
            return  # what has come up goes to the controller, with the worker's output
        for notice in self._notices:
            terminalreporter.write_line(f"famacase: {notice}", yellow=True)
        self._notices.clear()


def defect(error: Exception) -> str:
    """What is said of an exception that nobody expected."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return (
        f"a defect of famacase-pytest, {type(error).__name__} in {place}: {error}. "
        "Results of this session may be missing; the tests are not touched. Please report it with this line."
    )
