"""The hooks: in which order the session is told what, and what passes through them."""

from __future__ import annotations

import contextlib
import importlib
from types import SimpleNamespace

import pytest

from famacase_pytest import plugin
from famacase_pytest.plugin import ReportingHooks, WorkerHooks, XdistHooks

pytest_plugins = "pytester"

# Imported here, since pytester forgets at the end of a test what was imported in it.
importlib.import_module("qase.pytest.conftest")


class Session:
    """Notes what it is told.

    Attributes:
        raises: what a call of this name raises.
        answers: what a call of this name returns.
    """

    def __init__(self):
        self.noted = []
        self.raises = {}
        self.answers = {}
        self.internal = []
        self.was_interrupted = False

    def __getattr__(self, name):
        def call(*arguments):
            self.noted.append((name, *arguments))
            if name in self.raises:
                raise self.raises[name]
            return self.answers.get(name)

        return call

    @contextlib.contextmanager
    def guarded(self):
        try:
            yield
        except Exception as error:  # noqa: BLE001 (as the real one does)
            self.internal.append(error)


@pytest.fixture
def session():
    return Session()


def through(wrapper, *, raises=None, returns=None):
    """What a wrapper makes of what pytest does within."""
    next(wrapper)
    try:
        if raises is not None:
            wrapper.throw(raises)
        else:
            wrapper.send(returns)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it goes on")


# The test loop


def test_what_is_wrong_is_said_before_the_first_test(session):
    wrapper = ReportingHooks(session).pytest_runtestloop()
    next(wrapper)
    assert session.noted == [("before_tests",), ("check_target",)]
    with pytest.raises(StopIteration) as ended:
        wrapper.send(True)
    assert ended.value.value is True


def test_a_wrong_target_stops_the_loop_and_an_internal_error_does_not(session):
    session.raises["before_tests"] = ValueError("internal")
    assert through(ReportingHooks(session).pytest_runtestloop(), returns=True) is True
    assert len(session.internal) == 1
    session.raises["check_target"] = pytest.UsageError("The token is wrong.")
    with pytest.raises(pytest.UsageError):
        next(ReportingHooks(session).pytest_runtestloop())


@pytest.mark.parametrize(("error", "interrupted"), [(KeyboardInterrupt(), True), (RuntimeError("x"), False)])
def test_ctrl_c_is_remembered_and_passes(session, error, interrupted):
    with pytest.raises(type(error)):
        through(ReportingHooks(session).pytest_runtestloop(), raises=error)
    assert session.was_interrupted == interrupted


def test_only_what_cannot_be_collected_is_told(session):
    hooks = ReportingHooks(session)
    failed = SimpleNamespace(failed=True)
    for report in (SimpleNamespace(failed=False), failed):
        hooks.pytest_collectreport(report)
    assert session.noted == [("collection_failed", failed)]


def test_a_test_is_known_before_it_is_started(session):
    hooks = ReportingHooks(session)
    hooks.pytest_runtest_protocol("item")
    assert session.item == "item"
    hooks.pytest_runtest_logstart()
    hooks.pytest_runtest_setup("item")
    hooks.pytest_runtest_logfinish()
    assert session.noted == [("test_started",), ("test_set_up", "item"), ("test_finished",)]


@pytest.mark.parametrize("name", ["test_started", "test_set_up", "test_finished", "collection_failed"])
def test_no_internal_error_reaches_a_test(session, name):
    session.raises[name] = ValueError("internal")
    hooks = ReportingHooks(session)
    hooks.pytest_collectreport(SimpleNamespace(failed=True))
    hooks.pytest_runtest_logstart()
    hooks.pytest_runtest_setup("item")
    hooks.pytest_runtest_logfinish()
    assert len(session.internal) == 1
    # The others are told all the same.
    assert len(session.noted) == 4


# The end


@pytest.mark.parametrize(
    ("status", "fails", "after"),
    [(0, False, 0), (0, True, 1), (1, True, 1), (5, True, 5), (2, True, 2)],
)
def test_only_a_green_session_is_made_to_fail(session, status, fails, after):
    session.answers["fails"] = fails
    pytests = SimpleNamespace(exitstatus=status)
    through(ReportingHooks(session).pytest_sessionfinish(pytests, status))
    assert pytests.exitstatus == after
    assert [name for name, *_ in session.noted][:2] == ["before_completion", "finish"]


def test_what_is_stored_is_delivered_though_upstream_fails(session):
    session.raises["before_completion"] = ValueError("internal")
    wrapper = ReportingHooks(session).pytest_sessionfinish(SimpleNamespace(exitstatus=1), 1)
    with pytest.raises(RuntimeError, match="upstream's"):
        through(wrapper, raises=RuntimeError("upstream's own"))
    assert ("finish",) in session.noted


# Workers


