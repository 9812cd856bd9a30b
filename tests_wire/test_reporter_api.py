"""What each call sends over a connection, and what it makes of a good answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from famacase_pytest import __version__
from famacase_pytest.errors import Rejected
from scripted_answers import Say
from wire_files import part

ROOT = "/api/v1/reporter/v1/projects"


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


def test_upload_sends_names_types_and_bytes_and_returns_the_ids_in_order(api, server):
    server.script.append(
        Say(201, {"attachments": [{"id": "x", "file_name": ""}, {"id": "y", "file_name": ""}]})
    )
    ids = api.upload(
        "SMOKE", [part("Übersicht 表.png", b"\x89PNG\r\n--", "image/png"), part("empty", b"")], "key-2"
    )
    assert ids == ["x", "y"]
    [request] = server.requests
    assert request.files == [
        ("Übersicht 表.png", "image/png", b"\x89PNG\r\n--"),
        ("empty", "text/plain", b""),
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


def test_the_token_belongs_to_the_project(make_api, server):
    api = make_api(tokens={"A": "token-a", "": "token-rest"})
    by_function = make_api(tokens=lambda code: f"token-of-{code}")
    for one, code in ((api, "A"), (api, "B"), (by_function, "C")):
        one.get_project(code)
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Token token-a", "Token token-rest", "Token token-of-C"]


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
            thread.join(60)
            assert not thread.is_alive()
