"""What the tests of settings share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from famacase_pytest.settings.model import Resolution, Settings
from famacase_pytest.settings.sources import look_up
from famacase_pytest.settings.table import Row

Resolve = Callable[..., Resolution]

COMPLETE = {
    "FAMACASE_API_URL": "https://famacase.example.com",
    "FAMACASE_REPORTER_TOKEN": "rep_complete_token",
    "FAMACASE_MODE": "testops",
    "FAMACASE_TESTOPS_PROJECT": "SMOKE",
}
"""The environment of a session that lacks nothing."""

SOURCES = ["--qase-", "--famacase-", "FAMACASE_", "QASE_", "famacase.config.json", "qase.config.json"]
"""The places for a value as `given` takes them, the strongest first."""


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def given(row: Row, values: dict[str, str]) -> dict[str, Any]:
    """Arguments of `resolve` that put a value for one setting into each of the given sources."""
    arguments: dict[str, Any] = {"environ": {"FAMACASE_API_URL": "h.example"}, "options": {}}
    for source, value in values.items():
        if source.startswith("--"):
            arguments["options"][f"{source.strip('-')}_{row.destination}"] = value
        elif source.endswith("_"):
            arguments["environ"][f"{source}{row.name}"] = value
        else:
            content = row.kind.to_file(row.kind.parse(value)) if not row.own else value
            arguments[source.partition(".")[0]] = nested(row.path, content)
    return arguments


def delivered(row: Row, settings: Settings) -> list[Any]:
    """What upstream gets for a setting, from all three parts of the overlay."""
    parts = [
        settings.overlay.options.get(f"qase_{row.destination}"),
        settings.overlay.environ.get(f"QASE_{row.name}"),
        look_up(settings.overlay.file, row.path),
    ]
    return [part for part in parts if part is not None]
