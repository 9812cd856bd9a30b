"""Upstream's own reader, the installed one, over what it is given."""

from __future__ import annotations

import io
import json
import os
import types
from pathlib import Path
from typing import Any

import pytest
import qase.commons.config
import qase.commons.logger
import qase.pytest.conftest

from famacase_pytest.settings.model import Settings
from famacase_pytest.settings.table import UPSTREAM
from famacase_pytest.settings.tokens import TOKEN_PLACEHOLDER

from .resolving import Resolve

EVERYTHING = {
    "MODE": "testops",
    "FALLBACK": "report",
    "ENVIRONMENT": "stage",
    "ROOT_SUITE": "Root",
    "DEBUG": "false",
    "PROFILERS": "network,db",
    "PROFILER_NETWORK_EXCLUDE_HOSTS": "a.example, b.example",
    "EXCLUDE_PARAMS": "x, y",
    "STATUS_MAPPING": "invalid=failed,skipped=passed",
    "EXECUTION_PLAN_PATH": "./plan.json",
    "TESTOPS_API_TIMEOUT": "12",
    "TESTOPS_API_RETRIES": "0",
    "TESTOPS_API_RETRY_BACKOFF": "0",
    "TESTOPS_PROJECT": "SMOKE",
    "TESTOPS_DEFECT": "true",
    "TESTOPS_PLAN_ID": "5",
    "TESTOPS_RUN_ID": "6",
    "TESTOPS_RUN_TITLE": "A title",
    "TESTOPS_RUN_DESCRIPTION": "A text, with a comma",
    "TESTOPS_RUN_COMPLETE": "false",
    "TESTOPS_RUN_TAGS": "a, b",
    "TESTOPS_RUN_EXTERNAL_LINK_TYPE": "jiraCloud",
    "TESTOPS_RUN_EXTERNAL_LINK_URL": "PROJ-1",
    "TESTOPS_BATCH_SIZE": "50",
    "TESTOPS_CONFIGURATIONS_VALUES": "browser=chrome,os=linux",
    "TESTOPS_CONFIGURATIONS_CREATE_IF_NOT_EXISTS": "true",
    "TESTOPS_STATUS_FILTER": "passed, failed",
    "TESTOPS_SHOW_PUBLIC_REPORT_LINK": "true",
    "REPORT_DRIVER": "local",
    "REPORT_CONNECTION_PATH": "./report",
    "REPORT_CONNECTION_FORMAT": "jsonp",
    "PYTEST_CAPTURE_LOGS": "true",
    "PYTEST_XFAIL_STATUS_XFAIL": "blocked",
    "PYTEST_XFAIL_STATUS_XPASS": "invalid",
    "LOGGING_CONSOLE": "false",
    "LOGGING_FILE": "false",
}
BASE = {"FAMACASE_API_URL": "http://localhost:8000", "FAMACASE_REPORTER_TOKEN": "rep_the_real_token"}


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Upstream's config from `QASE_*` variables alone, without this package."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("QASE_", "FAMACASE_")):
            monkeypatch.delenv(name)
    with monkeypatch.context() as patch:
        for name, value in EVERYTHING.items():
            patch.setenv(f"QASE_{name}", value)
        patch.setenv("QASE_TESTOPS_API_HOST", "localhost:8000")
        patch.setenv("QASE_TESTOPS_API_TOKEN", TOKEN_PLACEHOLDER)
        return json.loads(str(qase.commons.config.ConfigManager().config))


def read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Upstream's config from the overlay, as a session sets it up."""
    path = types.SimpleNamespace(exists=lambda name: True, join=os.path.join)
    view = types.SimpleNamespace(environ=settings.overlay.environ, path=path)
    with monkeypatch.context() as patch:
        patch.setattr(qase.commons.config, "os", view)
        patch.setattr(qase.commons.logger, "os", view)
        content = json.dumps(settings.overlay.file)
        patch.setattr(qase.commons.config, "open", lambda *_: io.StringIO(content), raising=False)
        config = types.SimpleNamespace(option=types.SimpleNamespace(**settings.overlay.options))
        return json.loads(str(qase.pytest.conftest.setup_config_manager(config).config))


def test_the_test_has_every_variable_that_the_table_has() -> None:
    names = {row.name for row in UPSTREAM if row.in_environment}
    assert set(EVERYTHING) == names - {"TESTOPS_API_HOST", "TESTOPS_API_TOKEN"}


