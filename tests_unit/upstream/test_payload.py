"""Upstream's own models, as they come on the wire."""

from __future__ import annotations

import copy
import enum
import json
import math
import uuid
from typing import Any

import pytest
from qase.commons.models import Attachment, Result
from qase.commons.models.relation import Relation, SuiteData
from qase.commons.models.step import (
    Step,
    StepAssertData,
    StepDbQueryData,
    StepGherkinData,
    StepRequestData,
    StepSleepData,
    StepTextData,
    StepType,
)
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict

from famacase_pytest.delivery.models import CapturedResult
from famacase_pytest.upstream import payload
from famacase_pytest.upstream.payload import MAX_STEP_DEPTH, STATUSES, PayloadOptions, wire_result

PLAIN = PayloadOptions()


@pytest.fixture
def result() -> Result:
    """A result with something in each member."""
    made = Result("A title", "test_x.py::test_one")
    made.testops_ids = [1, 2]
    made.execution.set_status("failed")
    made.execution.start_time = 1700000000.25
    made.execution.end_time = 1700000001.5
    made.execution.duration = 1250
    made.execution.stacktrace = "Traceback"
    made.execution.thread = "1-MainThread"
    made.fields = {"severity": "critical", "description": None}
    made.params = {"browser": "firefox", "role": "", "n": 3, "none": None}
    made.param_groups = [["browser", "role"]]
    made.message = "It broke"
    made.tags = ["fast"]
    made.muted = True
    made.relations = Relation()
    made.relations.add_suite(SuiteData("Shop"))
    made.relations.add_suite(SuiteData("Cart"))
    return made


def wire(result: Result, **options: Any) -> dict[str, Any]:
    parcel = wire_result(result, PayloadOptions(**options))
    # What cannot be read back as the same JSON does not arrive.
    assert json.loads(json.dumps(parcel.payload, allow_nan=False)) == parcel.payload
    return parcel.payload


def step(kind: StepType = StepType.TEXT, data: Any = None, status: str = "passed", id: str = "s") -> Step:
    made = Step(kind, id, data or StepTextData("Do it"))
    made.execution.set_status(status)
    made.execution.start_time, made.execution.end_time, made.execution.duration = 1.0, 2.0, 1000
    return made


def with_step(result: Result, made: Step) -> dict[str, Any]:
    result.steps = [made]
    wired: dict[str, Any] = wire(result)["steps"][0]
    return wired


# A result, member by member


def test_every_member(result):
    assert wire(result) == {
        "id": result.id,
        "title": "A title",
        "signature": "test_x.py::test_one",
        "testops_ids": [1, 2],
        "execution": {
            "status": "failed",
            "start_time": 1700000000.25,
            "end_time": 1700000001.5,
            "duration": 1250,
            "stacktrace": "Traceback",
            "thread": "1-MainThread",
        },
        "fields": {"severity": "critical"},
        "params": {"browser": "firefox", "role": "empty", "n": "3", "none": "None"},
        "param_groups": [["browser", "role"]],
        "attachments": [],
        "steps": [],
        "message": "It broke",
        "muted": True,
        "tags": ["fast"],
        "relations": {"suite": {"data": [{"title": "Shop"}, {"title": "Cart"}]}},
    }


def test_a_result_with_as_little_as_there_can_be():
    empty = Result("", "")
    empty.params = None
    empty.param_groups = None
    empty.testops_ids = None
    wired = wire(empty)
    assert uuid.UUID(wired["id"])
    assert (wired["title"], wired["testops_ids"], wired["params"], wired["param_groups"]) == (
        "",
        None,
        {},
        [],
    )
    assert wired["execution"]["status"] is None
    assert "relations" not in wired
    assert "tags" not in wired
    assert "defect" not in wired


def test_a_release_that_lacks_the_newer_members(result):
    for name in ("tags", "muted"):
        delattr(result, name)
    wired = wire(result)
    assert "tags" not in wired
    assert wired["muted"] is False


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_the_statuses_of_the_contract_pass(result, status):
    result.execution.status = status
    assert wire(result)["execution"]["status"] == status


def test_another_status_is_invalid_and_said(result):
    result.execution.status = "exploded"
    wired = wire(result)
    assert wired["execution"]["status"] == "invalid"
    assert wired["message"].startswith("It broke\n")
    assert "'exploded'" in wired["message"]


