from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from resolving import Resolve, delivered, given

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.checking import ELSEWHERE
from famacase_pytest.settings.table import BY_NAME, OWN, UPSTREAM

# Values of each kind, one for each source, the strongest source first.
_TEXTS = ["one", "two", "three", "four", "five", "six"]
VALUES: dict[str, list[str]] = {
    "ENVIRONMENT": _TEXTS,
    "ROOT_SUITE": _TEXTS,
    "TESTOPS_PROJECT": _TEXTS,
    "TESTOPS_RUN_TITLE": _TEXTS,
    "REPORT_CONNECTION_PATH": _TEXTS,
    "PYTEST_XFAIL_STATUS_XFAIL": _TEXTS,
    "TESTOPS_RUN_ID": ["1", "2", "3", "4", "5", "6"],
    "TESTOPS_PLAN_ID": ["1", "2", "3", "4", "5", "6"],
    "TESTOPS_BATCH_SIZE": ["10", "20", "30", "40", "50", "60"],
    "TESTOPS_API_TIMEOUT": ["10", "20", "30", "40", "50", "60"],
    "TESTOPS_RUN_TAGS": ["a", "b,b2", "c", "d", "e", "f"],
    "EXCLUDE_PARAMS": ["a", "b,b2", "c", "d", "e", "f"],
    "TESTOPS_CONFIGURATIONS_VALUES": ["a=1", "a=2,b=3", "a=3", "a=4", "a=5", "a=6"],
    "TESTOPS_RUN_EXTERNAL_LINK_URL": _TEXTS,
}
SOURCES = ["--qase-", "--famacase-", "FAMACASE_", "QASE_", "famacase.config.json", "qase.config.json"]


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(("weaker", "stronger"), [(w, s) for w in range(6) for s in range(w)])
def test_every_pair_of_sources(resolved: Resolve, name: str, weaker: int, stronger: int) -> None:
    row, values = BY_NAME[name], VALUES[name]
    arguments = given(row, {SOURCES[place]: values[place] for place in (weaker, stronger)})
    settings = resolved(**arguments).settings
    (value,) = delivered(row, settings)
    assert row.kind.parse(value) == row.kind.parse(values[stronger])


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", range(6))
def test_every_source_alone(resolved: Resolve, name: str, place: int) -> None:
    row = BY_NAME[name]
    settings = resolved(**given(row, {SOURCES[place]: VALUES[name][place]})).settings
    (value,) = delivered(row, settings)
    assert row.kind.parse(value) == row.kind.parse(VALUES[name][place])


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_value_leaves_the_place_to_the_next(
    resolved: Resolve, complete: dict[str, str], empty: Any
) -> None:
    environ = {**complete, "FAMACASE_TESTOPS_RUN_TITLE": empty or "", "QASE_TESTOPS_RUN_TITLE": empty or ""}
    options = {"qase_testops_run_title": empty, "famacase_testops_run_title": empty}
    famacase = {"testops": {"run": {"title": empty, "description": "D"}}}
    settings = resolved(
        environ, options, famacase, {"testops": {"run": {"title": "from Qase's file"}}}
    ).settings
    assert settings.overlay_file["testops"]["run"] == {"title": "from Qase's file", "description": "D"}
    assert "qase_testops_run_title" not in settings.overlay_options


OWN_VALUES: dict[str, tuple[list[str], Any]] = {
    "TIMEOUT": (["1.5", "2", "3"], float),
    "RETRY_ATTEMPTS": (["5", "6", "7"], int),
    "ATTACHMENT_WORKERS": (["5", "6", "7"], int),
    "DRAIN_TIMEOUT": (["0", "2", "3"], float),
    "FLUSH_INTERVAL": (["0", "0.2", "3"], float),
    "OUTBOX_MAX_MB": (["5", "6", "7"], int),
    "SPEEDUPS": (["no", "true", "true"], lambda text: text == "true"),
}
_PLACES = ["--famacase-", "FAMACASE_", "famacase.config.json"]


@pytest.mark.parametrize("name", OWN_VALUES)
@pytest.mark.parametrize("first", range(3))
def test_our_own_settings(resolved: Resolve, name: str, first: int) -> None:
    row, (values, read) = BY_NAME[name], OWN_VALUES[name]
    arguments = given(row, {place: value for place, value in list(zip(_PLACES, values))[first:]})
    settings = resolved(**arguments).settings
    value = getattr(settings, name.lower())
    assert value.value == read(values[first])
    assert type(value.value) is type(read(values[first]))
    expected = [f"--famacase-{row.flag} on the command line", f"FAMACASE_{name} in the environment"]
    assert str(value.source) == [*expected, f"{row.path} in famacase.config.json"][first]
    assert "famacase" not in settings.overlay_file
    assert f"QASE_{name}" not in settings.overlay_environ


@pytest.mark.parametrize("name", [row.name for row in OWN])
def test_each_of_our_own_has_a_test_here(name: str) -> None:
    assert name in OWN_VALUES or name in ELSEWHERE or name in ("OUTBOX_DIR", "RUN_FILE")


def test_our_own_block_counts_in_our_own_file_only(resolved: Resolve, complete: dict[str, str]) -> None:
    settings = resolved(complete, qase={"famacase": {"timeout": 5}}).settings
    assert settings.timeout.value == 30.0


def test_our_own_have_no_twin(resolved: Resolve, complete: dict[str, str]) -> None:
    settings = resolved({**complete, "QASE_TIMEOUT": "5"}, {"qase_timeout": "6"}).settings
    assert settings.timeout.value == 30.0
    # What upstream may mean by it one day is upstream's.
    assert settings.overlay_environ["QASE_TIMEOUT"] == "5"


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
    overlay = resolution.settings.overlay_environ
    assert (overlay["QASE_NEXT_YEAR"], overlay["QASE_OTHER"], overlay["QASE_THIRD"]) == ("a", "c", "d")
    assert resolution.settings.overlay_options["qase_next_flag"] == "b"
    assert resolution.settings.overlay_options["qase_lone_flag"] == "c"
    assert "qase_silent" not in resolution.settings.overlay_options
    assert resolution.settings.overlay_file["nextYear"] == {"a": 1, "b": 2}
    assert resolution.warnings == ("nextYear in famacase.config.json is not a known setting.",)


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
