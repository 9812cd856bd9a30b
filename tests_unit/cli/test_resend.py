from __future__ import annotations

from pathlib import Path

import pytest

from famacase_pytest.cli.main import main


def test_a_list_needs_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resend", "--list"]) == 0
    assert capsys.readouterr().out == "Nothing waits.\n"


def test_a_list_of_a_directory(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resend", "--list", "--dir", str(directory)]) == 0
    assert capsys.readouterr().out == f"Nothing waits in {directory}.\n"


def test_a_directory_that_is_not_there(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resend", "--list", "--dir", str(directory / "none")]) == 2
    assert f"There is no directory {directory / 'none'}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "OLD=", "A=B,A=C"])
def test_a_project_is_a_code_or_a_pair(text: str) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["resend", "--project", text])
    assert raised.value.code == 2


def test_a_list_names_defects_that_wait_and_those_that_are_damaged(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "defects-1.json").write_text('[{"pro')
    (directory / "defects-2.json").write_text("[{}, {}]")
    assert main(["resend", "--list", "--dir", str(directory)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{directory / 'defects-1.json'} cannot be read (")
    assert second == f"{directory / 'defects-2.json'}: 2 defects to be filed"


def test_nothing_waits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FAMACASE_API_URL", "h.example")
    assert main(["resend"]) == 0
    assert capsys.readouterr().out == "Nothing waits.\n"


def test_a_session_that_is_not_there_cannot_be_discarded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resend", "--discard", "none"]) == 1
    assert "There is no session none: nothing is discarded." in capsys.readouterr().err
