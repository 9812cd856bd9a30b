"""Results that no disk has room for, sent from memory."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from famacase_pytest.delivery.models import Run
from famacase_pytest.delivery.relay.unstored import UnstoredResults

from .scripted_api import ScriptedApi, about, error_of, names_of


def unstored(result_id, *files, project="P", run=-1):
    """A result as it comes over the pipe; files are pairs of name and content, None for one without."""
    entries = [{"id": f"{result_id}-{name}", "file_name": name} for name, _ in files]
    return {
        "project": project,
        "run_id": run,
        "payload": json.dumps({"id": result_id, "title": f"title of {result_id}", "attachments": entries}),
        "files": [
            {
                "ref": f"{result_id}-{name}",
                "file_name": name,
                "mime_type": "text/plain",
                "content": None if content is None else b64encode(content).decode(),
                "problem": "the file does not exist" if content is None else None,
            }
            for name, content in files
        ],
    }


def order(*results):
    runs = [Run("P", -1, {"title": "t"}, "key-1", environment_slug="staging"), Run("Q", 7)]
    return {"results": list(results), "runs": [run._asdict() for run in runs]}


@pytest.fixture
def memory():
    """Results from memory, and the back end that takes them."""
    api = ScriptedApi()
    results = UnstoredResults(api, upload_threads=1)
    results.api = api
    results.send = lambda *entries: results.deliver(order(*entries), results.create_run)
    return results


def test_results_from_memory_arrive_with_their_files(memory):
    a = unstored("a", ("x.txt", b"x"), ("empty.txt", b""), ("gone.txt", None))
    assert memory.send(a, unstored("b", ("x.txt", b"x"), project="Q", run=7)) == {
        "delivered": 2,
        "problems": [],
    }
    payload = memory.api.results["P", 100]["a"]
    stored = {entry["file_name"]: memory.api.files[entry["id"]][1] for entry in payload["attachments"]}
    assert stored == {"x.txt": b"x", "empty.txt": b""}
    (step,) = payload["steps"]
    assert step["data"]["action"] == (
        "Attachments that could not be uploaded: gone.txt (the file does not exist)"
    )
    assert list(memory.api.results["Q", 7]) == ["b"]
    (created,) = memory.api.named("create_run")
    assert (created.content, created.key) == ({"title": "t", "environment_id": 3}, "key-1")


def test_equal_files_from_memory_are_sent_once(memory):
    memory.send(unstored("a", ("x.txt", b"x")), unstored("b", ("x.txt", b"x")))
    memory.send(unstored("c", ("x.txt", b"x"), ("y.txt", b"y")))
    assert names_of(memory.api) == [["x.txt"], ["y.txt"]]
    assert len(memory.api.named("create_run")) == 1


@pytest.mark.parametrize(
    ("status", "word"), [(422, "refused by the server"), (500, "the server failed on it")]
)
def test_a_file_from_memory_that_does_not_arrive_is_named(memory, status, word):
    memory.api.rule = about("upload", status, "bad.txt")
    assert memory.send(unstored("a", ("bad.txt", b"b"), ("good.txt", b"g")))["delivered"] == 1
    payload = memory.api.results["P", 100]["a"]
    assert [entry["file_name"] for entry in payload["attachments"]] == ["good.txt"]
    (step,) = payload["steps"]
    assert step["data"]["action"].endswith(f"bad.txt ({word}: {status} said so)")


def test_a_refused_result_from_memory_is_lost_alone(memory):
    memory.api.rule = about("post_results", 422, "b")
    answer = memory.send(unstored("a"), unstored("b"), unstored("c"))
    assert answer["delivered"] == 2
    (problem,) = answer["problems"]
    assert problem.startswith("The result 'title of b' is lost: what could not be stored could not be sent")


def test_a_back_end_that_is_away_is_not_asked_for_each_result(memory):
    memory.api.rule = lambda call: error_of(None) if call.project == "P" else None
    answer = memory.send(unstored("a"), unstored("b"), unstored("c", project="Q", run=7))
    assert answer["delivered"] == 1
    (problem,) = answer["problems"]
    assert problem.startswith("'title of a' and 1 more are lost")
    assert len(memory.api.named("environment_id")) == 1


def test_a_run_from_memory_is_completed_and_published(memory):
    asked = {"project": "P", "run_id": -1, "publish": True}
    assert memory.complete(asked) == {"completed": True, "real": -1}  # it was never created
    memory.send(unstored("a"))
    assert memory.complete(asked) == {"completed": True, "real": 100, "url": "https://public/100"}
    memory.api.rule = lambda call: error_of(404)
    assert memory.complete(asked) == {"completed": False, "real": 100, "problem": "refused with 404"}
