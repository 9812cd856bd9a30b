"""What the documentation shows can be used: commands, variables, code, messages as they are said."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from famacase_pytest.cli.main import command_parser
from famacase_pytest.settings.table import BY_NAME

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODES = {"python": compile, "json": json.loads, "yaml": yaml.safe_load}


def blocks() -> Iterator[tuple[str, str, str]]:
    """The language, the text and the place of each block of code."""
    for page in PAGES:
        found = re.finditer(
            r"^( *)```(\w+).*?\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        for number, block in enumerate(found):
            text = re.sub(rf"^{block[1]}", "", block[3], flags=re.MULTILINE)
            yield block[2], text, f"{page.name}-{number}"


def commands() -> Iterator[str]:
    """Each command of this package that a block shows."""
    for language, text, _ in blocks():
        if language in ("console", "sh", "yaml", "groovy"):
            yield from re.findall(
                r"(?:^|\$\(|\s)famacase ((?:[a-z]+ ?)(?:\"[^\"]*\"|'[^']*'|[^\n)#;'\"])*)", text
            )


def test_the_readme_is_short() -> None:
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize(
    ("language", "text"),
    [
        pytest.param(language, text, id=place)
        for language, text, place in blocks()
        # An orchestration has comments, as its users' files have.
        if language in CODES and (language, place[:13]) != ("json", "orchestration")
    ],
)
def test_a_block_of_code_is_code(language: str, text: str) -> None:
    if language == "python":
        compile(text, "docs", "exec")
    else:
        assert CODES[language](text) is not None


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_a_command_is_understood(command: str) -> None:
    shown = re.sub(r"\$\{\{.*?\}\}|\$\{?\w+\}?", "7", command).partition(" || ")[0]
    arguments = shlex.split(shown.rstrip(" `"), comments=True)
    command_parser().parse_args([one for one in arguments if one != "..."])


def test_variables_are_those_of_the_table() -> None:
    known = {f"{prefix}_{name}" for name in BY_NAME for prefix in ("FAMACASE", "QASE")}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"\b(?:FAMACASE|QASE)_[A-Z][A-Z_]{2,}[A-Z]\b", text):
            assert name in known or page.name in ("differences.md", "settings.md"), (name, page.name)


def said() -> str:
    """All texts of the package; what is filled in is an ellipsis."""
    texts: list[str] = []
    for module in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [one.value if isinstance(one, ast.Constant) else "..." for one in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_messages_are_quoted_as_they_are_said() -> None:
    everything = said()
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| ([^|]*`[^|]*) \|", page, re.MULTILINE)
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    assert len(quoted) > 15
    parts = [part.strip() for text in quoted for part in text.split("...")]
    assert {part for part in parts if part not in everything and not part.isdecimal()} == set()
