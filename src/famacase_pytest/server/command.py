"""The arguments of ``famacase serve`` and ``python -m famacase_pytest.server``."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from pathlib import Path
from typing import Any, Callable, TypeVar

from ..errors import FamacaseError
from . import DEFAULT_PROJECTS, Settings, serve

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `run` understands: one for each of the `Settings`."""
    add = parser.add_argument
    several: dict[str, Any] = {"action": "append", "default": []}
    text = "address to listen on (default: %(default)s; the pages need no token)"
    add("--host", default=Settings.host, help=text)
    text = "port to listen on, 0 for a free one (default: %(default)s)"
    add("--port", type=_port, default=Settings.port, help=text)
    text = "another name that the server answers to, by the Host header; may be repeated"
    add("--allow-host", type=_HOST_NAME, dest="allowed_hosts", metavar="NAME", help=text, **several)
    text = "what links to the pages begin with, where a reverse proxy stands before the server"
    add("--public-url", type=_PUBLIC_URL, metavar="URL", help=text)
    text = "file into which the port is written once it answers"
    add("--port-file", type=Path, metavar="PATH", help=text)
    text = "directory in which everything is kept (default: %(default)s)"
    add("--data", type=Path, default=Settings.data, metavar="DIR", help=text)
    text = "another project and its token; may be repeated (SMOKE:rep_local is always there)"
    add("--project", type=_PROJECT, dest="projects", metavar="CODE:TOKEN", help=text, **several)
    text = "another environment; may be repeated (each project has 'staging')"
    add("--environment", type=_ENVIRONMENT, dest="environments", metavar="CODE:SLUG", help=text, **several)
    text = "another plan and its cases; may be repeated (each project has plan 1 with cases 1 and 2)"
    add("--plan", type=_PLAN, dest="plans", metavar="CODE:ID=CASE,CASE", help=text, **several)
    add("--verbose", action="store_true", help="log each request")
    text = "stop when standard input ends (for whoever starts it)"
    add("--stop-with-stdin", action="store_true", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Serves as the arguments say; the exit code is 0 after a stop, 1 if it could not start."""
    # The lines to copy are for the first project: one that was asked for comes before the default.
    projects = {**dict(arguments.projects), **DEFAULT_PROJECTS, **dict(arguments.projects)}
    known = {field.name for field in dataclasses.fields(Settings)}
    given = {name: value for name, value in vars(arguments).items() if name in known}
    try:
        serve(Settings(**{**given, "projects": projects}))
    except FamacaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; it must be from 0 to 65535")
    return int(text)


def _form(form: str, pattern: str, read: Callable[[re.Match[str]], T]) -> Callable[[str], T]:
    """Reads an argument that has a form. The value is in no message: a wrong one may be a token."""

    def parse(text: str) -> T:
        found = re.fullmatch(pattern, text, re.ASCII)
        if found is None:
            raise argparse.ArgumentTypeError(f"this must have the form {form}")
        return read(found)

    return parse


def _read_plan(found: re.Match[str]) -> tuple[str, int, list[int]]:
    return found[1], int(found[2]), [int(number) for number in found[3].split(",") if number]


_HOST_NAME = _form("NAME, without a port", r"[\w.-]+|\w*:[\w:]*:[\w:.]*", lambda found: found[0])
_PUBLIC_URL = _form("https://HOST/PATH", r"(https?://[^\s/?#@]+(?:/[^\s?#]*?)?)/?", lambda found: found[1])
_PROJECT = _form("CODE:TOKEN", r"([^:]+):(.+)", lambda found: found.groups())
_ENVIRONMENT = _form("CODE:SLUG", r"([^:]+):(.+)", lambda found: found.groups())
_PLAN = _form("CODE:ID=CASE,CASE", r"([^:]+):(\d{1,18})=((?:\d{1,18},)*(?:\d{1,18})?)", _read_plan)
