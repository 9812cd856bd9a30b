"""What each call sends, and what it makes of a good answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from scripted_server import Say

from famacase_pytest import __version__
from famacase_pytest.delivery.api.client import MAX_RESULTS, ReporterApi, insecure
from famacase_pytest.delivery.api.multipart import fingerprint, part_of
from famacase_pytest.delivery.api.retry import RetryPolicy
from famacase_pytest.delivery.models import Attachment
from famacase_pytest.errors import Refused, Rejected, Unreachable

ROOT = "/api/v1/reporter/v1/projects"


def part(name="a.txt", content=b"abc", mime_type=None):
    source = Attachment("r", name, mime_type, content=content)
    return part_of(source, fingerprint(source))


CALLS = {
    "get_project": (lambda api: api.get_project("SMOKE"), "GET", f"{ROOT}/SMOKE"),
    "environment_id": (
        lambda api: api.environment_id("SMOKE", "production"),
        "GET",
        f"{ROOT}/SMOKE/environments?slug=production",
    ),
    "plan_cases": (lambda api: api.plan_cases("SMOKE", 5), "GET", f"{ROOT}/SMOKE/plans/5/cases"),
    "create_run": (
        lambda api: api.create_run("SMOKE", {"title": "t"}, "key-1"),
        "POST",
        f"{ROOT}/SMOKE/runs",
    ),
    "get_run": (lambda api: api.get_run("SMOKE", 7), "GET", f"{ROOT}/SMOKE/runs/7"),
    "complete_run": (lambda api: api.complete_run("SMOKE", 7), "POST", f"{ROOT}/SMOKE/runs/7/complete"),
    "publish_run": (lambda api: api.publish_run("SMOKE", 7), "POST", f"{ROOT}/SMOKE/runs/7/public"),
    "post_results": (
        lambda api: api.post_results("SMOKE", 7, ["{}"]),
        "POST",
        f"{ROOT}/SMOKE/runs/7/results",
    ),
    "upload": (lambda api: api.upload("SMOKE", [part()], "key-2"), "POST", f"{ROOT}/SMOKE/attachments"),
    "list_results": (
        lambda api: list(api.list_results("SMOKE", 7)),
        "GET",
        f"{ROOT}/SMOKE/runs/7/results?limit=200&offset=0",
    ),
    "get_attachment": (
        lambda api: api.get_attachment("SMOKE", "x-1"),
        "GET",
        f"{ROOT}/SMOKE/attachments/x-1",
    ),
}
EXPECTED = {
    "get_project": {"id": 7, "code": "SMOKE"},
    "environment_id": 4,
    "plan_cases": [1, 2, 3],
    "create_run": 7,
    "get_run": {"id": 7, "code": "SMOKE"},
    "complete_run": None,
    "publish_run": "https://famacase.example.com/r/1",
    "post_results": None,
    "list_results": [],
    "get_attachment": b"\x00bytes",
}


@pytest.mark.parametrize("name", CALLS)
def test_each_call_goes_where_the_contract_says_with_the_token(api, server, token, name):
    call, method, path = CALLS[name]
    value = call(api)
    if name in EXPECTED:
        assert value == EXPECTED[name]
    [request] = server.requests
    assert (request.method, request.path) == (method, path)
    assert request.headers["Authorization"] == f"Token {token}"
    assert request.headers["User-Agent"] == f"famacase-pytest/{__version__}"
    assert request.headers["Accept"] == "application/json"


def test_the_body_of_a_run_and_its_key(api, server):
    api.create_run("SMOKE", {"title": "naïve", "is_autotest": True}, "key-1")
    [request] = server.requests
    assert request.json == {"title": "naïve", "is_autotest": True}
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == "key-1"


def test_results_are_spliced_as_they_are(api, server):
    api.post_results("SMOKE", 7, ['{"id": "1",  "title": "ü"}', '{"id":"2"}'])
    [request] = server.requests
    assert request.body == '{"results":[{"id": "1",  "title": "ü"},{"id":"2"}]}'.encode()


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


def test_upload_sends_names_types_and_bytes_and_returns_the_ids_in_order(api, server):
    server.script.append(
        Say(201, {"attachments": [{"id": "x", "file_name": ""}, {"id": "y", "file_name": ""}]})
    )
    ids = api.upload("SMOKE", [part("Übersicht 表.png", b"\x89PNG\r\n--"), part("empty", b"")], "key-2")
    assert ids == ["x", "y"]
    [request] = server.requests
    assert request.files == [
        ("Übersicht 表.png", "image/png", b"\x89PNG\r\n--"),
        ("empty", "application/octet-stream", b""),
    ]
    assert request.headers["Idempotency-Key"] == "key-2"


def test_places_in_the_path_are_quoted(api, server):
    api.get_project("A/B ü?#")
    assert server.requests[0].path == f"{ROOT}/A%2FB%20%C3%BC%3F%23"


def test_the_address_may_have_a_prefix_and_its_user_part_is_dropped(make_api, server, token):
    host = server.url.partition("//")[2]
    make_api(f"http://user:secret@{host}/tools/famacase/?x=1#y").get_project("SMOKE")
    [request] = server.requests
    assert request.path == f"/tools/famacase{ROOT}/SMOKE"
    assert request.headers["Authorization"] == f"Token {token}"


@pytest.mark.parametrize("address", ["", "localhost:8000", "ftp://host", "https://", "/api"])
def test_an_address_that_is_none_is_an_error(address):
    with pytest.raises(ValueError, match="base_url"):
        ReporterApi(address, {})


def test_the_token_belongs_to_the_project(make_api, server):
    api = make_api(tokens={"A": "token-a", "": "token-rest"})
    by_function = make_api(tokens=lambda code: f"token-of-{code}")
    for one, code in ((api, "A"), (api, "B"), (by_function, "C")):
        one.get_project(code)
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Token token-a", "Token token-rest", "Token token-of-C"]


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


def test_cookies_are_not_sent_back(api, server):
    server.script.append(Say(200, {"id": 1}, headers={"Set-Cookie": "session=1"}))
    api.get_project("SMOKE")
    api.get_project("SMOKE")
    assert server.requests[1].headers["Cookie"] is None


def test_calls_share_connections_and_a_copy_with_other_limits_does_too(api, server):
    copy = api.with_limits(timeout=5, attempts=1)
    for one in (api, copy, api, copy):
        one.get_project("SMOKE")
    copy.close()
    api.get_project("SMOKE")
    assert len(server.connections) == 1


def test_a_copy_has_its_own_limits_and_leaves_the_original_alone(make_api, server):
    api = make_api(retry=RetryPolicy(attempts=2, base=0.001))
    server.script.extend([Say(503)] * 3)
    with pytest.raises(Unreachable, match="1 attempt;"):
        api.with_limits(attempts=1).get_project("SMOKE")
    with pytest.raises(Unreachable, match="2 attempts;"):
        api.get_project("SMOKE")
    assert api.get_project("SMOKE")["id"] == 7


def test_many_threads_get_each_its_own_answer(api, server):
    """Answers are made from the request, so an answer in the wrong hands shows."""

    def decide(request):
        code = request.path.rpartition("/")[2]
        status = 422 if code.endswith("7") else 200
        return Say(status, {"id": 1, "code": code, "detail": code})

    server.decide = decide

    def call(number):
        code = f"P{number}"
        if code.endswith("7"):
            with pytest.raises(Rejected) as caught:
                api.get_project(code)
            return caught.value.detail == code
        return api.get_project(code)["code"] == code

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(160)))
    assert len(server.connections) <= 8


def test_no_thread_is_left_when_the_calls_are_over(api):
    api.get_project("SMOKE")
    for thread in threading.enumerate():
        if thread.name == "famacase-watchdog":
            thread.join(1)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://famacase.example.com", False),
        ("http://famacase.example.com", True),
        ("HTTP://10.0.0.1:8000", True),
        ("http://localhost:8000", False),
        ("http://LOCALHOST.", False),
        ("http://app.localhost", False),
        ("http://notlocalhost", True),
        ("http://localhost.example.com", True),
        ("http://127.0.0.1", False),
        ("http://127.8.9.10:1", False),
        ("http://[::1]:8000", False),
        ("http://[::ffff:127.0.0.1]", False),
        ("http://[2001:db8::1]", True),
    ],
)
def test_plain_http_is_insecure_unless_it_stays_on_this_machine(address, expected):
    assert insecure(address) is expected
