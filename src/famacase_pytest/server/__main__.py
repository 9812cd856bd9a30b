"""``python -m famacase_pytest.server``: the same as ``famacase serve``."""

import argparse
import sys

from .command import add_arguments, run


def main() -> int:
    """Parses the command line and serves."""
    parser = argparse.ArgumentParser(prog="python -m famacase_pytest.server")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
