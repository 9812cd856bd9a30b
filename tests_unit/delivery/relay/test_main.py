"""What the relay tells the session of its requests, and delivery without a relay."""

from __future__ import annotations

import pytest

from famacase_pytest.delivery.api.client import Attempt
from famacase_pytest.delivery.models import Run
from famacase_pytest.delivery.outbox.store import Outbox
from famacase_pytest.delivery.relay import main
from famacase_pytest.delivery.relay.main import Requests, deliver_here
from famacase_pytest.delivery.system import System

from .scripted_api import ScriptedApi


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


# What pytest's own process does, where there is no relay


BRIEFING = {
    "outbox": "nowhere",
    "api_url": "https://famacase.test",
    "tokens": {},
    "client": None,
    "project": "P",
    "timeout": 5.0,
    "attempts": 1,
    "upload_threads": 1,
    "batch_size": 10,
    "flush_interval": 1.0,
    "debug": False,
}


@pytest.fixture
def api(monkeypatch):
    """The back end that the process opens."""
    api = ScriptedApi()
    monkeypatch.setattr(main, "open_api", lambda briefing, cancelled, observe: api)
    return api


@pytest.fixture
def here(relay):
    """Delivers what `relay.put` has stored; all times are long enough for any machine."""

    def deliver(**stored):
        deadline = System.monotonic() + 60.0
        given = (relay.outbox, relay.ledger, BRIEFING, stored, deadline, lambda: None, lambda line: None)
        return deliver_here(*given)

    return deliver


def test_everything_is_delivered_in_this_process(relay, here, api):
    relay.outbox.set_meta(ended="normal")
    relay.outbox.add_run(Run("P", -1, {"title": "t"}, "key", requested=True))
    relay.put("a", run=-1)
    done, account, obstacle = here()
    assert (done, obstacle) == (True, None)
    assert (account["delivered"], account["waiting"], account["open_runs"]) == (1, 0, 0)
    assert list(api.results["P", 100]) == ["a"]
    assert api.completed == [("P", 100)]


def test_what_an_earlier_relay_said_of_the_back_end_is_found_out_anew(relay, here, api):
    relay.put("a")
    relay.ledger.set_state(blocked=[{"project": "P", "run_id": 1, "message": "no"}], away="It was away.")
    done, account, _ = here()
    assert (done, account["delivered"], account["reasons"]) == (True, 1, [])


def test_who_else_delivers_is_not_disturbed(relay, api):
    relay.put("a")
    other = relay.outbox.delivery_lock()
    with Outbox.open(relay.outbox.directory) as second:
        assert other.acquire()
        ledger, deadline = second.ledger(), System.monotonic()
        assert deliver_here(second, ledger, BRIEFING, {}, deadline, lambda: None, lambda line: None) == (
            False,
            None,
            None,
        )
    other.release()
    assert api.calls == []


def test_what_keeps_the_process_from_it_is_told_and_the_lock_is_free_again(relay, here, monkeypatch):
    class Blocked(BaseException):
        """What pytest-socket and the like may raise."""

    def fails(*_):
        raise Blocked("no sockets here")

    monkeypatch.setattr(main, "open_api", fails)
    relay.put("a")
    done, account, obstacle = here()
    assert (done, account, str(obstacle)) == (False, None, "no sockets here")
    assert relay.outbox.delivery_lock().acquire()


def test_ctrl_c_in_it_is_the_users(relay, here, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "open_api", interrupted)
    with pytest.raises(KeyboardInterrupt):
        here()
    assert relay.outbox.delivery_lock().acquire()
