"""What an answer means: a value, another attempt, or an error that says what to do."""

from __future__ import annotations

import pytest

from famacase_pytest.errors import Refused, Rejected, Unreachable
from scripted_answers import Say

from .conftest import CALLS


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (401, Refused, "FAMACASE_REPORTER_TOKEN"),
        (403, Refused, "that may report"),
        (404, Refused, "FAMACASE_API_URL"),
        (407, Refused, "HTTPS_PROXY"),
        (409, Refused, "FAMACASE_TESTOPS_RUN_COMPLETE=false"),
        (400, Rejected, "Correct what the reason names"),
        (405, Rejected, "Correct what the reason names"),
        (413, Rejected, "FAMACASE_TESTOPS_BATCH_SIZE"),
        (422, Rejected, "Correct what the reason names"),
    ],
)
@pytest.mark.parametrize("name", CALLS)
def test_each_refusal_is_told_once_with_its_remedy(api, server, name, status, kind, remedy):
    server.script.append(Say(status, {"detail": "Because."}))
    with pytest.raises(kind) as caught:
        CALLS[name](api)
    error = caught.value
    assert (error.status, error.detail) == (status, "Because.")
    assert f"was answered with {status} (Because.)." in str(error)
    assert " at famacase.test " in str(error)
    assert remedy in str(error)
    assert len(server.requests) == 1


def test_a_message_has_its_three_parts(api, server):
    server.script.append(Say(409, {"detail": "Run 7 is complete"}))
    with pytest.raises(Refused) as caught:
        api.post_results("SMOKE", 7, ["{}"])
    assert str(caught.value) == (
        "POST /projects/SMOKE/runs/7/results at famacase.test was answered with 409 "
        "(Run 7 is complete). Its results were not stored. If the run is complete: jobs that share one "
        "run need FAMACASE_TESTOPS_RUN_COMPLETE=false, and complete it once when all have ended."
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"detail": "A sentence."}', "A sentence."),
        (
            b'{"detail": [{"loc": ["body", "results", 0, "title"], "msg": "Field required"},'
            b' {"msg": "Odd"}, "text"]}',
            "body.results.0.title: Field required; Odd; text",
        ),
        (b'{"detail": {"reason": "nested"}}', '{"reason": "nested"}'),
        (b'{"message": "Laravel says"}', "Laravel says"),
        (b'{"status": false}', '{"status": false}'),
        (b"plain\n  text\x1b[31m", "plain text [31m"),
        (b"", ""),
        (b"\xff\xfe", "�" * 2),
        (b"<html><head><title>\n 413 Too\n Large</title>" + b"x" * 9000, "a web page: 413 Too Large"),
        (b"<html>nothing", "a web page"),
        (b'{"detail": "' + b"x" * 100_000 + b'"}', None),
        (b'{"detail": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", None),
    ],
)
def test_what_the_server_said_becomes_one_short_line(api, server, body, detail):
    server.script.append(Say(422, body=body))
    with pytest.raises(Rejected) as caught:
        api.get_project("SMOKE")
    assert len(caught.value.detail) <= 500
    assert "\n" not in str(caught.value)
    if detail is not None:
        assert caught.value.detail == detail


def test_of_many_field_errors_the_first_are_named(api, server):
    server.script.append(Say(422, {"detail": [{"loc": ["body", n], "msg": "bad"} for n in range(25)]}))
    with pytest.raises(Rejected) as caught:
        api.get_project("SMOKE")
    assert caught.value.detail.startswith("body.0: bad; body.1: bad;")
    assert caught.value.detail.endswith("body.9: bad; and 15 more")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_names_its_goal(api, server, status):
    goal = "https://user:geheim@famacase.example.com:8443/api/v1?token=geheim#x"
    server.script.append(Say(status, headers={"Location": goal}))
    with pytest.raises(Refused) as caught:
        api.post_results("SMOKE", 7, ["{}"])
    message = str(caught.value)
    assert f"{status}, a redirect to https://famacase.example.com:8443/api/v1. " in message
    assert "geheim" not in message
    assert "http was written for https" in message
    assert caught.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("goal", ["", "/login", "//[", "http://[bad", "\xff\xfe", "gopher://x", "/a%zz b"])
def test_any_location_makes_a_message(api, server, goal):
    headers = {"Location": goal} if goal else {}
    server.script.append(Say(302, headers=headers))
    with pytest.raises(Refused, match="a redirect to"):
        api.get_project("SMOKE")


NEEDS_JSON = [name for name in CALLS if name not in ("complete_run", "post_results")]


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
    CALLS[name](api)
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", ["complete_run", "post_results"])
def test_a_login_page_is_no_acknowledgement(make_api, server, name):
    page = Say(200, body=b"<html>", headers={"Content-Type": "text/html"})
    server.script.extend([page] * 3)
    with pytest.raises(Unreachable, match=r"something other than Famacase answered .*login page"):
        CALLS[name](make_api())


@pytest.mark.parametrize(
    "answer",
    [
        Say(200, body=b""),
        Say(202, body=b""),
        Say(204, body=b""),
        Say(206, body=b""),
        Say(201, body=b"OK"),
        Say(201, body=b'{"results": '),
        Say(201, body=b"x" * (16 * 2**20 + 1)),
    ],
    ids=["200", "202", "204", "206", "text", "half a document", "endless junk"],
)
def test_only_what_the_contract_says_acknowledges_results(api, server, answer):
    server.script.append(answer)
    CALLS["post_results"](api)
    assert len(server.requests) == 2


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]"])
def test_what_the_contract_leaves_open_is_an_acknowledgement(api, server, body):
    server.script.append(Say(201, body=body))
    CALLS["post_results"](api)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("create_run", {"id": "7"}),
        ("create_run", {"id": True}),
        ("create_run", {}),
        ("create_run", {"id": -1}),
        ("create_run", {"id": 2**63}),
        ("create_run", {"id": 10**400}),
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
    CALLS[name](api)
    assert len(server.requests) == 2