def test_no_status_stays_none(result):
    result.execution.status = None
    assert wire(result)["execution"]["status"] is None
    assert wire(result)["message"] == "It broke"


def test_numbers_that_json_does_not_have(result):
    result.execution.start_time = math.nan
    result.execution.end_time = math.inf
    result.execution.duration = math.nan
    result.fields = {"ratio": math.nan, "limit": -math.inf, "nested": {"a": [math.inf, 1.5]}}
    wired = wire(result)
    assert (wired["execution"]["start_time"], wired["execution"]["end_time"]) == (None, None)
    assert wired["execution"]["duration"] is None
    assert wired["fields"] == {"ratio": "nan", "limit": "-inf", "nested": {"a": ["inf", 1.5]}}


def test_a_duration_is_whole_milliseconds(result):
    result.execution.duration = 12.9
    assert wire(result)["execution"]["duration"] == 12


def test_values_of_any_kind(result):
    class Odd:
        def __str__(self) -> str:
            return "odd"

    result.fields = {"odd": Odd(), 7: StepType.TEXT, "bytes": b"\xff", "set": {1}, "tuple": (1, None, True)}
    result.params = {7: Odd()}
    result.title = Odd()
    wired = wire(result)
    assert wired["fields"] == {
        "odd": "odd",
        "7": "text",
        "bytes": "\ufffd",
        "set": [1],
        "tuple": [1, None, True],
    }
    assert wired["params"] == {"7": "odd"}
    assert wired["title"] == "odd"


def test_what_back_ends_refuse_is_replaced(result):
    result.title = "a\udcffb\0"
    result.message = "m\ud800"
    result.params = {"p\udcff": "v\udcff"}
    result.fields = {"f": "v\udcff", "bytes": b"\0"}
    result.execution.stacktrace = "t\udcff"
    result.steps = [step(data=StepTextData("s\udcff"))]
    result.attachments = [Attachment("n\udcff.txt", "text/plain", content="c\udcff")]
    parcel = wire_result(result, PLAIN)
    text = json.dumps(parcel.payload, ensure_ascii=False).encode("utf-8")
    assert b"\\u0000" not in text
    assert parcel.payload["title"] == "a\ufffdb\ufffd"
    assert parcel.payload["fields"] == {"f": "v\ufffd", "bytes": "\ufffd"}
    assert parcel.payload["attachments"][0]["file_name"] == "n\ufffd.txt"
    assert parcel.files[0].content == b"c?"


def test_numbers_that_no_parser_takes_travel_as_text(result):
    result.fields = {"small": 2**62, "large": 2**64, "huge": 10**5000}
    fields = wire(result)["fields"]
    assert (fields["small"], fields["large"]) == (2**62, str(2**64))
    assert fields["huge"] == "<int that cannot be shown: ValueError>"


class Kind(enum.Enum):
    LOG = "text/x-log"


@pytest.mark.parametrize(
    ("given", "sent"), [(b"text/x-log", "text/x-log"), (Kind.LOG, "text/x-log"), (7, "7"), (None, None)]
)
def test_a_mime_type_of_any_kind(result, given, sent):
    attachment = Attachment("a.txt", "text/plain", content="x")
    attachment.mime_type = given
    result.attachments = [attachment]
    assert wire_result(result, PLAIN).files[0].mime_type == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["/a/api/users.json", "/a/web/users.json"], ["api_users.json", "web_users.json"]),
        (["/x/api/v1/u.json", "/x/web/v1/u.json", "/x/o.json"], ["api_v1_u.json", "web_v1_u.json", "o.json"]),
        (["/a/users.json", "/a/users.json"], ["users.json", "users.json"]),
        (["users.json", "api/users.json"], ["users.json", "api_users.json"]),
    ],
)
def test_names_of_files_keep_what_tells_them_apart(result, given, sent):
    result.attachments = [Attachment(path.split("/")[-1], "text/plain", file_path=path) for path in given]
    captured = wire_result(result, PLAIN)
    assert [file.file_name for file in captured.files] == sent
    assert [entry["file_name"] for entry in captured.payload["attachments"]] == sent
    assert [file.path for file in captured.files] == given


