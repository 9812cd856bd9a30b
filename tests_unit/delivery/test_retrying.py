"""When a call is made again, after how long, and what remains when no attempt is left."""

from __future__ import annotations

import threading
import time

import pytest
from scripted_server import Half, Hang, Reset, Say
from test_reporter_api import CALLS

from famacase_pytest.delivery.api.retry import RetryPolicy, parse_retry_after
from famacase_pytest.errors import Unreachable

NOON = "Wed, 01 Jan 2025 12:00:00 GMT"
NEEDS_JSON = [name for name in CALLS if name not in ("complete_run", "post_results", "get_attachment")]
ONLY_A_KEY_PROTECTS = {"create_run", "upload"}


@pytest.mark.parametrize(
    "fault", [Say(408), Say(429), Say(502), Say(503), Say(504), Reset(), Half()], ids=repr
)
@pytest.mark.parametrize("name", CALLS)
def test_what_may_pass_is_tried_again(api, server, name, fault):
    server.script.extend([fault, fault])
    CALLS[name][0](api)
    assert len(server.requests) == 3
    sent = [(one.path, str(one.files) if name == "upload" else one.body) for one in server.requests]
    assert len(set(sent)) == 1  # the body is whole each time, not what the last attempt left of it


@pytest.mark.parametrize("name", CALLS)
def test_500_is_tried_again_where_doing_it_twice_does_no_harm(api, server, name):
    server.script.append(Say(500, {"detail": "boom"}))
    if name in ONLY_A_KEY_PROTECTS:
        with pytest.raises(Unreachable, match="1 attempt; the last: 500 boom") as caught:
            CALLS[name][0](api)
        assert caught.value.status == 500
        assert caught.value.detail == "500 boom"
    else:
        CALLS[name][0](api)
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [501, 505, 520])
def test_other_server_errors_are_not_tried_again(api, server, status):
    server.script.append(Say(status))
    with pytest.raises(Unreachable) as caught:
        api.get_project("SMOKE")
    assert caught.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", NEEDS_JSON)
@pytest.mark.parametrize(
    "answer",
    [
        Say(200, body=b"<html><title>Log in</title>", headers={"Content-Type": "text/html; charset=utf-8"}),
        Say(200, body=b"  <!DOCTYPE html>"),
        Say(200, body=b"OK"),
        Say(204, body=b""),
        Say(200, "text"),
        Say(200, body=b"[" * 100_000),
    ],
    ids=["html", "undeclared-html", "text", "empty", "other-json", "endless-nesting"],
)
def test_an_answer_that_is_not_famacase_is_transient(api, server, name, answer):
    server.script.append(answer)
    CALLS[name][0](api)
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", ["complete_run", "post_results"])
def test_a_login_page_is_no_acknowledgement(make_api, server, name):
    page = Say(200, body=b"<html>", headers={"Content-Type": "text/html"})
    server.script.extend([page] * 3)
    with pytest.raises(Unreachable, match=r"something other than Famacase answered .*login page"):
        CALLS[name][0](make_api())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("create_run", {"id": "7"}),
        ("create_run", {"id": True}),
        ("create_run", {}),
        ("plan_cases", {"case_ids": ["1"]}),
        ("plan_cases", {}),
        ("environment_id", {"id": 4}),
        ("environment_id", [{"slug": "production"}]),
        ("upload", {"attachments": []}),
        ("upload", {"attachments": [{"file_name": "a"}]}),
        ("upload", {"attachments": [1]}),
        ("list_results", {"results": []}),
    ],
)
def test_json_of_another_shape_is_transient_too(api, server, name, answer):
    server.script.append(Say(200, answer))
    CALLS[name][0](api)
    assert len(server.requests) == 2


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


def test_after_the_attempts_the_last_cause_and_their_number_are_told(make_api, server):
    server.script.extend([Say(502), Reset(), Say(503, {"detail": "back soon"})])
    with pytest.raises(Unreachable) as caught:
        make_api().post_results("SMOKE", 7, ["{}"])
    host = server.url.partition("//")[2]
    assert str(caught.value) == (
        f"POST /projects/SMOKE/runs/7/results at {host} got no usable answer in 3 attempts; the last: "
        "503 back soon. Whether its results were stored is not known; sending them again doubles none. "
        "Check the network, the server and the address (FAMACASE_API_URL), then send again."
    )
    assert caught.value.status == 503


