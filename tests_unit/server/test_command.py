"""What `famacase serve` makes of its arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from famacase_pytest.server import CannotServe, Settings, command


@pytest.fixture
def served(monkeypatch):
    """What would be served, for each call of a function that takes a command line."""
    settings = []
    monkeypatch.setattr(command, "serve", settings.append)

    def run(*arguments):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        assert command.run(parser.parse_args(arguments)) == 0
        return settings[-1]

    return run


def test_without_arguments_it_serves_what_the_settings_have_by_themselves(served):
    asked, own = served(), Settings()
    # An empty list for an empty tuple.
    names = [name for name in vars(own) if name not in ("environments", "plans", "allowed_hosts")]
    assert {name: getattr(asked, name) for name in names} == {name: getattr(own, name) for name in names}
    assert [*asked.environments, *asked.plans, *asked.allowed_hosts] == []


def test_each_argument_becomes_a_setting(served):
    asked = served(
        *(
            "--host",
            "::1",
            "--port",
            "0",
            "--data",
            "d",
            "--port-file",
            "p",
            "--verbose",
            "--stop-with-stdin",
        ),
        *(
            "--project",
            "A:a:b",
            "--project",
            "B:c",
            "--environment",
            "A:prod:1",
            "--plan",
            "B:5=1,2,",
            "--plan",
            "A:6=",
        ),
        *(
            "--allow-host",
            "ci.example",
            "--allow-host",
            "fe80::1",
            "--public-url",
            "https://ci.example/famacase/",
        ),
    )
    assert asked == Settings(
        host="::1",
        port=0,
        data=Path("d"),
        port_file=Path("p"),
        verbose=True,
        stop_with_stdin=True,
        projects={"A": "a:b", "B": "c", "SMOKE": "rep_local"},
        environments=[("A", "prod:1")],
        plans=[("B", 5, [1, 2]), ("A", 6, [])],
        allowed_hosts=["ci.example", "fe80::1"],
        public_url="https://ci.example/famacase",
    )


def test_the_lines_to_copy_are_for_the_project_that_was_asked_for_first(served):
    assert list(served("--project", "B:b", "--project", "A:a").projects) == ["B", "A", "SMOKE"]
    # The default one may have another token.
    assert served("--project", "SMOKE:mine").projects == {"SMOKE": "mine"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("--port", ["-1", "65536", "8e3", "\u00b2", ""]),
        ("--project", ["code", ":secret", "code:", ""]),
        ("--environment", ["code", ":slug", "code:"]),
        (
            "--plan",
            ["A", "A:1", "A:x=1", "A:1=x", ":1=1", "A:\u0661=1", f"A:{'9' * 19}=1", f"A:1={'9' * 19}"],
        ),
        ("--allow-host", ["", "host:80", "http://host", "[::1]", "a b"]),
        (
            "--public-url",
            ["host", "ftp://host", "https://", "https://u:secret@host", "https://host/?q", "https://h #x"],
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_form_and_without_itself(served, capsys, name, values):
    for value in values:
        with pytest.raises(SystemExit) as raised:
            served(f"{name}={value}")
        said = capsys.readouterr().err
        assert raised.value.code == 2, value
        assert f"argument {name}: " in said
        assert "secret" not in said


def test_what_keeps_it_from_starting_is_one_line(monkeypatch, capsys):
    def fail(_settings):
        raise CannotServe("The port is taken.")

    monkeypatch.setattr(command, "serve", fail)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args([])) == 1
    assert capsys.readouterr() == ("", "The port is taken.\n")