def test_files_of_steps_are_told_apart_from_those_of_the_test(result):
    made = step()
    made.attachments = [Attachment("log.txt", "text/plain", file_path="/a/step/log.txt")]
    result.attachments = [Attachment("log.txt", "text/plain", file_path="/a/test/log.txt")]
    result.steps = [made]
    assert [file.file_name for file in wire_result(result, PLAIN).files] == ["test_log.txt", "step_log.txt"]


def test_names_with_directories_given_by_hand_are_told_apart(result):
    names = ["api/users.json", "web/users.json"]
    result.attachments = [Attachment(name, "text/plain", content="x") for name in names]
    entries = wire(result)["attachments"]
    assert [entry["file_name"] for entry in entries] == ["api_users.json", "web_users.json"]


def test_a_type_in_the_place_of_a_name_stays_whole(result):
    result.attachments = [Attachment("text/plain", "text/plain", content="x")]
    assert wire(result)["attachments"][0]["file_name"] == "text_plain"


# What the configuration says


def test_options(result):
    wired = wire(result, root_suite="Root", exclude_params=frozenset({"browser"}), defect=True)
    suites = wired["relations"]["suite"]["data"]
    assert suites == [{"title": "Root"}, {"title": "Shop"}, {"title": "Cart"}]
    assert "browser" not in wired["params"]
    assert wired["param_groups"] == [["browser", "role"]]
    assert wired["defect"] is True


@pytest.mark.parametrize("relations", [None, Relation()])
def test_a_root_suite_stands_only_above_another(result, relations):
    result.relations = relations
    assert "relations" not in wire(result, root_suite="Root")


def test_options_are_read_from_the_configuration_of_upstream():
    from qase.commons.models.config.qaseconfig import QaseConfig

    config = QaseConfig()
    assert PayloadOptions.from_config(config) == PLAIN
    config.set_root_suite("Root")
    config.set_exclude_params(["a", "b"])
    config.testops.set_defect(True)
    config.framework.playwright.set_video("retain-on-failure")
    config.framework.playwright.set_trace("retain-on-failure")
    assert PayloadOptions.from_config(config) == PayloadOptions(
        "Root", frozenset({"a", "b"}), defect=True, drop_video=True, drop_trace=True
    )


@pytest.mark.parametrize(
    ("status", "drops", "left"),
    [
        ("passed", {"drop_video": True, "drop_trace": True}, ["other.webm"]),
        ("passed", {"drop_video": True}, ["trace.zip", "other.webm"]),
        ("passed", {}, ["video.webm", "trace.zip", "other.webm"]),
        ("invalid", {"drop_video": True, "drop_trace": True}, ["other.webm"]),
        ("failed", {"drop_video": True, "drop_trace": True}, ["video.webm", "trace.zip", "other.webm"]),
    ],
)
def test_recordings_of_playwright_that_show_no_failure(result, status, drops, left):
    result.execution.status = status
    result.attachments = [
        Attachment(name, "video/webm", content="x") for name in ("video.webm", "trace.zip", "other.webm")
    ]
    parcel = wire_result(result, PayloadOptions(**drops))
    assert [entry["file_name"] for entry in parcel.payload["attachments"]] == left
    assert [file.file_name for file in parcel.files] == left


# Attachments


def test_attachments_are_numbered_in_order_over_all_depths(result, tmp_path):
    (tmp_path / "report.html").write_bytes(b"<h1>")
    result.attachments = [
        Attachment("a.txt", "text/plain", content="text"),
        Attachment("b.bin", None, content=b"\x00\xff"),
        Attachment("report.html", "text/html", file_path=str(tmp_path / "report.html")),
        Attachment("d.json", "application/json", content={"a": 1}),
    ]
    inner, outer = step(id="inner"), step(id="outer")
    inner.add_attachment(Attachment("inner.txt", "text/plain", content="inner"))
    outer.add_attachment(Attachment("outer.txt", "text/plain", content="outer"))
    outer.add_step(inner)
    result.steps = [outer]
    parcel = wire_result(result, PLAIN)
    refs = [f"{result.id}/{number}" for number in range(6)]
    assert [file.ref for file in parcel.files] == refs
    assert parcel.payload["attachments"] == [
        {"id": refs[0], "file_name": "a.txt"},
        {"id": refs[1], "file_name": "b.bin"},
        {"id": refs[2], "file_name": "report.html"},
        {"id": refs[3], "file_name": "d.json"},
    ]
    (outer_wired,) = parcel.payload["steps"]
    assert outer_wired["execution"]["attachments"] == [{"id": refs[4], "file_name": "outer.txt"}]
    (inner_wired,) = outer_wired["steps"]
    assert inner_wired["execution"]["attachments"] == [{"id": refs[5], "file_name": "inner.txt"}]
    assert (outer_wired["attachments"], inner_wired["attachments"]) == ([], [])
    contents = [(file.path, file.content, file.mime_type) for file in parcel.files]
    assert contents[:3] == [
        (None, b"text", "text/plain"),
        (None, b"\x00\xff", None),
        (str(tmp_path / "report.html"), None, "text/html"),
    ]
    assert json.loads(contents[3][1]) == {"a": 1}


