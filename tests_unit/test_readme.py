"""The README shows what was measured and run last, and not something older."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("source", "first"),
    [
        ("benchmarks/results/results.md", "|  | plain pytest"),
        ("compat/last-run.md", "| qase-pytest | qase-python"),
    ],
)
def test_a_table_of_the_readme_is_that_of_the_last_run(source, first):
    wanted = _table((ROOT / source).read_text(encoding="utf-8"), first)
    assert len(wanted) > 4
    shown = _table((ROOT / "README.md").read_text(encoding="utf-8"), first)
    # The heading names the flag as code.
    assert [line.replace("`", "") for line in shown] == wanted


def _table(text: str, first: str) -> list[str]:
    """The lines of the first table that begins so."""
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(first))
    table = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        table.append(line)
    return table
