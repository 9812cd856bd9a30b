"""The controller's transport, with a relay that does as the test says and a clock in the test's hand."""

from __future__ import annotations

import json

import pytest

from famacase_pytest.delivery.controller import ControllerTransport
from famacase_pytest.delivery.models import CapturedResult, Outcome
from famacase_pytest.delivery.outbox.database import OutboxUnavailable
from famacase_pytest.delivery.outbox.store import Outbox, account
from famacase_pytest.delivery.system import System
from famacase_pytest.errors import Refused, Unreachable

MANY = 1 << 40


class Relay:
    """Has the methods of `RelayProcess`.

    Attributes:
        answers: by order, what it answers: a dict, or a function of the order's details. What is not there is
            not answered, until the time is up.
        orders: names and details of all orders, in order.
        told: what was said that is not answered, and how it was let go.
        can_run: whether there is a process.
    """

    def __init__(self, outbox, ledger):
        self.briefing = {"api_url": "https://famacase.test"}
        self.trouble = None
        self.losses = 0
        self.note_request = lambda line: None
        self.answers = {"drain": self.deliver, "end": {"account": None}}
        self.orders = []
        self.told = []
        self.can_run = True
        self.now = 1000.0
        self._outbox = outbox
        self._ledger = ledger

    def named(self, name):
        return [details for do, details in self.orders if do == name]

    def deliver(self, order):
        """Deliver all that waits, and complete the runs of which that is asked."""
        self._outbox.note_end(order["ended"], order["runs"])
        self._ledger.acknowledge(self._outbox.pending(self._ledger, 1000))
        for number, run in enumerate(self._outbox.runs()):
            if self._outbox.has_results(run.project, run.run_id) and run.run_id < 0:
                self._ledger.record_run(run.project, run.run_id, 100 + number)
            if run.requested and order["completes"]:
                url = f"https://public/{run.project}" if run.publish else None
                self._ledger.record_completion(run.project, run.run_id, url)
        return {"done": True, "noted": True, "account": account(self._outbox, self._ledger)}

    def order(self, do, **details):
        self.orders.append((do, details))
        return len(self.orders)

    def answer(self, number, seconds, on_wait=lambda: None):
        do, details = self.orders[number - 1]
        answer = self.answers.get(do)
        if not self.can_run or answer is None:
            on_wait()
            self.now += seconds if self.can_run else 0
            return None
        answer = answer(details) if callable(answer) else answer
        # It comes over a pipe.
        return json.loads(json.dumps(answer))

    def ensure(self):
        return self.can_run

    is_alive = ensure

    def tell(self, do):
        self.told.append(do)

    def settle(self):
        self.told.append("settle")

    def leave(self, *, abandoned=False):
        self.told.append("abandon" if abandoned else "leave")

    def end(self, seconds, *, account=False):
        self.told.append("end")
        return self.answers["end"]


def failing(kind, message, status=None):
    return {"error": {"kind": kind, "message": message, "status": status, "detail": ""}}


@pytest.fixture
def told():
    return []


@pytest.fixture
def outbox(tmp_path):
    with Outbox.create(tmp_path / "outbox", {"created": "today"}) as outbox:
        yield outbox


@pytest.fixture
def ledger(outbox):
    return outbox.ledger()


@pytest.fixture
def relay(outbox, ledger, monkeypatch):
    relay = Relay(outbox, ledger)
    monkeypatch.setattr(System, "monotonic", lambda: relay.now)
    return relay


@pytest.fixture
def make(outbox, ledger, relay, told):
    """Makes the transport; with ``outbox=None`` one that stores nothing."""

    def make(*, outbox=outbox, **options):
        writer = outbox and outbox.writer("main-1", max_bytes=MANY)
        options = {"drain_timeout": 60.0, "start_timeout": 10.0, "falls_back": False, **options}
        return ControllerTransport(
            outbox,
            outbox and ledger,
            writer,
            relay,
            tell=told.append,
            tell_now=lambda line: None,
            run_source="FAMACASE_TESTOPS_RUN_ID in the environment",
            **options,
        )

    return make


@pytest.fixture
def transport(make):
    return make()


def result(result_id="a", status="passed", **more):
    return CapturedResult(
        {"id": result_id, "title": f"title of {result_id}", "execution": {"status": status}, **more}
    )


# The start


