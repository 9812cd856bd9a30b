"""Files: `uploadAttachments`, and getting them back with `getAttachment`."""

from __future__ import annotations

import hashlib
import http.client
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from famacase_pytest.server.process import ServerProcess
from live_api import Backend, reach

MEBIBYTE = 1024 * 1024
BOUNDARY = "b0undary"


def raw_upload(
    backend: Backend, body: bytes | Iterator[bytes], boundary: str = BOUNDARY
) -> requests.Response:
    """Uploads a body that is multipart as far as its header says."""
    header = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return backend.call("POST", "/attachments", data=body, headers=header)


def part(disposition: str, content: bytes = b"x", more: str = "") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def test_files_come_back_as_they_were_sent(local_backend: Backend) -> None:
    contents = [b"", b"text", bytes(range(256)) * 4096, b"\r\n--" + BOUNDARY.encode() + b"--\r\n", b"text"]
    response = local_backend.upload(*((f"{number}.bin", one) for number, one in enumerate(contents)))
    assert response.status_code == 201
    kept = response.json()["attachments"]
    assert [one["file_name"] for one in kept] == ["0.bin", "1.bin", "2.bin", "3.bin", "4.bin"]
    assert [one["file_size"] for one in kept] == [len(one) for one in contents]
    assert len({one["id"] for one in kept}) == 5
    for one, content in zip(kept, contents):
        read = local_backend.get(f"/attachments/{one['id']}")
        assert read.status_code == 200
        assert read.content == content


def test_an_upload_is_answered_with_what_the_client_needs(backend: Backend) -> None:
    response = backend.upload(("report.txt", b"abc", "text/plain"))
    assert response.status_code == 201
    (one,) = response.json()["attachments"]
    assert uuid.UUID(one.pop("id"))
    assert one == {"file_name": "report.txt", "mime_type": "text/plain", "file_size": 3}


@pytest.mark.parametrize(
    "name",
    [
        "plain.txt",
        "with space; and=semicolon.txt",
        'a "quoted" name.txt',
        "back\\slash.txt",
        "trailing\\",
        "C:\\dir\\file.txt",
        "../../etc/passwd",
        "/absolute",
        "ünïcödé-文件-\U0001f680.txt",
        "line\nbreak\r.txt",
        "x" * 1000,
        "%20%41.txt",
        ".",
    ],
)
def test_a_file_keeps_its_name(local_backend: Backend, name: str) -> None:
    response = local_backend.upload((name, b"content"))
    assert response.status_code == 201
    (one,) = response.json()["attachments"]
    assert one["file_name"] == name
    read = local_backend.get(f"/attachments/{one['id']}")
    assert read.content == b"content"
    assert "\n" not in read.headers["Content-Disposition"]


def test_a_name_in_the_extended_form_is_understood(local_backend: Backend) -> None:
    response = raw_upload(local_backend, part("name=\"files\"; filename*=UTF-8''na%C3%AFve.txt") + END)
    assert response.json()["attachments"][0]["file_name"] == "naïve.txt"


def test_a_download_is_saved_under_its_name_and_never_shown(local_backend: Backend) -> None:
    page = local_backend.new_attachment('ä "x".html', b"<script>alert(1)</script>", "text/html")
    response = local_backend.get(f"/attachments/{page}")
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"] == (
        "attachment; filename=\"_ _x_.html\"; filename*=UTF-8''%C3%A4%20%22x%22.html"
    )


@pytest.mark.parametrize("number", ["x", "123", "123e4567e89b42d3a456426614174000", "%00", "é"])
def test_an_id_must_be_a_uuid(local_backend: Backend, number: str) -> None:
    assert local_backend.get(f"/attachments/{number}").status_code == 422


def test_an_unknown_file_is_not_found(local_backend: Backend, other: Backend) -> None:
    assert local_backend.get(f"/attachments/{uuid.uuid4()}").status_code == 404
    assert local_backend.get(f"/attachments/{other.new_attachment()}").status_code == 404


def test_a_file_is_found_by_its_id_in_any_case(local_backend: Backend) -> None:
    assert local_backend.get(f"/attachments/{local_backend.new_attachment().upper()}").status_code == 200


def test_the_number_of_files_is_limited(backend: Backend) -> None:
    files = [(f"{number}.txt", b"x") for number in range(21)]
    assert backend.upload(*files[:20]).status_code == 201
    refused = backend.upload(*files)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "files"]


def test_the_size_of_a_file_is_limited(local_backend: Backend) -> None:
    assert local_backend.upload(("a", bytes(32 * MEBIBYTE))).status_code == 201
    refused = local_backend.upload(("a", b"x"), ("b", bytes(32 * MEBIBYTE + 1)), ("c", b"x"))
    assert refused.status_code == 413
    assert "32 MiB" in refused.json()["detail"]


