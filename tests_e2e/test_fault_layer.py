"""The proxy that the other tests rely on does what it says, and is no slower than it must be."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator

import pytest
import requests

from famacase_pytest.server.process import ServerProcess
from fault_layer import (
    FOREVER,
    FaultLayer,
    answer,
    delay,
    hang,
    html,
    http_date,
    lose_answer,
    passing,
    reset,
    trickle,
)

ROOT = "/api/v1/reporter/v1/projects/SMOKE"
TOKEN = {"Authorization": "Token rep_smoke_7d41"}


@pytest.fixture
def layer(server: ServerProcess) -> Iterator[FaultLayer]:
    with FaultLayer(server.url, tokens={"SMOKE": "rep_smoke_7d41"}) as layer:
        yield layer


@pytest.fixture
def client() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(TOKEN)
        yield session


@pytest.fixture
def create(layer: FaultLayer, client: requests.Session) -> Callable[[], requests.Response]:
    """Creates a run with a title of its own."""
    return lambda: client.post(
        f"{layer.url}{ROOT}/runs", json={"title": uuid.uuid4().hex, "is_autotest": True}, timeout=10
    )


def test_passes_on_and_records(layer, client, create):
    made = create()
    assert made.status_code == 201
    read = client.get(f"{layer.url}{ROOT}/runs/{made.json()['id']}?a=1&a=2", timeout=10)
    assert read.json()["id"] == made.json()["id"]
    first, second = layer.exchanges()
    assert (first.number, first.operation, first.method, first.status) == (1, "createRun", "POST", 201)
    assert first.project == "SMOKE"
    assert first.json()["title"] == made.json()["title"]
    assert first.headers["authorization"] == "Token <SMOKE>"
    assert (second.operation, second.query, second.fault) == ("getRun", {"a": ["1", "2"]}, "")
    assert second.answer == read.content


@pytest.mark.parametrize("chunked", [False, True])
def test_uploads_are_streamed_and_described(layer, client, chunked):
    size = 20 * 1024 * 1024
    files = [("files", ("a b.txt", b"hello", "text/plain")), ("files", ("groß.bin", b"x" * size, None))]
    request = requests.Request("POST", f"{layer.url}{ROOT}/attachments", files=files, headers=TOKEN).prepare()
    if chunked:
        body = request.body
        request.body = (body[start : start + 99999] for start in range(0, len(body), 99999))
        del request.headers["Content-Length"]
        request.headers["Transfer-Encoding"] = "chunked"
    assert client.send(request, timeout=30).status_code == 201
    (exchange,) = layer.exchanges("uploadAttachments")
    described = [(file.field, file.file_name, file.mime_type, file.size) for file in exchange.files]
    assert described == [("files", "a b.txt", "text/plain", 5), ("files", "groß.bin", "", size)]
    assert exchange.files[0].sha256.startswith("2cf24dba")
    assert exchange.body == b""
    assert not exchange.malformed


def test_rules_in_order_and_their_counts(layer, create):
    fault = layer.faults.add("createRun", answer(503), times=2, after=1)
    layer.faults.add("listResults", reset(), times=FOREVER)
    assert [create().status_code for _ in range(5)] == [201, 503, 503, 201, 201]
    assert [exchange.number for exchange in fault.hits] == [2, 3]
    assert [exchange.forwarded for exchange in layer.exchanges(["createRun"])] == [201, None, None, 201, 201]


def test_a_rule_may_look_at_the_request_and_spare_it(layer, create):
    layer.faults.add(lambda exchange: exchange.number == 2, passing())
    layer.faults.add("*", answer(500), times=FOREVER)
    assert [create().status_code for _ in range(3)] == [500, 201, 500]
    layer.faults.clear()
    assert create().status_code == 201


def test_answers_of_its_own(layer, create):
    layer.faults.add("createRun", html())
    layer.faults.add("createRun", answer(429, {"Retry-After": http_date(60)}))
    page = create()
    assert page.headers["Content-Type"] == "text/html"
    assert page.text.startswith("<!doctype html>")
    assert create().headers["Retry-After"].endswith("GMT")


@pytest.mark.parametrize(
    ("action", "forwarded"),
    [
        pytest.param(reset(), None, id="reset"),
        pytest.param(reset(before_body=True), None, id="reset before the body"),
        pytest.param(lose_answer(), 201, id="lost answer"),
        pytest.param(lose_answer(truncated=True), 201, id="half of an answer"),
    ],
)
def test_connections_that_break(layer, create, action, forwarded):
    layer.faults.add("createRun", action)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        create()
    (broken,) = layer.wait_for("createRun", answered=True)
    assert broken.forwarded == forwarded
    assert broken.status is None
    assert create().status_code == 201


def test_a_guard_that_answers_before_the_upload_is_through(layer, client):
    layer.faults.add("uploadAttachments", answer(413, before_body=True))
    files = [("files", ("large.bin", b"x" * 1024, None))]
    assert client.post(f"{layer.url}{ROOT}/attachments", files=files, timeout=10).status_code == 413


@pytest.mark.parametrize("applied", [False, True])
def test_hangs_until_the_client_goes(layer, client, applied):
    layer.faults.add("createRun", hang(applied=applied))
    with pytest.raises(requests.Timeout):
        client.post(f"{layer.url}{ROOT}/runs", json={"title": "x", "is_autotest": True}, timeout=0.5)
    (hung,) = layer.wait_for("createRun", answered=True)
    assert hung.forwarded == (201 if applied else None)


def test_slow_answers(layer, create):
    layer.faults.add("createRun", delay(3600))
    layer.faults.add("createRun", trickle(pieces=3, pause=3600))
    layer.release()
    assert create().status_code == 201
    assert create().json()["id"]


def test_down_and_up_on_the_same_port(layer, create):
    assert create().status_code == 201
    layer.down()
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            create()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", layer.port), 5)
    layer.up()
    layer.up()
    assert create().status_code == 201
    assert len(layer.exchanges()) == 2


def test_a_black_hole_takes_nothing_and_says_nothing(layer, client, create):
    assert create().status_code == 201
    layer.blackhole()
    with pytest.raises(requests.Timeout):
        client.get(f"{layer.url}{ROOT}", timeout=0.5)
    with socket.socket() as fresh:
        fresh.settimeout(0.3)
        with pytest.raises(TimeoutError):
            fresh.connect(("127.0.0.1", layer.port))
    assert len(layer.exchanges()) == 1
    layer.up()
    assert create().status_code == 201


def test_waiting_for_what_does_not_come(layer, create):
    create()
    with pytest.raises(AssertionError, match=r"1 of 2 requests within 0 s; all: \[\('createRun', 201\)\]"):
        layer.wait_for("createRun", 2, timeout=0)
