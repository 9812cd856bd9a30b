"""What a session is: it reports, is left to Qase, or keeps upstream silent."""

from __future__ import annotations

import importlib
import json
import os

import pytest

from famacase_pytest import activation
from famacase_pytest.activation import Inactive
from famacase_pytest.errors import UpstreamMismatch
from famacase_pytest.settings.sources import ConfigFiles
from famacase_pytest.summary import Notices

from .settings.resolving import COMPLETE

pytest_plugins = "pytester"

# Imported here, since pytester forgets at the end of a test what was imported in it.
UPSTREAM = importlib.import_module("qase.pytest.conftest")


class Session:
    """Takes the place of the one that reports.

    Attributes:
        fails: what ``install`` raises.
    """

    fails = None

    def __init__(self, config, settings, notices, link):
        self.notices = Notices(config, notices)
        self.settings = settings
        self.noted = []

    def install(self):
        self.noted.append("install")
        if self.fails is not None:
            raise self.fails

    def summarize(self):
        self.noted.append("summarize")

    def end(self):
        self.noted.append("end")


@pytest.fixture
def session(monkeypatch):
    """The class of sessions that report, and none of this process is under way."""
    kind = type("Session", (Session,), {"made": []})

    real = kind.__init__

    def init(made, *given):
        kind.made.append(made)
        real(made, *given)

    kind.__init__ = init
    monkeypatch.setattr(activation, "Session", kind)
    monkeypatch.setattr(activation, "_reporting", [])
    monkeypatch.setattr(activation, "_integrating", [])
    return kind


