from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.resolve import ELSEWHERE
from famacase_pytest.settings.sources import (
    BY_DEFAULT,
    FAMACASE,
    ConfigFiles,
    Inputs,
    Source,
    merge,
    strongest,
)
from famacase_pytest.settings.table import BY_NAME, FAMACASE_FILE, OWN, QASE_FILE

from .resolving import SOURCES, Resolve, delivered, given

_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
# How long a machine takes is not what these tests are about.
_UNHURRIED = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
_FILES = st.dictionaries(st.sampled_from("abcd"), _JSON, max_size=4)


@_UNHURRIED
@hypothesis.given(_FILES, _FILES)
def test_merging_keeps_what_only_one_file_has_and_lets_the_upper_win(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    before = copy.deepcopy((below, above))
    merged = merge(below, above)
    assert (below, above) == before
    assert merged.keys() == below.keys() | above.keys()
    for key, value in merged.items():
        if above.get(key) is None:
            assert value == below.get(key)
        elif isinstance(above[key], dict):
            lower = below.get(key)
            assert value == merge(lower if isinstance(lower, dict) else {}, above[key])
        else:
            assert value == above[key]


@_UNHURRIED
@hypothesis.given(_FILES)
def test_merging_with_nothing_or_itself_changes_nothing(document: dict[str, Any]) -> None:
    assert merge(document, {}) == document
    assert merge({}, document) == document
    assert merge(document, document) == document


def test_the_result_shares_nothing_with_the_files() -> None:
    below: dict[str, Any] = {"a": {"b": [1]}}
    merged = merge(below, {"c": {"d": [2]}})
    merged["a"]["b"].append(2)
    assert below == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Source("environment", "FAMACASE_TIMEOUT"), "FAMACASE_TIMEOUT in the environment"),
        (Source("command line", "--famacase-mode"), "--famacase-mode on the command line"),
        (
            Source("file", "testops.batch.size", "famacase.config.json"),
            "testops.batch.size in famacase.config.json",
        ),
        (BY_DEFAULT, "default"),
    ],
)
def test_a_source_reads_like_a_place(source: Source, text: str) -> None:
    assert str(source) == text


