"""`famacase report`: a run as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..server import Settings, write_report
from ..summary import telling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `report`."""
    parser.add_argument(
        "what",
        metavar="RUN|PATH",
        help="number of a run of the local back end, which may be running, or path of a local Qase report",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="file to write (default: %(default)s)",
    )
    parser.add_argument(
        "--max-file-mb",
        type=_size,
        default=1.0,
        metavar="N",
        help="attachments larger than this many MiB are left out (default: 1)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Settings.data,
        metavar="DIR",
        help="directory of the local back end (default: %(default)s)",
    )


def _size(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not size >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; it must be a number of MiB, 0 or more")
    return size


def run(arguments: argparse.Namespace) -> int:
    """Write the report and say what is in it.

    Raises:
        FamacaseError: there is nothing to make a report of, or it cannot be written.
    """
    most = arguments.max_file_mb * 1024 * 1024
    with telling("writing the report"):
        written = write_report(arguments.what, arguments.output, arguments.data, most)
    size = written.size / 1024 / 1024
    print(f"{arguments.output}: {written.results} results, {written.files} files, {size:.1f} MiB")
    if written.left_out:
        print(f"Left out, since they are larger than {arguments.max_file_mb:g} MiB (--max-file-mb):")
        for name in written.left_out:
            print(f"  {name}")
    return 0
