"""The ``famacase`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from . import __version__
from .errors import FamacaseError

_Arguments = Callable[[argparse.ArgumentParser], None]
_Run = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands.

    Args:
        arguments: those after the command's name; of this process if None.

    Returns:
        The exit code: 0 if all went well, 1 if not; argparse itself ends with 2 over wrong arguments.
    """
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except FamacaseError as error:
        print(f"famacase: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    from . import commands, demo, resend
    from .server import command as serve

    parser = argparse.ArgumentParser(prog="famacase", description="Reporting to Famacase, beside pytest.")
    parser.add_argument("--version", action="version", version=f"famacase-pytest {__version__}")
    group = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, arguments: _Arguments, run: _Run) -> None:
        command = group.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        arguments(command)
        command.set_defaults(run=run)

    add("serve", "run a local back end, for trying, tests and offline work", serve.add_arguments, serve.run)
    add(
        "demo",
        "report a sample suite to a local back end and show what arrived",
        demo.add_arguments,
        demo.run,
    )
    add(
        "resend",
        "send the results that earlier sessions could not deliver",
        resend.add_arguments,
        resend.run,
    )
    add(
        "create",
        "create a run for several jobs and print its id",
        commands.add_create_arguments,
        commands.create,
    )
    add("complete", "complete a run", commands.add_complete_arguments, commands.complete)
    return parser


if __name__ == "__main__":
    sys.exit(main())
