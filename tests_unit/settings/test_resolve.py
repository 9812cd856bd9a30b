from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.resolve import Preview, preview, resolve, shown
from famacase_pytest.settings.sources import ConfigFiles, Defaults
from famacase_pytest.settings.table import BY_NAME, UPSTREAM

from .resolving import SOURCES, Resolve, given


def test_all_problems_are_told_at_once(resolved: Resolve) -> None:
    environ = {
        "FAMACASE_API_URL": "https://h.example/?x",
        "FAMACASE_MODE": "testops",
        "FAMACASE_TIMEOUT": "soon",
        "QASE_TESTOPS_RUN_ID": "x",
    }
    with pytest.raises(SettingsError) as raised:
        resolved(
            environ,
            {"famacase_debug": "x"},
            famacase={"testops": {"batch": {"size": 0}}},
            qase={"report": "x"},
        )
    lines = str(raised.value).splitlines()
    assert [line.split()[0] for line in lines] == [
        "FAMACASE_API_URL",
        "--famacase-debug",
        "testops.batch.size",
        "FAMACASE_TIMEOUT",
        "FAMACASE_MODE",
        "No",
        "report",
        "QASE_TESTOPS_RUN_ID",
    ]
    assert "no project is set" in lines[-4]
    assert "No token" in lines[-3]


def test_nothing_is_checked_where_famacase_is_not_used(resolved: Resolve) -> None:
    environ = {f"QASE_{row.name}": "\x00 nonsense" for row in UPSTREAM if row.in_environment}
    resolution = resolved(environ, {"qase_testops_run_id": "x"}, qase={"testops": "x"})
    assert not resolution.active
    assert resolution.warnings == ()


