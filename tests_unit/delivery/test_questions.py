"""How long the start of a session waits for answers, and what it says meanwhile."""

from __future__ import annotations

import pytest

from famacase_pytest.delivery.questions import Questions
from famacase_pytest.delivery.system import System
from famacase_pytest.errors import Refused, Unreachable


class Relay:
    """Answers after as many seconds as it is told, on a clock of its own."""

    def __init__(self):
        self.briefing = {"api_url": "https://famacase.test"}
        self.trouble = None
        self.now = 0.0
        self.orders = []
        self.script = []

    def order(self, do, **details):
        self.orders.append((do, details))
        return len(self.orders)

    def answer(self, number, seconds, on_wait):
        takes, answer = self.script.pop(0)
        end = self.now + min(takes, seconds)
        while self.now < end:
            on_wait()
            self.now = min(end, self.now + 0.5)
        return answer if takes <= seconds else None


@pytest.fixture
def relay(monkeypatch):
    relay = Relay()
    monkeypatch.setattr(System, "monotonic", lambda: relay.now)
    return relay


@pytest.fixture
def told():
    return []


@pytest.fixture
def questions(relay, told):
    return Questions(relay, 10.0, told.append)


def test_a_quick_answer_is_waited_for_in_silence(questions, relay, told):
    relay.script = [(0.5, {"cases": [1]})]
    number = questions.ask("plan", project="P", plan_id=5)
    assert relay.orders == [("plan", {"seconds": 10.0, "project": "P", "plan_id": 5})]
    assert questions.answer(number, "plan 5") == {"cases": [1]}
    assert (questions.waited, told) == (0.5, [])


def test_silence_is_told_once_and_the_seconds_are_for_all_questions(questions, relay, told):
    relay.script = [(6.0, {}), (6.0, {})]
    assert questions.answer(1, "plan 5") == {}
    with pytest.raises(Unreachable, match="has not answered within 10 s"):
        questions.answer(2, "run 7")
    assert questions.waited == 10.0
    (line,) = told
    assert line.startswith("waiting for https://famacase.test (plan 5), for 8 s at most")


def test_without_a_relay_nobody_was_asked(questions, relay):
    relay.script = [(99.0, None)]
    relay.trouble = "No relay process can be started"
    with pytest.raises(Unreachable, match=r"^No relay process can be started: the back end was not asked\."):
        questions.answer(1, "plan 5")


def test_what_the_back_end_refuses_is_raised_as_the_relay_met_it(questions, relay):
    error = {"kind": "Refused", "message": "no such plan", "status": 404, "detail": "gone"}
    relay.script = [(0.5, {"error": error})]
    with pytest.raises(Refused, match="no such plan") as raised:
        questions.answer(1, "plan 5")
    assert (raised.value.status, raised.value.detail) == (404, "gone")
