from __future__ import annotations

from pathlib import Path

import pytest

from famacase_pytest.cli.main import main


def test_a_list_needs_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resend", "--list"]) == 0
    assert capsys.readouterr().out == "Nothing waits.\n"


def test_a_list_of_a_directory(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resend", "--list", "--dir", str(directory / "none")]) == 0
    assert capsys.readouterr().out == f"Nothing waits in {directory / 'none'}.\n"


def test_nothing_waits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FAMACASE_API_URL", "h.example")
    assert main(["resend"]) == 0
    assert capsys.readouterr().out == "Nothing waits.\n"


def test_a_session_that_is_not_there_cannot_be_discarded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resend", "--discard", "none"]) == 1
    assert "There is no session none: nothing is discarded." in capsys.readouterr().err