# Steps


def test_a_step_member_by_member(result):
    inner = step(id="inner", data=StepTextData("Below", "It is below"))
    inner.set_parent_id("outer")
    outer = step(id="outer", status="failed")
    outer.add_step(inner)
    outer.data.input_data = "given"
    assert with_step(result, outer) == {
        "id": "outer",
        "parent_id": None,
        "step_type": "text",
        "data": {"action": "Do it", "input_data": "given"},
        "execution": {
            "status": "failed",
            "start_time": 1.0,
            "end_time": 2.0,
            "duration": 1000,
            "attachments": [],
        },
        "steps": [
            {
                "id": "inner",
                "parent_id": "outer",
                "step_type": "text",
                "data": {"action": "Below", "expected_result": "It is below"},
                "execution": {
                    "status": "passed",
                    "start_time": 1.0,
                    "end_time": 2.0,
                    "duration": 1000,
                    "attachments": [],
                },
                "steps": [],
                "attachments": [],
            }
        ],
        "attachments": [],
    }


def test_an_untested_step_is_skipped_and_has_no_times(result):
    made = step(status="untested")
    made.add_attachment(Attachment("a.txt", "text/plain", content="x"))
    execution = with_step(result, made)["execution"]
    assert len(execution.pop("attachments")) == 1
    assert execution == {"status": "skipped", "start_time": None, "end_time": None, "duration": 0}


def test_attachments_of_a_step_where_older_releases_have_them(result):
    made = step()
    made.attachments = [Attachment("old.txt", "text/plain", content="old")]
    assert with_step(result, made)["execution"]["attachments"][0]["file_name"] == "old.txt"


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (StepType.GHERKIN, StepGherkinData("Given", "a basket", 3), {"action": "Given a basket"}),
        (StepType.GHERKIN, StepGherkinData("Given", "Given", 3), {"action": "Given"}),
        (
            StepType.GHERKIN,
            StepGherkinData("When", "x", 3, "| a |"),
            {"action": "When x", "input_data": "| a |"},
        ),
        (StepType.SLEEP, StepSleepData(3), {"action": "Sleep for 3 seconds", "duration": 3}),
        (
            StepType.ASSERT,
            StepAssertData("1", "2", "They differ"),
            {"action": "They differ", "expected": "1"},
        ),
        (StepType.ASSERT, StepAssertData("1", "2", ""), {"action": "Expected 1, got 2", "actual": "2"}),
        (StepType.DB_QUERY, StepDbQueryData("SELECT 1"), {"action": "SELECT 1"}),
        (
            StepType.DB_QUERY,
            StepDbQueryData("SELECT 1", "one", "sqlite", 0.01234, 0, "file.db"),
            {
                "action": "[sqlite] SELECT 1",
                "expected_result": "one",
                "input_data": "Connection: file.db | Execution time: 0.012s | Rows affected: 0",
                "database_type": "sqlite",
            },
        ),
    ],
    ids=lambda value: value.value if isinstance(value, StepType) else "",
)
def test_kinds_of_steps(result, kind, data, expected):
    wired = with_step(result, step(kind, data))
    assert wired["step_type"] == kind.value
    assert {key: wired["data"].get(key) for key in expected} == expected
    assert None not in wired["data"].values()
    if "expected_result" not in expected:
        assert "expected_result" not in wired["data"]


