"""The `famacase` command and the table of its subcommands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import FamacaseError
from ..server import command as serve
from . import demo, doctor, report, resend, runs, upload

# For each command: its name, its help, the function that adds its arguments, and the one that runs it.
_COMMANDS = (
    ("serve", "run a local back end, for trying, tests and offline work", serve.add_arguments, serve.run),
    ("demo", "report a sample suite to a local back end and show what arrived", demo.add_arguments, demo.run),
    ("doctor", "say whether a session here could report, and what to mend", doctor.add_arguments, doctor.run),
    (
        "report",
        "write a run of the local back end, or a local Qase report, as one HTML file",
        report.add_arguments,
        report.run,
    ),
    ("resend", "send the results that earlier sessions could not deliver", resend.add_arguments, resend.run),
    (
        "upload",
        "send local reports of Qase's reporters or JUnit XML as a run",
        upload.add_arguments,
        upload.run,
    ),
    ("create", "create a run for several jobs and print its id", runs.add_create_arguments, runs.create),
    ("complete", "complete a run", runs.add_complete_arguments, runs.complete),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands.

    Args:
        arguments: command-line arguments without the program's name; those of this process if None.

    Returns:
        The exit code: 0 for success, 1 for a failure, 130 after Ctrl-C. argparse exits with 2 on wrong
        arguments.
    """
    parsed, unknown = command_parser().parse_known_args(arguments)
    if unknown:
        # Of the command itself: the usage of all commands would not help.
        parsed.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        return int(parsed.run(parsed))
    except FamacaseError as error:
        print(f"famacase: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def command_parser() -> argparse.ArgumentParser:
    """The command line of ``famacase``."""
    parser = argparse.ArgumentParser(
        prog="famacase", description="Runs, results and a local back end of Famacase."
    )
    parser.add_argument("--version", action="version", version=f"famacase-pytest {__version__}")
    group = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text, add_arguments, run in _COMMANDS:
        command = group.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        add_arguments(command)
        command.set_defaults(run=run, parser=command)
    return parser
