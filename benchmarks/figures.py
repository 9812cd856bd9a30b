"""From measured sessions to figures: medians, time added over plain pytest, ratios, bars."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .sessions import Measured
from .work import Work

# (work, side, least ratio of time added: upstream's over ours). What this package promises of itself.
BARS = (
    ("empty", "famacase", 10.0),
    ("empty", "early", 16.0),
    ("rich", "famacase", 15.0),
    ("workers", "famacase", 8.0),
)
MOST_REQUESTS = 60  # for 200 rich tests
LEVEL = 0.10  # how much the cost of a test may differ between 2,000 and 10,000 of them


def work_figures(work: Work, tests: int, sessions: Mapping[str, Sequence[Measured]]) -> dict[str, Any]:
    """The figures of one suite.

    Args:
        work: the suite.
        tests: number of its tests.
        sessions: by side, at least one each; "plain" is among them.

    Returns:
        What the tables show and the JSON file holds; seconds and MiB.
    """
    plain = statistics.median(session.wall for session in sessions["plain"])
    sides: dict[str, Any] = {}
    for name, measured in sessions.items():
        walls = [session.wall for session in measured]
        wall = statistics.median(walls)
        sides[name] = {
            "wall": round(wall, 3),
            "walls": [round(value, 3) for value in walls],
            "added": round(wall - plain, 3),
            "cpu": round(statistics.median(session.cpu for session in measured), 3),
            "requests": statistics.median_high([session.recorded["requests"] for session in measured]),
            "requests_by_kind": measured[-1].recorded["requests_by_kind"],
            "peak": round(max(session.peak for session in measured), 1),
            "peaks": measured[-1].peaks,
        }
    for name, side in sides.items():
        if name in ("famacase", "early") and side["added"] > 0:
            side["ratio"] = round(sides["upstream"]["added"] / side["added"], 2)
    return {
        "title": work.title.format(tests=tests),
        "tests": tests,
        "rounds": len(sessions["plain"]),
        "sides": sides,
    }


def cost_per_test(works: Mapping[str, Any], name: str, side: str) -> float:
    """Milliseconds that each test of a suite costs, without the start-up, which one test alone shows."""
    one, many = works["one"], works[name]
    added = many["sides"][side]["added"] - one["sides"][side]["added"]
    return float(added * 1000 / (many["tests"] - one["tests"]))


def verdicts(works: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each bar, what was measured, and whether it is met."""
    found = []
    for name, side, least in BARS:
        if name in works:
            ratio = works[name]["sides"][side].get("ratio")
            found.append(
                _verdict(
                    f"{works[name]['title']}, {_SIDES[side]}: time added, upstream's over ours",
                    f"at least {least:g}", ratio, ratio is not None and ratio >= least,
                )
            )  # fmt: skip
    if "rich" in works:
        requests = works["rich"]["sides"]["famacase"]["requests"]
        found.append(
            _verdict(
                f"{works['rich']['title']}: requests", f"at most {MOST_REQUESTS}",
                requests, requests <= MOST_REQUESTS,
            )
        )  # fmt: skip
    if {"one", "empty", "many"} <= works.keys():
        few, many = (cost_per_test(works, name, "famacase") for name in ("empty", "many"))
        change = many / few - 1
        found.append(
            _verdict(
                f"cost of a test in ms: {works['many']['tests']} tests over {works['empty']['tests']}",
                f"no more than {1 + LEVEL:g}", f"{many:.3f} / {few:.3f} = {1 + change:.2f}", change <= LEVEL,
            )
        )  # fmt: skip
    return found


_SIDES = {"famacase": "with the plugin", "early": "with -p famacase"}


def _verdict(what: str, bar: str, measured: Any, met: bool) -> dict[str, Any]:
    return {"what": what, "bar": bar, "measured": measured, "met": met}
