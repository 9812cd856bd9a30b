"""Each winning value is read by its kind before upstream sees it; whatever is wrong is collected."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from . import address
from .kinds import Kind, Unfit, names_in
from .names import nearest
from .sources import Inputs, Value, broken_blocks, strongest
from .table import ROWS, Row

_LONGEST_SHOWN = 80

ELSEWHERE = frozenset(
    {
        "API_URL",
        "TESTOPS_API_HOST",
        "ENABLED",
        "REPORTER_TOKEN",
        "REPORTER_TOKEN_FILE",
        "REPORTER_TOKENS",
        "TESTOPS_API_TOKEN",
    }
)
"""Settings with a precedence of their own: address, switch and tokens."""


@dataclass
class Findings:
    """What reading the settings brought up.

    Attributes:
        values: the winning value of each setting that has one, parsed, by the name of its row.
        problems: one line for each value that cannot be used.
        warnings: one line for each that is likely a mistake.
        refused: names of the rows whose value cannot be used.
    """

    values: dict[str, Value[Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def refuse(self, row: Row, problem: str) -> None:
        """Note that the value of a row cannot be used."""
        self.problems.append(problem)
        self.refused.add(row.name)


def check(inputs: Inputs, modes: Collection[str]) -> Findings:
    """Read the winning value of each row. A value that loses is not looked at: upstream will not see it.

    Args:
        inputs: what the session is told.
        modes: those that the installed upstream has.
    """
    findings = Findings(problems=broken_blocks(inputs, ROWS))
    for row in ROWS:
        if row.name in ELSEWHERE:
            continue
        found = strongest(row, inputs)
        if found is None:
            continue
        try:
            value = row.kind.parse(found.value)
        except (ValueError, OverflowError) as error:
            # OverflowError: 1e999 as a whole number.
            findings.refuse(row, _wrong(row, found, error))
            continue
        if row.name in ("MODE", "FALLBACK") and value not in modes:
            what = f"{found.source} is {value}, a mode that the installed qase-pytest does not have"
            findings.refuse(
                row, f"{what}: no result would be reported. Install a newer one or choose another."
            )
            continue
        findings.values[row.name] = Value(value, found.source)
        findings.warnings += _unfamiliar(row.kind, findings.values[row.name])
    return findings


def _wrong(row: Row, found: Value[Any], error: Exception) -> str:
    # Python's own texts ("invalid literal for int()") say less than what the value must be.
    detail = f" ({error})" if isinstance(error, Unfit) else ""
    must = f"it must be {row.kind.must}{detail}"
    return f"{found.source} is {shown(found.value)}: {must}. Correct or remove it."


def shown(value: object) -> str:
    """A value as it is shown in a message: short, and without what may be a password."""
    plain = address.scrubbed(value) if isinstance(value, str) else value
    text = json.dumps(plain, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _unfamiliar(kind: Kind, value: Value[Any]) -> list[str]:
    if not kind.familiar:
        return []
    return [
        f"{value.source} names {shown(name)}, which is not among {', '.join(sorted(kind.familiar))}."
        f"{nearest(name, kind.familiar)}"
        for name in names_in(value.value)
        if name not in kind.familiar
    ]
