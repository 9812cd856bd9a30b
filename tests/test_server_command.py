"""Starting and stopping the local back end: its arguments, what it prints, how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from famacase_pytest.server.process import ServerDidNotStart, ServerProcess
from live_api import PREFIX

# Old releases of FastAPI import a module under a name that is pending deprecation; that is not ours to mend.
WARNINGS = ["-W", "error", "-W", "ignore::PendingDeprecationWarning"]
COMMAND = [sys.executable, *WARNINGS, "-m", "famacase_pytest.server", "--port", "0"]


@pytest.fixture(autouse=True)
def only_local(local_backend: object) -> None:
    """Skips where the tests run against another stack."""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, started as a user does it."""
    with subprocess.Popen(
        [*COMMAND, "--data", "here", "--project", "SHOP:it's secret", "--port-file", "port"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def greeting(process: subprocess.Popen[str]) -> str:
    """What it prints when it is ready, to the last of the four lines to copy."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "FAMACASE_TESTOPS_PROJECT" in line:
            break
    return "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_lines_to_copy_work_in_a_shell(
    started: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    text = greeting(started)
    assert "for trying, for tests and for offline work" in text
    exports = "\n".join(line for line in text.splitlines() if line.startswith("export "))
    names = ["FAMACASE_MODE", "FAMACASE_API_URL", "FAMACASE_REPORTER_TOKEN", "FAMACASE_TESTOPS_PROJECT"]
    show = "\n".join(f'printf "%s\\n" "${name}"' for name in names)
    shell = subprocess.run(["sh", "-c", f"{exports}\n{show}"], stdout=subprocess.PIPE, text=True, check=True)
    mode, url, token, project = shell.stdout.splitlines()
    assert (mode, token, project) == ("testops", "it's secret", "SHOP")
    assert (tmp_path / "port").read_text().strip() == url.rpartition(":")[2]
    address = f"{url}{PREFIX}/projects/"
    for code, its_token in (("SHOP", token), ("SMOKE", "rep_local")):
        answer = requests.get(address + code, headers={"Authorization": f"Token {its_token}"}, timeout=60)
        assert answer.status_code == 200
    started.send_signal(number)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out, err) == (0, "", "")
    assert (tmp_path / "here" / "famacase.sqlite3").exists()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "here").rglob("*") if path.is_file())
    assert b"it's secret" not in kept


def test_a_terminal_shows_what_the_start_is_waiting_for(tmp_path: Path) -> None:
    with ServerProcess.start(tmp_path / "here"):
        """It makes the data."""
    main, terminal = os.openpty()
    with contextlib.closing(sqlite3.connect(tmp_path / "here" / "famacase.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        with subprocess.Popen(
            [*COMMAND, "--data", "here"], cwd=tmp_path, stdout=terminal, stderr=terminal
        ) as process:
            os.close(terminal)
            shown = b""
            while b"famacase: reading the data in here, " not in shown:
                shown += os.read(main, 4096)
            other.rollback()
            while b"export FAMACASE_TESTOPS_PROJECT" not in shown:
                shown += os.read(main, 4096)
            process.terminate()
    os.close(main)
    # The line is gone before others come.
    assert re.search(rb"reading the data in here, \d+ s *\r *\rFamacase local back end: ", shown)


def test_a_client_that_stays_connected_does_not_hold_up_the_end(started: subprocess.Popen[str]) -> None:
    url = greeting(started).partition("http")[2].split()[0]
    with requests.Session() as session:
        assert session.get("http" + url, timeout=60).status_code == 200
        started.terminate()
        assert started.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--project", "secret-token"], "CODE:TOKEN"),
        (["--project", ":x"], "CODE:TOKEN"),
        (["--environment", "SMOKE"], "CODE:SLUG"),
        (["--plan", "SMOKE:x=1"], "CODE:ID=CASE,CASE"),
        (["--plan", "SMOKE:1"], "CODE:ID=CASE,CASE"),
        (["--port", "70000"], "0 to 65535"),
        (["--port", "x"], "0 to 65535"),
    ],
)
def test_wrong_arguments_are_explained(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "secret-token" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--project", "A:rep_local"], "share a token"),
        (["--environment", "NONE:x"], "--project NONE:TOKEN"),
        (["--host", "192.0.2.1"], "Give an address of this machine with --host"),
        (
            ["--host", "no-such-host.invalid"],
            "cannot listen on no-such-host.invalid: it is neither an address nor the name of one",
        ),
        (["--data", "file/below"], "cannot be used"),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_a_sentence(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "file").write_text("not a directory")
    ended = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with (
        ServerProcess.start(tmp_path / "one") as first,
        pytest.raises(ServerDidNotStart, match=f"cannot listen on 127.0.0.1 port {first.port}"),
    ):
        ServerProcess.start(tmp_path / "two", port=first.port)


def test_every_request_is_logged_when_asked_for(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--verbose", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        url = "http" + greeting(process).partition("http")[2].split()[0]
        requests.get(f"{url}/runs/77", timeout=60)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert '"GET /runs/77 HTTP/1.1" 404' in err


def test_it_listens_on_ipv6_where_there_is_one(tmp_path: Path) -> None:
    try:
        process = ServerProcess.start(tmp_path, host="::1")
    except ServerDidNotStart as error:
        if "cannot listen" not in str(error):
            raise
        pytest.skip("this machine has no IPv6 loopback")
    with process:
        assert process.url == f"http://[::1]:{process.port}"
        assert requests.get(process.url, timeout=60).status_code == 200


def run_python(code: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    ended = run_python(
        """
        import os, pathlib
        from famacase_pytest.server.process import ServerProcess
        server = ServerProcess.start(pathlib.Path("data"))
        print(server.pid, flush=True)
        os._exit(7)
        """,
        cwd=tmp_path,
    )
    assert ended.returncode == 7, ended.stderr
    # The claim on the data ends with the process; who gets it knows that the other one is gone.
    import fcntl

    with (tmp_path / "data" / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_who_starts_it_need_not_import_it(tmp_path: Path) -> None:
    ended = run_python(
        """
        import pathlib, sys
        from famacase_pytest.server import serve, create_app
        from famacase_pytest.server.process import ServerProcess
        with ServerProcess.start(pathlib.Path("data")):
            for name in ("fastapi", "sqlalchemy", "uvicorn", "requests", "qase", "jinja2"):
                assert name not in sys.modules, name
        """,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("missing", ["fastapi", "sqlalchemy", "uvicorn", "python_multipart"])
def test_without_the_extra_it_says_what_to_install(tmp_path: Path, missing: str) -> None:
    ended = run_python(
        f"""
        import sys
        sys.modules[{missing!r}] = None
        import famacase_pytest.server
        sys.argv = ["serve", "--port", "0"]
        from famacase_pytest.server.__main__ import main
        sys.exit(main())
        """,
        cwd=tmp_path,
    )
    assert ended.returncode == 1, ended.stderr
    assert "pip install 'famacase-pytest[server]'" in ended.stderr
    assert missing in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_file_named_like_a_module_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    with ServerProcess.start(Path("data")) as process:
        assert requests.get(process.url, timeout=60).status_code == 200
