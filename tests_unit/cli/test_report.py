"""What `famacase report` takes and says."""

from __future__ import annotations

import json

import pytest

from famacase_pytest.cli.main import main


@pytest.fixture
def local(directory):
    """A local report with one result, whose file has 3 MiB."""
    for name in ("results", "attachments"):
        (directory / "local" / name).mkdir(parents=True)
    result = {"title": "t", "attachments": [{"id": "a", "file_name": "a.bin"}]}
    (directory / "local" / "results" / "1.json").write_text(json.dumps(result))
    (directory / "local" / "attachments" / "a-a.bin").write_bytes(bytes(3 * 1024 * 1024))
    return "local"


def test_files_beyond_the_size_are_named_and_those_within_are_counted(local, directory, capsys):
    assert main(["report", local]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("report.html: 1 results, 0 files, 0.")
    assert said[1:] == ["Left out, since they are larger than 1 MiB (--max-file-mb):", "  a.bin"]
    assert main(["report", local, "--max-file-mb", "3", "-o", "out.html"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("out.html: 1 results, 1 files, ")
    assert {path.name for path in directory.glob("*.html")} == {"report.html", "out.html"}


@pytest.mark.parametrize(
    ("size", "is_one"),
    [("0", True), ("0.5", True), ("inf", True), ("-1", False), ("nan", False), ("1MB", False), ("", False)],
)
def test_a_size_is_a_number_of_mebibytes(local, capsys, size, is_one):
    if is_one:
        assert main(["report", local, f"--max-file-mb={size}"]) == 0
        return
    with pytest.raises(SystemExit) as raised:
        main(["report", local, f"--max-file-mb={size}"])
    assert raised.value.code == 2
    assert f"{size!r} is not a size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere is no local Qase report"),
        (["1"], "has no data of a local back end"),
        (["local", "-o", "none/out.html"], "none/out.html cannot be written: No such file"),
        (["local", "-o", "file/out.html"], "file/out.html cannot be written: Not a directory"),
    ],
)
def test_what_cannot_be_reported_or_written_is_one_line(local, directory, capsys, arguments, said):
    (directory / "file").touch()
    assert main(["report", *arguments]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert said in printed.err