@pytest.mark.parametrize("prefix", ["FAMACASE_", "QASE_"])
def test_variables_arrive_as_without_this_package(
    resolved: Resolve, plain: Any, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    settings = resolved({**BASE, **{f"{prefix}{name}": value for name, value in EVERYTHING.items()}}).settings
    assert read(settings, monkeypatch) == plain


@pytest.mark.parametrize("prefix", ["famacase_", "qase_"])
def test_flags_arrive_as_variables_do(
    resolved: Resolve, plain: Any, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    flags = {row.name: row.destination for row in UPSTREAM if row.flag}
    options = {f"{prefix}{flags[name]}": value for name, value in EVERYTHING.items() if name in flags}
    rest = {f"QASE_{name}": value for name, value in EVERYTHING.items() if name not in flags}
    settings = resolved({**BASE, **rest}, options).settings
    assert read(settings, monkeypatch) == plain


@pytest.mark.parametrize("file", ["famacase", "qase"])
def test_keys_arrive_as_variables_do(
    resolved: Resolve, plain: Any, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    document: dict[str, Any] = {}
    for row in UPSTREAM:
        if row.path and row.name in EVERYTHING:
            node = document
            for key in row.path.split(".")[:-1]:
                node = node.setdefault(key, {})
            node[row.path.rpartition(".")[2]] = row.kind.to_file(row.kind.parse(EVERYTHING[row.name]))
    environ = {**BASE, "QASE_PROFILER_NETWORK_EXCLUDE_HOSTS": EVERYTHING["PROFILER_NETWORK_EXCLUDE_HOSTS"]}
    settings = resolved(environ, **{file: document}).settings
    assert read(settings, monkeypatch) == plain


def test_values_are_never_added_up(resolved: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    # Upstream by itself appends the groups of all three sources.
    settings = resolved(
        {**BASE, "QASE_TESTOPS_CONFIGURATIONS_VALUES": "a=env"},
        {"famacase_testops_configurations_values": "a=flag"},
        qase={"testops": {"configurations": {"values": [{"name": "a", "value": "file"}]}}},
    ).settings
    config = read(settings, monkeypatch)
    assert config["testops"]["configurations"]["values"] == [{"name": "a", "value": "flag"}]


@pytest.mark.parametrize("text", ["on", "yes", "TRUE", "1", "off", "no", "False", "0"])
@pytest.mark.parametrize("by_flag", [False, True])
def test_booleans_mean_the_same_by_variable_and_flag(
    resolved: Resolve, monkeypatch: pytest.MonkeyPatch, text: str, by_flag: bool
) -> None:
    names = ["TESTOPS_RUN_COMPLETE", "TESTOPS_DEFECT", "LOGGING_CONSOLE", "PYTEST_CAPTURE_LOGS"]
    environ = {} if by_flag else {f"FAMACASE_{name}": text for name in names}
    options = {f"famacase_{name.lower()}": text for name in names} if by_flag else {}
    config = read(resolved({**BASE, **environ}, options).settings, monkeypatch)
    expected = text.lower() in ("on", "yes", "true", "1")
    # By itself upstream takes the text "false" of --qase-logging-console for true.
    assert bool(config["logging"]["console"]) is expected
    assert config["testops"]["run"]["complete"] is expected
    assert config["testops"]["defect"] is expected
    assert (
        config["framework"]["pytest"]["captureLogs" if "captureLogs" in config else "capture_logs"]
        is expected
    )


def test_a_flag_beats_a_variable_of_the_logger(resolved: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = resolved({**BASE, "QASE_LOGGING_CONSOLE": "true"}, {"qase_logging_console": "false"}).settings
    # Upstream's logger reads this variable again, after the flags.
    assert "QASE_LOGGING_CONSOLE" not in settings.overlay.environ
    assert not read(settings, monkeypatch)["logging"]["console"]


def test_several_projects_arrive(resolved: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    block = {
        "default_project": "A",
        "projects": [
            {"code": "A", "run": {"complete": False, "tags": ["x"]}, "plan": {"id": 3}},
            {"code": "B"},
        ],
    }
    settings = resolved({**BASE, "FAMACASE_MODE": "testops_multi"}, qase={"testops_multi": block}).settings
    multi = read(settings, monkeypatch)["testops_multi"]
    assert multi["default_project"] == "A"
    assert [project["code"] for project in multi["projects"]] == ["A", "B"]
    assert multi["projects"][0]["run"]["complete"] is False
    assert multi["projects"][1]["run"]["complete"] is True
    assert multi["projects"][0]["plan"]["id"] == 3


def test_what_upstream_gets_can_be_written_as_json(resolved: Resolve) -> None:
    environ = {**BASE, **{f"FAMACASE_{name}": value for name, value in EVERYTHING.items()}}
    settings = resolved(environ).settings
    assert json.loads(json.dumps(settings.overlay.file)) == settings.overlay.file
    assert all(type(value) is str for value in settings.overlay.environ.values())


def test_a_worker_that_is_given_the_same_finds_the_same(resolved: Resolve) -> None:
    environ = {**BASE, **{f"FAMACASE_{name}": value for name, value in EVERYTHING.items()}}
    options = {"qase_testops_run_title": "T", "famacase_timeout": "4"}
    assert resolved(environ, options) == resolved(dict(environ), dict(options))


def test_what_a_newer_upstream_reads_has_its_twins_already(
    resolved: Resolve, complete: dict[str, str]
) -> None:
    environ = {
        **complete,
        "FAMACASE_NEXT_YEAR": " a ",
        "QASE_NEXT_YEAR": "b",
        "QASE_OTHER": "c",
        "FAMACASE_THIRD": "d",
    }
    options = {
        "famacase_next_flag": "a",
        "qase_next_flag": "b",
        "famacase_lone_flag": "c",
        "famacase_silent": None,
    }
    resolution = resolved(
        environ,
        options,
        famacase={"nextYear": {"a": 1}},
        qase={"nextYear": {"b": 2}},
        known_upstream=("QASE_NEXT_YEAR", "QASE_THIRD", *(f"QASE_{row.name}" for row in UPSTREAM)),
    )
    overlay = resolution.settings.overlay.environ
    assert (overlay["QASE_NEXT_YEAR"], overlay["QASE_OTHER"], overlay["QASE_THIRD"]) == ("a", "c", "d")
    assert resolution.settings.overlay.options["qase_next_flag"] == "b"
    assert resolution.settings.overlay.options["qase_lone_flag"] == "c"
    assert "qase_silent" not in resolution.settings.overlay.options
    assert resolution.settings.overlay.file["nextYear"] == {"a": 1, "b": 2}
    assert resolution.warnings == ("nextYear in famacase.config.json is not a known setting.",)
