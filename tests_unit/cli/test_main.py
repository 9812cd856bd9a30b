from __future__ import annotations

import sys

import pytest

from famacase_pytest import __version__
from famacase_pytest.cli.main import main


@pytest.mark.parametrize(
    "line", ["", "unknown", "complete", "complete x", "resend --to-run x", "resend --to-address http//x"]
)
def test_wrong_arguments_end_with_2(line: str) -> None:
    with pytest.raises(SystemExit) as raised:
        main(line.split())
    assert raised.value.code == 2


def test_wrong_arguments_show_the_usage_of_their_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["resend", "--nonsense"])
    said = capsys.readouterr().err
    assert said.startswith("usage: famacase resend ")
    assert "famacase resend: error: unrecognized arguments: --nonsense" in said


def test_a_demo_without_the_extra_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As import itself finds a package that is not there.
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["demo"]) == 1
    assert "pip install 'famacase-pytest[server]'" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"famacase-pytest {__version__}\n"


def test_the_help_names_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for name in ("serve", "demo", "doctor", "resend", "create", "complete"):
        assert f"    {name} " in said


@pytest.mark.parametrize("arguments", [["create"], ["complete", "5"], ["resend"]])
def test_an_error_is_one_line_and_ends_with_1(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("famacase: No Famacase address is set")
