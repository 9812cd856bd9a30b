"""The documentation of the settings is up to date, and its schema fits the files that are accepted."""

from __future__ import annotations

import runpy
import types
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from famacase_pytest.settings.table import UPSTREAM

DOCS = Path(__file__).parents[2] / "docs"
reference = types.SimpleNamespace(**runpy.run_path(str(DOCS / "settings_reference.py")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("settings.md", reference.markdown()),
        ("famacase.config.schema.json", reference.schema_text()),
    ],
)
def test_the_documentation_is_that_of_the_table(name: str, text: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == text, "run: python docs/settings_reference.py"


def test_what_has_no_effect_is_accepted_and_not_listed() -> None:
    silent = [row for row in UPSTREAM if not row.purpose]
    assert [row.path for row in silent] == [
        "executionPlan.path",
        "testops.api.retries",
        "testops.api.retryBackoff",
        "testops.configurations.createIfNotExists",
        "report.driver",
    ]
    for row in silent:
        assert row.name not in reference.markdown()
    assert "retryBackoff" not in reference.schema_text()


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
