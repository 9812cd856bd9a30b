"""Faults that pass: whatever call they hit, everything arrives, once, in one run that is completed."""

from __future__ import annotations

import uuid

import pytest

from fault_layer import answer, hang, html, http_date, lose_answer, reset
from watched import Watched, stored_files

# The calls of a session: one of each kind, but for the results.
CALLS = ("getProject", "createRun", "uploadAttachments", "createResults", "completeRun")
# Those that change something at the back end.
CHANGES = ("createRun", "uploadAttachments", "createResults", "completeRun")

SUITE = """
    import pytest
    from qase.pytest import qase

    @pytest.mark.parametrize("number", range(2))
    def test_one_of_two(number):
        qase.attach((f"of {number}".encode(), "text/plain", f"MARK-{number}.txt"))
        qase.attach((b"shared", "text/plain", "MARK-shared.txt"))

    def test_without_a_file():
        pass
"""
FILES = ["0.txt", "1.txt", "shared.txt"]


@pytest.fixture
def delivered(project, server, layer, runs):
    """Runs a session of the suite; everything must have arrived, once."""

    def run(**environ):
        mark = uuid.uuid4().hex
        project.write(test_one=SUITE.replace("MARK", mark))
        watched = Watched(project)
        outcome = project.run(**{"FAMACASE_FLUSH_INTERVAL": "0.1", **environ})
        assert (outcome.code, outcome.counts, outcome.notices) == (0, "3 passed", [])
        assert outcome.lines("famacase: 3 results delivered to ")
        created = runs.only()
        assert created["status"] == "completed"
        results = runs.results(created)
        assert len(results) == len({result["id"] for result in results}) == 3
        assert created["stats"] == {"passed": 3}
        assert sorted(len(result["attachments"]) for result in results) == [0, 2, 2]
        assert stored_files(server, mark) == [f"{mark}-{name}" for name in FILES]
        assert watched.processes() == {}

    return run


@pytest.mark.parametrize(
    "actions",
    [
        pytest.param([answer(503)], id="503"),
        pytest.param([answer(502), answer(504)], id="502, 504"),
        pytest.param([answer(408), reset()], id="408, reset"),
        pytest.param([reset(before_body=True), html()], id="early reset, page"),
        pytest.param([html(502), html(201)], id="page with 502, page with 201"),
    ],
)
def test_each_call_fails_once_or_twice(delivered, layer, actions):
    rules = [layer.faults.add(call, action) for action in actions for call in CALLS]
    delivered()
    assert all(len(rule.hits) == 1 for rule in rules)


def test_each_call_hangs_once(delivered, layer):
    rules = [layer.faults.add(call, hang()) for call in CALLS]
    delivered(FAMACASE_TIMEOUT="1")
    assert all(len(rule.hits) == 1 for rule in rules)


@pytest.mark.parametrize(
    ("actions", "environ"),
    [
        pytest.param([lose_answer(), lose_answer(truncated=True)], {}, id="reset, half an answer"),
        pytest.param([hang(applied=True)], {"FAMACASE_TIMEOUT": "1"}, id="silence"),
    ],
)
def test_the_answer_to_each_call_is_lost(delivered, layer, actions, environ):
    rules = [layer.faults.add(call, action) for action in actions for call in CHANGES]
    delivered(**environ)
    assert all(len(rule.hits) == 1 for rule in rules)
    assert all(rule.hits[0].forwarded in (200, 201) for rule in rules)


def test_too_many_requests(delivered, layer):
    """A date counts in whole seconds, so that of 2 s ahead may be little more than 1 s away."""
    told = ["1", http_date(2), "1", http_date(2), "1"]
    rules = [
        layer.faults.add(call, answer(429, {"Retry-After": retry_after}))
        for call, retry_after in zip(CALLS, told)
    ]
    delivered()
    for call, rule in zip(CALLS, rules):
        (hit,) = rule.hits
        after = next(exchange for exchange in layer.exchanges(call) if exchange.number > hit.number)
        assert after.arrived - hit.ended >= 0.95, call


def test_too_many_requests_for_longer_than_a_call_has_attempts(delivered, layer):
    """It is no reason to give up at the end of a session: the back end is there."""
    rule = layer.faults.add("createResults", answer(429, {"Retry-After": "1"}), times=3)
    delivered(FAMACASE_RETRY_ATTEMPTS="2")
    exchanges = layer.exchanges("createResults")
    assert len(rule.hits) == 3
    assert all(b.arrived - a.ended >= 0.95 for a, b in zip(exchanges, exchanges[1:4]))