def test_only_a_session_that_may_fall_back_waits_for_its_project(make, relay, told):
    relay.answers["check_project"] = failing("Refused", "The token is wrong.", 401)
    patient = make()
    patient.open_project("P")
    assert told == []
    patient.wait_until_opened()
    assert told == [f"The token is wrong. Until then results wait in {patient.directory}."]
    assert patient.wrong == ["The token is wrong."]
    with pytest.raises(Refused, match=r"The token is wrong\."):
        make(falls_back=True).open_project("P")


def test_a_back_end_that_is_away_is_said_once_and_is_nothing_wrong(transport, relay, told):
    relay.answers["check_project"] = relay.answers["environment"] = failing("Unreachable", "It is away.")
    transport.open_project("P")
    transport.environment_id("P", "staging")
    transport.wait_until_opened()
    assert len(told) == 1
    assert told[0].startswith("It is away. Until then")
    assert transport.wrong == []
    assert "settle" in relay.told


def test_what_is_there_is_passed_over_in_silence(transport, relay, told):
    relay.answers.update(check_project={}, environment={"id": 3})
    transport.open_project("P")
    assert transport.environment_id("P", "staging") is None
    transport.wait_until_opened()
    assert (told, transport.wrong) == ([], [])
    # Asked once.
    transport.wait_until_opened()
    assert len(relay.orders) == 2


def test_an_environment_that_is_not_there_is_said(transport, relay, told):
    relay.answers["environment"] = {"id": None}
    transport.environment_id("P", "stagign")
    transport.wait_until_opened()
    assert told == transport.wrong
    assert told == ["Project P has no environment with the slug 'stagign': the run is created without one."]


def test_a_plan_that_cannot_be_read_is_said_by_the_caller_alone(transport, relay, told):
    relay.answers.update(plan={"cases": [3, 4]})
    assert transport.plan_cases("P", 7) == [3, 4]
    away = failing("Unreachable", "It is away.")
    relay.answers.update(plan=away, check_project=away)
    with pytest.raises(Unreachable):
        transport.plan_cases("P", 8)
    transport.open_project("P")
    transport.wait_until_opened()
    assert told == [f"Until then results wait in {transport.directory}."]


def test_a_run_is_promised_with_all_that_creates_it(transport, outbox, relay):
    relay.answers["environment"] = {"id": 3}
    transport.environment_id("P", "staging")
    assert [transport.create_run("P", {"title": "one"}), transport.create_run("Q", {"title": "two"})] == [
        -1,
        -2,
    ]
    first, second = sorted(outbox.runs(), key=lambda run: -run.run_id)
    assert (first.project, first.run_id, first.body) == ("P", -1, {"title": "one"})
    assert (first.environment_slug, second.environment_slug) == ("staging", None)
    # Whoever creates it twice gets it once.
    assert first.key
    assert first.key != second.key
    assert (transport.title("P", -1), transport.title("P", -2)) == ("one", None)


@pytest.mark.parametrize("falls_back", [False, True])
def test_a_given_run_that_is_not_there_keeps_its_results(make, outbox, relay, told, falls_back):
    relay.answers["check_run"] = failing("Refused", "Not found.", 404)
    transport = make(falls_back=falls_back)
    problem = "Project P has no run 7. Correct FAMACASE_TESTOPS_RUN_ID in the environment, and send"
    if falls_back:
        with pytest.raises(Refused, match=problem):
            transport.check_run("P", 7)
    else:
        transport.check_run("P", 7)
        assert told[0].startswith(problem)
        assert transport.wrong[0].startswith(problem)
    assert [(run.project, run.run_id) for run in outbox.runs()] == [("P", 7)]


def test_a_given_run_tells_its_title_and_that_it_is_completed(transport, relay, told):
    relay.answers["check_run"] = {"title": "Nightly", "status": "in_progress"}
    transport.check_run("P", 7)
    assert (transport.title("P", 7), told) == ("Nightly", [])
    relay.answers["check_run"] = {"title": None, "status": "completed"}
    transport.check_run("P", 8)
    assert transport.title("P", 8) is None
    assert told == transport.wrong
    assert told[0].startswith("Run 8 of project P is completed already")


def test_the_seconds_of_the_start_are_counted(transport, relay):
    transport.open_project("P")
    transport.wait_until_opened()
    assert transport.waited == 10.0


# Delivery


