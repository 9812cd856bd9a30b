"""Who may call, how much is read for whom, and what a body is."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from starlette.datastructures import Headers, UploadFile
from starlette.requests import Request

from famacase_pytest.server import reading
from famacase_pytest.server.models import MAX_JSON_BYTES, PREFIX, Problem
from famacase_pytest.server.reading import LimitedRequest, _parse, file_name

from .in_process import result_of

RUN = {"title": "x", "is_autotest": True}


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Token rep_local", 201),
        ("tOKEN  rep_local ", 201),
        ("Bearer rep_local", 401),
        ("rep_local", 401),
        ("Token", 401),
        ("Token REP_LOCAL", 401),
        ("Token rep_loca\xe9", 401),
        ("", 401),
    ],
)
def test_a_project_is_opened_by_its_token_alone(application, authorization, status):
    assert application.call("POST", "/runs", RUN, authorization=authorization).status == status


def test_nothing_is_read_for_somebody_without_a_token(application):
    taken = []
    pieces = (taken.append(1) or b"x" for _ in range(10))
    for project, token, status in (("SMOKE", "other", 401), ("OTHER", "rep_local", 404)):
        headers = {"authorization": f"Token {token}", "content-type": "application/json"}
        reply = application.send("POST", f"{PREFIX}/projects/{project}/runs", pieces, headers)
        assert reply.status == status
        assert ("www-authenticate" in reply.headers) == (status == 401)
    assert taken == []


def request(pieces, too_large=413, **headers):
    """A request whose body comes in pieces; also the list of those that were not taken."""
    left = list(pieces)

    async def receive():
        piece = left.pop(0) if left else b""
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    given = {"content-type": "application/json", **{name.replace("_", "-"): v for name, v in headers.items()}}
    scope = {"type": "http", "headers": Headers(given).raw}
    return LimitedRequest(Request(scope, receive), too_large, AsyncExitStack()), left


@pytest.mark.parametrize("declared", [{}, {"content_length": "4"}, {"content_length": "lots"}])
def test_a_body_is_refused_as_soon_as_it_is_too_large(monkeypatch, declared):
    monkeypatch.setattr(reading, "MAX_JSON_BYTES", 4)
    limited, left = request([b"123", b"456", b"789"], **declared)
    with pytest.raises(Problem) as raised:
        asyncio.run(limited.body())
    assert raised.value.status_code == 413
    assert left == [b"789"]


def test_a_body_that_says_that_it_is_too_large_is_not_read(monkeypatch):
    limited, left = request([b"1"], 422, content_length=str(MAX_JSON_BYTES + 1))
    with pytest.raises(Problem, match="larger than 64 MiB"):
        asyncio.run(limited.body())
    assert left == [b"1"]
    # A length that no machine has is no reason to fail.
    limited, _ = request([b"1"], content_length="9" * 5000)
    assert asyncio.run(limited.json()) == 1


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ("application/json", True),
        (" Application/JSON ; charset=utf-8", True),
        ("application/json+x", False),
        ("text/plain", False),
        ("", False),
    ],
)
def test_a_body_is_of_the_type_that_the_call_takes(given, fits):
    limited, left = request([b"{}"], content_type=given)
    if fits:
        assert asyncio.run(limited.json()) == {}
        return
    with pytest.raises(Problem) as raised:
        asyncio.run(limited.json())
    assert raised.value.status_code == 422
    assert raised.value.detail[0]["loc"] == ["header", "Content-Type"]
    assert left == [b"{}"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"", "json"),
        (b"\xff\xff", "json"),
        (b'{"a": NaN}', "json"),
        (b"[1e999]", "json"),
        (b"[-Infinity]", "json"),
        (b"[" * 200_000, "depth"),
    ],
)
def test_what_is_no_json_is_refused(text, kind):
    with pytest.raises(Problem) as raised:
        _parse(text)
    assert raised.value.detail[0]["type"] == kind


def test_numbers_and_lone_surrogates_survive():
    assert _parse(b'[1e2, -0.0, 12345678901234567890123, "\\ud800"]') == [
        100.0,
        0.0,
        12345678901234567890123,
        "\ud800",
    ]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data; name="files"; filename="a.txt"', "a.txt"),
        ("form-data; name=files; filename=a.txt ", "a.txt"),
        # What HTML says of quotes and line ends, and what clients did before.
        ('form-data; filename="a%22b%0D%0A.txt"', 'a"b\r\n.txt'),
        ('form-data; filename="a\\"b.txt"', 'a"b.txt'),
        ('form-data; filename="C:\\dir\\a.txt"', "C:\\dir\\a.txt"),
        ('form-data; filename="a; b=c.txt"; name="files"', "a; b=c.txt"),
        # No other escape is one.
        ('form-data; filename="%41.txt"', "%41.txt"),
        ("form-data; filename*=UTF-8''%e2%82%ac%22.txt; filename=\"x\"", '€".txt'),
        ("form-data; filename*=utf-8'de'%ff.txt", "\ufffd.txt"),
        ("form-data; filename*=latin-1''a; filename=b", "b"),
        ('form-data; filename=""', "file"),
        ("form-data; filename*=UTF-8''", "file"),
        ("form-data", "file"),
    ],
)
def test_a_file_has_the_name_that_its_client_meant(disposition, name):
    headers = Headers(raw=[(b"content-disposition", disposition.encode())])
    assert file_name(UploadFile(None, headers=headers)) == name


def test_a_large_body_takes_its_turn_and_gives_it_back(application, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES_IN_MEMORY", 100)
    turn = application.app.state.large_body
    for title, status in (("x" * 200, 201), ("", 422)):
        assert application.call("POST", "/runs", {**RUN, "title": title}).status == status
        assert not turn.locked()
    large = {"results": [result_of(title="x" * 200)]}
    assert application.call("POST", "/runs/1/results", large).status == 201
    assert json.loads(application.store.results(1, 1, 0)[1][0])["title"] == "x" * 200
