"""One session that reports: what it tells its transport, its hooks and the user, and when."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from famacase_pytest import hookspecs, wiring
from famacase_pytest.delivery.transport import Leftovers, NoTransport
from famacase_pytest.errors import ApiError, Refused, Unreachable
from famacase_pytest.session import Session
from famacase_pytest.settings.resolve import resolve
from famacase_pytest.settings.sources import ConfigFiles

from .settings.resolving import COMPLETE


class Terminal:
    """pytest's reporter."""

    isatty = False

    def __init__(self):
        self.lines = []

    def write_line(self, line, **_):
        self.lines.append(line)

    def write_sep(self, *_):
        pass


class Transport:
    """Notes what it is told, in order; has the methods of both kinds.

    Attributes:
        left: what `leftovers` gives.
        real: ids of runs by provisional ones.
        raises: what a call of this name raises.
    """

    def __init__(self, directory):
        self.directory = directory
        self.noted = []
        self.left = Leftovers()
        self.real = {}
        self.raises = {}
        self.waited = 0.0
        self.wrong = []
        self.has_late_files = False

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.noted.append((name, *arguments, *options.values()))
            if name in self.raises:
                raise self.raises[name]

        return call

    def names(self):
        return [name for name, *_ in self.noted]

    def leftovers(self):
        return self.left

    def real_run(self, code, run_id):
        return self.real.get(run_id, run_id)

    def title(self, code, run_id):
        return None

    def hidden(self, text):
        return text.replace("hunter2", "***")

    def stored(self):
        return {"gw0-5": 3}

    def unstored(self):
        return []

    def plan_cases(self, code, plan_id):
        if "plan_cases" in self.raises:
            raise self.raises["plan_cases"]
        return [3, 4]


@pytest.fixture
def terminal():
    return Terminal()


@pytest.fixture
def config(tmp_path, terminal):
    pluginmanager = pytest.PytestPluginManager()
    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.register(terminal, "terminalreporter")
    return SimpleNamespace(
        pluginmanager=pluginmanager,
        hook=pluginmanager.hook,
        rootpath=tmp_path,
        invocation_params=SimpleNamespace(dir=tmp_path),
        option=SimpleNamespace(verbose=0),
        getoption=lambda name, default=None: default,
    )


@pytest.fixture
def transport(tmp_path):
    return Transport(tmp_path / ".famacase" / "outbox" / "session")


@pytest.fixture(autouse=True)
def opened(transport, monkeypatch):
    """What the parts of delivery were put together from, each time."""
    opened = []
    for kind in ("controller", "worker"):

        def open_it(*given, kind=kind):
            opened.append((kind, *given))
            return transport

        monkeypatch.setattr(wiring, f"{kind}_transport", open_it)
    return opened


@pytest.fixture
def make(config, tmp_path):
    def make(*, notices=(), worker=None, **environ):
        given = {name: value for name, value in {**COMPLETE, **environ}.items() if value is not None}
        if worker is not None:
            config.workerinput = {"workerid": "gw0", "famacase": worker}
            config.workeroutput = {}
        return Session(config, resolve(given, {}, ConfigFiles(tmp_path)).settings, notices)

    return make


@pytest.fixture
def session(make):
    """A controller whose transport is open."""
    session = make()
    session.transport()
    return session


@pytest.fixture
def plugin(config):
    """Registers a plugin with hooks of the given names."""

    def register(**hooks):
        members = {name: staticmethod(hook) for name, hook in hooks.items()}
        config.pluginmanager.register(type("Plugin", (), members), "p")

    return register


# The transport


def test_a_transport_is_opened_when_it_is_first_asked_for(make, opened, transport):
    session = make()
    assert opened == []
    assert session.transport() is session.transport() is transport
    assert [kind for kind, *_ in opened] == ["controller"]


def test_what_the_back_end_says_later_is_wrong_with_the_target_too(make, transport):
    session = make(FAMACASE_STRICT="true")
    session.transport()
    session.check_target()
    transport.wrong.append("The token is wrong.")
    with pytest.raises(pytest.UsageError, match="The token is wrong"):
        session.check_target()


def test_a_worker_opens_one_of_its_own(make, opened):
    handover = {"outbox": "/somewhere", "run_file": "/run"}
    make(worker=handover).transport()
    ((kind, _, given, worker, *_),) = opened
    assert (kind, given, worker) == ("worker", handover, "gw0")


