"""The values: names, types, and payloads before and after their files have ids."""

from __future__ import annotations

import copy
import subprocess
import sys
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from famacase_pytest.delivery.models import (
    Attachment,
    clean_mime_type,
    clean_name,
    resolve_refs,
)


def test_values_are_cheap_to_import(monkeypatch):
    monkeypatch.delenv("MEASURE_COVERAGE", raising=False)  # coverage itself imports sqlite3
    code = "import sys, famacase_pytest.delivery.models; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"requests", "urllib3", "pytest", "qase", "sqlite3"} & set(loaded)


@pytest.mark.parametrize("given_", [{}, {"path": "x", "content": b""}])
def test_an_attachment_has_a_path_or_content(given_):
    with pytest.raises(ValueError, match="exactly one"):
        Attachment("1", "a", **given_)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shot.png", "shot.png"),
        ("/tmp/a/shot.png", "shot.png"),
        ("C:\\Temp\\shot.png", "shot.png"),
        ("../../etc/passwd", "passwd"),
        ('a"b.txt', "a'b.txt"),
        ("a\r\nX-Evil: 1\x00.txt", "aX-Evil: 1\ufffd.txt"),
        ("Übersicht 表 😀.txt", "Übersicht 表 😀.txt"),
        ("broken\udcff.txt", "broken\ufffd.txt"),
        ("", "attachment"),
        ("..", "attachment"),
        ("dir/", "attachment"),
        ("\n \t", "attachment"),
        ("x" * 300 + ".tar.gz", "x" * 248 + ".tar.gz"),
    ],
)
def test_names_survive_a_header(name, expected):
    cleaned = clean_name(name)
    assert len(cleaned) <= 255
    if len(name) < 256:
        assert cleaned == expected
    else:
        assert cleaned.endswith(".gz")


@given(st.text())
def test_any_name_becomes_one_that_is_safe_and_stays(name):
    cleaned = clean_name(name)
    assert cleaned
    assert cleaned.encode("utf-8")
    assert not set(cleaned) & set('"\r\n/\\\0')
    assert clean_name(cleaned) == cleaned


@pytest.mark.parametrize(
    ("mime_type", "name", "expected"),
    [
        ("text/x-log; charset=utf-8", "a.png", "text/x-log; charset=utf-8"),
        (" image/svg+xml ", "a", "image/svg+xml"),
        (None, "a.json", "application/json"),
        ("", "a.txt", "text/plain"),
        (None, "a.tar.gz", "application/gzip"),
        (None, "a.txt.bz2", "application/octet-stream"),
        (None, "a.unheard-of", "application/octet-stream"),
        ("text/plain\r\nX-Evil: 1", "a", "application/octet-stream"),
        ("nonsense", "a.png", "image/png"),
        ("tëxt/plain", "a.png", "image/png"),
    ],
)
def test_types_survive_a_header_or_are_guessed(mime_type, name, expected):
    assert clean_mime_type(mime_type, name) == expected


def ref(name):
    return {"id": name, "file_name": f"{name}.png"}


def step(*attachments, steps=()):
    execution = {"status": "passed", "attachments": [ref(name) for name in attachments]}
    return {"data": {"action": "a"}, "execution": execution, "steps": list(steps)}


PAYLOAD = {
    "id": "result",
    "attachments": [ref("a"), ref("b")],
    "steps": [step("c", "a", steps=[step("d"), step()]), {"execution": {"status": None}, "steps": []}],
    "message": "said",
}


def test_references_become_ids_and_the_rest_stays():
    before = copy.deepcopy(PAYLOAD)
    answer = resolve_refs(PAYLOAD, {"a": "1", "b": "2", "c": "3", "d": "4"})
    assert answer == {
        "id": "result",
        "attachments": [{"id": "1", "file_name": "a.png"}, {"id": "2", "file_name": "b.png"}],
        "steps": [
            {
                "data": {"action": "a"},
                "execution": {
                    "status": "passed",
                    "attachments": [{"id": "3", "file_name": "c.png"}, {"id": "1", "file_name": "a.png"}],
                },
                "steps": [
                    {
                        "data": {"action": "a"},
                        "execution": {"status": "passed", "attachments": [{"id": "4", "file_name": "d.png"}]},
                        "steps": [],
                    },
                    {
                        "data": {"action": "a"},
                        "execution": {"status": "passed", "attachments": []},
                        "steps": [],
                    },
                ],
            },
            {"execution": {"status": None}, "steps": []},
        ],
        "message": "said",
    }
    assert before == PAYLOAD


def test_references_without_an_id_are_dropped():
    before = copy.deepcopy(PAYLOAD)
    answer = resolve_refs(PAYLOAD, {"b": "2"})
    assert answer["attachments"] == [{"id": "2", "file_name": "b.png"}]
    assert [one["execution"].get("attachments") for one in answer["steps"]] == [[], None]
    assert [one["execution"]["attachments"] for one in answer["steps"][0]["steps"]] == [[], []]
    assert before == PAYLOAD


def test_a_payload_without_attachments_stays_as_it_is():
    assert resolve_refs({"id": "x"}, {}) == {"id": "x"}


def test_depth_does_not_matter():
    depth = 5000
    inmost = {"execution": {"attachments": [ref("x")]}, "steps": []}
    payload = inmost
    for _ in range(depth):
        payload = {"execution": {}, "steps": [payload]}
    answer = resolve_refs(payload, {"x": "1"})
    for _ in range(depth):
        (answer,) = answer["steps"]
    assert answer["execution"]["attachments"] == [{"id": "1", "file_name": "x.png"}]
    assert inmost["execution"]["attachments"] == [ref("x")]


def noted(owner):
    """What the last step of a result or a step says, which must be like a step that never ran."""
    step = owner["steps"][-1]
    assert step["execution"] == {
        "status": "skipped",
        "start_time": None,
        "end_time": None,
        "duration": 0,
        "attachments": [],
    }
    assert step["parent_id"] == owner.get("step id")
    uuid.UUID(step["id"])
    return step["data"]["action"]


def test_a_missing_file_is_told_where_it_would_be():
    step = {"id": "s", "step id": "s", "execution": {"attachments": [ref("y"), ref("z")]}, "steps": []}
    payload = {"message": None, "attachments": [ref("w"), ref("x")], "steps": [step]}
    before = copy.deepcopy(payload)
    missing = {"x": "x.png (the file does not exist)", "z": "z.png (40.0 MiB)"}
    answer = resolve_refs(payload, {"w": "1", "y": "2"}, missing)
    assert payload == before
    assert answer == resolve_refs(payload, {"w": "1", "y": "2"}, missing)
    assert noted(answer) == "Attachments that could not be uploaded: x.png (the file does not exist)"
    assert noted(answer["steps"][0]) == "Attachments that could not be uploaded: z.png (40.0 MiB)"
    assert (len(answer["steps"]), len(answer["steps"][0]["steps"])) == (2, 1)
    assert answer["message"] is None
    assert [entry["id"] for entry in answer["attachments"]] == ["1"]


def test_of_many_missing_files_the_first_are_named():
    names = [f"{number}.png" for number in range(1000)]
    answer = resolve_refs(
        {"attachments": [{"id": name} for name in names]}, {}, {name: f"{name} (gone)" for name in names}
    )
    assert "19.png (gone); and 980 more" in noted(answer)
    assert "20.png" not in noted(answer)
