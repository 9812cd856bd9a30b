"""The guards by themselves; what they keep away from a session is shown in ``tests_compat``."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace
from typing import Any

import pytest
from qase.commons.models.attachment import Attachment
from qase.commons.models.result import Result

from famacase_pytest.upstream import capture, guards
from famacase_pytest.upstream.payload import PayloadOptions, wire_result


def mark(*args: Any, **kwargs: Any) -> Any:
    return pytest.Mark("parametrize", args, kwargs, _ispytest=True)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (mark("x", [1]), "x"),
        (mark("x", argvalues=[1]), "x"),
        (mark("x", [1], True), "x"),
        (mark(argnames="a,b", argvalues=[(1, 2)]), "a,b"),
        (mark(["a", "b"], argvalues=[(1, 2)]), ["a", "b"]),
    ],
    ids=repr,
)
def test_every_form_of_parametrize_has_two_arguments_for_upstream(given, names):
    item = SimpleNamespace(iter_markers=lambda name=None: iter([given]))
    seen = []

    def modify(plugin: Any, session: Any, config: Any, items: list[Any]) -> None:
        for each in items:
            seen.extend(found.args[0] for found in each.iter_markers() if len(found.args) == 2)
            each._grouped_params = ["set"]

    items: list[Any] = [item]
    guards.with_plain_marks(modify)(None, None, None, items)
    assert seen == [names]
    assert items == [item]
    assert item._grouped_params == ["set"]


def test_items_that_upstream_leaves_out_are_left_out():
    first, second = (SimpleNamespace(iter_markers=lambda name=None: iter(())) for _ in range(2))

    def modify(plugin: Any, session: Any, config: Any, items: list[Any]) -> None:
        items[:] = items[1:]

    items = [first, second]
    guards.with_plain_marks(modify)(None, None, None, items)
    assert len(items) == 1
    assert items[0] is second


def report(when: str, outcome: str, longrepr: Any = None, **more: Any) -> Any:
    return pytest.TestReport(
        "test_a.py::test_a", ("test_a.py", 1, "test_a"), {}, outcome, longrepr, when, **more
    )


PASSED = [report("setup", "passed"), report("call", "passed"), report("teardown", "passed")]


@pytest.mark.parametrize(
    ("reports", "status", "message"),
    [
        (PASSED, "passed", None),
        ([PASSED[0], report("call", "failed", "it broke"), PASSED[2]], "failed", "it broke"),
        (
            [
                PASSED[0],
                report("call", "failed", "def test_a():\n>   assert 1 == 2, 'no'\nE   AssertionError: no"),
            ],
            "failed",
            "AssertionError: no",
        ),
        ([report("setup", "failed", "no fixture")], "invalid", "no fixture"),
        ([*PASSED[:2], report("teardown", "failed", "at the end")], "invalid", "at the end"),
        (
            [PASSED[0], report("call", "failed", "first"), report("teardown", "failed", "second")],
            "failed",
            "first",
        ),
        ([report("???", "failed", "CRASHED with signal 6")], "failed", "CRASHED with signal 6"),
        ([report("setup", "skipped", ("a.py", 1, "Skipped: not today"))], "skipped", "not today"),
        ([PASSED[0], report("call", "skipped", "long", wasxfail="known")], "blocked", "known"),
        ([PASSED[0], report("call", "passed", wasxfail="known")], "invalid", None),
        ([], None, None),
    ],
)
def test_the_outcome_of_a_test_that_ran_elsewhere(reports, status, message):
    item = SimpleNamespace(nodeid="test_a.py::test_a", stash=pytest.Stash())
    expected = SimpleNamespace(xfail="blocked", xpass="invalid")
    config = SimpleNamespace(framework=SimpleNamespace(pytest=SimpleNamespace(xfail_status=expected)))
    result = Result("test_a", "")
    result.execution.status = None
    runtime = SimpleNamespace(result=result)
    plugin = SimpleNamespace(_current_item=item, config=config, runtime=runtime)
    for each in reports:
        guards.note_report(plugin, each)
    finished = []
    guards.with_status(finished.append)(plugin)
    assert finished == [plugin]
    assert result.execution.status == status
    assert result.message == message
    assert not [name for name in vars(plugin) if name.startswith("_famacase")]


def test_reports_of_tests_that_are_not_under_way_are_not_kept():
    plugin = SimpleNamespace(_current_item=None, runtime=SimpleNamespace(result=None))
    guards.note_report(plugin, PASSED[0])
    plugin._current_item = other = SimpleNamespace(nodeid="another", stash=pytest.Stash())
    guards.note_report(plugin, PASSED[0])
    assert len(other.stash) == 0


def test_what_was_kept_of_an_attachment_survives_a_deep_copy_and_the_log():
    """Upstream copies results of several projects, and writes them as JSON for its log."""

    class Kept:
        problem = None

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("this cannot be copied")

    kept = Kept()
    transport = SimpleNamespace(copy=lambda source: kept)
    attached = []
    add = capture.copying_attachments(
        lambda runtime, attachment: attached.append(attachment), lambda: transport
    )
    attachment = Attachment(file_name="a.txt", mime_type="text/plain", content=b"content")
    add(None, attachment)
    result = Result("test_a", "")
    result.add_attachment(attachment)
    copied = copy.deepcopy(result)
    shown = json.loads(str(copied))["attachments"][0]
    assert shown == {
        "content": "",
        "file_name": "a.txt",
        "file_path": None,
        "id": attachment.id,
        "mime_type": "text/plain",
        "temporary": False,
    }
    parcel = wire_result(copied, PayloadOptions())
    assert list(parcel.copies.values()) == [kept]