@pytest.mark.parametrize(
    ("waiting", "more", "said"),
    [
        ([1], 0, "1 result of an earlier session waits in "),
        ([2], 0, "2 results of an earlier session wait in "),
        ([1, 2], 0, "3 results of 2 earlier sessions wait in "),
        ([2], 5, "2 results of an earlier session, and those of 5 more, wait in "),
    ],
)
def test_what_earlier_sessions_have_left_is_said(make, monkeypatch, waiting, more, said):
    monkeypatch.setattr(wiring, "waiting_sessions", lambda base, tell: (waiting, more))
    session = make()
    session.transport()
    (line,) = session.notices.lines
    assert line.startswith(said)
    assert line.endswith(f"Send {'it' if waiting == [1] else 'them'} with: famacase resend")


def test_the_command_names_a_place_that_is_not_the_usual_one(make, monkeypatch, tmp_path, transport):
    transport.directory = tmp_path / "with blank" / "session"
    transport.left = Leftovers(waiting=1)
    session = make()
    session.transport()
    session.before_completion(0)
    session.summarize()
    assert (
        f"famacase resend --dir '{tmp_path}/with blank'"
        in session._config.pluginmanager.get_plugin("terminalreporter").lines[-1]
    )


# Questions of upstream


def test_the_cases_of_a_plan_are_kept_for_workers(session):
    assert session.plan_cases("SMOKE", 7) == [3, 4]
    workerinput = {}
    session.brief_worker(workerinput)
    assert workerinput["famacase"]["plan_cases"] == {"SMOKE": [3, 4]}
    assert session.has_plan("SMOKE", 7)


@pytest.mark.parametrize(
    ("error", "is_there", "is_wrong"),
    [
        (Refused("No such plan.", status=404), False, True),
        (Refused("Not yours.", status=403), True, True),
        (Unreachable("It is away."), True, False),
        (ApiError("Strange."), True, False),
    ],
)
def test_a_plan_that_cannot_be_read_runs_all_tests(session, transport, error, is_there, is_wrong):
    transport.raises["plan_cases"] = error
    assert session.plan_cases("SMOKE", 7) == []
    assert session.notices.lines == [f"plan 7 could not be read, so all tests run: {error}"]
    # A run may name it unless it is not there: that would keep the run from being created.
    assert session.has_plan("SMOKE", 7) == is_there
    assert session.has_plan("OTHER", 7)
    assert bool(session._wrong) == is_wrong


def test_the_page_of_a_run_is_that_of_all_until_it_is_created(session, transport):
    assert session.run_url("SMOKE", -1) == "https://famacase.example.com/runs"
    assert session.run_url("SMOKE", None) == "https://famacase.example.com/runs"
    transport.real[-1] = 100
    assert session.run_url("SMOKE", "-1") == "https://famacase.example.com/runs/100"
    assert session.run_url("SMOKE", 7) == "https://famacase.example.com/runs/7"


def test_plugins_learn_of_each_run_once_and_as_it_is_then(session, transport, plugin):
    runs = []
    plugin(pytest_famacase_run_started=lambda run: runs.append(run))
    session.run_opened("SMOKE", -1)
    session.run_opened("SMOKE", -1)
    session.run_opened("SHOP", 7)
    assert [(run.project, run.id) for run in runs] == [("SMOKE", None), ("SHOP", 7)]
    transport.real[-1] = 100
    assert runs[0].id == 100
    assert runs[0].url.endswith("/runs/100")


def test_the_run_file_has_the_id_once_it_is_known(make, transport, tmp_path):
    session = make(FAMACASE_RUN_FILE=str(tmp_path / "run.json"))
    session.transport()
    session.run_opened("SMOKE", -1)
    assert json.loads((tmp_path / "run.json").read_text("utf-8"))["id"] is None
    transport.real[-1] = 100
    session.finish()
    assert json.loads((tmp_path / "run.json").read_text("utf-8"))["id"] == 100


def test_a_worker_tells_nobody_of_its_run(make, plugin, tmp_path):
    plugin(pytest_famacase_run_started=lambda run: 1 / 0)
    session = make(worker={"run_file": "/run"}, FAMACASE_RUN_FILE=str(tmp_path / "run.json"))
    session.run_opened("SMOKE", 7)
    assert session.notices.lines == []
    assert not (tmp_path / "run.json").exists()


