from __future__ import annotations

import re
from pathlib import Path

import pytest

from famacase_pytest.cli.doctor import TESTED, _settings
from famacase_pytest.settings.resolve import effective
from famacase_pytest.settings.sources import ConfigFiles, Defaults, Inputs

MATRIX = Path(__file__).parents[2] / "compat" / "matrix.toml"


def test_the_tested_pairs_are_those_of_the_matrix() -> None:
    # Not read as TOML, which Python's library knows from 3.11 on.
    text = MATRIX.read_text(encoding="utf-8")
    assert tuple(re.findall(r'^qase-pytest = "(.*)"\ncommons = "(.*)"$', text, re.MULTILINE)) == TESTED


@pytest.mark.parametrize("all_", [False, True])
def test_settings_are_shown_with_their_sources(all_: bool, directory: Path) -> None:
    (directory / "famacase.config.json").write_text(
        '{"rootSuite": "A", "famacase": {"reporterToken": "rep_x"}}'
    )
    environ = {"FAMACASE_ROOT_SUITE": "B", "FAMACASE_TIMEOUT": "5"}
    effects = effective(Inputs(environ, {}, ConfigFiles(directory), Defaults()), None)
    shown = list(_settings(effects, all_))
    assert {
        '  FAMACASE_ROOT_SUITE = "B"  from FAMACASE_ROOT_SUITE in the environment '
        "(over rootSuite in famacase.config.json)",
        '  FAMACASE_TIMEOUT = "5"  from FAMACASE_TIMEOUT in the environment',
        "  FAMACASE_REPORTER_TOKEN = ***  from famacase.reporterToken in famacase.config.json",
    } <= set(shown)
    defaults = {
        "  FAMACASE_MODE = off  by default",
        "  FAMACASE_OUTBOX_DIR = .famacase/outbox  by default",
        "  FAMACASE_TESTOPS_API_TOKEN is not set",
    }
    assert (defaults if all_ else set()) == defaults & set(shown)
    assert ("others have their defaults" in shown[-1]) != all_
    assert "rep_x" not in str(shown)