@pytest.mark.parametrize(
    ("famacase", "qase", "said"),
    [
        ({"testops": "x"}, None, "testops in famacase.config.json must be an object, not text"),
        ({"testops": {"run": 5}}, {"testops": {"run": {}}}, "testops.run in famacase.config.json"),
        ({"famacase": ["x"]}, None, "famacase in famacase.config.json must be an object"),
        ({"framework": {"pytest": True}}, None, "framework.pytest in famacase.config.json"),
        ({"testops_multi": [1]}, None, "testops_multi in famacase.config.json"),
    ],
)
def test_a_block_that_is_none(
    resolved: Resolve, complete: dict[str, str], famacase: Any, qase: Any, said: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        resolved(complete, famacase=famacase, qase=qase)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(said)


def test_a_block_of_qase_that_is_none_is_passed_over(resolved: Resolve, complete: dict[str, str]) -> None:
    resolution = resolved(
        complete, qase={"testops": {"run": [1], "batch": {"size": 7}}, "executionPlan": "x"}
    )
    assert resolution.warnings == (
        "executionPlan in qase.config.json must be an object, not text. "
        "It is passed over, as if it were not set.",
        "testops.run in qase.config.json must be an object, not a list. "
        "It is passed over, as if it were not set.",
    )
    assert resolution.settings.batch_size.value == 7
    assert "executionPlan" not in resolution.settings.overlay.file


def test_the_next_source_counts_if_one_of_qase_is_wrong(resolved: Resolve, complete: dict[str, str]) -> None:
    environ = {**complete, "QASE_TESTOPS_BATCH_SIZE": "2000"}
    resolution = resolved(environ, qase={"testops": {"batch": {"size": 20}}})
    assert resolution.settings.batch_size.value == 20
    assert resolution.settings.overlay.file["testops"]["batch"] == {"size": 20}
    (line,) = resolution.warnings
    assert line.startswith('QASE_TESTOPS_BATCH_SIZE in the environment is "2000": it must be')
    assert "QASE_TESTOPS_BATCH_SIZE" not in resolution.settings.overlay.environ


@pytest.mark.parametrize(("text", "attempts"), [("0", 1), ("7", 7)])
def test_no_attempt_is_one(resolved: Resolve, complete: dict[str, str], text: str, attempts: int) -> None:
    environ = {**complete, "FAMACASE_RETRY_ATTEMPTS": text, "FAMACASE_ATTACHMENT_WORKERS": "64"}
    settings = resolved(environ).settings
    assert (settings.retry_attempts.value, settings.attachment_workers.value) == (attempts, 64)


@pytest.mark.parametrize("empty", [None, {}, [], "", False, 0])
def test_an_empty_block_of_any_kind_is_passed_over_as_upstream_does(
    resolved: Resolve, complete: dict[str, str], empty: Any
) -> None:
    environ = {**complete, "FAMACASE_TESTOPS_RUN_TITLE": "T"}
    settings = resolved(environ, famacase={"testops": empty}, qase={"report": empty}).settings
    assert settings.overlay.file["testops"]["run"] == {"title": "T"}


def test_a_broken_block_that_is_replaced_is_no_matter(resolved: Resolve, complete: dict[str, str]) -> None:
    settings = resolved(complete, famacase={"report": {"driver": "local"}}, qase={"report": "x"}).settings
    assert settings.overlay.file["report"] == {"driver": "local"}


class TestMissing:
    def test_a_project(self, resolved: Resolve, complete: dict[str, str]) -> None:
        del complete["FAMACASE_TESTOPS_PROJECT"]
        with pytest.raises(SettingsError) as raised:
            resolved(complete)
        (line,) = str(raised.value).splitlines()
        assert line.startswith("FAMACASE_MODE in the environment is testops, but no project is set")
        for place in ("FAMACASE_TESTOPS_PROJECT", "--famacase-testops-project", "famacase.config.json"):
            assert place in line

    @pytest.mark.parametrize(
        "block", [None, {}, {"projects": []}, {"projects": None, "default_project": "A"}]
    )
    def test_projects(self, resolved: Resolve, complete: dict[str, str], block: Any) -> None:
        complete["FAMACASE_MODE"] = "testops_multi"
        with pytest.raises(SettingsError) as raised:
            resolved(complete, qase={"testops_multi": block})
        (line,) = str(raised.value).splitlines()
        assert line.startswith("FAMACASE_MODE in the environment is testops_multi, but no projects are set")

    def test_nothing_in_a_mode_that_sends_nothing(self, resolved: Resolve) -> None:
        for mode in ("off", "report"):
            assert resolved({"FAMACASE_API_URL": "h.example", "FAMACASE_MODE": mode}).active

    def test_one_line_for_a_value_that_is_there_and_wrong(
        self, resolved: Resolve, complete: dict[str, str]
    ) -> None:
        del complete["FAMACASE_TESTOPS_PROJECT"]
        with pytest.raises(SettingsError) as raised:
            resolved(complete, famacase={"testops": {"project": ["A"]}})
        (line,) = str(raised.value).splitlines()
        assert line.startswith('testops.project in famacase.config.json is ["A"]')

    def test_a_mode_that_the_installed_upstream_has_not(
        self, resolved: Resolve, complete: dict[str, str]
    ) -> None:
        complete["FAMACASE_MODE"] = "testops_multi"
        with pytest.raises(SettingsError) as raised:
            resolved(complete, modes=("off", "report", "testops"))
        assert "a mode that the installed qase-pytest does not have" in str(raised.value)


def test_values_are_shown_short_and_without_passwords() -> None:
    assert shown("x" * 200) == '"' + "x" * 78 + "…"
    assert shown("https://a:b@h") == '"https://***@h"'
    assert shown(["é"]) == '["é"]'


@pytest.mark.parametrize(("name", "attribute"), [("OUTBOX_DIR", "outbox_dir"), ("RUN_FILE", "run_file")])
def test_paths(
    resolved: Resolve,
    complete: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    attribute: str,
) -> None:
    assert getattr(resolved(complete).settings, attribute) is None
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    for written, path in [("a/b", tmp_path / "a/b"), ("~/x", tmp_path / "home/x"), (str(tmp_path), tmp_path)]:
        value = getattr(resolved({**complete, f"FAMACASE_{name}": written}).settings, attribute)
        assert value.value == path


def test_defaults(resolved: Resolve) -> None:
    settings = resolved({"FAMACASE_API_URL": "h.example"}).settings
    assert (settings.mode.value, settings.fallback.value, settings.debug.value) == ("off", "off", False)
    assert (settings.timeout.value, settings.retry_attempts.value, settings.attachment_workers.value) == (
        30.0,
        3,
        4,
    )
    assert (settings.drain_timeout.value, settings.flush_interval.value) == (300.0, 1.0)
    assert (settings.outbox_max_mb.value, settings.batch_size.value) == (2048, 200)
    assert settings.speedups.value is True
    assert (settings.run_id, settings.plan_id, settings.project, settings.projects) == (None, None, None, ())
    assert str(settings.timeout.source) == "default"


@pytest.mark.parametrize("source", SOURCES)
def test_our_timeout_beats_upstreams_from_any_source(resolved: Resolve, source: str) -> None:
    arguments = given(BY_NAME["TESTOPS_API_TIMEOUT"], {source: "7"})
    assert resolved(**arguments).settings.timeout.value == 7
    arguments["environ"]["FAMACASE_TIMEOUT"] = "9"
    assert resolved(**arguments).settings.timeout.value == 9


def test_an_id_of_nought_is_none(resolved: Resolve, complete: dict[str, str]) -> None:
    settings = resolved({**complete, "FAMACASE_TESTOPS_RUN_ID": "0", "QASE_TESTOPS_PLAN_ID": "0"}).settings
    assert (settings.run_id, settings.plan_id) == (None, None)


def test_a_flag_that_a_newer_upstream_adds_to_a_variable_is_known(
    resolved: Resolve, complete: dict[str, str]
) -> None:
    settings = resolved(complete, {"qase_testops_api_timeout": "5"}).settings
    assert settings.timeout.value == 5
    assert str(settings.timeout.source) == "--qase-testops-api-timeout on the command line"
    with pytest.raises(SettingsError, match="--famacase-testops-api-timeout on the command line is"):
        resolved(complete, {"famacase_testops_api_timeout": "x"})


def test_a_path_that_is_none_is_refused(resolved: Resolve, complete: dict[str, str]) -> None:
    for path in ("~nobody-of-this-name/x", "a\0b"):
        with pytest.raises(
            SettingsError, match=r"famacase\.outboxDir in famacase\.config\.json is .* must be a path"
        ):
            resolved(complete, famacase={"famacase": {"outboxDir": path}})


class TestPreview:
    """What is known before pytest has read its command line."""

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({}, Preview()),
            ({"QASE_MODE": "testops", "QASE_TESTOPS_API_HOST": "h.example"}, Preview()),
            ({"FAMACASE_MODE": "testops"}, Preview()),
            ({"FAMACASE_API_URL": "h.example"}, Preview(active=True)),
            ({"FAMACASE_API_URL": "h.example", "QASE_MODE": "report"}, Preview(active=True)),
            (
                {"FAMACASE_API_URL": "h.example", "FAMACASE_MODE": " TestOps "},
                Preview(active=True, needs_backend=True),
            ),
            (
                {"FAMACASE_API_URL": "h.example", "FAMACASE_FALLBACK": "testops"},
                Preview(active=True, needs_backend=True),
            ),
            ({"FAMACASE_API_URL": "h.example", "FAMACASE_ENABLED": "off"}, Preview()),
            ({"FAMACASE_API_URL": "h.example", "FAMACASE_ENABLED": "maybe"}, Preview()),
            ({"FAMACASE_API_URL": "qase.io"}, Preview()),
        ],
    )
    def test_of_the_environment(self, tmp_path: Path, environ: dict[str, str], expected: Preview) -> None:
        assert preview(environ, ConfigFiles(tmp_path)) == expected

    def test_of_the_files(self, tmp_path: Path) -> None:
        (tmp_path / "famacase.config.json").write_text('{"famacase": {"apiUrl": "h.example"}}')
        (tmp_path / "qase.config.json").write_text('{"mode": "testops"}')
        assert preview({}, ConfigFiles(tmp_path)) == Preview(active=True, needs_backend=True)

    def test_of_the_command_line(self, tmp_path: Path) -> None:
        files = ConfigFiles(tmp_path)
        options = {"famacase_api_url": "h.example", "qase_mode": "testops"}
        assert preview({}, files, options) == Preview(active=True, needs_backend=True)
        assert preview({}, files, {"famacase_api_url": None, "verbose": 1}) == Preview()

    def test_of_a_broken_file(self, tmp_path: Path) -> None:
        (tmp_path / "famacase.config.json").write_text("{")
        assert preview({"FAMACASE_API_URL": "h.example"}, ConfigFiles(tmp_path)) == Preview()

    def test_without_a_famacase_setting_nothing_is_read(self, tmp_path: Path) -> None:
        files = ConfigFiles(tmp_path)
        (tmp_path / "qase.config.json").write_text('{"mode": "off"}')
        assert preview({"QASE_MODE": "testops"}, files) == Preview()
        assert not resolve({"QASE_MODE": "testops"}, {}, files).active
        (tmp_path / "qase.config.json").write_text('{"mode": "report"}')
        assert files.document("qase.config.json") == {"mode": "report"}

    def test_shares_what_it_has_read(self, tmp_path: Path) -> None:
        files = ConfigFiles(tmp_path)
        (tmp_path / "famacase.config.json").write_text('{"famacase": {"apiUrl": "h.example"}}')
        preview({}, files)
        (tmp_path / "famacase.config.json").unlink()
        assert resolve({}, {}, files).active


