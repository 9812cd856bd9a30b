"""The arguments of ``famacase serve`` and ``python -m famacase_pytest.server``."""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

from famacase_pytest.server import DEFAULT_PROJECTS, ServerExtraMissing, Settings, serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `run` understands: one for each of the `Settings`."""
    add = parser.add_argument
    several: dict[str, Any] = {"action": "append", "default": []}
    text = "address to listen on (default: %(default)s; the pages need no token)"
    add("--host", default="127.0.0.1", help=text)
    text = "port to listen on, 0 for a free one (default: %(default)s)"
    add("--port", type=_port, default=8000, help=text)
    text = "another name that the server answers to, by the Host header; may be repeated"
    add("--allow-host", type=_host_name, dest="allowed_hosts", metavar="NAME", help=text, **several)
    text = "what links to the pages begin with, where a reverse proxy stands before the server"
    add("--public-url", type=_public_url, metavar="URL", help=text)
    text = "file into which the port is written once it answers"
    add("--port-file", type=Path, metavar="PATH", help=text)
    text = "directory in which everything is kept (default: %(default)s)"
    add("--data", type=Path, default=Path(".famacase/server"), metavar="DIR", help=text)
    text = "another project and its token; may be repeated (SMOKE:rep_local is always there)"
    add("--project", type=_project, dest="projects", metavar="CODE:TOKEN", help=text, **several)
    text = "another environment; may be repeated (each project has 'staging')"
    add("--environment", type=_environment, dest="environments", metavar="CODE:SLUG", help=text, **several)
    text = "another plan and its cases; may be repeated (each project has plan 1 with cases 1 and 2)"
    add("--plan", type=_plan, dest="plans", metavar="CODE:ID=CASE,CASE", help=text, **several)
    add("--verbose", action="store_true", help="log each request")
    text = "stop when standard input ends (for whoever starts it)"
    add("--stop-with-stdin", action="store_true", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Serves as the arguments say.

    Returns:
        The exit code: 0 after a stop, 1 if it could not start.
    """
    # The lines to copy are for the first project: one that was asked for comes before the default.
    projects = {**dict(arguments.projects), **DEFAULT_PROJECTS, **dict(arguments.projects)}
    known = {field.name for field in dataclasses.fields(Settings)}
    given = {name: value for name, value in vars(arguments).items() if name in known}
    try:
        return serve(Settings(**{**given, "projects": projects}))
    except ServerExtraMissing as error:
        print(error, file=sys.stderr)
        return 1


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; it must be from 0 to 65535")
    return int(text)


def _host_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a name or an address, without a port")
    return text


def _public_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} must have the form http(s)://HOST or http(s)://HOST/PATH")
    return text.rstrip("/")


def _project(text: str) -> tuple[str, str]:
    code, _, token = text.partition(":")
    if not code or not token:
        # Not repeated in the message: what was given without a code may be a token.
        raise argparse.ArgumentTypeError("a project must have the form CODE:TOKEN")
    return code, token


def _environment(text: str) -> tuple[str, str]:
    code, _, slug = text.partition(":")
    if not code or not slug:
        raise argparse.ArgumentTypeError(f"{text!r} must have the form CODE:SLUG")
    return code, slug


def _plan(text: str) -> tuple[str, int, list[int]]:
    found = re.fullmatch(r"([^:]+):(\d{1,18})=((?:\d{1,18},?)*)", text, re.ASCII)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} must have the form CODE:ID=CASE,CASE, with whole numbers")
    return found[1], int(found[2]), [int(number) for number in found[3].split(",") if number]
