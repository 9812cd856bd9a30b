"""When results are handed over, which ones, and what is stored of a test that has not ended."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from qase.commons.models import Attachment, Result

from famacase_pytest.delivery.models import CapturedResult, StoredFile
from famacase_pytest.upstream import capture
from famacase_pytest.upstream.capture import CallWatch, InlineThread, TestCapture


class Transport:
    """Notes what is stored."""

    def __init__(self):
        self.begun = []
        self.progressed = []
        self.forgotten = 0
        self.copies = []
        self.problem = None

    def begin(self, code, run_id, payload):
        self.begun.append((code, run_id, payload["title"], payload.get("testops_ids")))

    def progress(self, code, run_id, result, *, sends):
        execution = result.payload["execution"]
        self.progressed.append((code, run_id, execution["status"], sends))

    def forget_begun(self):
        self.forgotten += 1

    def adopt(self, test):
        return {}

    def settled(self, result):
        return result

    def copy(self, source):
        self.copies.append(source)
        return StoredFile("", source.file_name, source.mime_type, None, 0, problem=self.problem)


class Reporter:
    """Upstream's reporter of one project."""

    def __init__(self, statuses=()):
        self.client = object()
        self.project_code = "P"
        self.run_id = "7"
        self.complete_after_run = True
        self.results = []
        self.processed = ["kept"]
        self.sent = []
        testops = SimpleNamespace(status_filter=list(statuses), show_public_report_link=False)
        self.config = SimpleNamespace(testops=testops)

    def add_result(self, result):
        self.results.append(result)

    def _send_results(self):
        # Upstream would filter here, by this.
        assert self.config.testops.status_filter == []
        self.sent.append([result.title for result in self.results])
        self.results.clear()


class MultiReporter:
    """Upstream's reporter of several projects."""

    def __init__(self, statuses=()):
        self.client = object()
        self.project_runs = {"P": "7", "Q": "8", "R": None}
        self.project_configs = {
            "P": {"complete_after_run": True},
            "Q": {"complete_after_run": False},
            "R": {"complete_after_run": True},
        }
        self.project_results = {"P": [], "Q": []}
        self.processed = {"P": ["kept"]}
        self.multi_config = SimpleNamespace(default_project=None, projects=[SimpleNamespace(code="P")])
        testops = SimpleNamespace(status_filter=list(statuses), show_public_report_link=True)
        self.config = SimpleNamespace(testops=testops)
        self.sent = []

    def _send_results_for_project(self, code):
        self.sent.append((code, [result.title for result in self.project_results[code]]))
        self.project_results[code].clear()


def result(title="t", status="passed"):
    made = Result(title, f"test_a.py::{title}")
    made.execution.set_status(status)
    return made


@pytest.fixture
def transport():
    return Transport()


@pytest.fixture
def plugin():
    """Upstream's plugin, at the start of a test."""
    reporter = Reporter()
    return SimpleNamespace(
        runtime=SimpleNamespace(result=result("begun", None), clear=lambda: None),
        _current_item=None,
        ignore=None,
        reporter=SimpleNamespace(reporter=reporter, config=reporter.config, add_result=reporter.add_result),
        _get_suite=lambda node: None,
        _get_signature=lambda node: None,
    )


@pytest.fixture
def make(plugin, transport):
    def make(*, merges=False, **more):
        config = SimpleNamespace(qase=plugin, pluginmanager=pytest.PytestPluginManager(), **more)
        return TestCapture(config, transport, merges=merges)

    return make


# Handing over


def test_a_thread_of_upstreams_runs_at_once():
    done = []
    thread = InlineThread(target=lambda *given: done.append(given), args=(1, 2))
    assert done == []
    thread.start()
    assert done == [(1, 2)]


def test_results_are_handed_over_when_their_test_has_finished(make, plugin, transport):
    reporter = plugin.reporter.reporter
    reporter.results = [result("one"), result("two")]
    make().finished()
    assert (reporter.sent, reporter.processed, transport.forgotten) == ([["one", "two"]], [], 1)


def test_upstream_is_not_asked_to_send_nothing(make, plugin, transport):
    """It logs a line for each batch."""
    make().finished()
    assert plugin.reporter.reporter.sent == []
    # The unfinished result is not to be reported, all the same.
    assert transport.forgotten == 1


def test_what_upstreams_filter_names_is_dropped_here(make, plugin):
    reporter = plugin.reporter.reporter = Reporter(statuses=["passed", "skipped"])
    unknown = result("no status")
    unknown.execution.status = None
    reporter.results = [result("one"), result("two", "failed"), result("three", "skipped"), unknown]
    make().finished()
    # As upstream drops what has no status at all.
    assert reporter.sent == [["two"]]
    assert reporter.config.testops.status_filter == ["passed", "skipped"]


