"""The figures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .sides import SIDES

_TITLES = {side.name: side.title for side in SIDES}


def markdown(document: Mapping[str, Any]) -> str:
    """The whole result as a page.

    Args:
        document: what ``results.json`` holds.
    """
    parts = [_about(document), _times(document["works"]), _other(document["works"])]
    if document["test_thread_ms"]:
        thread = document["test_thread_ms"]
        parts.append(
            "Storing a result without attachments keeps the thread of the tests busy for "
            f"{thread['mean']:.2f} ms (median {thread['median']:.2f} ms, 99 % within {thread['p99']:.2f} ms)."
        )
    if document["bars"]:
        parts.append(_bars(document["bars"]))
    return "\n\n".join(parts) + "\n"


def _about(document: Mapping[str, Any]) -> str:
    about = document["about"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    quick = "**With --quick: too few tests and rounds to compare anything.**\n\n" if document["quick"] else ""
    return (
        f"{quick}Measured {about['date']} on {about['machine']} "
        f"(load {about['load']:.2f} before, {about['load_after']:.2f} after); {versions}. "
        f"Without `-p famacase`, pytest loads the plugin of {about['loaded_first']} first here."
    )


def _times(works: Mapping[str, Any]) -> str:
    lines = [
        "Median seconds of a whole pytest process; in brackets what is added to plain pytest, and how many "
        "times more qase-pytest alone adds.",
        "",
        _row("", *(_TITLES[name] for name in _sides(works))),
        _row("---", *("---:" for _ in _sides(works))),
    ]
    for work in works.values():
        cells = []
        for name in _sides(works):
            side = work["sides"][name]
            ratio = f", {side['ratio']:.1f}×" if "ratio" in side else ""
            cells.append(
                f"{side['wall']:.2f}"
                if name == "plain"
                else f"{side['wall']:.2f} (+{side['added']:.2f}{ratio})"
            )
        lines.append(_row(work["title"], *cells))
    return "\n".join(lines)


def _other(works: Mapping[str, Any]) -> str:
    lines = [
        "Requests made, processor seconds of all processes together, and the peak memory of the largest "
        "process in MiB.",
        "",
        _row("", *(_TITLES[name] for name in _sides(works))),
        _row("---", *("---:" for _ in _sides(works))),
    ]
    for work in works.values():
        cells = []
        for name in _sides(works):
            side = work["sides"][name]
            peaks = ", ".join(f"{kind} {peak:.0f}" for kind, peak in side["peaks"].items())
            memory = peaks or f"{side['peak']:.0f}"
            cells.append(f"{side['requests']} requests, {side['cpu']:.2f} s, {memory} MiB")
        lines.append(_row(work["title"], *cells))
    return "\n".join(lines)


def _bars(bars: list[Mapping[str, Any]]) -> str:
    lines = [_row("What is promised", "bar", "measured", ""), _row("---", "---", "---", "---")]
    lines += [
        _row(bar["what"], bar["bar"], str(bar["measured"]), "met" if bar["met"] else "**missed**")
        for bar in bars
    ]
    return "\n".join(lines)


def _sides(works: Mapping[str, Any]) -> list[str]:
    return list(next(iter(works.values()))["sides"])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
