"""Subtests as steps of their test."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from qase.commons.models import Attachment, Result
from qase.commons.models.runtime import Runtime
from qase.commons.models.step import Step, StepTextData, StepType

from famacase_pytest.upstream import subtests

NODE = "test_a.py::test_it"


@pytest.fixture
def plugin():
    """Upstream's plugin in the middle of a test, in which a subtest ends."""
    runtime = Runtime()
    runtime.result = Result("t", NODE)
    runtime.steps = {}
    runtime.step_id = None
    plugin = SimpleNamespace(
        runtime=runtime,
        _current_item=SimpleNamespace(nodeid=NODE, stash=pytest.Stash()),
        reporter=SimpleNamespace(
            config=SimpleNamespace(framework=SimpleNamespace(pytest=SimpleNamespace(capture_logs=False)))
        ),
        attached=[],
        finished=[],
    )
    plugin.add_attachments = lambda file: plugin.attached.append((runtime.step_id, file))
    return plugin


def report(message="one", outcome="passed", *, node=NODE, text="", **kwargs):
    """pytest's report of a subtest."""
    return SimpleNamespace(
        context=SimpleNamespace(msg=message, kwargs=kwargs),
        nodeid=node,
        outcome=outcome,
        failed=outcome == "failed",
        skipped=outcome == "skipped",
        longrepr=text or None,
        longreprtext=text,
        duration=0.25,
        start=10.0,
        stop=10.25,
        sections=[],
        get_sections=lambda name: [],
    )


def ignored(plugin, given):
    raise AssertionError("this is the report of a subtest")


def note(plugin, *reports):
    hook = subtests.noting(ignored)
    for each in reports:
        hook(plugin, each)


def finish(plugin):
    subtests.with_subtests(lambda plugin: plugin.finished.append(plugin.runtime.result))(plugin)
    (result,) = plugin.finished
    return result


def steps_of(plugin):
    return list(plugin.runtime.steps.values())


# One subtest


def test_a_subtest_is_a_step(plugin):
    note(plugin, report("the message", n=3, name="x"))
    (step,) = steps_of(plugin)
    assert step.data.action == "the message (n=3, name='x')"
    assert step.data.input_data == "n=3, name='x'"
    execution = step.execution
    assert (execution.status, execution.start_time, execution.end_time) == ("passed", 10.0, 10.25)
    assert execution.duration == 250
    assert step.parent_id is None


@pytest.mark.parametrize(
    ("message", "kwargs", "title"),
    [(None, {}, "subtest"), (None, {"n": 1}, "(n=1)"), ("m", {}, "m"), (7, {}, "7")],
)
def test_how_it_is_called(plugin, message, kwargs, title):
    note(plugin, report(message, **kwargs))
    assert steps_of(plugin)[0].data.action == title


def test_a_value_whose_repr_fails_is_shown_as_pytest_does(plugin):
    class Broken:
        def __repr__(self):
            raise RuntimeError("no repr")

    note(plugin, report("m", value=Broken()))
    assert "raised in repr()" in steps_of(plugin)[0].data.action


def test_it_is_below_the_step_in_which_it_ran(plugin):
    outer = Step(StepType.TEXT, "outer", StepTextData("outer"))
    outer.execution.start_time = 9.0
    plugin.runtime.steps["outer"], plugin.runtime.step_id = outer, "outer"
    before, within = (Step(StepType.TEXT, name, StepTextData(name)) for name in ("before", "within"))
    for step, began in ((before, 9.5), (within, 10.1)):
        step.parent_id, step.execution.start_time = "outer", began
        plugin.runtime.steps[step.id] = step
    note(plugin, report())
    made = steps_of(plugin)[-1]
    assert made.parent_id == "outer"
    # What was done in it is below it; what was done before is not, nor is the step itself.
    assert (within.parent_id, before.parent_id, outer.parent_id) == (made.id, "outer", None)


def test_one_that_does_not_tell_when_it_began_takes_nothing(plugin):
    other = Step(StepType.TEXT, "other", StepTextData("other"))
    other.execution.start_time = 10.1
    plugin.runtime.steps["other"] = other
    unittests = report()
    unittests.start = unittests.stop = 0
    note(plugin, unittests)
    assert other.parent_id is None
    # Nor has it times.
    assert steps_of(plugin)[-1].execution.end_time is None


def test_reports_of_others_are_passed_on(plugin):
    passed_on = []
    hook = subtests.noting(lambda plugin, given: passed_on.append(given))
    whole = SimpleNamespace(nodeid=NODE, outcome="passed")
    hook(plugin, whole)
    assert (passed_on, steps_of(plugin)) == ([whole], [])


@pytest.mark.parametrize("case", ["another test", "no test", "no result"])
def test_a_controller_leaves_the_subtests_of_its_workers_to_them(plugin, case):
    if case == "no test":
        plugin._current_item = None
    elif case == "no result":
        plugin.runtime.result = None
    note(plugin, report(node="test_b.py::test_other" if case == "another test" else NODE))
    assert steps_of(plugin) == []