@pytest.mark.parametrize("name", ["logstart", "logreport", "logfinish", "sessionfinish"])
@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OSError("cannot send (already closed?)"), False),
        (OSError("No space left on device"), True),
        (ValueError("cannot send"), True),
    ],
)
def test_a_worker_goes_on_whose_controller_is_gone(session, name, error, passes):
    hook = "pytest_sessionfinish" if name == "sessionfinish" else f"pytest_runtest_{name}"
    wrapper = getattr(WorkerHooks(session), hook)()
    with pytest.raises(type(error)) if passes else contextlib.nullcontext():
        through(wrapper, raises=error)
    # That was to be called next.
    assert (("test_finished",) in session.noted) == (name == "logfinish" and not passes)


def test_a_worker_whose_controller_is_there_finishes_its_test_once(session):
    assert through(WorkerHooks(session).pytest_runtest_logfinish(), returns="x") == "x"
    assert session.noted == []


def test_xdist_tells_the_session(session):
    hooks = XdistHooks(session)
    hooks.pytest_xdist_setupnodes(None, ["spec"])
    hooks.pytest_configure_node(SimpleNamespace(workerinput={"a": 1}))
    hooks.pytest_testnodedown(SimpleNamespace(workeroutput={"b": 2}))
    # One that died has said nothing.
    hooks.pytest_testnodedown(SimpleNamespace())
    assert session.noted == [
        ("before_workers", ["spec"]),
        ("brief_worker", {"a": 1}),
        ("worker_ended", {"b": 2}),
        ("worker_ended", {}),
    ]


@pytest.mark.parametrize(("outcome", "told"), [("failed", True), ("rerun", False)])
def test_a_crash_is_told_before_another_worker_may_begin(session, outcome, told):
    node = SimpleNamespace(gateway=SimpleNamespace(id="gw1"))
    report = SimpleNamespace(node=node, longrepr="worker 'gw1' crashed", outcome="failed")
    wrapper = XdistHooks(session).pytest_handlecrashitem("a.py::test_it", report)
    next(wrapper)
    assert session.noted == [("worker_crashed", "gw1", "a.py::test_it", "worker 'gw1' crashed")]
    # A plugin says so within.
    report.outcome = outcome
    with pytest.raises(StopIteration):
        wrapper.send(None)
    assert (("not_repeated", "a.py::test_it") in session.noted) == told


# What is registered


@pytest.fixture
def parsed(pytester, monkeypatch):
    """Reads a command line in process; no session begins."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return lambda *arguments: pytester.parseconfig(
        "-p", "famacase_pytest.plugin", "-p", "qase.pytest.conftest", *arguments
    )


@pytest.mark.parametrize(
    ("reports", "is_worker", "has_xdist", "registered"),
    [
        (False, False, False, set()),
        (True, False, False, {"reporting"}),
        (True, True, False, {"reporting", "worker"}),
        (True, False, True, {"reporting", "xdist"}),
        (False, True, True, set()),
    ],
)
def test_only_a_session_that_reports_is_called_for_each_test(
    parsed, session, monkeypatch, reports, is_worker, has_xdist, registered
):
    config = parsed()
    if is_worker:
        config.workerinput = {}
    if has_xdist:
        spec = type("Spec", (), {"pytest_configure_node": staticmethod(pytest.hookspec(lambda node: None))})
        for name in ("pytest_xdist_setupnodes", "pytest_testnodedown", "pytest_handlecrashitem"):
            setattr(spec, name, staticmethod(pytest.hookspec(XDIST[name])))
        config.pluginmanager.add_hookspecs(spec)
    monkeypatch.setattr("famacase_pytest.activation.begin", lambda config: session if reports else None)
    plugin._begin(config, False)
    names = {"reporting", "worker", "xdist"}
    assert {name for name in names if config.pluginmanager.has_plugin(f"famacase-{name}")} == registered


XDIST = {
    "pytest_xdist_setupnodes": lambda config, specs: None,
    "pytest_testnodedown": lambda node, error: None,
    "pytest_handlecrashitem": lambda crashitem, report, sched: None,
}


def test_flags_are_added_beside_upstreams(parsed):
    config = parsed("--famacase-mode=report", "--qase-mode=off")
    assert (config.option.famacase_mode, config.option.qase_mode) == ("report", "off")


def test_a_mistyped_flag_is_answered_with_the_one_that_was_meant(parsed):
    with pytest.raises(
        pytest.UsageError, match=r"--famacase-mod=report\n.*did you mean: --famacase-mode(?s:.*)"
    ):
        parsed("--famacase-mod=report")


def test_long_tests_are_prepared_only_where_they_are_asked_for(parsed, monkeypatch):
    prepared = []
    monkeypatch.setattr("famacase_pytest.orchestration.plugin.prepare", prepared.append)
    config = parsed()
    assert not plugin._prepare_orchestration(config)
    config = parsed("-o", "orchestration_descriptions=folder")
    assert plugin._prepare_orchestration(config)
    assert prepared == [config]
    assert config.pluginmanager.has_plugin("famacase-orchestration")
