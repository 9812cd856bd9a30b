"""The examples of the documentation, as files that sessions run with."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"

_BLOCK = re.compile(r"^```\w+\n# (?P<name>[\w./-]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page: str, heading: str) -> dict[str, str]:
    """The files that a section shows, by the name in their first line.

    Args:
        page: name of the file in docs.
        heading: of the section, without the signs before it.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    section = re.split(rf"^##+ {re.escape(heading)}\n", text, flags=re.MULTILINE)[1]
    section = re.split(r"^##+ ", section, flags=re.MULTILINE)[0]
    return {match["name"]: match["text"] for match in _BLOCK.finditer(section)}


def write_examples(directory: Path, page: str, heading: str) -> None:
    """Put the files of a section into a project."""
    for name, text in examples(page, heading).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