# Internal errors


def test_an_internal_error_is_said_once_and_the_tests_go_on(session):
    for _ in range(2):
        with session.guarded():
            raise ValueError("internal")
    (line,) = session.notices.lines
    assert line.startswith("a defect of famacase-pytest, ValueError in test_session.py")
    # Only a strict session fails by that.
    assert not session.fails()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_nobody_may_catch_passes(session, error):
    with pytest.raises(error), session.guarded():
        raise error
    assert session.notices.lines == []


def test_guards_of_a_suite_are_caught(session):
    with session.guarded():
        pytest.fail("no sockets here")
    assert len(session.notices.lines) == 1


# A strict session


def test_only_a_strict_session_is_stopped_by_a_wrong_target(make, transport):
    for strict in (False, True):
        session = make(FAMACASE_STRICT=str(strict).lower())
        session.transport()
        session.could_not_start(Refused("The token is wrong."))
        if not strict:
            session.check_target()
            assert "withdraw" not in transport.names()
    with pytest.raises(
        pytest.UsageError, match=r"^The token is wrong\. FAMACASE_STRICT in the environment is"
    ):
        session.check_target()
    # No run is completed that others report to.
    assert "withdraw" in transport.names()


def test_what_pytest_ends_with_is_not_printed_beside(make, terminal):
    session = make(FAMACASE_STRICT="true")
    session.transport()
    for problem in ("The token is wrong.", "Also the run."):
        session.could_not_start(Refused(problem))
    session.notices.print()
    assert terminal.lines == ["famacase: Also the run."]


def test_a_back_end_that_is_away_is_no_wrong_target(make):
    session = make(FAMACASE_STRICT="true")
    session.could_not_start(Unreachable("It is away."))
    session.check_target()


@pytest.mark.parametrize(
    ("left", "fails"),
    [
        (Leftovers(delivered=3), False),
        (Leftovers(waiting=1), True),
        (Leftovers(open_runs=1), True),
        (Leftovers(rejected=("it is wrong",)), True),
        (Leftovers(lost=1), True),
        # It is being delivered; nobody was to wait.
        (Leftovers(waiting=1, open_runs=1, in_background=True), False),
        (Leftovers(waiting=1, lost=1, in_background=True), True),
    ],
)
def test_a_strict_session_fails_with_what_is_left(make, transport, left, fails):
    transport.left = left
    for strict in (False, True):
        session = make(FAMACASE_STRICT=str(strict).lower())
        assert not session.fails()
        session.transport()
        assert session.fails() == (fails and strict)


def test_a_strict_session_fails_with_an_internal_error(make):
    session = make(FAMACASE_STRICT="true")
    session.transport()
    with session.guarded():
        raise ValueError("internal")
    assert session.fails()


# Before the tests


def test_nobody_waits_for_a_back_end_that_upstream_has_given_up(session, transport):
    session.before_tests()
    assert transport.names() == ["wait_until_opened"]
    session.could_not_start(Unreachable("It is away."))
    session.before_tests()
    assert transport.names() == ["wait_until_opened"]


def test_workers_are_told_what_they_must_not_find_out(session, transport):
    workerinput = {}
    session.brief_worker(workerinput)
    handover = workerinput["famacase"]
    assert (handover["failed"], handover["outbox"]) == (False, str(transport.directory))
    assert handover["run_file"] == str(transport.directory / "run")
    # xdist takes nothing else.
    assert json.loads(json.dumps(workerinput)) == workerinput
    session.could_not_start(Unreachable("It is away."))
    session.brief_worker(workerinput)
    assert workerinput["famacase"]["failed"]


def test_the_run_file_of_a_session_without_an_outbox_is_one_of_its_own(make, transport):
    transport.directory = None
    files = []
    for _ in range(2):
        session = make()
        session.transport()
        session.brief_worker(workerinput := {})
        files.append(workerinput["famacase"]["run_file"])
    assert files[0] != files[1]
    assert workerinput["famacase"]["outbox"] is None