@pytest.mark.parametrize("name", ["famacase.config.json", "qase.config.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{\n  "mode": testops\n}', ["line 2, column 11", "invalid JSON"]),
        (b'{"mode": "testops",}', ["line 1, column 2", "invalid JSON", "no comma before a closing bracket"]),
        (b'{"testops": [1, 2, ]}', ["line 1", "invalid JSON", "no comma before a closing bracket"]),
        (b'{\n  // where\n  "mode": "testops"}', ["line 2, column 3", "JSON has no comments"]),
        (b"{'mode': 'testops'}", ["line 1, column 2", "JSON has double quotation marks"]),
        (b"", ["is empty"]),
        (b"[]", ["must hold a JSON object, not a list"]),
        (b'"testops"', ["not text"]),
        (b"null", ["not null"]),
        (b"true", ["not true or false"]),
        (b"\xff\xfe{}", ["not UTF-8 (byte 1)"]),
        (b"[" * 100_000, []),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, resolved: Resolve, complete: dict[str, str], name: str, content: bytes, said: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    if name == QASE_FILE:
        (line,) = resolved(complete).warnings
    else:
        with pytest.raises(SettingsError) as raised:
            resolved(complete)
        line = str(raised.value)
    assert line.startswith(name)
    for part in said:
        assert part in line


def test_both_files_are_reported_at_once(resolved: Resolve, complete: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as raised:
        resolved(complete, famacase="{", qase="[]")
    assert [line.split()[0].strip(",") for line in str(raised.value).splitlines()] == [
        "famacase.config.json",
        "qase.config.json",
    ]


def test_the_content_of_a_broken_file_is_not_shown(resolved: Resolve, complete: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as raised:
        resolved(complete, famacase='{"famacase": {"reporterToken": "rep_in_a_broken_file" "x"}}')
    assert "rep_in_a_broken_file" not in str(raised.value)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of another kind there")
def test_an_unreadable_file_is_named(tmp_path: Path, resolved: Resolve, complete: dict[str, str]) -> None:
    (tmp_path / "qase.config.json").mkdir()
    (line,) = resolved(complete).warnings
    assert line.startswith("qase.config.json cannot be read (Is a directory)")


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "qase.config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"rootSuite": "Über"}).encode())
    assert ConfigFiles(tmp_path).document("qase.config.json") == {"rootSuite": "Über"}


def test_nothing_given_is_changed(resolved: Resolve, complete: dict[str, str]) -> None:
    before = dict(os.environ)
    environ, options = dict(complete), {"qase_testops_run_title": "T", "famacase_debug": "1"}
    resolved(environ, options, famacase={"testops": {"run": {"tags": ["a"]}}})
    assert environ == complete
    assert options == {"qase_testops_run_title": "T", "famacase_debug": "1"}
    assert dict(os.environ) == before


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


class TestConfigFiles:
    """Each file is read when it is needed, once."""

    def test_nothing_is_read_before_it_is_needed(self, tmp_path: Path) -> None:
        files = ConfigFiles(tmp_path)
        (tmp_path / FAMACASE_FILE).write_text('{"mode": "off"}')
        assert files.document(FAMACASE_FILE) == {"mode": "off"}

    def test_what_was_read_is_kept(self, tmp_path: Path) -> None:
        files = ConfigFiles(tmp_path)
        (tmp_path / FAMACASE_FILE).write_text("{")
        (tmp_path / QASE_FILE).write_text('{"mode": "off"}')
        problem = files.problem(FAMACASE_FILE)
        assert "invalid JSON" in problem
        assert files.document(FAMACASE_FILE) == {}
        assert files.document(QASE_FILE) == {"mode": "off"}
        for name in (FAMACASE_FILE, QASE_FILE):
            (tmp_path / name).unlink()
        assert files.problem(FAMACASE_FILE) == problem
        assert files.document(QASE_FILE) == {"mode": "off"}

    def test_a_value_of_famacase_alone_needs_no_file_of_qase(self, tmp_path: Path) -> None:
        files = ConfigFiles(tmp_path)
        (tmp_path / QASE_FILE).write_text('{"mode": "off"}')
        assert strongest(BY_NAME["MODE"], Inputs({}, {}, files), FAMACASE) is None
        (tmp_path / QASE_FILE).write_text('{"mode": "report"}')
        assert files.document(QASE_FILE) == {"mode": "report"}

    @pytest.mark.parametrize("change", ["written", "made", "removed", "left"])
    def test_a_change_is_noticed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
        monkeypatch.chdir(tmp_path)
        files = ConfigFiles(Path.cwd())
        (tmp_path / QASE_FILE).write_text('{"mode": "off"}')
        files.document(FAMACASE_FILE)
        files.document(QASE_FILE)
        assert files.is_current()
        if change == "written":
            (tmp_path / QASE_FILE).write_text('{"mode": "report"}')
        elif change == "made":
            (tmp_path / FAMACASE_FILE).write_text("{}")
        elif change == "removed":
            (tmp_path / QASE_FILE).unlink()
        else:
            monkeypatch.chdir("/")
        assert not files.is_current()


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
    assert settings.overlay.file["testops"]["run"] == {"title": "from Qase's file", "description": "D"}
    assert "qase_testops_run_title" not in settings.overlay.options


OWN_VALUES: dict[str, tuple[list[str], Any]] = {
    "TIMEOUT": (["1.5", "2", "3"], float),
    "RETRY_ATTEMPTS": (["5", "6", "7"], int),
    "ATTACHMENT_WORKERS": (["5", "6", "7"], int),
    "DRAIN_TIMEOUT": (["0", "2", "3"], float),
    "START_TIMEOUT": (["1.5", "2", "3"], float),
    "CI": (["off", "auto", "off"], str),
    "STRICT": (["yes", "false", "false"], lambda text: text == "yes"),
    "FLUSH_INTERVAL": (["0", "0.2", "3"], float),
    "OUTBOX_MAX_MB": (["5", "6", "7"], int),
    "RERUNS": (["all", "merge", "merge"], str),
    "SPEEDUPS": (["no", "true", "true"], lambda text: text == "true"),
    "MASK": (["password,token", "token", "b"], lambda text: text.split(",")),
    "MASK_ENV": (["DB_PASSWORD, A", "A", "B"], lambda text: text.split(", ")),
    "ATTACHMENTS": (["failed", "none", "all"], str),
    "MUTED_STATUS": (["blocked", "skipped", "passed"], str),
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
    assert "famacase" not in settings.overlay.file
    assert f"QASE_{name}" not in settings.overlay.environ


@pytest.mark.parametrize("name", [row.name for row in OWN])
def test_each_of_our_own_has_a_test_here(name: str) -> None:
    assert (
        name in OWN_VALUES
        or name in ELSEWHERE
        or name
        in (
            "OUTBOX_DIR",
            "RUN_FILE",
            "JOB_SUMMARY",
            "CLIENT_CLASS",
            "CLIENT_CONFIG",
            *OF_DEFECTS,
        )
    )


OF_DEFECTS = {
    "DEFECTS_CLIENT_CLASS": ["own.Client", "other.Client", "third.Client"],
    "DEFECTS_CLIENT_CONFIG": ['{"a": 1}', '{"a": 2}', {"a": 3}],
    "DEFECTS_PROJECT": ["ONE", "TWO", "THREE"],
    "DEFECTS_CLOSE": ["yes", "no", True],
    "DEFECTS_CONFIG": ["one.toml", "two.toml", "three.toml"],
}


@pytest.mark.parametrize("first", range(3))
def test_where_defects_are_filed(resolved: Resolve, first: int) -> None:
    options, environ, document = {}, {"FAMACASE_API_URL": "h.example"}, {}
    for name, values in OF_DEFECTS.items():
        options |= {f"famacase_{name.lower()}": values[0]} if first == 0 else {}
        environ |= {f"FAMACASE_{name}": values[1]} if first <= 1 else {}
        document[BY_NAME[name].path.rpartition(".")[2]] = values[2]
    file = {"testops": {"defect": True}, "famacase": {"defects": document}}
    defects = resolved(environ, options, file).settings.defects
    assert defects is not None
    assert defects.client_class is not None
    assert defects.client_config is not None
    assert defects.project is not None
    assert defects.config is not None
    assert defects.client_class.value == OF_DEFECTS["DEFECTS_CLIENT_CLASS"][first]
    assert defects.client_config.value == {"a": first + 1}
    assert defects.project.value == OF_DEFECTS["DEFECTS_PROJECT"][first]
    assert defects.config.value.name == OF_DEFECTS["DEFECTS_CONFIG"][first]
    assert defects.close is (first != 1)
    del file["testops"]
    assert resolved(environ, options, file).settings.defects is None


def test_our_own_block_counts_in_our_own_file_only(resolved: Resolve, complete: dict[str, str]) -> None:
    settings = resolved(complete, qase={"famacase": {"timeout": 5}}).settings
    assert settings.timeout.value == 30.0


def test_our_own_have_no_twin(resolved: Resolve, complete: dict[str, str]) -> None:
    settings = resolved({**complete, "QASE_TIMEOUT": "5"}, {"qase_timeout": "6"}).settings
    assert settings.timeout.value == 30.0
    # What upstream may mean by it one day is upstream's.
    assert settings.overlay.environ["QASE_TIMEOUT"] == "5"