def test_a_dead_host_is_named_without_the_noise_of_the_libraries(make_api):
    with pytest.raises(Unreachable) as caught:
        make_api("http://127.0.0.1:1").get_project("SMOKE")
    assert "127.0.0.1:1 got no usable answer in 3 attempts; the last: [Errno 111] Connection refused." in str(
        caught.value
    )
    assert caught.value.status is None


def test_the_number_of_attempts_counts_all(make_api, server, patience):
    server.script.extend([Say(503)] * 9)
    with pytest.raises(Unreachable, match="5 attempts"):
        make_api(attempts=5, retry=None, cancelled=patience).get_project("SMOKE")
    assert len(server.requests) == 5
    assert len(patience.waits) == 4


def test_waits_are_announced(make_api, server, patience, token):
    notices = []
    server.script.append(Say(429, {"detail": token}, headers={"Retry-After": "7"}))
    make_api(notify=notices.append, cancelled=patience).get_project("SMOKE")
    [notice] = notices
    assert notice.endswith("429 ***. Attempt 2 of 3 in 7.0 s.")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "100000"}, 120),
        # The server's clock decides, not ours, which is years ahead of these dates.
        ({"Retry-After": "Wed, 01 Jan 2025 12:00:09 GMT", "Date": NOON}, 9),
        ({"Retry-After": "Wed, 01 Jan 2025 11:59:00 GMT", "Date": NOON}, 0),
        ({"Retry-After": "Wed, 01 Jan 2025 13:00:00 GMT", "Date": NOON}, 120),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_both_forms_up_to_its_cap(make_api, server, patience, status, headers, expected):
    server.script.append(Say(status, headers=headers))
    make_api(cancelled=patience).get_project("SMOKE")
    assert patience.waits == [expected]


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "1.5", "9" * 5000, "Wed, 99 Foo 2025", "Mon, 32 Jan 2025 1"]
)
def test_an_unreadable_retry_after_is_as_none(value):
    assert parse_retry_after({"Retry-After": value}) is None


def test_a_date_without_a_server_clock_is_taken_by_ours():
    then = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 50))
    assert parse_retry_after({"Retry-After": then}) == pytest.approx(50, abs=5)


def test_backoff_doubles_up_to_its_cap_with_full_jitter():
    policy = RetryPolicy(attempts=100, base=0.5, cap=30)
    for failures, bound in [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (5000, 30)]:
        waits = [policy.wait(failures) for _ in range(200)]
        assert 0 <= min(waits) < bound * 0.2
        assert bound * 0.8 < max(waits) <= bound


def test_a_policy_without_attempts_is_an_error():
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(attempts=0)


def test_a_suite_that_seeds_random_is_left_alone(make_api, server):
    import random

    random.seed(1)
    expected = random.random()
    random.seed(1)
    server.script.append(Say(503))
    make_api().get_project("SMOKE")
    assert random.random() == expected


def test_cancelling_ends_a_wait_at_once(make_api, server):
    cancelled = threading.Event()
    server.script.append(Say(503, headers={"Retry-After": "100"}))
    api = make_api(cancelled=cancelled, notify=lambda _: cancelled.set())
    with pytest.raises(Unreachable, match="1 attempt; the last: 503"):
        api.get_project("SMOKE")


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


def test_a_total_bounds_all_attempts_and_waits(make_api, server):
    server.script.append(Say(503, headers={"Retry-After": "60"}))
    with pytest.raises(Unreachable, match="1 attempt; the last: 503"):
        make_api().with_limits(total=5).get_project("SMOKE")
    server.script.append(Hang(trickle="headers"))
    with pytest.raises(Unreachable, match=r"1 attempt; the last: no complete answer within 0\.1"):
        make_api().with_limits(total=0.1).get_project("SMOKE")
