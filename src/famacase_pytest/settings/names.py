"""Which names are known, and what somebody who wrote another one may have meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .sources import Inputs, given
from .table import FAMACASE_FILE, OWN, ROWS, UPSTREAM

_OWN_VARIABLES = frozenset(f"FAMACASE_{row.name}" for row in OWN)
_VARIABLES = _OWN_VARIABLES | {f"FAMACASE_{row.name}" for row in UPSTREAM if row.in_environment}
_PATHS = frozenset(row.path for row in ROWS if row.path)
# Editors look for "$schema"; blocks of other frameworks are for qase's reporters in other languages.
_FOREIGN = ("$schema", "framework.")


def is_own(variable: str) -> bool:
    """Whether a variable is one of our own, which upstream does not get."""
    return variable in _OWN_VARIABLES


def warnings(inputs: Inputs, known_upstream: Collection[str]) -> list[str]:
    """A warning for each name that nobody reads.

    Args:
        inputs: what the session is told.
        known_upstream: the `QASE_*` names that the installed upstream reads; empty if that is not known.
    """
    return [*_variables(inputs, frozenset(known_upstream)), *_keys(inputs.famacase_file)]


def nearest(name: str, known: Collection[str]) -> str:
    """ " Did you mean ...?", or "" if no known name is near."""
    # Imported late: a session without a mistake does not need it.
    import difflib

    folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.75)
    return f" Did you mean {folded[found[0]]}?" if found else ""


def _variables(inputs: Inputs, known_upstream: frozenset[str]) -> Iterator[str]:
    twins = {"FAMACASE_" + name[len("QASE_") :] for name in known_upstream}
    # Read by this package, so it works with an upstream that does not know it.
    ours = _OWN_VARIABLES | {"FAMACASE_TESTOPS_API_TIMEOUT"}
    for name, value in sorted(inputs.environ.items()):
        if not name.startswith("FAMACASE_") or not given(value) or name in twins or name in ours:
            continue
        if name not in _VARIABLES:
            yield f"{name} in the environment is not a known setting.{nearest(name, _VARIABLES | twins)}"
        elif known_upstream:
            yield f"{name} in the environment has no effect: the installed qase-pytest does not read it."


def _keys(document: Mapping[str, Any]) -> Iterator[str]:
    blocks = {path.rpartition(".")[0] for path in _PATHS}
    known_blocks = {
        ".".join(block.split(".")[:depth]) for block in blocks for depth in range(1, block.count(".") + 2)
    }

    def walk(node: Mapping[str, Any], above: str) -> Iterator[str]:
        for key, value in node.items():
            path = f"{above}{key}"
            if path in _PATHS:
                continue
            if path in known_blocks:
                if isinstance(value, Mapping):
                    yield from walk(value, f"{path}.")
            elif not path.startswith(_FOREIGN):
                hint = nearest(path, _PATHS | (known_blocks - {""}))
                yield f"{path} in {FAMACASE_FILE} is not a known setting.{hint}"

    yield from walk(document, "")