@pytest.mark.parametrize("headers", [dict, CaseInsensitiveDict, HTTPHeaderDict])
def test_requests_with_all_that_belongs_to_them(result, headers):
    data = StepRequestData(b"body", headers({"A": "1"}), "GET", "https://example.com/x")
    data.add_response(200, "answer", headers({"B": "2"}))
    result.steps = [step(StepType.REQUEST, data)]
    parcel = wire_result(result, PLAIN)
    (wired,) = parcel.payload["steps"]
    assert wired["data"] == {
        "action": "GET https://example.com/x",
        "request_method": "GET",
        "request_url": "https://example.com/x",
        "status_code": 200,
    }
    named = {file.file_name: file.content for file in parcel.files}
    assert set(named) == {f"{part}.txt" for part in payload._REQUEST_PARTS}
    assert named["request_body.txt"] == b"body"
    assert named["response_body.txt"] == b"answer"
    assert b"1" in named["request_headers.txt"]
    # A batch may be sent twice.
    assert len(wire_result(result, PLAIN).files) == 4


def test_a_request_without_bodies_has_no_files(result):
    result.steps = [step(StepType.REQUEST, StepRequestData("", {}, "GET", "https://example.com"))]
    assert wire_result(result, PLAIN).files == ()


def test_steps_three_hundred_levels_deep_lose_nothing(result):
    top = made = step(id="0")
    for depth in range(1, 300):
        below = step(id=str(depth), data=StepTextData(f"step {depth}"))
        below.set_parent_id(made.id)
        below.add_attachment(Attachment(f"{depth}.txt", "text/plain", content="x"))
        made.add_step(below)
        made = below
    result.steps = [top]
    wired = wire(result)
    assert deepest(wired["steps"]) <= MAX_STEP_DEPTH + 1
    found = list(all_steps(wired["steps"]))
    assert [entry["id"] for entry in found] == [str(depth) for depth in range(300)]
    assert [entry["parent_id"] for entry in found[1:]] == [str(depth) for depth in range(299)]
    assert sum(len(entry["execution"]["attachments"]) for entry in found) == 299


def deepest(steps: list[dict[str, Any]]) -> int:
    return 1 + max((deepest(entry["steps"]) for entry in steps), default=0) if steps else 0


def all_steps(steps: list[dict[str, Any]]) -> Any:
    for entry in steps:
        yield entry
        yield from all_steps(entry["steps"])


# What belongs to the caller


def test_nothing_of_the_callers_is_changed(result, tmp_path):
    data = StepRequestData("body", {"A": "1"}, "GET", "https://example.com")
    data.add_response(200, b"\xff", None)
    outer = step(StepType.REQUEST, data)
    outer.add_step(step(status="untested"))
    outer.add_attachment(Attachment("a.bin", None, content=b"x"))
    result.steps = [outer, step(StepType.GHERKIN, StepGherkinData("Given", "x", 1, "data"))]
    result.attachments = [Attachment("b.txt", "text/plain", content="text")]
    before = content(copy.deepcopy(result))
    wired = wire_result(result, PayloadOptions("Root", frozenset({"browser"}), True, True, True))
    assert content(result) == before
    # Nor may the caller change what is on its way.
    result.fields["late"] = "x"
    result.params["late"] = "x"
    result.param_groups[0].append("late")
    result.tags.append("late")
    result.relations.add_suite(SuiteData("late"))
    outer.add_attachment(Attachment("late.txt", None, content="x"))
    assert "late" not in json.dumps(wired.payload)


def content(value: Any) -> Any:
    """Everything below an object of upstream's, in plain values."""
    if isinstance(value, (str, bytes, int, float, type(None), StepType)):
        return value
    if isinstance(value, dict):
        return {key: content(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [content(item) for item in value]
    return type(value).__name__, content(vars(value))


def test_a_strange_result_leaves_what_identifies_it(result):
    result.param_groups = [7]
    parcel: CapturedResult = payload.wire_result_or_remains(result, PLAIN)
    assert parcel.payload["id"] == result.id
    assert parcel.payload["title"] == "A title"
    assert parcel.payload["execution"] == {"status": "failed"}
    assert parcel.payload["message"].startswith("It broke\nParts of this result could not be sent: TypeError")
    assert parcel.files == ()
