"""Does what pytest-forked does, for a pytest that its releases so far do not work with.

Tests that bear the mark run in a child; what the parent learns are the child's reports, or its death.
"""

import json
import os

import pytest
from _pytest.runner import runtestprotocol


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    if item.get_closest_marker("forked") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _reports(item):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            reports = [report._to_json() for report in runtestprotocol(item, log=False)]
            os.write(writing, json.dumps(reports, default=str).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        message = f"{item.nodeid}: running the test CRASHED with signal {os.WTERMSIG(status)}"
        call = pytest.CallInfo.from_call(lambda: pytest.fail(message, pytrace=False), "???")
        return [pytest.TestReport.from_item_and_call(item, call)]
    return [pytest.TestReport._from_json(report) for report in json.loads(content)]