@pytest.fixture
def parsed(pytester, monkeypatch, session):
    """A config whose command line has been read; the environment is given after, so no relay is started."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in list(os.environ):
        if name.startswith(("FAMACASE_", "QASE_", "PYTEST_ADDOPTS", "GITHUB_", "CI")):
            monkeypatch.delenv(name)

    def parse(*arguments, upstream=True, **environ):
        plugins = ["famacase_pytest.plugin", *(["qase.pytest.conftest"] if upstream else [])]
        config = pytester.parseconfig(*(text for name in plugins for text in ("-p", name)), *arguments)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return config

    return parse


@pytest.fixture
def ended():
    """Ends sessions, in the test or after it."""
    configs = []
    yield configs.append
    for config in configs:
        activation.end(config)


def test_without_settings_a_session_is_left_to_qase(parsed, ended):
    config = parsed()
    ended(config)
    assert activation.begin(config) is None
    state = activation.of(config)
    assert (state.is_qases, state.notices.lines, state.header()) == (True, [], None)
    assert config.option.qase_mode is None


def test_with_settings_it_reports(parsed, session):
    config = parsed(**COMPLETE)
    made = activation.begin(config)
    assert made is activation.of(config) is session.made[-1]
    assert (made.noted, made.settings.mode.value) == (["install"], "testops")
    activation.end(config)
    assert made.noted == ["install", "summarize", "end"]
    assert activation._reporting == []


@pytest.mark.parametrize("flag", ["--collect-only", "--markers", "--fixtures", "--setup-plan", "--version"])
@pytest.mark.parametrize(
    "environ", [COMPLETE, {"FAMACASE_API_URL": "h.example", "FAMACASE_MODE": "nonsense"}]
)
def test_where_no_test_runs_nothing_is_reported_or_refused(parsed, ended, session, flag, environ):
    config = parsed(flag, **environ)
    ended(config)
    assert activation.begin(config) is None
    assert (session.made, activation.of(config).notices.lines) == ([], [])
    # Upstream reports nothing either, whatever its own settings say.
    assert (config.option.qase_mode, config.option.qase_fallback) == ("off", "off")
    activation.of(config).end()
    assert config.option.qase_mode is None


def test_wrong_settings_stop_pytest(parsed, ended):
    config = parsed(**{**COMPLETE, "FAMACASE_MODE": "nonsense"})
    ended(config)
    with pytest.raises(pytest.UsageError, match="FAMACASE_MODE in the environment"):
        activation.begin(config)


def test_an_address_alone_reports_nothing_and_says_why(parsed, session):
    config = parsed(FAMACASE_API_URL="https://h.example")
    made = activation.begin(config)
    (line,) = made.notices.lines
    assert line.startswith("FAMACASE_API_URL in the environment is set, but no mode is")
    activation.end(config)


def test_what_is_switched_off_is_told_no_more(parsed, session):
    config = parsed(FAMACASE_API_URL="https://h.example", FAMACASE_MODE="off")
    assert activation.begin(config).notices.lines == []
    activation.end(config)


def test_a_session_inside_the_test_of_another_is_silent(parsed, session, pytester):
    outer = parsed(**COMPLETE)
    made = activation.begin(outer)
    inner = parsed()
    assert activation.begin(inner) is None
    assert inner.option.qase_mode == "off"
    activation.end(inner)
    assert activation._reporting == [made]
    activation.end(outer)


@pytest.mark.parametrize("strict", [False, True])
def test_an_upstream_that_does_not_fit_reports_nothing(parsed, ended, session, strict):
    session.fails = UpstreamMismatch("Row x does not fit.")
    config = parsed(**COMPLETE, FAMACASE_STRICT=str(strict).lower())
    ended(config)
    if strict:
        with pytest.raises(pytest.UsageError, match="Row x does not fit"):
            activation.begin(config)
    else:
        assert activation.begin(config) is None
        assert activation.of(config).notices.lines == ["Row x does not fit."]
        assert config.option.qase_mode == "off"
    # What it has begun is let go of.
    assert session.made[-1].noted == ["install", "end"]


@pytest.mark.parametrize("strict", [False, True])
def test_an_internal_error_stops_no_suite_that_is_not_strict(parsed, ended, session, strict):
    session.fails = RuntimeError("internal")
    config = parsed(**COMPLETE, FAMACASE_STRICT=str(strict).lower())
    ended(config)
    if strict:
        with pytest.raises(pytest.UsageError, match=r"internal.*FAMACASE_STRICT in the environment is true"):
            activation.begin(config)
    else:
        assert activation.begin(config) is None
        (line,) = activation.of(config).notices.lines
        assert "RuntimeError" in line
        assert config.option.qase_mode == "off"
    assert session.made[-1].noted == ["install", "end"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_the_beginning_is_the_users(parsed, session, error):
    session.fails = error()
    config = parsed(**COMPLETE)
    with pytest.raises(error):
        activation.begin(config)
    assert session.made[-1].noted == ["install", "end"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [((), "its plugin is not loaded"), (("-p", "no:qase_pytest"), "leaves its plugin out")],
)
def test_a_session_without_upstream_says_that_nothing_is_reported(parsed, ended, session, arguments, why):
    config = parsed(*arguments, upstream=False, **COMPLETE)
    ended(config)
    assert activation.begin(config) is None
    (line,) = activation.of(config).notices.lines
    assert line.startswith("FAMACASE_MODE in the environment is testops, but qase-pytest takes no part")
    assert why in line
    assert session.made == []


@pytest.mark.parametrize(
    "environ", [{}, {**COMPLETE, "FAMACASE_MODE": "off"}, {**COMPLETE, "FAMACASE_ENABLED": "false"}]
)
def test_without_upstream_and_without_a_wish_to_report_nothing_is_said(parsed, ended, environ):
    config = parsed(upstream=False, **environ)
    ended(config)
    assert activation.begin(config) is None
    assert activation.of(config).notices.lines == []


def test_a_strict_session_without_upstream_does_not_run(parsed, ended):
    config = parsed(upstream=False, **COMPLETE, FAMACASE_STRICT="true")
    ended(config)
    with pytest.raises(pytest.UsageError, match=r"takes no part.*is true: no test has been run"):
        activation.begin(config)


@pytest.mark.parametrize("off", [False, True])
def test_settings_that_are_gone_since_pytest_started_are_missed(parsed, ended, off):
    config = parsed(**({"FAMACASE_ENABLED": "false"} if off else {}))
    ended(config)
    config.stash[activation._EXPECTED] = True
    assert activation.begin(config) is None
    assert bool(activation.of(config).notices.lines) == (not off)


def test_a_plugin_may_switch_reporting_on(parsed, session, pytester):
    document = {"famacase": {"apiUrl": "https://h.example"}, "mode": "report"}
    pytester.makeconftest(f"def pytest_famacase_defaults(): return {document!r}")
    config = parsed()
    made = activation.begin(config)
    assert made.settings.api_url.value == "https://h.example"
    assert "pytest_famacase_defaults of " in str(made.settings.api_url.source)
    activation.end(config)


def test_the_vendors_client_that_was_set_aside_is_said_first(parsed, session):
    config = parsed(FAMACASE_API_URL="https://h.example")
    config.stash[activation._SET_ASIDE] = True
    made = activation.begin(config)
    assert made.notices.lines[0] == activation.aliases.SET_ASIDE
    assert len(made.notices.lines) == 2
    activation.end(config)


# When it is decided


def test_what_is_postponed_is_done_once(parsed):
    config = parsed()
    done = []
    activation.postpone(config, lambda: done.append(1))
    # Upstream is about to read its configuration; until then conftests may set variables.
    assert done == []
    activation.settle(config)
    activation.settle(config)
    assert done == [1]


def test_it_is_done_when_upstream_reads_its_configuration(parsed, monkeypatch):
    read = []
    monkeypatch.setattr(UPSTREAM, "setup_config_manager", lambda config: read.append(config))
    config, other = parsed(), object()
    done = []
    activation.postpone(config, lambda: done.append(list(read)))
    # That of another session is not the moment.
    UPSTREAM.setup_config_manager(other)
    assert done == []
    UPSTREAM.setup_config_manager(config)
    assert (done, read) == ([[other]], [other, config])
    UPSTREAM.setup_config_manager(config)
    assert len(done) == 1


@pytest.mark.parametrize("case", ["no upstream", "unknown release"])
def test_a_moment_that_is_not_known_is_not_waited_for(parsed, monkeypatch, case):
    if case == "unknown release":
        monkeypatch.setattr(activation.upstream, "await_configuration", lambda *_: False)
    config = parsed(upstream=case != "no upstream")
    done = []
    activation.postpone(config, lambda: done.append(1))
    assert done == [1]


def test_a_session_that_was_never_configured_is_ended_without_harm(parsed):
    before = UPSTREAM.setup_config_manager
    config = parsed()
    activation.postpone(config, lambda: None)
    assert UPSTREAM.setup_config_manager is not before
    activation.end(config)
    assert UPSTREAM.setup_config_manager is before


def test_an_internal_error_in_the_end_is_said(parsed, session, caplog):
    config = parsed(**COMPLETE)
    made = activation.begin(config)

    def fails():
        raise RuntimeError("internal")

    made.end = fails
    activation.end(config)
    assert "RuntimeError" in caplog.text
    assert activation._reporting == []


def test_a_relay_that_was_launched_for_nothing_is_sent_home(parsed, ended):
    class Link:
        closed = 0

        def close(self):
            self.closed += 1

    config = parsed()
    config.stash[activation._LINK] = link = Link()
    assert activation.begin(config) is None
    assert link.closed == 1
    activation.end(config)


def test_files_that_have_changed_are_read_anew(parsed, pytester):
    config = parsed()
    config.stash[activation._FILES] = files = ConfigFiles(pytester.path)
    files.document("famacase.config.json")
    assert activation._files(config) is files
    path = pytester.path / "famacase.config.json"
    path.write_text(json.dumps({"mode": "off"}), encoding="utf-8")
    assert activation._files(config).document("famacase.config.json") == {"mode": "off"}


# Integrations


def test_without_any_integration_nothing_is_registered(parsed, ended):
    config = parsed()
    ended(config)
    activation.begin(config)
    activation.integrate(config)
    assert not config.pluginmanager.has_plugin("famacase-integrations")
    assert activation._integrating == []


def test_settings_that_come_too_late_are_said(parsed, ended, monkeypatch):
    config = parsed()
    ended(config)
    activation.begin(config)
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    activation.integrate(config)
    assert activation.of(config).notices.lines == [activation._TOO_LATE]


def test_an_integration_that_is_not_there_stops_pytest(parsed, ended):
    config = parsed(FAMACASE_INTEGRATIONS="nowhere.Integration")
    ended(config)
    activation.begin(config)
    with pytest.raises(pytest.UsageError, match="nowhere"):
        activation.integrate(config)


def test_integrations_of_a_session_that_reports_nothing_are_told_so(parsed):
    state = Inactive(parsed())
    assert set(state.context().values()) == {None}
    assert state.hidden("text") == "text"
