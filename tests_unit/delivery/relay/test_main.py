"""What the relay tells the session of its requests."""

from __future__ import annotations

from famacase_pytest.delivery.api.client import Attempt
from famacase_pytest.delivery.relay.main import Requests


def test_an_answer_takes_along_the_last_requests():
    requests = Requests()
    assert requests.take() == []
    for number in range(403):
        requests.note(Attempt("GET", f"/projects/P/runs/{number}", 200, 0.0214, 1))
    told = requests.take()
    assert told[:2] == ["3 requests before these", "GET /projects/P/runs/3: 200, 21 ms"]
    assert len(told) == 401
    assert told[-1] == "GET /projects/P/runs/402: 200, 21 ms"
    assert requests.take() == []
    requests.note(Attempt("POST", "/projects/P/runs", None, 30.0, 2))
    assert requests.take() == ["POST /projects/P/runs: no answer, 30000 ms, attempt 2"]
