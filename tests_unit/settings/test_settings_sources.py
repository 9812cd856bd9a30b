from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from resolving import Resolve

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.sources import BY_DEFAULT, Source, merge, read_file

_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
_FILES = st.dictionaries(st.sampled_from("abcd"), _JSON, max_size=4)


@given(_FILES, _FILES)
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


@given(_FILES)
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
        (b'{"mode": "testops",}', ["line 1, column 2", "invalid JSON"]),
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
    with pytest.raises(SettingsError) as raised:
        resolved(complete)
    assert str(raised.value).startswith(name)
    for part in said:
        assert part in str(raised.value)


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
    with pytest.raises(SettingsError, match=r"qase\.config\.json cannot be read \(Is a directory\)"):
        resolved(complete)


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "qase.config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"rootSuite": "Über"}).encode())
    assert read_file(tmp_path, "qase.config.json") == {"rootSuite": "Über"}


def test_nothing_given_is_changed(resolved: Resolve, complete: dict[str, str]) -> None:
    before = dict(os.environ)
    environ, options = dict(complete), {"qase_testops_run_title": "T", "famacase_debug": "1"}
    resolved(environ, options, famacase={"testops": {"run": {"tags": ["a"]}}})
    assert environ == complete
    assert options == {"qase_testops_run_title": "T", "famacase_debug": "1"}
    assert dict(os.environ) == before
