"""The calls: what they send, when they are made again, and what remains when no attempt is left."""

from __future__ import annotations

import threading

import pytest

from famacase_pytest.delivery.api.client import MAX_RESULTS, ReporterApi
from famacase_pytest.delivery.api.http import NoAnswer
from famacase_pytest.delivery.api.retry import RetryPolicy
from famacase_pytest.errors import Refused, Unreachable
from scripted_answers import Say

from .conftest import CALLS


def test_no_results_are_no_call_and_too_many_are_an_error(api, server):
    api.post_results("SMOKE", 7, [])
    with pytest.raises(ValueError, match="201 results"):
        api.post_results("SMOKE", 7, ["{}"] * (MAX_RESULTS + 1))
    assert server.requests == []


def test_publishing_asks_for_a_public_report(api, server):
    api.publish_run("SMOKE", 7)
    assert server.requests[0].json == {"status": True}


@pytest.mark.parametrize("answer", [{}, {"url": None}, {"url": ""}])
def test_a_server_may_give_no_link(api, server, answer):
    server.script.append(Say(200, answer))
    assert api.publish_run("SMOKE", 7) is None


@pytest.mark.parametrize("address", ["", "localhost:8000", "ftp://host", "https://", "/api"])
def test_an_address_that_is_none_is_an_error(address):
    with pytest.raises(ValueError, match="base_url"):
        ReporterApi(address, {})


@pytest.mark.parametrize("bad", ["", "geheim\n", "geheim\r\nX-Evil: 1", "gehеim", "two words"])
def test_a_token_that_no_header_can_carry_is_refused_before_anything_is_sent(make_api, server, bad):
    with pytest.raises(Refused, match="token of project SMOKE") as caught:
        make_api(tokens={"SMOKE": bad}).get_project("SMOKE")
    assert caught.value.__cause__ is None
    assert not bad or bad.strip() not in str(caught.value)
    assert server.requests == []


def test_an_environment_that_nobody_bears_has_no_id(api, server):
    assert api.environment_id("SMOKE", "moon") is None
    server.script.append(Say(200, []))
    assert api.environment_id("SMOKE", "production") is None


def test_results_are_read_page_by_page(api, server):
    for ids in (["a", "b"], ["c", "d"], ["e"]):
        server.script.append(Say(200, {"total": 5, "results": [{"id": id_} for id_ in ids]}))
    assert [result["id"] for result in api.list_results("SMOKE", 7, page=2)] == list("abcde")
    assert [request.path.partition("?")[2] for request in server.requests] == [
        "limit=2&offset=0",
        "limit=2&offset=2",
        "limit=2&offset=4",
    ]


def test_a_copy_has_its_own_limits_and_leaves_the_original_alone(make_api, server):
    api = make_api(retry=RetryPolicy(attempts=2, base=0.001))
    server.script.extend([Say(503)] * 3)
    with pytest.raises(Unreachable, match="1 attempt;"):
        api.with_limits(attempts=1).get_project("SMOKE")
    with pytest.raises(Unreachable, match="2 attempts;"):
        api.get_project("SMOKE")
    assert api.get_project("SMOKE")["id"] == 7


ONLY_A_KEY_PROTECTS = {"create_run", "upload"}


@pytest.mark.parametrize(
    "fault", [Say(408), Say(429), Say(502), Say(503), Say(504), NoAnswer("reset")], ids=repr
)
@pytest.mark.parametrize("name", CALLS)
def test_what_may_pass_is_tried_again(api, server, name, fault):
    server.script.extend([fault, fault])
    CALLS[name](api)
    assert len(server.requests) == 3
    # The body is whole each time, not what the last attempt left of it; of an upload the boundary differs.
    sent = {(one.path, len(one.body) if name == "upload" else one.body) for one in server.requests}
    assert len(sent) == 1


@pytest.mark.parametrize("name", CALLS)
def test_500_is_tried_again_where_doing_it_twice_does_no_harm(api, server, name):
    server.script.append(Say(500, {"detail": "boom."}))
    if name in ONLY_A_KEY_PROTECTS:
        with pytest.raises(Unreachable, match=r"1 attempt; the last: 500 boom\. \w") as caught:
            CALLS[name](api)
        assert caught.value.status == 500
        assert caught.value.detail == "500 boom."
    else:
        CALLS[name](api)
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [501, 505, 520])
def test_other_server_errors_are_not_tried_again(api, server, status):
    server.script.append(Say(status))
    with pytest.raises(Unreachable) as caught:
        api.get_project("SMOKE")
    assert caught.value.status == status
    assert len(server.requests) == 1


def test_after_the_attempts_the_last_cause_and_their_number_are_told(make_api, server):
    server.script.extend([Say(502), NoAnswer("reset"), Say(503, {"detail": "back soon"})])
    with pytest.raises(Unreachable) as caught:
        make_api().post_results("SMOKE", 7, ["{}"])
    assert str(caught.value) == (
        "POST /projects/SMOKE/runs/7/results at famacase.test got no usable answer in 3 attempts; the last: "
        "503 back soon. Whether its results were stored is not known; sending them again doubles none. "
        "Check the network, the server and the address (FAMACASE_API_URL), then send again."
    )
    assert caught.value.status == 503


def test_the_number_of_attempts_counts_all(make_api, server, patience):
    server.script.extend([Say(503)] * 9)
    with pytest.raises(Unreachable, match="5 attempts"):
        make_api(attempts=5, retry=None, cancelled=patience).get_project("SMOKE")
    assert len(server.requests) == 5
    assert len(patience.waits) == 4


@pytest.mark.parametrize(("asked", "waited"), [("7", 7), ("100000", 120)])
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_time_gets_it_up_to_a_cap(make_api, server, patience, status, asked, waited):
    server.script.append(Say(status, headers={"Retry-After": asked}))
    make_api(cancelled=patience).get_project("SMOKE")
    assert patience.waits == [waited]


def test_cancelling_ends_a_wait_at_once(make_api, server):
    class Cancelled(threading.Event):
        """Set as soon as somebody waits for it."""

        def wait(self, timeout=None):
            self.set()
            return super().wait(timeout)

    server.script.append(Say(503, headers={"Retry-After": "100"}))
    with pytest.raises(Unreachable, match="1 attempt; the last: 503"):
        make_api(cancelled=Cancelled()).get_project("SMOKE")


def test_a_total_bounds_all_attempts_and_waits(make_api, server):
    server.script.append(Say(503, headers={"Retry-After": "60"}))
    with pytest.raises(Unreachable, match="1 attempt; the last: 503"):
        make_api().with_limits(total=5).get_project("SMOKE")
    assert server.requests[0].bounds.total <= 5