def test_the_defaults_of_a_plugin_are_the_weakest_source(resolved, complete):
    given = Defaults({"testops": {"project": "OTHER", "batch": {"size": 5}}, "mode": "report"}, "hook of p")
    settings = resolved(complete, qase={"testops": {"batch": {"size": 7}}}, defaults=given).settings
    assert (settings.project.value, settings.mode.value, settings.batch_size.value) == ("SMOKE", "testops", 7)
    settings = resolved(complete, qase={"testops": {}}, defaults=given).settings
    assert str(settings.batch_size.source) == "testops.batch.size in hook of p"


def test_wrong_defaults_are_named(resolved, complete):
    given = Defaults({"testops": ["x"], "famacase": {"timeouts": 3}}, "hook of p")
    with pytest.raises(SettingsError) as caught:
        resolved(complete, defaults=given)
    assert "testops in hook of p must be an object, not a list" in str(caught.value)
    assert "famacase.timeouts in hook of p is not a known setting. Did you mean famacase.timeout?" in str(
        caught.value
    )


def test_a_client_of_ones_own_stands_for_address_and_token(resolved):
    environ = {"FAMACASE_MODE": "testops", "FAMACASE_TESTOPS_PROJECT": "SMOKE"}
    given = {"client": {"class": "own.Client", "config": {"folder": "here"}}}
    settings = resolved(environ, famacase={"famacase": given}).settings
    assert settings.client_class.value == "own.Client"
    assert settings.client_config.value == {"folder": "here"}
    other = resolved({**environ, "FAMACASE_CLIENT_CLASS": "other.Client"}).settings
    # What was recorded for one is not sent to another.
    assert settings.base_url != other.base_url
    assert resolved({**environ, "FAMACASE_ENABLED": "false"}).settings is None


def test_the_configuration_of_a_client_is_not_shown(resolved):
    environ = {"FAMACASE_CLIENT_CLASS": "own.Client", "FAMACASE_CLIENT_CONFIG": '{"password": "hidden"'}
    with pytest.raises(SettingsError) as caught:
        resolved(environ)
    assert "hidden" not in str(caught.value)
    assert "FAMACASE_CLIENT_CONFIG in the environment is ***: it must be an object (as JSON in a" in str(
        caught.value
    )
