"""The command line of a back end beside this process, and when it is ready."""

from __future__ import annotations

import argparse
from io import BytesIO
from types import SimpleNamespace

import pytest

from famacase_pytest.server import Settings
from famacase_pytest.server.command import add_arguments
from famacase_pytest.server.process import ServerProcess
from famacase_pytest.server.serving import _greeting


def test_what_it_is_started_with_is_what_the_command_understands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = ServerProcess(
        tmp_path / "data" / ".." / "data",
        projects={"A": "to:ken", "B": "=x"},
        environments=[("A", "st:ag"), ("A", "--slug")],
        plans=[("A", 5, [1, 2]), ("B", 6, [])],
        host="::1",
        arguments=["--verbose"],
    )
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parsed = parser.parse_args(server._arguments)
    assert parsed.projects == [("A", "to:ken"), ("B", "=x")]
    assert parsed.environments == [("A", "st:ag"), ("A", "--slug")]
    assert parsed.plans == [("A", 5, [1, 2]), ("B", 6, [])]
    assert (parsed.host, parsed.verbose, parsed.stop_with_stdin) == ("::1", True, True)
    # The process runs in another directory.
    assert parsed.data.is_absolute()
    assert ServerProcess("relative" / parsed.data.relative_to("/")).data.is_absolute()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://[::1]:8000"])
def test_it_is_ready_when_its_greeting_names_the_address(tmp_path, url):
    server = ServerProcess(tmp_path)
    greeting = _greeting(url, Settings())
    output = BytesIO(f"{greeting}\nand more\n".encode())
    said = server._wait_until_ready(SimpleNamespace(stdout=output, kill=None))
    assert server.url == url
    # What comes later is left in the pipe.
    assert said.endswith(f"export FAMACASE_API_URL={greeting.partition('API_URL=')[2].splitlines()[0]}\n")
    assert output.read().endswith(b"and more\n")


def test_one_that_ends_before_that_has_no_address_and_its_words_are_kept(tmp_path):
    server = ServerProcess(tmp_path)
    server.url = "http://of-an-earlier-start"
    assert (
        server._wait_until_ready(SimpleNamespace(stdout=BytesIO(b"no \xff room\n"), kill=None))
        == "no � room\n"
    )
    assert server.url == ""


def test_one_that_was_never_started_is_ended_already(tmp_path):
    server = ServerProcess(tmp_path)
    server.kill()
    assert server.terminate() == 0