def test_the_name_of_a_test_is_known_where_results_are_masked(make, transport):
    item = SimpleNamespace(
        name="test_it[hunter2]", callspec=SimpleNamespace(params={"p": "hunter2"}, id="hunter2")
    )
    plain = SimpleNamespace(name="test_plain")
    for masks in (None, "password"):
        session = make(FAMACASE_MASK=masks)
        session.transport()
        for session.item in (item, plain):
            session.test_started()
    assert transport.noted == [
        ("test_started", "test_it[hunter2]", {"p": "hunter2"}, "hunter2"),
        ("test_started", "test_plain", {}, ""),
    ]


# Workers that end


def test_what_workers_have_in_common_is_said_once(session, transport, terminal):
    def ended(*notices, **more):
        session.worker_ended({"famacase": {"notices": notices, **more}})

    ended("one", "both", "one", kept_back=1, stored={"gw0-5": 3})
    ended("both", "two", kept_back=2, unstored=[{"run_id": -1}])
    # One that died says nothing.
    session.worker_ended({})
    assert session.notices.lines == ["one", "both", "two"]
    assert transport.noted == [
        ("take_over", {"gw0-5": 3}, ()),
        ("take_over", {}, [{"run_id": -1}]),
        ("take_over", {}, ()),
    ]
    assert session.context()["famacase_summary"]["kept_back"] == 3


def test_a_worker_hands_over_what_it_has(make, config, transport):
    session = make(worker={"run_file": "/run"})
    session.transport()
    session.notices.add("a line")
    session.lets_through({"id": "a"})
    session.finish()
    given = config.workeroutput["famacase"]
    assert (given["stored"], given["unstored"], given["notices"]) == ({"gw0-5": 3}, [], ["a line"])
    assert given["kept_back"] == 0
    assert given["seconds"] >= 0
    # What it had begun is its controller's to report.
    assert "forget_begun" not in transport.names()


def test_results_that_a_hook_keeps_back_are_counted(session, plugin):
    plugin(pytest_famacase_result=lambda result: result["title"] != "secret")
    assert session.lets_through({"id": "a", "title": "t"})
    assert not session.lets_through({"id": "b", "title": "secret"})
    assert session.context()["famacase_summary"]["kept_back"] == 1


@pytest.mark.parametrize(("reruns", "test"), [("merge", "a.py::test_it"), ("all", None)])
def test_the_test_of_a_dead_worker_may_be_repeated_where_attempts_are_merged(make, transport, reruns, test):
    session = make(FAMACASE_RERUNS=reruns)
    session.transport()
    session.worker_crashed("gw0", "a.py::test_it", "worker 'gw0' crashed")
    assert transport.noted == [("finish_crashed", "gw0", "worker 'gw0' crashed", test)]


# The end


@pytest.mark.parametrize(
    ("status", "interrupted", "how"),
    [
        (0, False, "normal"),
        (1, False, "normal"),
        (5, False, "normal"),
        (2, False, "interrupted"),
        (3, False, "interrupted"),
        # A second Ctrl-C may come before pytest has noted the first.
        (0, True, "interrupted"),
    ],
)
def test_how_a_session_has_ended(session, transport, status, interrupted, how):
    session.was_interrupted = interrupted
    session.before_completion(status)
    assert ("note_end", how) in transport.noted


def test_runs_are_completed_at_once_where_no_file_may_change(session, transport):
    done = []
    session._end_with(lambda: done.append(1), iter([("SMOKE", -1, False)]))
    assert done == [1]
    session.finish()
    assert done == [1]
    assert "foresee" not in transport.names()


@pytest.mark.parametrize("hook_of", ["_pytest", "conftest"])
def test_runs_are_completed_after_the_hooks_that_may_finish_files(session, transport, config, hook_of):
    """A hook of the suite's own may also end the process: what is completed then is noted before."""
    transport.has_late_files = True

    def pytest_sessionfinish():
        pass

    pytest_sessionfinish.__module__ = f"{hook_of}.module"
    impl = SimpleNamespace(function=pytest_sessionfinish)
    config.hook = SimpleNamespace(pytest_sessionfinish=SimpleNamespace(get_hookimpls=lambda: [impl]))
    session._end_with(lambda: transport.noted.append(("completed",)), iter([("SMOKE", -1, False)]))
    assert transport.names() == (["foresee"] if hook_of == "conftest" else [])
    if hook_of == "conftest":
        assert transport.noted == [("foresee", [("SMOKE", -1, False)])]
    transport.noted.clear()
    config.hook = config.pluginmanager.hook
    session.finish()
    # Files first, then the run; and what is in progress before both.
    assert transport.names() == ["finish_in_progress", "forget_begun", "teardown_ended", "completed", "drain"]


