from __future__ import annotations

from pathlib import Path

import pytest

from famacase_pytest.cli.settings import command_settings
from famacase_pytest.errors import SettingsError


def test_a_command_needs_neither_mode_nor_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAMACASE_API_URL", "h.example")
    monkeypatch.setenv("FAMACASE_MODE", "testops")
    settings = command_settings()
    assert settings.base_url == "https://h.example"
    assert settings.project is None


def test_the_file_of_the_current_directory_counts(directory: Path) -> None:
    (directory / "famacase.config.json").write_text('{"famacase": {"apiUrl": "h.example"}}')
    assert command_settings().base_url == "https://h.example"


@pytest.mark.parametrize(
    ("enabled", "reason"), [(None, "no Famacase setting is present"), ("false", "switches off")]
)
def test_without_an_address_it_says_why(
    monkeypatch: pytest.MonkeyPatch, enabled: str | None, reason: str
) -> None:
    if enabled:
        monkeypatch.setenv("FAMACASE_ENABLED", enabled)
    with pytest.raises(SettingsError) as raised:
        command_settings()
    assert reason in str(raised.value)
    assert "Set FAMACASE_API_URL" in str(raised.value)


def test_warnings_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAMACASE_API_URL", "h.example")
    monkeypatch.setenv("FAMACASE_TIMEOUTS", "5")
    command_settings()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("famacase: FAMACASE_TIMEOUTS in the environment is not a known setting.")
