"""``python -m benchmarks``: measure all sides in turn on this machine, and write what came out."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import chart, figures, machine, tables
from .recorder import Recorder, running
from .sessions import Measured, measure
from .sides import SIDES
from .work import WORK, Work

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for; the tables say which bars were met."""
    options = _options(arguments)
    about = machine.describe()
    print(f"{about['machine']}, load {about['load']:.2f}, qase-pytest {about['versions']['qase-pytest']}")
    works: dict[str, Any] = {}
    with running() as recorder, tempfile.TemporaryDirectory(prefix="famacase-bench-") as base:
        for work in WORK:
            if not options.only or work.name in options.only:
                works[work.name] = _measure_work(work, Path(base), recorder, options)
        thread = _test_thread(Path(base), recorder, options.quick) if not options.only else None
    about["load_after"] = os.getloadavg()[0]
    document = {
        "about": about,
        "quick": options.quick,
        "works": works,
        "test_thread_ms": thread,
        "bars": figures.verdicts(works),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    markdown = tables.markdown(document)
    (options.out / "results.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (options.out / "results.md").write_text(markdown, encoding="utf-8")
    (options.out / "chart.svg").write_text(chart.svg(document), encoding="utf-8")
    print(f"\n{markdown}\nWritten to {options.out}.")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the tests, once: shows that it works, and no more"
    )
    parser.add_argument("--rounds", type=int, help="how often each side is measured")
    parser.add_argument("--only", action="append", choices=[work.name for work in WORK], help="repeatable")
    parser.add_argument("--side", action="append", choices=[side.name for side in SIDES[1:]],
                        help="beside plain pytest and upstream; repeatable")  # fmt: skip
    parser.add_argument("--out", type=Path, help=f"directory of the results (default: {RESULTS})")
    options = parser.parse_args(arguments)
    # What was not measured in full must not stand where the README shows it.
    whole = not (options.quick or options.only or options.side)
    options.out = options.out or (RESULTS if whole else Path(tempfile.gettempdir(), "famacase-bench"))
    return options


def _measure_work(work: Work, base: Path, recorder: Recorder, options: argparse.Namespace) -> dict[str, Any]:
    tests = work.quick_tests if options.quick else work.tests
    rounds = 1 if options.quick else options.rounds or work.rounds
    sides = [side for side in SIDES if not options.side or side.name in ("plain", "upstream", *options.side)]
    directory = _suite(work, base, tests)
    sessions: dict[str, list[Measured]] = {side.name: [] for side in sides}
    # The first session of all compiles the suite and warms the disk's cache; it counts for nobody.
    measure(sides[0], work, directory, recorder, tests=tests)
    for round_ in range(rounds):
        # In turn, and each round in another order: what else the machine does hits all sides alike.
        for side in sides[round_ % len(sides) :] + sides[: round_ % len(sides)]:
            measured = measure(side, work, directory, recorder, tests=tests)
            sessions[side.name].append(measured)
            print(f"{work.name:8} {side.name:9} {measured.wall:7.2f} s", file=sys.stderr)
    return figures.work_figures(work, tests, sessions)


def _suite(work: Work, base: Path, tests: int) -> Path:
    directory = base / work.name / "suite"
    if not directory.is_dir():
        directory.mkdir(parents=True)
        (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        work.write(directory, tests)
    return directory


def _test_thread(base: Path, recorder: Recorder, quick: bool) -> dict[str, float]:
    """Milliseconds for which the thread of the tests is busy with storing each result, see the plugin."""
    work = next(work for work in WORK if work.name == "empty")
    side = next(side for side in SIDES if side.name == "famacase")
    tests = work.quick_tests if quick else work.tests
    directory = _suite(work, base, tests)
    target = base / "test_thread.json"
    measure(
        side, work, directory, recorder, tests=tests,
        arguments=("-p", "test_thread_cost"), environ={"BENCH_TEST_THREAD": str(target)},
    )  # fmt: skip
    values = sorted(json.loads(target.read_text(encoding="utf-8")))
    return {
        "mean": round(statistics.fmean(values), 4),
        "median": round(statistics.median(values), 4),
        "p99": round(values[int(len(values) * 0.99)], 4),
    }


if __name__ == "__main__":
    main()