def test_the_filter_is_as_it_was_even_if_sending_fails(make, plugin):
    reporter = plugin.reporter.reporter = Reporter(statuses=["passed"])
    reporter.results = [result("two", "failed")]

    def fails():
        raise RuntimeError("no")

    reporter._send_results = fails
    with pytest.raises(RuntimeError):
        make().finished()
    assert reporter.config.testops.status_filter == ["passed"]


def test_each_of_several_projects_has_its_own(make, plugin):
    reporter = plugin.reporter.reporter = MultiReporter(statuses=["skipped"])
    reporter.project_results = {"P": [result("one")], "Q": [result("two", "skipped")]}
    make().finished()
    assert reporter.sent == [("P", ["one"])]
    assert reporter.processed == {"P": []}


def test_a_local_report_is_upstreams_own(make, plugin):
    plugin.reporter.reporter = SimpleNamespace(results=[result()])
    capturing = make()
    capturing.started()
    capturing.finished()
    assert len(plugin.reporter.reporter.results) == 1


def test_without_upstreams_plugin_nothing_is_done(transport):
    capturing = TestCapture(SimpleNamespace(), transport, merges=True)
    capturing.started()
    capturing.finished()
    capturing.collection_failed(SimpleNamespace(nodeid="a.py"))
    capturing.progressed(dict, bool)
    assert (transport.begun, transport.forgotten) == ([], 0)


# Tests that have not ended


def test_the_unfinished_result_is_stored(make, transport):
    make().started()
    assert transport.begun == [("P", 7, "begun", None)]


@pytest.mark.parametrize("case", ["ignored", "no result", "no run"])
def test_what_upstream_does_not_report_is_not_begun(make, plugin, transport, case):
    if case == "ignored":
        plugin.ignore = True
    elif case == "no result":
        plugin.runtime.result = None
    else:
        plugin.reporter.reporter.run_id = None
    make().started()
    assert transport.begun == []


@pytest.mark.parametrize(
    ("mapping", "begun"),
    [
        ({}, [("P", 7, "begun", [5])]),
        ({"Q": [1, 2]}, [("Q", 8, "begun", [1, 2])]),
        ({"P": [], "Q": [2]}, [("P", 7, "begun", None), ("Q", 8, "begun", [2])]),
        # A project without a run gets nothing.
        ({"R": [1]}, []),
    ],
)
def test_a_test_is_begun_in_each_project_that_it_goes_to(make, plugin, transport, mapping, begun):
    plugin.reporter.reporter = MultiReporter()
    made = plugin.runtime.result = result("begun", None)
    made.testops_ids = [5]
    made.get_testops_project_mapping = lambda: mapping or None
    make().started()
    assert transport.begun == begun
    # It is the test's own, which goes on.
    assert made.testops_ids == [5]


def test_a_default_project_is_the_one_that_is_named(make, plugin, transport):
    reporter = plugin.reporter.reporter = MultiReporter()
    reporter.multi_config.default_project = "Q"
    plugin.runtime.result.get_testops_project_mapping = lambda: None
    make().started()
    assert [begun[:2] for begun in transport.begun] == [("Q", 8)]


@pytest.mark.parametrize(
    ("status", "filtered", "lets_through", "stored"),
    [
        (None, (), True, ("P", 7, "in_progress", True)),
        ("failed", (), True, ("P", 7, "failed", True)),
        # What upstream's filter may drop later must not be there before; nor what a hook keeps back.
        (None, ("passed",), True, ("P", 7, "in_progress", False)),
        (None, (), False, ("P", 7, "in_progress", False)),
    ],
)
def test_what_a_long_test_has_come_to(make, plugin, transport, status, filtered, lets_through, stored):
    plugin.reporter.config.testops = SimpleNamespace(status_filter=filtered)
    capturing = make()
    capturing.started()
    extra = {} if status is None else {"status": status, "message": "why"}
    capturing.progressed(lambda: {"steps": [], "fields": {}, **extra}, lambda payload: lets_through)
    assert transport.progressed == [stored]


def test_a_test_that_was_never_started_has_come_to_nothing(make, plugin, transport):
    plugin.reporter.config.testops = SimpleNamespace()
    make().progressed(dict, bool)
    assert transport.progressed == []


# Collection


def test_a_file_that_cannot_be_collected_is_one_result(make, plugin):
    report = pytest.CollectReport("a.py", "failed", "E   SyntaxError: invalid", [])
    capturing = make()
    # Once for its tests and once for its doctests, and by each worker.
    for _ in range(3):
        capturing.collection_failed(report)
    assert len(plugin.reporter.reporter.sent) == 1
    capturing.collection_failed(pytest.CollectReport("b.py", "failed", "E   SyntaxError: invalid", []))
    assert len(plugin.reporter.reporter.sent) == 2


