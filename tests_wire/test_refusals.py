"""Refusals: what is not read, and what neither a message nor a request tells."""

from __future__ import annotations

import base64
import traceback

import pytest

from famacase_pytest.errors import Refused, Rejected, Unreachable
from scripted_answers import Say


def test_a_redirects_body_is_not_read_to_its_end(api, server):
    server.script.append(Say(302, body=b"x" * 2**24, headers={"Location": "/login"}))
    with pytest.raises(Refused, match="/login"):
        api.get_project("SMOKE")


@pytest.mark.parametrize("status", [302, 401, 422, 500, 503])
def test_a_server_that_echoes_the_token_does_not_get_it_into_messages(make_api, server, token, status):
    from urllib.parse import quote

    echo = f"{'x' * 485} {token} {quote(token, safe='')} https://me:pass@host/x"
    api = make_api()
    answer = Say(status, {"detail": echo}, headers={"Location": f"/{token}"})
    server.script.extend([answer] * 3)
    with pytest.raises((Refused, Rejected, Unreachable)) as caught:
        api.get_project("SMOKE")
    seen = "".join([*traceback.format_exception(None, caught.value, caught.tb), caught.value.detail])
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
    ours = [frame for frame in shown.stack if "famacase_pytest" in frame.filename]
    assert ours
    assert token not in str([frame.locals for frame in ours])


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
