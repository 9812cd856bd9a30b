"""The figures as a chart that any browser shows: time added over plain pytest, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from .sides import SIDES

_WIDTH = 760
_LABELS = 245  # what stands left of the bars
_VALUES = 130  # and right of them
_BAR = 14
_GAP = 4
_BLOCK = 22
_COLOURS = {"upstream": "#b4532a", "famacase": "#2a6fb4", "early": "#5fa0d8"}
_TITLES = {side.name: side.title for side in SIDES}


def svg(document: Mapping[str, Any]) -> str:
    """A chart of the time that reporting adds to each suite.

    Each suite has a scale of its own, whose longest bar is the slowest side: ratios are what is compared.

    Args:
        document: what ``results.json`` holds.
    """
    parts: list[str] = []
    y = 58
    for work in document["works"].values():
        bars = {name: side["added"] for name, side in work["sides"].items() if name in _COLOURS}
        longest = max(max(bars.values()), 0.001)
        parts.append(_text(0, y + _BAR - 2, work["title"], weight="600"))
        for name, added in bars.items():
            width = max(1.0, (_WIDTH - _LABELS - _VALUES) * max(added, 0.0) / longest)
            parts.append(
                f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2" '
                f'fill="{_COLOURS[name]}"><title>{escape(_TITLES[name])}</title></rect>'
            )
            ratio = work["sides"][name].get("ratio")
            label = f"+{added:.2f} s" + (f", {ratio:.1f}× less" if ratio and ratio > 1 else "")
            parts.append(_text(_LABELS + width + 6, y + _BAR - 2, label))
            y += _BAR + _GAP
        y += _BLOCK
    about = document["about"]
    versions = about["versions"]
    foot = [
        f"{about['date']}, {about['machine']}",
        f"Python {versions['python']}, pytest {versions['pytest']}, qase-pytest {versions['qase-pytest']}, "
        f"qase-python-commons {versions['qase-python-commons']}, "
        f"famacase-pytest {versions['famacase-pytest']}; medians",
    ]
    if document["quick"]:
        foot.append("With --quick: too few tests and rounds to compare anything.")
    for line in foot:
        parts.append(_text(0, y, line, size=11, colour="#666"))
        y += 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-16 -8 {_WIDTH + 32} {y + 8}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img" '
        'aria-label="Seconds that reporting adds to a suite">\n'
        f'<rect x="-16" y="-8" width="{_WIDTH + 32}" height="{y + 8}" fill="#fff"/>\n'
        f"{_text(0, 14, 'Seconds that reporting adds to plain pytest', size=15, weight='600')}\n"
        f"{_legend()}\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _legend() -> str:
    parts = []
    x = 0
    for name, colour in _COLOURS.items():
        parts.append(f'<rect x="{x}" y="28" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(_text(x + 18, 38, _TITLES[name]))
        x += 40 + 7 * len(_TITLES[name])
    return "\n".join(parts)


def _text(x: float, y: float, text: str, *, size: int = 12, weight: str = "400", colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