def test_a_run_is_completed_once_all_is_delivered(transport, relay, told):
    run_id = transport.create_run("P", {"title": "t"})
    transport.put("P", run_id, [result("a"), result("b", "failed")])
    assert transport.real_run("P", run_id) == run_id
    transport.note_end("normal")
    assert transport.complete_run("P", run_id, publish=True)
    (order,) = relay.named("drain")
    assert (order["ended"], order["runs"], order["seconds"]) == ("normal", [("P", -1, True)], 60.0)
    assert order["stored"] == {"main-1": 2}
    assert transport.real_run("P", run_id) == 100
    assert transport.publish_run("P", run_id) == "https://public/P"
    left = transport.leftovers()
    assert (left.delivered, left.waiting, left.open_runs, left.reason) == (2, 0, 0, None)
    assert left.failed == (Outcome("P", -1, "b", "failed", "title of b"),)
    assert told == []


def test_nothing_is_waited_for_twice(transport, relay):
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    transport.drain()
    transport.drain()
    assert len(relay.named("drain")) == 1
    transport.put("P", -1, [result("b")])
    transport.drain()
    assert len(relay.named("drain")) == 2
    # A result that gets the number of its defect is delivered again.
    transport.amend(transport.results()[0], {"id": "a", "title": "t"})
    transport.drain()
    assert len(relay.named("drain")) == 3


def test_a_deadline_that_passes_leaves_the_rest(transport, relay, told):
    relay.answers["drain"] = None
    looks = []
    transport.on_wait = lambda look, seconds: looks.append((look().results, seconds))
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    assert not transport.complete_run("P", -1)
    assert looks == [(1, 60.0)]
    assert relay.told == ["stop"]
    left = transport.leftovers()
    assert left.waiting == 1
    assert left.reason == "it took longer than the 60 s of FAMACASE_DRAIN_TIMEOUT"
    # Nobody waits once more; the relay is ended, so that the numbers hold.
    transport.drain()
    assert len(relay.named("drain")) == 1
    assert relay.told == ["stop", "end"]


def test_a_run_whose_completion_is_due_is_noted_if_nobody_waits(make, outbox, relay):
    transport = make(drain_timeout=0.0)
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    transport.note_end("normal")
    assert not transport.complete_run("P", -1)
    assert relay.named("drain") == []
    assert outbox.meta()["ended"] == "normal"
    assert [(run.run_id, run.requested) for run in outbox.runs()] == [(-1, True)]
    left = transport.leftovers()
    assert (left.waiting, left.in_background, left.open_runs) == (1, True, 1)
    transport.close()
    assert relay.told == ["leave"]


def test_ctrl_c_ends_the_wait_and_not_the_session(transport, relay, told):
    def interrupted(order):
        raise KeyboardInterrupt

    relay.answers["drain"] = interrupted
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    transport.drain()
    assert relay.told == ["stop"]
    assert told == ["Interrupted while results were being delivered: what is left waits in the outbox."]
    assert transport.leftovers().waiting == 1


def test_a_strict_session_that_ran_no_test_completes_nothing(transport, relay):
    transport.check_run("P", 7)
    transport.withdraw()
    assert not transport.complete_run("P", 7)
    transport.foresee([("P", 7, False)])
    assert relay.named("drain") == []


def test_runs_that_are_completed_soon_are_noted_and_left_open(transport, relay, outbox):
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    transport.note_end("normal")
    transport.foresee([("P", -1, False)])
    (order,) = relay.named("drain")
    assert not order["completes"]
    assert transport.leftovers().open_runs == 1
    assert transport.complete_run("P", -1)


def test_without_a_relay_this_process_delivers_once_all_is_complete(transport, relay, told, monkeypatch):
    from famacase_pytest.delivery.relay import main

    relay.can_run, relay.trouble = False, "No relay process can be started"
    delivered = []

    def deliver_here(outbox, ledger, briefing, stored, deadline, on_wait, note_request):
        delivered.append((briefing, dict(stored), deadline))
        return False, None, RuntimeError("a guard")

    monkeypatch.setattr(main, "deliver_here", deliver_here)
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    transport.foresee([("P", -1, False)])
    assert delivered == []
    transport.amend(transport.results()[0], {"id": "a", "title": "t"})
    transport.drain()
    assert delivered == [(relay.briefing, {"main-1": 1}, 1060.0)]
    assert told == ["No relay process can be started: pytest itself delivers, after the last test."]
    assert transport.leftovers().reason == "delivery was stopped by RuntimeError: a guard"


def test_an_outbox_that_cannot_be_read_any_more_is_said_once(transport, relay, told):
    def fails(order):
        raise OutboxUnavailable("The disk is gone.")

    relay.answers["drain"] = fails
    transport.drain()
    transport.drain()
    assert told == ["The disk is gone."]


