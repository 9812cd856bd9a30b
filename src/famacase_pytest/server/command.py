"""The arguments of ``famacase serve`` and ``python -m famacase_pytest.server``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from famacase_pytest.server import DEFAULT_PROJECTS, ServerExtraMissing, serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `run` understands."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s; the pages need no token)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=8000,
        help="port to listen on, 0 for a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--port-file", type=Path, metavar="PATH", help="file into which the port is written once it answers"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".famacase/server"),
        metavar="DIR",
        help="directory in which everything is kept (default: %(default)s)",
    )
    parser.add_argument(
        "--project",
        type=_project,
        action="append",
        default=[],
        dest="projects",
        metavar="CODE:TOKEN",
        help="another project and its token; may be repeated (SMOKE:rep_local is always there)",
    )
    parser.add_argument(
        "--environment",
        type=_environment,
        action="append",
        default=[],
        dest="environments",
        metavar="CODE:SLUG",
        help="another environment; may be repeated (each project has 'staging')",
    )
    parser.add_argument(
        "--plan",
        type=_plan,
        action="append",
        default=[],
        dest="plans",
        metavar="CODE:ID=CASE,CASE",
        help="another plan and its cases; may be repeated (each project has plan 1 with cases 1 and 2)",
    )
    parser.add_argument("--verbose", action="store_true", help="log each request")
    parser.add_argument(
        "--stop-with-stdin", action="store_true", help="stop when standard input ends (for whoever starts it)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves as the arguments say.

    Returns:
        The exit code: 0 after a stop, 1 if it could not start.
    """
    # The lines to copy are for the first project: one that was asked for comes before the default.
    projects = dict(arguments.projects)
    for code, token in DEFAULT_PROJECTS.items():
        projects.setdefault(code, token)
    try:
        return serve(
            host=arguments.host,
            port=arguments.port,
            data=arguments.data,
            projects=projects,
            port_file=arguments.port_file,
            environments=arguments.environments,
            plans=arguments.plans,
            verbose=arguments.verbose,
            stop_with_stdin=arguments.stop_with_stdin,
        )
    except ServerExtraMissing as error:
        print(error, file=sys.stderr)
        return 1


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; it must be from 0 to 65535")
    return int(text)


def _pair(text: str, form: str) -> tuple[str, str]:
    code, colon, rest = text.partition(":")
    if not code or not colon or not rest:
        raise argparse.ArgumentTypeError(f"{text!r} must have the form {form}")
    return code, rest


def _project(text: str) -> tuple[str, str]:
    if ":" not in text:
        # Not repeated in the message: what was given without a code may be a token.
        raise argparse.ArgumentTypeError("a project must have the form CODE:TOKEN")
    return _pair(text, "CODE:TOKEN")


def _environment(text: str) -> tuple[str, str]:
    return _pair(text, "CODE:SLUG")


def _plan(text: str) -> tuple[str, int, list[int]]:
    form = "CODE:ID=CASE,CASE"
    code, rest = _pair(text, form)
    plan_id, equals, cases = rest.partition("=")
    numbers = [number.strip() for number in cases.split(",") if number.strip()]
    if not equals or not all(number.isdecimal() and len(number) < 19 for number in [plan_id, *numbers]):
        raise argparse.ArgumentTypeError(f"{text!r} must have the form {form}, with whole numbers")
    return code, int(plan_id), [int(number) for number in numbers]