def test_the_size_of_a_request_is_limited(local_backend: Backend) -> None:
    quarter = bytes(32 * MEBIBYTE)
    four = [(str(number), quarter) for number in range(4)]
    assert local_backend.upload(*four).status_code == 201
    refused = local_backend.upload(*four, ("one more", b"x"))
    assert refused.status_code == 413
    assert "128 MiB" in refused.json()["detail"]


def test_a_request_without_a_length_is_limited_while_it_comes(local_backend: Backend) -> None:
    def endless() -> Iterator[bytes]:
        for number in range(10):
            head = (
                f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{number}"\r\n\r\n'
            )
            yield head.encode()
            for _ in range(31):
                yield bytes(MEBIBYTE)
            yield b"\r\n"

    assert raw_upload(local_backend, endless()).status_code == 413


def test_a_client_that_closes_after_each_call_sees_the_limit_too(local_backend: Backend) -> None:
    headers = {"Connection": "close"}
    large = [(str(number), bytes(31 * MEBIBYTE)) for number in range(5)]
    assert local_backend.upload(*large, headers=headers).status_code == 413


def test_a_client_that_asks_first_need_not_send(local_backend: Backend) -> None:
    address = urlsplit(local_backend.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.putrequest("POST", urlsplit(local_backend.address("/attachments")).path)
        connection.putheader("Authorization", f"Token {local_backend.token}")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        connection.putheader("Content-Length", str(10**12))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert "128 MiB" in json.loads(response.read())["detail"]
    finally:
        connection.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        END,
        part('name="other"; filename="a"') + END,
        part('filename="a"') + END,
        part('name="files"') + END,
        part('name="files"; filename="a"'),
        part('name="files"; filename="a"')[:-2],
        part('name="files"; filename="a"') + END[:-5],
        f"--{BOUNDARY}\r\n: no name\r\n\r\nx\r\n".encode() + END,
        f"--{BOUNDARY}\r\nbroken header\r\n\r\nx\r\n".encode() + END,
        part('name="files"; filename="a"', more="X: " + "y" * 100_000 + "\r\n") + END,
        part('name="files"; filename="a"', more="X: y\r\n" * 10_000) + END,
        part('name="other"') * 300 + END,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_a_broken_body_is_refused(local_backend: Backend, body: bytes) -> None:
    response = raw_upload(local_backend, body)
    assert response.status_code == 422, response.text
    assert response.json()["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain; boundary=x",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=é",
        "multipart/form-data; boundary=" + "x" * 2000,
    ],
)
def test_a_body_of_another_type_is_refused(local_backend: Backend, content_type: str) -> None:
    header = {"Content-Type": content_type.encode("latin-1")}
    response = local_backend.call("POST", "/attachments", data=b"--x--", headers=header)
    assert response.status_code == 422


def test_other_fields_beside_the_files_are_ignored(local_backend: Backend) -> None:
    body = part('name="comment"', b"hello") + part('name="files"; filename="a.txt"') + END
    assert [one["file_name"] for one in raw_upload(local_backend, body).json()["attachments"]] == ["a.txt"]


def test_a_repeated_upload_with_one_key_keeps_one_set(local_backend: Backend) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = local_backend.upload(("a.txt", b"a"), ("b.txt", b"b"), headers=key)
    again = local_backend.upload(("c.txt", bytes(MEBIBYTE)), headers=key)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()


def test_uploads_with_one_key_at_the_same_time_keep_one_set(local_backend: Backend) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    content = bytes(2 * MEBIBYTE)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: local_backend.upload(("a", content), headers=key), range(8)))
    assert {one.status_code for one in answers} == {201}
    ids = {one.json()["attachments"][0]["id"] for one in answers}
    assert len(ids) == 1
    assert local_backend.get(f"/attachments/{ids.pop()}").content == content


def test_equal_contents_are_on_disk_once_and_refused_ones_not_at_all(own_process: ServerProcess) -> None:
    backend = reach(own_process)
    content = b"the same"
    backend.upload(("a", content), ("b", content))
    backend.upload(("c", content))
    backend.upload(("d", b"of a refused request"), ("e", bytes(33 * MEBIBYTE)))
    raw_upload(backend, part('name="files"; filename="f"', b"of a broken request"))
    rooms = (own_process.data / "attachments", own_process.data / "arriving")
    kept = [path.name for room in rooms for path in room.rglob("*") if path.is_file()]
    assert kept == [hashlib.sha256(content).hexdigest()]