# What could not be stored


def test_results_without_an_outbox_go_over_the_pipe(make, relay, told):
    relay.answers["results"] = {"delivered": 1, "problems": []}
    relay.answers["complete"] = {"completed": True, "real": 100, "url": "https://public"}
    transport = make(outbox=None)
    run_id = transport.create_run("P", {"title": "t"})
    transport.put("P", run_id, [result()])
    assert transport.complete_run("P", run_id, publish=True)
    (order,) = relay.named("results")
    assert [entry["run_id"] for entry in order["results"]] == [run_id]
    assert [run["body"] for run in order["runs"]] == [{"title": "t"}]
    assert (transport.real_run("P", run_id), transport.publish_run("P", run_id)) == (100, "https://public")
    assert (transport.leftovers().delivered, transport.leftovers().lost) == (1, 0)
    assert told == []


def test_a_run_stays_open_whose_results_are_lost(make, relay, told):
    relay.answers["results"] = {"delivered": 0, "problems": ["The result is lost."]}
    transport = make(outbox=None)
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    assert not transport.complete_run("P", -1)
    assert relay.named("complete") == []
    assert (told, transport.leftovers().lost) == (["The result is lost."], 1)


def test_a_relay_that_does_not_answer_has_lost_them(make, relay, told):
    transport = make(outbox=None)
    transport.take_over({}, [{"project": "P", "run_id": -1}, {"project": "P", "run_id": -1}])
    transport.drain()
    assert told == ["2 results are lost: it took longer than 60 s."]
    assert transport.leftovers().lost == 2


# Workers


def test_what_workers_have_stored_is_waited_for(transport, relay):
    transport.take_over({"gw0-5": 3}, [])
    transport.take_over({"gw1-6": 4}, [])
    transport.drain()
    (order,) = relay.named("drain")
    assert order["stored"] == {"gw0-5": 3, "gw1-6": 4}


@pytest.mark.parametrize("repeated", [True, False])
def test_the_test_in_which_a_worker_died_has_failed(transport, outbox, repeated):
    for name in ("gw1-5", "gw10-6"):
        unfinished = {"id": name, "title": "t", "execution": {"status": None, "start_time": 1.0}}
        outbox.writer(name, max_bytes=MANY).begin("P", -1, name, json.dumps(unfinished))
    transport.finish_crashed("gw1", "worker 'gw1' crashed", "a.py::test_it" if repeated else None)
    (item,) = transport.results()
    payload = json.loads(item.payload)
    assert item.result_id == "gw1-5"
    assert (payload["execution"]["status"], payload["message"]) == ("failed", "worker 'gw1' crashed")
    # The other one lives.
    assert [left.result_id for left in outbox.unfinished()] == ["gw10-6"]
    assert len(outbox.handed_over("a.py::test_it")) == repeated
    transport.not_repeated("a.py::test_it")
    assert outbox.handed_over("a.py::test_it") == []


@pytest.mark.parametrize("ended", ["interrupted", "normal"])
def test_a_long_test_that_was_interrupted_is_over(transport, outbox, ended):
    execution = {"status": "in_progress", "start_time": 1.0}
    transport.begin("P", -1, {"id": "a", "title": "t", "execution": execution})
    transport.note_end(ended)
    transport.finish_in_progress()
    statuses = [json.loads(item.payload)["execution"]["status"] for item in transport.results()]
    assert statuses == (["invalid"] if ended == "interrupted" else [])


# The end


def test_an_outbox_in_which_nothing_is_left_is_removed(transport, relay):
    relay.answers["end"] = None
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    transport.note_end("normal")
    transport.complete_run("P", -1)
    transport.close()
    assert relay.told[-1] == "end"
    assert not transport.directory.exists()


def test_what_waits_is_kept(transport, relay):
    relay.answers.update(end=None, drain=None)
    transport.put("P", transport.create_run("P", {"title": "t"}), [result()])
    transport.drain()
    transport.close()
    with Outbox.open(transport.directory) as kept:
        assert [item.result_id for item in kept.results()] == ["a"]


def test_workers_that_ctrl_c_has_left_behind_may_go_on(transport, relay, outbox):
    execution = {"status": "in_progress", "start_time": 1.0}
    unfinished = {"id": "a", "title": "t", "execution": execution}
    outbox.writer("gw0-5", max_bytes=MANY).begin("P", -1, "a", json.dumps(unfinished))
    transport.close()
    assert relay.told == ["abandon"]
