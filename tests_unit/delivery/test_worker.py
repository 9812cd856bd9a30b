"""What a worker answers in the place of the back end."""

from __future__ import annotations

import pytest

from famacase_pytest.delivery.worker import WorkerTransport
from famacase_pytest.errors import Refused


@pytest.fixture
def told():
    return []


def test_a_worker_answers_from_what_its_controller_handed_over(told):
    worker = WorkerTransport(None, None, {"failed": False, "plan_cases": {"P": [1, 2]}}, told.append)
    worker.open_project("P")
    assert (worker.plan_cases("P", 5), worker.plan_cases("Q", 5)) == ([1, 2], [])
    worker.check_run("P", 7)
    assert worker.environment_id("P", "staging") is None
    with pytest.raises(Refused, match="its controller does"):
        worker.create_run("P", {})
    assert not worker.complete_run("P", 7)


def test_a_worker_whose_controller_could_not_report_does_not_either(told):
    with pytest.raises(Refused, match="could not report to project P"):
        WorkerTransport(None, None, {"failed": True}, told.append).open_project("P")
