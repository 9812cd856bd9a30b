from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.sources import ConfigFiles, Inputs
from famacase_pytest.settings.switch import reporting_mode

from .resolving import Resolve

# The places that an address may stand in, the strongest first: (environ, options, famacase.config.json).
ADDRESSES: list[tuple[str, dict[str, str], dict[str, object], dict[str, Any]]] = [
    ("--famacase-api-url on the command line", {}, {"famacase_api_url": "HOST"}, {}),
    ("--famacase-testops-api-host on the command line", {}, {"famacase_testops_api_host": "HOST"}, {}),
    ("FAMACASE_API_URL in the environment", {"FAMACASE_API_URL": "HOST"}, {}, {}),
    ("FAMACASE_TESTOPS_API_HOST in the environment", {"FAMACASE_TESTOPS_API_HOST": "HOST"}, {}, {}),
    ("famacase.apiUrl in famacase.config.json", {}, {}, {"famacase": {"apiUrl": "HOST"}}),
    ("testops.api.host in famacase.config.json", {}, {}, {"testops": {"api": {"host": "HOST"}}}),
]
LEFTOVERS = {"QASE_TESTOPS_API_HOST": "qase.io", "QASE_TESTOPS_API_TOKEN": "qase_leftover_token"}
QASE_FILE = {"testops": {"api": {"host": "qase.io", "token": "qase_leftover_in_file"}}}


def _with(value: Any, host: str) -> Any:
    if isinstance(value, dict):
        return {key: _with(inner, host) for key, inner in value.items()}
    return host if value == "HOST" else value


