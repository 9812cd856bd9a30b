"""What a reporter makes of entries, and whose they are."""

from __future__ import annotations

import queue
import threading

from famacase_pytest.orchestration import ResultReporter
from famacase_pytest.orchestration.reporter import monitoring, occurrence


class Reporter(ResultReporter):
    def on_result(self):
        return 12 / self.report_queue.get_nowait()


def test_one_entry_that_a_reporter_cannot_read_does_not_end_it():
    noted = []
    reporter = Reporter(queue.Queue())
    with monitoring(reporter, threading.Event(), lambda *what: noted.append(what)):
        for number, entry in enumerate([3, 0, 4]):
            occurrence.set(number + 7)
            reporter.add_result(entry)
        occurrence.set(None)
        reporter.report_queue._queue.put(6)
    assert noted == [
        (7, "4.0"),
        (8, "on_result failed: ZeroDivisionError: division by zero"),
        (9, "3.0"),
        (None, "2.0"),
    ]
