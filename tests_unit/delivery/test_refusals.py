"""Answers that another attempt would not change: which error, and what its message tells and hides."""

from __future__ import annotations

import base64
import traceback
from pathlib import Path

import pytest
from scripted_server import Say
from test_reporter_api import CALLS

import famacase_pytest
from famacase_pytest.delivery.api.http import TokenAuth
from famacase_pytest.errors import Refused, Rejected, Unreachable


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (401, Refused, "FAMACASE_REPORTER_TOKEN"),
        (403, Refused, "right to report"),
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
        CALLS[name][0](api)
    error = caught.value
    assert (error.status, error.detail) == (status, "Because.")
    assert f"was answered with {status} (Because.)." in str(error)
    assert server.url.partition("//")[2] in str(error)
    assert remedy in str(error)
    assert len(server.requests) == 1


def test_a_message_has_its_three_parts(api, server):
    server.script.append(Say(409, {"detail": "Run 7 is complete"}))
    with pytest.raises(Refused) as caught:
        api.post_results("SMOKE", 7, ["{}"])
    assert str(caught.value) == (
        f"POST /projects/SMOKE/runs/7/results at {server.url.partition('//')[2]} was answered with 409 "
        "(Run 7 is complete). Its results were not stored. If the run is complete: jobs that share one "
        "run need FAMACASE_TESTOPS_RUN_COMPLETE=false, and complete it once when all have ended; what is "
        "left can go to another run."
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


def test_a_redirects_body_is_not_read_to_its_end(api, server):
    server.script.append(Say(302, body=b"x" * 2**24, headers={"Location": "/login"}))
    with pytest.raises(Refused, match="/login"):
        api.get_project("SMOKE")


@pytest.mark.parametrize("status", [302, 401, 422, 500, 503])
def test_a_server_that_echoes_the_token_does_not_get_it_into_messages(make_api, server, token, status):
    from urllib.parse import quote

    echo = f"{'x' * 485} {token} {quote(token, safe='')} https://me:pass@host/x"
    notices = []
    api = make_api(notify=notices.append)
    answer = Say(status, {"detail": echo}, headers={"Location": f"/{token}"})
    server.script.extend([answer] * 3)
    with pytest.raises((Refused, Rejected, Unreachable)) as caught:
        api.get_project("SMOKE")
    seen = "".join(
        [*traceback.format_exception(None, caught.value, caught.tb), caught.value.detail, *notices]
    )
    # Not even the part of it that fits before a message is cut.
    assert token[:8] not in seen
    assert "pass" not in caught.value.detail
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_no_error_carries_the_librarys_request(make_api, token):
    """Its headers hold the token, and `pytest --showlocals` shows what hangs on an exception."""
    with pytest.raises(Unreachable) as caught:
        make_api("http://127.0.0.1:1").get_project("SMOKE")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    package = Path(famacase_pytest.__file__).parent
    ours = [frame for frame in shown.stack if package in Path(frame.filename).parents]
    assert ours
    assert token not in str([frame.locals for frame in ours])


def test_the_authentication_hides_its_token(token):
    auth = TokenAuth(token)
    assert token not in repr(auth)
    assert auth == TokenAuth(token)
    assert auth != TokenAuth("other")
    assert auth.scrub(f"a {token} b //u:p@h/ c@d") == "a *** b //***@h/ c@d"


def test_netrc_does_not_replace_the_token(api, server, token, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pass\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.script.append(Say(302, headers={"Location": "/elsewhere"}))
    with pytest.raises(Refused):
        api.get_project("SMOKE")
    api.get_project("SMOKE")
    assert [one.headers["Authorization"] for one in server.requests] == [f"Token {token}"] * 2
    assert len(server.requests) == 2
    # The file is one that requests reads: without our authentication it would have been used.
    import requests

    requests.get(server.url, timeout=5).close()
    assert server.requests[-1].headers["Authorization"] == "Basic " + base64.b64encode(b"me:pass").decode()