def _merge(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {**a, **b}


@pytest.mark.parametrize("index", range(len(ADDRESSES)))
def test_an_address_switches_on_and_beats_all_weaker_ones(resolved: Resolve, index: int) -> None:
    environ: dict[str, str] = dict(LEFTOVERS)
    options: dict[str, object] = {}
    file: dict[str, Any] = {}
    for position, (_, env, opt, doc) in enumerate(ADDRESSES[index:], index):
        host = f"h{position}.example"
        environ = _merge(environ, _with(env, host))
        options = _merge(options, _with(opt, host))
        file = _merge(file, _with(doc, host))
    resolution = resolved(environ, options, famacase=file, qase=QASE_FILE)
    assert resolution.active
    assert resolution.settings
    assert resolution.settings.api_url
    assert resolution.settings.api_url.value == f"https://h{index}.example"
    assert str(resolution.settings.api_url.source) == ADDRESSES[index][0]
    assert resolution.settings.base_url == f"https://h{index}.example"


@pytest.mark.parametrize(("source", "environ", "options", "file"), ADDRESSES)
@pytest.mark.parametrize(
    "host", ["qase.io", "https://app.qase.io", "API.qase.io:443", "https://x.y.qase.io/a"]
)
def test_an_address_of_qase_is_refused(
    resolved: Resolve,
    source: str,
    environ: dict[str, str],
    options: dict[str, object],
    file: dict[str, Any],
    host: str,
) -> None:
    with pytest.raises(SettingsError) as raised:
        resolved(_with(environ, host), _with(options, host), famacase=_with(file, host))
    assert str(raised.value).startswith(f"{source} is {host!r}, which belongs to Qase")
    assert "FAMACASE_ENABLED=false" in str(raised.value)


@pytest.mark.parametrize("value", ["false", "0", "no", "OFF", " False "])
@pytest.mark.parametrize("place", ["environment", "flag", "file"])
def test_enabled_false_switches_off_whatever_else_is_set(
    resolved: Resolve, complete: dict[str, str], value: str, place: str
) -> None:
    environ, options, file = {**complete, "FAMACASE_TIMEOUT": "soon"}, {}, None
    if place == "environment":
        environ["FAMACASE_ENABLED"] = value
        file = "this is not JSON"
    elif place == "flag":
        options["famacase_enabled"] = value
        environ["FAMACASE_ENABLED"] = "true"
    else:
        file = {"famacase": {"enabled": False}}
    resolution = resolved(environ, options, famacase=file, qase="neither is this")
    assert not resolution.active
    assert resolution.settings is None
    assert resolution.warnings == ()
    assert "switches off" in resolution.reason


def test_an_unclear_enabled_stops_the_session(resolved: Resolve, complete: dict[str, str]) -> None:
    with pytest.raises(
        SettingsError, match="FAMACASE_ENABLED in the environment is 'maybe': it must be one of true"
    ):
        resolved({**complete, "FAMACASE_ENABLED": "maybe"})


class TestEnabledTrue:
    def test_takes_the_address_from_the_environment_of_qase(self, resolved: Resolve) -> None:
        environ = {"FAMACASE_ENABLED": "true", "QASE_TESTOPS_API_HOST": "h.example", "QASE_MODE": "off"}
        settings = resolved(environ, qase={"testops": {"api": {"host": "file.example"}}}).settings
        assert settings.api_url.value == "https://h.example"
        assert str(settings.api_url.source) == "QASE_TESTOPS_API_HOST in the environment"

    def test_takes_it_from_the_file_of_qase(self, resolved: Resolve) -> None:
        settings = resolved(
            {"FAMACASE_ENABLED": "1"}, qase={"testops": {"api": {"host": "h.example"}}}
        ).settings
        assert str(settings.api_url.source) == "testops.api.host in qase.config.json"

    def test_takes_it_from_the_command_line_of_qase(self, resolved: Resolve) -> None:
        settings = resolved({"FAMACASE_ENABLED": "yes"}, {"qase_testops_api_host": "h.example"}).settings
        assert settings.base_url == "https://h.example"

    def test_prefers_an_address_of_famacase(self, resolved: Resolve) -> None:
        environ = {
            "FAMACASE_ENABLED": "true",
            "QASE_TESTOPS_API_HOST": "h.example",
            "FAMACASE_API_URL": "f.example",
        }
        assert resolved(environ).settings.base_url == "https://f.example"

    @pytest.mark.parametrize("host", [None, "qase.io", "api.qase.io"])
    def test_without_an_address_is_an_error_where_one_is_needed(
        self, resolved: Resolve, complete: dict[str, str], host: str
    ) -> None:
        environ = {
            **complete,
            "FAMACASE_ENABLED": "true",
            **({"QASE_TESTOPS_API_HOST": host} if host else {}),
        }
        del environ["FAMACASE_API_URL"]
        with pytest.raises(SettingsError) as raised:
            resolved(environ)
        assert "no address is set" in str(raised.value)
        assert "Set FAMACASE_API_URL" in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1
        if host:
            assert "QASE_TESTOPS_API_HOST in the environment belongs to Qase" in str(raised.value)

    @pytest.mark.parametrize("mode", ["off", "report"])
    def test_without_an_address_is_on_where_none_is_needed(self, resolved: Resolve, mode: str) -> None:
        environ = {"FAMACASE_ENABLED": "true", "FAMACASE_MODE": mode, "QASE_TESTOPS_API_HOST": "qase.io"}
        settings = resolved(environ).settings
        assert settings.api_url is None
        assert settings.overlay.file["testops"]["api"]["host"] == "famacase.invalid"
        assert "qase.io" not in str(
            (settings.overlay.environ, settings.overlay.file, settings.overlay.options)
        )
        assert not settings.needs_backend
        with pytest.raises(SettingsError, match="No Famacase address is set"):
            _ = settings.base_url

    def test_with_the_host_of_qase_on_the_command_line_stops(self, resolved: Resolve) -> None:
        with pytest.raises(
            SettingsError, match="FAMACASE_ENABLED in the environment switches reporting to Famacase"
        ):
            resolved({"FAMACASE_ENABLED": "true"}, {"qase_testops_api_host": "qase.io"})


class TestTheHostOfQaseOnTheCommandLine:
    def test_overrides_every_address_of_famacase(self, resolved: Resolve, complete: dict[str, str]) -> None:
        options = {"qase_testops_api_host": "other.example", "famacase_api_url": "flag.example"}
        settings = resolved(complete, options).settings
        assert settings.base_url == "https://other.example"
        assert settings.overlay.options["qase_testops_api_host"] == "other.example"

    @pytest.mark.parametrize("host", ["qase.io", "https://api.qase.io"])
    def test_stops_the_session_if_it_is_one_of_qase(
        self, resolved: Resolve, complete: dict[str, str], host: str
    ) -> None:
        with pytest.raises(SettingsError) as raised:
            resolved(complete, {"qase_testops_api_host": host})
        assert "--qase-testops-api-host on the command line" in str(raised.value)
        assert "FAMACASE_API_URL in the environment" in str(raised.value)
        assert "FAMACASE_ENABLED=false" in str(raised.value)

    def test_switches_nothing_on(self, resolved: Resolve) -> None:
        assert not resolved({}, {"qase_testops_api_host": "other.example", "qase_mode": "testops"}).active

    def test_is_checked_like_any_other(self, resolved: Resolve, complete: dict[str, str]) -> None:
        with pytest.raises(SettingsError, match="--qase-testops-api-host on the command line is 'ftp://x'"):
            resolved(complete, {"qase_testops_api_host": "ftp://x"})


@pytest.mark.parametrize(("source", "environ", "options", "file"), ADDRESSES)
def test_a_malformed_address_names_its_source_and_shows_no_password(
    resolved: Resolve, source: str, environ: dict[str, str], options: dict[str, object], file: dict[str, Any]
) -> None:
    host = "https://someone:hunter2@h.example"
    with pytest.raises(SettingsError) as raised:
        resolved(_with(environ, host), _with(options, host), famacase=_with(file, host))
    assert str(raised.value).startswith(
        f"{source} is 'https://***@h.example': it must not contain a user name"
    )
    assert "hunter2" not in str(raised.value)


def test_an_address_that_is_not_text_is_refused(resolved: Resolve) -> None:
    with pytest.raises(SettingsError, match=r"famacase\.apiUrl in famacase\.config\.json is not text"):
        resolved(famacase={"famacase": {"apiUrl": ["h.example"]}})


class TestNoAddress:
    @pytest.mark.parametrize(
        ("environ", "options", "qase"),
        [
            ({}, {}, None),
            ({"QASE_MODE": "testops", **LEFTOVERS}, {"qase_mode": "testops"}, QASE_FILE),
            ({"FAMACASE_API_URL": " ", "FAMACASE_MODE": ""}, {"famacase_mode": None}, None),
            ({"QASE_MODE": "nonsense", "QASE_TESTOPS_RUN_ID": "x"}, {}, "not JSON"),
        ],
    )
    def test_and_no_setting_of_famacase(
        self, resolved: Resolve, environ: dict[str, str], options: dict[str, object], qase: Any
    ) -> None:
        resolution = resolved(environ, options, qase=qase)
        assert not resolution.active
        assert resolution.settings is None
        assert resolution.warnings == ()

    @pytest.mark.parametrize(
        ("environ", "options", "qase", "source"),
        [
            ({"QASE_MODE": "testops"}, {}, None, "QASE_MODE in the environment"),
            ({"QASE_MODE": "testops_multi"}, {}, None, "QASE_MODE in the environment"),
            ({}, {"qase_mode": "testops"}, None, "--qase-mode on the command line"),
            ({}, {}, {"mode": "testops"}, "mode in qase.config.json"),
            ({"QASE_MODE": "nonsense"}, {}, {"mode": "testops"}, "mode in qase.config.json"),
        ],
    )
    def test_but_qase_reports_is_the_flip_back(
        self,
        resolved: Resolve,
        environ: dict[str, str],
        options: dict[str, object],
        qase: Any,
        source: str,
    ) -> None:
        ours = {
            "FAMACASE_MODE": "testops",
            "FAMACASE_REPORTER_TOKEN": "rep_secret_token",
            "FAMACASE_TIMEOUT": "soon",
        }
        resolution = resolved(
            {**ours, **environ},
            {**options, "famacase_pytest_xfail_status": "passed"},
            famacase={"rootSuite": "R"},
            qase=qase,
        )
        assert not resolution.active
        (warning,) = resolution.warnings
        for name in (*ours, "--famacase-pytest-xfail-status-xfail", "famacase.config.json", source):
            assert name in warning
        assert "results go to Qase" in warning
        assert "FAMACASE_API_URL" in warning
        assert "rep_secret_token" not in warning

    @pytest.mark.parametrize(
        ("environ", "options", "famacase", "source"),
        [
            ({"FAMACASE_MODE": "testops"}, {}, None, "FAMACASE_MODE in the environment"),
            ({"FAMACASE_MODE": "TestOps_Multi"}, {}, None, "FAMACASE_MODE in the environment"),
            ({}, {"famacase_mode": "testops"}, None, "--famacase-mode on the command line"),
            ({}, {}, {"mode": "testops"}, "mode in famacase.config.json"),
            ({"FAMACASE_FALLBACK": "testops"}, {}, None, "FAMACASE_FALLBACK in the environment"),
            (
                {"FAMACASE_MODE": "testops", "QASE_MODE": "report"},
                {},
                None,
                "FAMACASE_MODE in the environment",
            ),
            ({"FAMACASE_MODE": "testops", "QASE_MODE": "off"}, {}, None, "FAMACASE_MODE in the environment"),
        ],
    )
    def test_but_only_famacase_reports_is_an_error(
        self,
        resolved: Resolve,
        environ: dict[str, str],
        options: dict[str, object],
        famacase: Any,
        source: str,
    ) -> None:
        with pytest.raises(SettingsError) as raised:
            resolved(environ, options, famacase=famacase)
        assert str(raised.value).startswith(source)
        assert "Set FAMACASE_API_URL" in str(raised.value)

    def test_a_report_that_will_not_be_written_is_warned_of(self, resolved: Resolve) -> None:
        (warning,) = resolved({"FAMACASE_MODE": "report"}).warnings
        assert "FAMACASE_MODE" in warning
        assert "no report is written" in warning

    @pytest.mark.parametrize(
        "environ",
        [
            {"FAMACASE_REPORTER_TOKEN": "rep_secret_token"},
            {"FAMACASE_MODE": "off"},
            {"FAMACASE_MODE": "off", "FAMACASE_FALLBACK": "report"},
            {"FAMACASE_UNKNOWN": "x", "FAMACASE_TIMEOUT": "soon"},
        ],
    )
    def test_and_nobody_reports_is_silent(self, resolved: Resolve, environ: dict[str, str]) -> None:
        resolution = resolved(environ)
        assert not resolution.active
        assert resolution.warnings == ()
        assert resolution.reason == "no Famacase address is set"

    def test_but_an_unreadable_file_of_ours_is_an_error_since_it_may_hold_one(
        self, resolved: Resolve
    ) -> None:
        with pytest.raises(SettingsError, match=r"famacase\.config\.json, line 1"):
            resolved({"QASE_MODE": "testops"}, famacase="{")


@pytest.mark.parametrize("value", ["http://famacase.example.com", "http://10.0.0.5:8000"])
def test_plain_http_to_another_machine_is_warned_of(
    resolved: Resolve, complete: dict[str, str], value: str
) -> None:
    (warning,) = resolved({**complete, "FAMACASE_API_URL": value}).warnings
    assert warning.startswith(f"FAMACASE_API_URL in the environment is {value}: over http")


@pytest.mark.parametrize(
    "value", ["localhost:8000", "http://127.0.0.1:1", "http://[::1]:1", "https://h.example"]
)
def test_and_to_this_one_is_not(resolved: Resolve, complete: dict[str, str], value: str) -> None:
    assert resolved({**complete, "FAMACASE_API_URL": value}).warnings == ()


QASES = {"QASE_MODE": "testops", "QASE_TESTOPS_PROJECT": "DEMO"}


@pytest.mark.parametrize(
    ("host", "token"),
    [
        ("famacase.example.com", "any"),
        ("https://api.famacase.example.com:8443/prefix", "any"),
        ("FAMACASE.example.com", "any"),
        ("tests.example.com", "rep_0123"),
    ],
)
@pytest.mark.parametrize("flag", [False, True])
def test_qases_settings_that_name_a_famacase_host(
    resolved: Resolve, host: str, token: str, flag: bool
) -> None:
    environ = {"QASE_TESTOPS_API_TOKEN": token} if flag else {"QASE_TESTOPS_API_HOST": host}
    options = {"qase_testops_api_host": host} if flag else {}
    file = {"mode": "testops", "testops": {"api": {"token": token}}}
    resolution = resolved(environ, options, qase=file)
    assert not resolution.active
    (warning,) = resolution.warnings
    assert "looks like a Famacase back end" in warning
    assert "FAMACASE_ENABLED=true" in warning
    assert token not in warning


@pytest.mark.parametrize(
    "environ",
    [
        {"QASE_TESTOPS_API_HOST": "qase.example.com"},
        {"QASE_TESTOPS_API_HOST": "famacase.qase.io"},
        {"QASE_TESTOPS_API_HOST": "not a host famacase"},
        {"QASE_TESTOPS_API_HOST": "famacase.example.com", "QASE_MODE": "report"},
        {"QASE_TESTOPS_API_TOKEN": "rep_0123"},
    ],
)
def test_other_hosts_are_qases_own_affair(resolved: Resolve, environ: dict[str, str]) -> None:
    resolution = resolved({**QASES, **environ})
    assert not resolution.active
    assert resolution.warnings == ()


@pytest.mark.parametrize(
    ("environ", "options", "mode"),
    [
        ({"FAMACASE_MODE": "testops"}, {}, "testops"),
        ({"FAMACASE_FALLBACK": "testops"}, {}, "testops"),
        ({"FAMACASE_API_URL": "h.example", "QASE_MODE": "testops"}, {}, "testops"),
        ({"FAMACASE_ENABLED": "true", "QASE_MODE": "testops"}, {}, "testops"),
        ({"FAMACASE_ENABLED": "perhaps", "FAMACASE_MODE": "testops"}, {}, "testops"),
        ({"FAMACASE_API_URL": "h.example"}, {"famacase_mode": "testops_multi"}, "testops_multi"),
        ({"FAMACASE_API_URL": "h.example", "FAMACASE_MODE": "off", "QASE_MODE": "testops"}, {}, None),
        ({"FAMACASE_API_URL": "h.example", "FAMACASE_MODE": "report"}, {}, None),
        ({"FAMACASE_ENABLED": "false", "FAMACASE_MODE": "testops"}, {}, None),
        ({"QASE_MODE": "testops"}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_mode_that_asks_for_reporting(
    tmp_path: Path, environ: dict[str, str], options: dict[str, object], mode: str | None
) -> None:
    found = reporting_mode(Inputs(environ, options, ConfigFiles(tmp_path)))
    assert (found.value if found else None) == mode
