from __future__ import annotations

import re
from pathlib import Path

from famacase_pytest.cli.doctor import TESTED

MATRIX = Path(__file__).parents[2] / "compat" / "matrix.toml"


def test_the_tested_pairs_are_those_of_the_matrix() -> None:
    # Not read as TOML, which Python's library knows from 3.11 on.
    text = MATRIX.read_text(encoding="utf-8")
    assert tuple(re.findall(r'^qase-pytest = "(.*)"\ncommons = "(.*)"$', text, re.MULTILINE)) == TESTED
