"""The client and the local back end, which share nothing but the contract."""

from __future__ import annotations

import json
import uuid

import pytest

from famacase_pytest.delivery.api.client import ReporterApi
from famacase_pytest.delivery.api.http import Http
from famacase_pytest.delivery.models import clean_name, resolve_refs
from famacase_pytest.delivery.relay.uploads import upload_parts
from famacase_pytest.errors import Refused, Rejected
from wire_files import part, stored_content

process = pytest.importorskip("famacase_pytest.server.process")
pytest.importorskip("fastapi", reason="the extra `server` is not installed")


TOKEN = "rep_local"


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    data = tmp_path_factory.mktemp("back-end")
    server = process.ServerProcess.start(
        data, environments=[("SMOKE", "staging")], plans=[("SMOKE", 5, [1, 2])]
    )
    yield server
    server.terminate()


@pytest.fixture
def real_api(local):
    with ReporterApi(local.url, {"SMOKE": TOKEN, "": "wrong"}) as api:
        yield api


def create(api):
    return api.create_run("SMOKE", {"title": "t", "is_autotest": True}, str(uuid.uuid4()))


def result(title, **more):
    return {"id": str(uuid.uuid4()), "title": title, "execution": {"status": "passed"}, **more}


def test_a_run_from_its_creation_to_its_end(real_api):
    assert real_api.get_project("SMOKE")["code"] == "SMOKE"
    assert isinstance(real_api.environment_id("SMOKE", "staging"), int)
    assert real_api.environment_id("SMOKE", "moon") is None
    assert real_api.plan_cases("SMOKE", 5) == [1, 2]
    run = create(real_api)
    results = [result(f"naïve {n} \ud83d\ude00") for n in range(5)]
    texts = [json.dumps(one) for one in results]
    real_api.post_results("SMOKE", run, texts)
    real_api.post_results("SMOKE", run, texts)  # a repetition replaces
    stored = list(real_api.list_results("SMOKE", run, page=2))
    assert [one["id"] for one in stored] == [one["id"] for one in results]
    url = real_api.publish_run("SMOKE", run)
    assert url is None or url.startswith("http")
    real_api.complete_run("SMOKE", run)
    real_api.complete_run("SMOKE", run)
    assert real_api.get_run("SMOKE", run)["status"] == "completed"
    with pytest.raises(Refused, match="FAMACASE_TESTOPS_RUN_COMPLETE=false") as caught:
        real_api.post_results("SMOKE", run, texts)
    assert caught.value.status == 409


def test_a_key_creates_one_run(real_api):
    key = str(uuid.uuid4())
    body = {"title": "t", "is_autotest": True}
    assert real_api.create_run("SMOKE", body, key) == real_api.create_run("SMOKE", body, key)


def upload(api, parts):
    """The ids by file name."""
    stored = []
    failed = upload_parts(
        api,
        "SMOKE",
        parts,
        upload_threads=4,
        scope=str(uuid.uuid4()),
        uploaded=stored.extend,
        refused=pytest.fail,
    )
    assert failed == []
    return {one.file_name: id_ for one, id_ in stored}


NAMES = [
    "plain.txt",
    "Übersicht 表 😀.png",
    "semi;colon=and, comma.txt",
    "100%.txt",
    'it\'s "quoted".txt',
    "tab\tand\r\nline.txt",
    "C:\\Temp\\back\\slash.txt",
    "../../etc/passwd",
    "surrogate\udcff.txt",
    "x" * 400 + ".log",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_bytes_and_name_of_a_file_arrive(real_api, local, monkeypatch, name):
    exchange = Http.exchange
    understood = []

    def listening(*args, **options):
        answer = exchange(*args, **options)
        understood.append(json.loads(answer.body)["attachments"][0]["file_name"])
        return answer

    content = b"--boundary\r\n\x00" + name.encode("utf-8", "replace")
    with monkeypatch.context() as patch:
        patch.setattr(Http, "exchange", listening)
        [id_] = upload(real_api, [part(clean_name(name), content)]).values()
    assert understood == [clean_name(name)]
    assert stored_content(local.url, TOKEN, "SMOKE", id_) == content

    run = create(real_api)
    payload = result("t", attachments=[{"id": "r", "file_name": clean_name(name)}])
    real_api.post_results("SMOKE", run, [json.dumps(resolve_refs(payload, {"r": id_}))])
    [stored] = real_api.list_results("SMOKE", run)
    assert stored["attachments"][0]["id"] == id_


def test_many_files_at_a_time(real_api, local):
    ids = upload(real_api, [part(f"{n}.bin", b"%d" % (n % 50) * 1000) for n in range(120)])
    assert len(ids) == 120
    assert stored_content(local.url, TOKEN, "SMOKE", ids["77.bin"]) == b"27" * 1000


def test_refusals_of_the_real_server(real_api, local):
    with pytest.raises(Refused) as caught:
        real_api.get_project("OTHER")
    assert caught.value.status in (401, 404)
    with ReporterApi(local.url, {"": "wrong"}) as stranger, pytest.raises(Refused) as caught:
        stranger.get_project("SMOKE")
    assert caught.value.status == 401
    with pytest.raises(Refused) as caught:
        real_api.get_run("SMOKE", 999_999)
    assert caught.value.status == 404
    incomplete = json.dumps({"id": str(uuid.uuid4()), "title": "t"})
    with pytest.raises(Rejected, match=r"body\.results\.0\.execution") as caught:
        real_api.post_results("SMOKE", create(real_api), [incomplete])
    assert caught.value.status == 422