# Tests that are repeated


class Repeated:
    """A test, and what upstream's plugin is called for."""

    def __init__(self, plugin):
        self.plugin = plugin
        self.nodeid = "test_a.py::test_it"
        self.stash = pytest.Stash()
        self.calls = []
        plugin._current_item = self
        plugin.finish_pytest_item = lambda: self.calls.append("finish")
        plugin.start_pytest_item = lambda item: self.calls.append(("start", plugin._current_item))


def test_a_set_up_that_comes_again_is_another_attempt(make, plugin):
    item = Repeated(plugin)
    capturing = make(merges=True)
    capturing.started()
    capturing.set_up(item)
    assert item.calls == []
    capturing.set_up(item)
    # Without the item, so that upstream does not take it for a second call of its own.
    assert item.calls == ["finish", ("start", None)]
    assert plugin._current_item is item
    capturing.set_up(item)
    assert len(item.calls) == 4


def test_the_set_up_of_the_next_test_is_none(make, plugin):
    item = Repeated(plugin)
    capturing = make(merges=True)
    for _ in range(2):
        capturing.started()
        capturing.set_up(item)
    assert item.calls == []


@pytest.mark.parametrize("case", ["not merged", "ignored", "another item"])
def test_whose_attempts_are_none_of_ours(make, plugin, case):
    item = Repeated(plugin)
    capturing = make(merges=case != "not merged")
    capturing.started()
    capturing.set_up(item)
    if case == "ignored":
        plugin.ignore = True
    elif case == "another item":
        plugin._current_item = object()
    capturing.set_up(item)
    assert item.calls == []


def test_a_call_without_a_report_is_reported(request, monkeypatch):
    noted = []
    monkeypatch.setattr(capture, "note_report", lambda plugin, report: noted.append((plugin, report)))
    wrapper = CallWatch("upstream's").pytest_runtest_call(request.node)
    next(wrapper)
    with pytest.raises(ValueError, match="broken"):
        wrapper.throw(ValueError("broken"))
    ((plugin, report),) = noted
    assert (plugin, report.when, report.outcome) == ("upstream's", "call", "failed")
    assert "broken" in report.longreprtext
    passing = CallWatch("upstream's").pytest_runtest_call(request.node)
    next(passing)
    with pytest.raises(StopIteration):
        passing.send(None)
    assert len(noted) == 1


def test_without_attempts_a_result_is_as_it_ended(make):
    captured = CapturedResult({"id": "a"})
    assert make().ended("P", captured) is captured


# Files


def attach(transport, **more):
    attached = []
    made = Attachment(
        **{"file_name": "a.txt", "mime_type": "text/plain", "content": None, "file_path": None, **more}
    )
    hook = capture.copying_attachments(lambda runtime, file: attached.append(file), lambda: transport)
    hook("runtime", made)
    assert attached == [made]
    return made


def test_the_content_of_a_file_is_held_no_longer_than_until_it_is_stored(transport):
    assert attach(transport, content="x" * 10).content == ""
    assert [bytes(copied.content) for copied in transport.copies] == [b"x" * 10]


def test_a_content_that_could_not_be_stored_is_kept(transport):
    transport.problem = "the disk is full"
    assert attach(transport, content="text").content == "text"


def test_a_file_is_copied_as_it_is_when_it_is_attached(transport, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("now", encoding="utf-8")
    attach(transport, file_path=str(path))
    assert [copied.path for copied in transport.copies] == [str(path)]


def test_where_nothing_is_sent_files_are_upstreams():
    assert attach(None, content="text").content == "text"


# The end


@pytest.mark.parametrize(
    ("reporter", "completed"),
    [
        (Reporter(), [("P", 7, False)]),
        (MultiReporter(), [("P", 7, True)]),
        (SimpleNamespace(), []),
    ],
    ids=["one project", "several", "a local report"],
)
def test_what_is_completed_is_known_before_it_is(reporter, completed):
    done, seen = [], []

    def end_with(end, runs):
        seen.extend(runs)
        assert done == []
        end()

    hook = capture.ending(lambda *given: done.append(given), end_with)
    plugin = SimpleNamespace(reporter=SimpleNamespace(reporter=reporter))
    hook(plugin, "session", 0)
    assert (seen, done) == (completed, [(plugin, "session", 0)])


def test_a_run_that_stays_open_is_none_of_them():
    reporter = Reporter()
    reporter.complete_after_run = False
    assert list(capture._completed(reporter)) == []
    reporter.complete_after_run, reporter.run_id = True, None
    assert list(capture._completed(reporter)) == []