def test_plugins_learn_how_far_delivery_came(session, transport, plugin):
    seen = []
    plugin(pytest_famacase_run_finished=lambda run, summary: seen.append((run.project, summary)))
    session.run_opened("SMOKE", 7)
    session.run_opened("SHOP", 8)
    transport.left = Leftovers(delivered=5, waiting=1, reason="It is away.")
    session.finish()
    summary = hookspecs.Summary(delivered=5, waiting=1, reason="It is away.")
    assert seen == [("SMOKE", summary), ("SHOP", summary)]


def test_what_integrations_are_told(session, transport):
    assert session.context() == {
        "famacase_run_id": None,
        "famacase_run_url": None,
        "famacase_summary": hookspecs.Summary()._asdict(),
    }
    session.run_opened("SMOKE", 7)
    session.run_opened("SHOP", 8)
    assert session.context()["famacase_run_id"] == 7
    assert session.context()["famacase_run_url"].endswith("/runs/7")
    assert session.hidden("hunter2") == "***"


def test_the_end_is_told_once(session, transport, terminal):
    session.run_opened("SMOKE", 7)
    transport.left = Leftovers(delivered=2, statuses={"passed": 2})
    session.summarize()
    assert terminal.lines == []
    session.before_completion(0)
    session.summarize()
    session.summarize()
    (delivered, _) = terminal.lines
    assert delivered == "famacase: 2 results delivered to https://famacase.example.com/runs/7"


def test_ctrl_c_in_the_counting_leaves_it_to_be_told(session, transport, terminal, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    session.before_completion(0)
    with monkeypatch.context() as test:
        test.setattr(transport, "leftovers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.summarize()
    transport.left = Leftovers(delivered=2)
    session.summarize()
    assert terminal.lines[0].startswith("famacase: 2 results delivered")


# A child that a test has forked


def test_a_child_that_returns_from_its_test_reports_nothing(session, transport, terminal, monkeypatch):
    session.run_opened("SMOKE", 7)
    session.notices.add("said by the parent")
    session._capture = SimpleNamespace(finished=lambda: transport.noted.append("handed over"))
    transport.noted.clear()
    monkeypatch.setattr(Session, "_getpid", staticmethod(lambda: os.getpid() + 1))
    session.test_finished()
    assert isinstance(session.transport(), NoTransport)
    session.before_completion(0)
    session.finish()
    session.summarize()
    session.end()
    assert (transport.noted, terminal.lines) == ([], [])


def test_a_runner_may_fork_for_each_test(session, transport, monkeypatch):
    """The test is begun and ended in the same process, whichever that is."""
    monkeypatch.setattr(Session, "_getpid", staticmethod(lambda: os.getpid() + 1))
    session.test_started()
    session.test_finished()
    assert session.transport() is transport


# The header


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({}, "https://famacase.example.com, project SMOKE, mode testops, "),
        ({"FAMACASE_MODE": "report"}, "mode report, "),
        ({"FAMACASE_MODE": "off"}, "mode off (nothing is reported), "),
    ],
)
def test_what_stands_at_the_head(make, environ, parts):
    header = make(**environ).header()
    assert header.startswith("famacase ")
    assert f": {parts}qase-pytest " in header
    assert "rep_complete_token" not in header


def test_a_mode_without_a_back_end_sends_the_relay_home(config, make):
    class Link:
        is_closed = False

        def close(self):
            self.is_closed = True

    session = make(FAMACASE_MODE="report")
    session._link = link = Link()
    try:
        session.install()
        assert link.is_closed
        assert session._transport is None
    finally:
        session.end()


def test_everything_is_let_go_even_if_upstreams_names_cannot_be_put_back(session, transport):
    def fails():
        raise RuntimeError("no")

    session._installation = SimpleNamespace(undo=fails)
    with pytest.raises(RuntimeError):
        session.end()
    assert transport.names() == ["close"]


def test_a_spare_path_is_below_the_directory_for_temporary_files(make):
    assert Path(make()._run_file()).parent.is_dir()
