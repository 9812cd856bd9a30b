"""What the local back end has acknowledged is there after a kill and a restart, and is never misread."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from famacase_pytest.server.process import ServerDidNotStart, ServerProcess
from live_api import Backend, new_result, reach

RUN = {"title": "A run", "is_autotest": True}


def test_a_kill_loses_nothing_that_was_acknowledged(own_process: ServerProcess) -> None:
    backend = reach(own_process)
    run_id = backend.new_run()
    acknowledged: dict[str, bytes] = {}
    enough = threading.Event()

    def work(number: int) -> None:
        for _ in range(100_000):
            try:
                content = uuid.uuid4().bytes * 5000
                upload = backend.upload(("a.bin", content))
                attachment_id = upload.json()["attachments"][0]["id"]
                result = new_result(attachments=[{"id": attachment_id}])
                if backend.send(run_id, result).status_code != 201:
                    return
            except (requests.RequestException, ValueError):
                return
            acknowledged[result["id"]] = content
            if len(acknowledged) >= 60:
                enough.set()

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work, number) for number in range(4)]
        assert enough.wait(60)
        own_process.kill()
        for worker in workers:
            worker.result()
    own_process.launch()

    stored = {one["id"]: one for one in backend.stored(run_id, limit=1000)}
    assert acknowledged.keys() <= stored.keys()
    for result_id, content in acknowledged.items():
        attachment_id = stored[result_id]["attachments"][0]["id"]
        assert backend.get(f"/attachments/{attachment_id}").content == content
    assert list((own_process.data / "arriving").iterdir()) == []


def test_keys_are_remembered_across_a_restart(own_process: ServerProcess) -> None:
    backend = reach(own_process)
    key = {"Idempotency-Key": str(uuid.uuid4())}
    run = backend.post("/runs", RUN, headers=key).json()
    files = backend.upload(("a", b"a"), headers=key).json()
    own_process.kill()
    own_process.restart()
    assert backend.post("/runs", RUN, headers=key).json() == run
    assert backend.upload(("a", b"a"), headers=key).json() == files


def test_a_restart_keeps_address_runs_and_numbers(own_process: ServerProcess) -> None:
    backend = reach(own_process)
    first = backend.new_run(environment_id=1)
    backend.send(first, new_result())
    backend.post(f"/runs/{first}/complete")
    before = backend.get(f"/runs/{first}").json()
    url = own_process.url
    own_process.restart()
    assert own_process.url == url
    assert backend.get(f"/runs/{first}").json() == before
    assert backend.new_run() == first + 1
    assert [one["id"] for one in backend.get("/environments").json()] == [1]


def test_calls_under_way_are_answered_before_it_ends(own_process: ServerProcess) -> None:
    backend = reach(own_process)
    run_id = backend.new_run()
    results = [new_result(message="x" * 10_000) for _ in range(200)]
    begun = threading.Event()

    def body() -> Any:
        text = requests.Request("POST", backend.url, json={"results": results}).prepare().body
        assert isinstance(text, bytes)
        yield text[:1000]
        begun.set()
        yield text[1000:]

    def send() -> requests.Response:
        headers = {"Content-Type": "application/json"}
        return backend.call("POST", f"/runs/{run_id}/results", data=body(), headers=headers)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send)
        assert begun.wait(60)
        assert own_process.terminate() == 0
        status = answer.result().status_code
    own_process.launch()
    # Whether the call came in before the end is up to chance; that the answer is true is not.
    assert (status == 201) is (len(backend.stored(run_id)) == 200)


def test_another_back_end_on_the_same_data_is_refused(own_process: ServerProcess) -> None:
    with pytest.raises(ServerDidNotStart, match="in use by another back end"):
        ServerProcess.start(own_process.data)
    assert reach(own_process).get().status_code == 200


def test_data_of_the_first_format_is_brought_to_the_present_one(own_process: ServerProcess) -> None:
    backend = reach(own_process)
    run_id = backend.new_run()
    backend.send(run_id, *(new_result(title=f"number {n}", tags=["kept"]) for n in range(20)))
    own_process.terminate()
    with closing(sqlite3.connect(own_process.data / "famacase.sqlite3")) as database:
        database.execute("DROP TABLE summary")
        database.execute("ALTER TABLE run DROP COLUMN changes")
        database.execute("PRAGMA user_version = 1")
        database.commit()
    own_process.launch()
    page = requests.get(f"{own_process.url}/runs/{run_id}?tag=kept&q=number", timeout=60).text
    assert page.count('<span class="name">number') == 20
    assert backend.send(run_id, new_result()).status_code == 201


def test_data_of_a_newer_format_is_refused_and_left_alone(own_process: ServerProcess) -> None:
    own_process.terminate()
    path = own_process.data / "famacase.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(ServerDidNotStart, match=r"is of format 999.*--data"):
        own_process.launch()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (999,)
    connection.close()


def test_projects_of_earlier_starts_are_still_shown(tmp_path: Path, local_backend: Backend) -> None:
    with ServerProcess.start(tmp_path, projects={"ONCE": "rep_once"}) as process:
        once = Backend(process.url, "rep_once", "ONCE", is_local=True)
        run_id = once.new_run(title="of a project of old")
    with ServerProcess.start(tmp_path) as process:
        assert "of a project of old" in requests.get(f"{process.url}/runs/{run_id}", timeout=60).text
        closed = Backend(process.url, "rep_once", "ONCE", is_local=True)
        assert closed.get().status_code == 401
