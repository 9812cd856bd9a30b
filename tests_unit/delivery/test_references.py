"""Payloads before and after their files have ids."""

from __future__ import annotations

import copy

from famacase_pytest.delivery.references import note_missing, refs_of, resolve_refs


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


def test_references_are_found_at_any_depth_once_in_order():
    assert refs_of(PAYLOAD) == ["a", "b", "c", "d"]
    assert refs_of({}) == []
    assert refs_of({"attachments": None, "steps": None}) == []


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
    assert refs_of(answer) == ["2"]
    assert before == PAYLOAD


def test_a_payload_without_attachments_stays_as_it_is():
    assert resolve_refs({"id": "x"}, {}) == {"id": "x"}


def test_depth_does_not_matter():
    depth = 5000
    inmost = {"execution": {"attachments": [ref("x")]}, "steps": []}
    payload = inmost
    for _ in range(depth):
        payload = {"execution": {}, "steps": [payload]}
    assert refs_of(payload) == ["x"]
    answer = resolve_refs(payload, {"x": "1"})
    assert refs_of(answer) == ["1"]
    assert inmost["execution"]["attachments"] == [ref("x")]


def test_missing_files_are_told_after_the_message():
    before = copy.deepcopy(PAYLOAD)
    answer = note_missing(PAYLOAD, [("a.png", "the file does not exist"), ("b.log", "40.0 MiB")])
    assert answer["message"] == (
        "said\n\nAttachments that could not be uploaded: a.png (the file does not exist); b.log (40.0 MiB)"
    )
    assert {**answer, "message": "said"} == before == PAYLOAD
    for without in ({}, {"message": None}, {"message": ""}):
        message = note_missing(without, [("a", "gone")])["message"]
        assert message == "Attachments that could not be uploaded: a (gone)"
    assert note_missing(PAYLOAD, []) == PAYLOAD


def test_of_many_missing_files_the_first_are_named():
    message = note_missing({}, [(f"{n}.png", "gone") for n in range(1000)])["message"]
    assert "19.png (gone); and 980 more" in message
    assert "20.png" not in message
