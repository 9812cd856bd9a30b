"""`famacase report`: a run as one file, from the data of a back end and from a local report of Qase."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from example_runs import picture, rich_result
from famacase_pytest.server.process import ServerProcess
from live_api import Backend, new_result, reach

SUITE = """
import pytest
from qase.pytest import qase

@qase.id(7)
@qase.title("Buys <tea>")
@qase.suite("Shop.Basket")
def test_buys():
    qase.attach((b"\\x89PNG picture", "image/png", "screen.png"))
    with qase.step("Pay"):
        with qase.step("Enter the card"):
            qase.attach(("the number", "text/plain", "card.txt"))
        raise ValueError("no money")

@pytest.mark.parametrize("browser", ["firefox", "chromium"])
def test_opens(browser):
    pass
"""


def report(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command in a folder."""
    command = [sys.executable, "-m", "famacase_pytest.cli", "report", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def filled(own_process: ServerProcess) -> tuple[Backend, int]:
    """A back end of its own with one run."""
    backend = reach(own_process)
    run_id = backend.new_run(title="Nightly <1>")
    assert backend.send(run_id, rich_result(backend), new_result(title="fine")).status_code == 201
    return backend, run_id


def test_a_report_of_a_running_back_end_is_one_file_that_asks_for_nothing(
    own_process: ServerProcess, filled: tuple[Backend, int], tmp_path: Path
) -> None:
    told = report(filled[1], "-o", "out.html", "--data", own_process.data, folder=tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("out.html: 2 results, 7 files, 0.")
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["out.html"]
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "Nightly &lt;1&gt;" in text
    # Whatever could be loaded is in the file.
    assert (
        re.findall(r"<(?:link|script|img|iframe)[^>]*(?:src|href)=[^>]*>", text.partition("<script type")[0])
        == []
    )
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")


def test_a_report_of_a_stopped_back_end_leaves_large_files_out_and_says_so(
    own_process: ServerProcess, filled: tuple[Backend, int], tmp_path: Path
) -> None:
    own_process.terminate()
    told = report(filled[1], "--data", own_process.data, "--max-file-mb", 0.0005, folder=tmp_path)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].startswith("report.html: 2 results, 5 files")
    assert lines[1] == "Left out, since they are larger than 0.0005 MiB (--max-file-mb):"
    assert sorted(line.strip() for line in lines[2:]) == ["basket-actual.png", "basket-expected.png"]
    own_process.launch()  # its data is as it was
    assert len(filled[0].stored(filled[1])) == 2


@pytest.mark.parametrize("style", ["json", "jsonp"])
def test_a_local_report_of_qase_becomes_a_report(
    tmp_path: Path, session_environ: dict[str, str], style: str
) -> None:
    (tmp_path / "test_shop.py").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--qase-mode=report"]
    command += [f"--qase-report-connection-local-format={style}"]
    session = subprocess.run(
        command, cwd=tmp_path, env=session_environ, capture_output=True, text=True, check=False
    )
    assert session.returncode == 1, session.stdout + session.stderr
    assert list((tmp_path / "build" / "qase-report" / "results").glob(f"*.{style}"))
    told = report("build/qase-report", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("report.html: 3 results, 2 files")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<span class="pill failed">failed</span> <bdi>Test run' in text


def test_what_cannot_be_reported_is_said_in_full(
    own_process: ServerProcess, filled: tuple[Backend, int], tmp_path: Path
) -> None:
    data = ("--data", own_process.data)
    (tmp_path / "half" / "results").mkdir(parents=True)
    (tmp_path / "half" / "results" / "a.json").write_text('{"id":', encoding="utf-8")
    cases = {
        (999, *data): "has no run 999; no report was written. Its newest is run 1.",
        ("9" * 30, *data): "no report was written",
        (1,): "has no data of a local back end",
        ("nowhere",): "nowhere is no local Qase report",
        ("half",): "a.json cannot be read",
        (filled[1], *data, "-o", "no/such/folder.html"): "folder.html cannot be written",
    }
    for arguments, message in cases.items():
        told = report(*arguments, folder=tmp_path)
        assert told.returncode == 1, arguments
        assert message in told.stderr
        assert "Traceback" not in told.stderr
    assert not list(tmp_path.glob("*.html*"))
    wrong = report(1, "--max-file-mb", "much", folder=tmp_path)
    assert wrong.returncode == 2
    assert "'much' is not a size" in wrong.stderr


def test_the_name_of_an_attachment_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "report"
    (folder / "results").mkdir(parents=True)
    (folder / "attachments").mkdir()
    (folder / "attachments" / "a-screen.png").write_bytes(picture(2, 2, (0, 0, 0)))
    mentions = (
        '[{"id": "a", "file_name": "screen.png", "mime_type": "image/png"},'
        ' {"id": "..", "file_name": "/../../secret", "file_path": "../secret", "mime_type": "text/plain"}]'
    )
    result = f'{{"id": "1", "title": "t", "execution": {{"status": "PASSED"}}, "attachments": {mentions}}}'
    (folder / "results" / "1.json").write_text(result, encoding="utf-8")
    told = report("report", folder=tmp_path)
    assert told.stdout.startswith("report.html: 1 results, 1 files"), told.stderr