# What upstream makes of its report


def test_what_upstream_takes_for_the_tests_is_undone(plugin):
    def upstreams(plugin, given, call, item):
        result = plugin.runtime.result
        result.execution.status, result.message = "failed", "of the subtest"
        result.execution.stacktrace = "of the subtest"
        result.attachments.append("its log")

    result = plugin.runtime.result
    result.execution.status, result.message = "passed", "before"
    result.attachments.append("before")
    call = SimpleNamespace(when="call")
    subtests.keeping_state(upstreams)(plugin, None, call, plugin._current_item)
    assert result.execution.status == "failed"
    note(plugin, report())
    execution = result.execution
    assert (execution.status, execution.stacktrace, result.message) == ("passed", None, "before")
    assert result.attachments == ["before"]
    # Only of this report: the next one is the test's own.
    assert subtests._BEFORE not in plugin._current_item.stash


@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_a_set_up_has_no_subtests(plugin, when):
    call = SimpleNamespace(when=when)
    seen = []
    subtests.keeping_state(lambda *given: seen.append(given))(plugin, "report", call, plugin._current_item)
    assert seen == [(plugin, "report", call, plugin._current_item)]
    note(plugin, report())
    # There is nothing to undo, and the step is there.
    assert len(steps_of(plugin)) == 1


# The test


def test_a_test_whose_subtests_pass_is_as_it_was(plugin):
    plugin.runtime.result.execution.status = "passed"
    note(plugin, report("one"), report("two"))
    result = finish(plugin)
    assert (result.execution.status, result.message) == ("passed", None)


def test_a_test_has_failed_if_a_subtest_has(plugin):
    plugin.runtime.result.execution.status = "passed"
    note(
        plugin,
        report("one", "failed", text="first trace\nE   AssertionError: no"),
        report("two"),
        report("three", "failed", text="second trace"),
    )
    result = finish(plugin)
    assert result.execution.status == "failed"
    # The trace of the first one.
    assert result.execution.stacktrace == "first trace\nE   AssertionError: no"
    lines = result.message.splitlines()
    assert lines[0] == "2 of 3 subtests failed"
    assert [line.partition(":")[0] for line in lines[1:]] == ["one", "three"]


def test_a_test_that_failed_itself_says_so_first(plugin):
    result = plugin.runtime.result
    result.execution.status, result.execution.stacktrace, result.message = "invalid", "own", "it broke"
    note(plugin, report("one", "failed", text="trace"))
    finish(plugin)
    assert (result.execution.status, result.execution.stacktrace) == ("invalid", "own")
    assert "it broke" in result.message
    assert result.message.index("it broke") < result.message.index("1 of 1 subtests failed")


def test_a_skipped_subtest_says_why_and_fails_nothing(plugin):
    plugin.runtime.result.execution.status = "passed"
    given = report("one", "skipped")
    given.longrepr = ("test_a.py", 3, "Skipped: not today")
    note(plugin, given)
    (step,) = steps_of(plugin)
    assert step.execution.status == "skipped"
    assert "not today" in step.data.expected_result
    assert finish(plugin).execution.status == "passed"


def test_the_next_test_counts_its_own(plugin):
    """The stash is the item's, which is run again by what repeats tests."""
    plugin.runtime.result.execution.status = "passed"
    note(plugin, report("one", "failed", text="trace"))
    finish(plugin)
    plugin.finished.clear()
    plugin.runtime.result = Result("t", NODE)
    plugin.runtime.result.execution.status = "passed"
    assert finish(plugin).execution.status == "passed"


def test_without_a_test_upstream_finishes_as_ever(plugin):
    plugin._current_item = None
    assert finish(plugin) is plugin.runtime.result


def test_logs_are_attached_to_the_step(plugin):
    plugin.reporter.config.framework.pytest.capture_logs = True
    given = report()
    given.get_sections = lambda name: [(name, "text")] if name == "Captured stdout call" else []
    plugin.runtime.step_id = None
    note(plugin, given)
    (step,) = steps_of(plugin)
    assert plugin.attached == [(step.id, ("text", "text/plain", "stdout.txt"))]
    assert plugin.runtime.step_id is None


def test_upstreams_attachment_is_what_is_undone(plugin):
    """Of a step that is under way the attachments are its own."""
    step = Step(StepType.TEXT, "s", StepTextData("s"))
    plugin.runtime.steps["s"], plugin.runtime.step_id = step, "s"
    kept = Attachment(file_name="a.txt", mime_type="text/plain", content="a", file_path=None)
    subtests._attachments(plugin.runtime).append(kept)

    def upstreams(plugin, given, call, item):
        subtests._attachments(plugin.runtime).append("a log")

    subtests.keeping_state(upstreams)(plugin, None, SimpleNamespace(when="call"), plugin._current_item)
    note(plugin, report())
    assert subtests._attachments(plugin.runtime) == [kept]
    assert plugin.runtime.result.attachments == []
