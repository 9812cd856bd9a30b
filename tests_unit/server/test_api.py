"""What the calls make of files, links and keys; tests/ has each of them over HTTP."""

from __future__ import annotations

import json
import uuid

import pytest

from famacase_pytest.server import api
from famacase_pytest.server.api import _content_disposition, base_url
from famacase_pytest.server.models import PREFIX

RUN = {"title": "x", "is_autotest": True}


def upload(application, *files, **headers):
    """Uploads files, each a name, a content and a line of headers."""
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n{more}\r\n\r\n'.encode()
        + content
        for name, content, more in files
    ]
    body = b"\r\n".join([*parts, b"--b--\r\n"])
    return application.call(
        "POST", "/attachments", body, content_type="multipart/form-data; boundary=b", **headers
    )


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("Content-Type: text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("Content-Type:  image/svg+xml ", "image/svg+xml"),
        ("Content-Type: nonsense", "application/octet-stream"),
        ("Content-Type: a/<b>", "application/octet-stream"),
        ("X: y", "application/octet-stream"),
    ],
)
def test_a_media_type_is_kept_if_it_is_one(application, line, kept):
    reply = upload(application, ("a", b"x", line))
    assert reply.status == 201
    assert reply.json()["attachments"][0]["mime_type"] == kept


def test_a_file_and_all_files_together_have_a_limit_and_none_is_kept_beyond(
    application, monkeypatch, tmp_path
):
    monkeypatch.setattr(api, "MAX_FILE_BYTES", 4)
    monkeypatch.setattr(api, "MAX_UPLOAD_BYTES", 6)
    for contents, said in (([b"1234", b"12345"], "File 1 of the request"), ([b"123"] * 3, "The request is")):
        reply = upload(application, *(("a", content, "X: y") for content in contents))
        assert reply.status == 413
        assert reply.json()["detail"].startswith(said)
    assert not [path for path in (tmp_path / "data" / "attachments").rglob("*") if path.is_file()]
    assert upload(application, ("a", b"1234", "X: y"), ("b", b"12", "X: y")).status == 201


def test_a_key_counts_in_any_case_and_only_if_it_is_one(application):
    key = str(uuid.uuid4())
    made = [
        application.call("POST", "/runs", {**RUN, "title": title}, idempotency_key=given).json()
        for title, given in (("first", key), ("second", key.upper()))
    ]
    assert made[0] == made[1]
    assert application.call("POST", "/runs", RUN, idempotency_key="x").status == 422
    first, again = (
        upload(application, (name, b"x", "X: y"), idempotency_key=given).json()
        for name, given in (("a", key.upper()), ("b", key))
    )
    assert first == again


def test_a_run_gives_back_what_it_was_made_with_even_what_has_no_utf_8_form(application):
    body = b'{"title": "\\ud800", "is_autotest": true, "tags": ["\\u0000"], "plan_id": 1.0}'
    number = application.call("POST", "/runs", body).json()["id"]
    described = application.call("GET", f"/runs/{number}").json()
    assert {name: described[name] for name in ("title", "tags", "stats", "status", "completed_at")} == {
        "title": "\ud800",
        "tags": ["\0"],
        "stats": {},
        "status": "in_progress",
        "completed_at": None,
    }
    # A member of ours is not overwritten by one of the body.
    assert described["id"] == number


@pytest.mark.parametrize(
    ("public_url", "server", "url"),
    [
        (None, ("127.0.0.1", 8000), "http://127.0.0.1:8000/runs/1"),
        (None, ("::1", 80), "http://[::1]:80/runs/1"),
        ("https://tests.example/famacase", ("127.0.0.1", 8000), "https://tests.example/famacase/runs/1"),
    ],
)
def test_the_link_of_a_run_is_made_of_what_the_server_knows_of_itself(application, public_url, server, url):
    application.app.state.public_url = public_url
    application.call("POST", "/runs", RUN)
    for is_public, expected in ((True, url), (False, None)):
        reply = application.send(
            "POST",
            f"{PREFIX}/projects/SMOKE/runs/1/public",
            [json.dumps({"status": is_public}).encode()],
            {"authorization": "Token rep_local", "content-type": "application/json", "host": "localhost"},
            server,
        )
        assert reply.json() == {"url": expected}
        assert application.call("GET", "/runs/1").json()["is_public"] is is_public


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("host.example", "http://host.example:80"),
        ("::1", "http://[::1]:80"),
        # What every address is called from here.
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("", "http://127.0.0.1:80"),
    ],
)
def test_an_address_that_can_be_called_is_made_of_the_one_that_is_listened_on(host, url):
    assert base_url(host, 80) == url


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('a"\\.txt', "attachment; filename=\"a__.txt\"; filename*=UTF-8''a%22%5C.txt"),
        ("é\r\n", "attachment; filename=\"___\"; filename*=UTF-8''%C3%A9%0D%0A"),
        ("\ud800/", "attachment; filename=\"_/\"; filename*=UTF-8''%3F%2F"),
    ],
)
def test_a_download_has_its_name_for_old_and_new_clients(name, header):
    assert _content_disposition("attachment", name) == header


def test_a_download_runs_nothing_whatever_it_is(application):
    [kept] = upload(application, ("a.html", b"<script>", "Content-Type: text/html")).json()["attachments"]
    reply = application.call("GET", f"/attachments/{kept['id'].upper()}")
    assert (reply.body, reply.headers["content-type"]) == (b"<script>", "application/octet-stream")
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"].endswith("; sandbox")
