from __future__ import annotations

import importlib.util
import json
from importlib.abc import InspectLoader
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from famacase_pytest.settings import reference
from famacase_pytest.settings.table import OWN, ROWS, UPSTREAM, environment_names

DOCS = Path(__file__).parents[2] / "docs"


def installed_names() -> frozenset[str]:
    """What the installed upstream reads from the environment."""
    names: frozenset[str] = frozenset()
    for module in ("qase.commons.config", "qase.commons.logger"):
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert isinstance(spec.loader, InspectLoader)
        code = spec.loader.get_code(module)
        assert code is not None
        names |= environment_names(code)
    return names


def test_the_table_has_every_variable_of_the_installed_upstream() -> None:
    names = installed_names()
    assert len(names) > 20
    assert names - {f"QASE_{row.name}" for row in UPSTREAM} == set()


def test_names_are_found_in_nested_and_folded_constants() -> None:
    source = """
KEYS = ("QASE_A", "other")
class C:
    def method(self, key):
        def inner():
            return key in {"QASE_B", "QASE_C"}
        return [lambda: "QASE_D", "QASE_", "QASE_ with words"]
"""
    found = environment_names(compile(source, "<example>", "exec"))
    assert found == {"QASE_A", "QASE_B", "QASE_C", "QASE_D"}


def test_no_name_path_or_flag_stands_twice() -> None:
    for values in (
        [row.name for row in ROWS],
        [row.path for row in ROWS if row.path],
        [row.flag for row in ROWS if row.flag],
        [row.destination for row in ROWS],
    ):
        assert len(values) == len(set(values))


def test_no_path_lies_within_another() -> None:
    paths = [row.path for row in ROWS if row.path]
    assert not [(a, b) for a in paths for b in paths if b.startswith(f"{a}.")]


def test_our_own_stand_in_our_own_block() -> None:
    assert all(row.own and row.path.startswith("famacase.") for row in OWN)
    assert not any(row.own or row.path.startswith("famacase.") for row in UPSTREAM)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("settings.md", reference.markdown()),
        ("famacase.config.schema.json", reference.schema_text()),
    ],
)
def test_the_documentation_is_that_of_the_table(name: str, text: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == text, "run: python -m famacase_pytest.settings.reference docs"


def test_documentation_can_be_written(tmp_path: Path) -> None:
    reference.write(tmp_path)
    assert json.loads((tmp_path / "famacase.config.schema.json").read_text()) == reference.schema()


GOOD: dict[str, Any] = {
    "$schema": "./famacase.config.schema.json",
    "mode": "testops_multi",
    "debug": False,
    "profilers": ["db", {"name": "network", "excludeHosts": ["a"]}],
    "statusMapping": {"invalid": "failed"},
    "testops": {
        "api": {"host": "h", "token": None, "timeout": 5},
        "run": {"id": 5, "tags": ["a"], "externalLink": {"type": "jiraCloud", "link": "A-1"}},
        "batch": {"size": 100},
        "configurations": {"values": [{"name": "os", "value": "linux"}], "createIfNotExists": True},
        "statusFilter": ["passed"],
    },
    "testops_multi": {"default_project": "A", "projects": [{"code": "A", "run": {"title": "t"}}]},
    "famacase": {"apiUrl": "h", "timeout": 3.5, "enabled": True, "tokens": {"A": "t"}, "speedups": "no"},
}


def test_the_schema_accepts_a_good_file() -> None:
    jsonschema.Draft7Validator.check_schema(reference.schema())
    jsonschema.validate(GOOD, reference.schema())


@pytest.mark.parametrize(
    "bad",
    [
        {"mode": "tests"},
        {"testops": {"batch": {"size": 500}}},
        {"testops": {"batch": []}},
        {"famacase": {"timeout": 0}},
        {"testops_multi": {"projects": [{"run": {}}]}},
        {"statusMapping": {"red": "failed"}},
    ],
)
def test_the_schema_refuses_a_bad_one(bad: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, reference.schema())
