"""The ``famacase`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .errors import FamacaseError


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
    parser = argparse.ArgumentParser(prog="famacase", description="Reporting to Famacase, beside pytest.")
    parser.add_argument("--version", action="version", version=f"famacase-pytest {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    from .server import command as serve

    serving = commands.add_parser("serve", help="run a local back end, for trying, tests and offline work")
    serve.add_arguments(serving)
    serving.set_defaults(run=serve.run)

    from .server import demo

    showing = commands.add_parser(
        "demo", help="report a sample suite to a local back end and show what arrived"
    )
    demo.add_arguments(showing)
    showing.set_defaults(run=demo.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
