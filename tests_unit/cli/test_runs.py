from __future__ import annotations

import pytest

from famacase_pytest.cli.main import main


@pytest.mark.parametrize("arguments", [["create"], ["complete", "5"]])
def test_a_run_belongs_to_a_project(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAMACASE_API_URL", "h.example")
    monkeypatch.setenv("FAMACASE_REPORTER_TOKEN", "rep_for_a_run")
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "No project is set" in printed.err
    assert printed.out == ""
