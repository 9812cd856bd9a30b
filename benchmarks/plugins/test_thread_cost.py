"""A pytest plugin: how long the test's thread is busy with storing results, written to BENCH_TEST_THREAD.

What stands between two tests is timed whole: the unfinished result at the beginning, the finished one at the
end, each with the building of its payload and the transaction that stores it.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

_seconds: list[float] = []
_begun: list[float] = []


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Stand around the two calls, once everything is registered."""
    hooks = session.config.pluginmanager.get_plugin("famacase-reporting")
    capture = hooks._session._capture
    started, finished = capture.started, capture.finished
    now = time.perf_counter

    def timed_started() -> None:
        start = now()
        started()
        _begun.append(now() - start)

    def timed_finished() -> None:
        start = now()
        finished()
        _seconds.append(now() - start + (_begun.pop() if _begun else 0.0))

    capture.started, capture.finished = timed_started, timed_finished


def pytest_unconfigure(config: Any) -> None:
    """Write what was measured: milliseconds for each test, in order."""
    with open(os.environ["BENCH_TEST_THREAD"], "w", encoding="utf-8") as file:
        json.dump([seconds * 1000 for seconds in _seconds], file)
