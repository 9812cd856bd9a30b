"""Connections that break, hang or trickle: when a call is made again, and when it ends."""

from __future__ import annotations

import threading
import time

import pytest

from famacase_pytest.delivery.api.retry import RetryPolicy
from famacase_pytest.errors import Unreachable
from scripted_answers import Say
from scripted_server import Half, Hang, Reset
from test_reporter_api import CALLS


@pytest.mark.parametrize("fault", [Say(503), Reset(), Half()], ids=repr)
@pytest.mark.parametrize("name", CALLS)
def test_what_may_pass_is_tried_again(api, server, name, fault):
    server.script.extend([fault, fault])
    CALLS[name][0](api)
    assert len(server.requests) == 3
    sent = [(one.path, str(one.files) if name == "upload" else one.body) for one in server.requests]
    assert len(set(sent)) == 1  # the body is whole each time, not what the last attempt left of it


def test_a_mad_answer_is_not_read_to_its_end(make_api, server):
    server.script.append(Say(200, body=b" " * 2**24 + b'{"id": 1}'))
    with pytest.raises(Unreachable, match="too large"):
        make_api(retry=RetryPolicy(attempts=1)).get_project("SMOKE")


@pytest.mark.parametrize("name", ["create_run", "upload"])
def test_a_lost_answer_repeats_the_same_key(api, server, name):
    server.script.extend([Reset(applied=True), Half()])
    CALLS[name][0](api)
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_dead_host_is_named_without_the_noise_of_the_libraries(make_api):
    with pytest.raises(Unreachable) as caught:
        make_api("http://127.0.0.1:1").get_project("SMOKE")
    assert "127.0.0.1:1 got no usable answer in 3 attempts; the last: Connection refused." in str(
        caught.value
    )
    assert "Nothing was sent. Check the network" in str(caught.value)
    assert caught.value.status is None


def test_a_name_that_nobody_knows(make_api):
    with pytest.raises(Unreachable, match="the last: the host cannot be resolved ") as caught:
        make_api("http://famacase.invalid").create_run("SMOKE", {}, "key")
    assert "Nothing was sent. Check the address (FAMACASE_API_URL)" in str(caught.value)
    assert "is not known" not in str(caught.value), "no word on the run"


def test_a_connection_that_breaks_may_have_brought_something(make_api, server):
    server.script.extend([Reset()] * 3)
    with pytest.raises(Unreachable, match="Whether the run was created is not known") as caught:
        make_api().create_run("SMOKE", {}, "key")
    assert "Nothing was sent" not in str(caught.value)


def test_cancelling_ends_a_call_in_flight(make_api, server):
    cancelled = threading.Event()

    def decide(request):
        cancelled.set()
        return Hang()

    server.decide = decide
    with pytest.raises(Unreachable, match="it was cancelled"):
        make_api(cancelled=cancelled).get_project("SMOKE")
    assert len(server.requests) == 1


def test_after_cancelling_no_call_is_made(make_api, server):
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Unreachable, match="cancelled"):
        make_api(cancelled=cancelled).get_project("SMOKE")
    assert server.requests == []


def test_a_server_that_never_answers_runs_into_the_timeout(make_api, server):
    server.script.append(Hang())
    make_api(timeout=0.05).get_project("SMOKE")
    assert len(server.requests) == 2


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_server_that_trickles_runs_into_the_deadline_of_the_attempt(make_api, server, where):
    """Each byte starts the libraries' read timeout anew."""
    server.script.append(Hang(trickle=where))
    with pytest.raises(Unreachable, match=r"no complete answer within 0\.2 s"):
        make_api(timeout=0.1, retry=RetryPolicy(attempts=1)).get_project("SMOKE")


def test_a_clock_that_tests_have_stopped_does_not_stop_deadlines(make_api, server, monkeypatch):
    server.script.append(Hang(trickle="headers"))
    api = make_api(timeout=0.1, retry=RetryPolicy(attempts=1))
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: 0.0)
        patch.setattr(time, "time", lambda: 0.0)
        with pytest.raises(Unreachable, match="no complete answer"):
            api.get_project("SMOKE")


def test_a_suite_that_fakes_requests_does_not_take_our_calls(api, monkeypatch):
    def fake(*args, **kwargs):
        raise AssertionError("a call of ours was taken for one of the suite")

    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", fake)
    for name in ("request", "send", "get_adapter"):
        monkeypatch.setattr(f"requests.Session.{name}", fake)
    assert api.get_project("SMOKE")["id"] == 7


def test_a_total_bounds_an_attempt(make_api, server):
    server.script.append(Hang(trickle="headers"))
    with pytest.raises(Unreachable, match=r"1 attempt; the last: no complete answer within 0\.(1|0\d+) s"):
        make_api().with_limits(total=0.1).get_project("SMOKE")
