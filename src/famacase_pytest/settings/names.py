"""Warnings for names that no setting has, with the name that was probably meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..errors import closest
from .sources import Inputs, blocks_of, given
from .table import FAMACASE_FILE, OWN, ROWS, UPSTREAM

_OWN_VARIABLES = frozenset(f"FAMACASE_{row.name}" for row in OWN)
_VARIABLES = _OWN_VARIABLES | {f"FAMACASE_{row.name}" for row in UPSTREAM if row.in_environment}
_PATHS = frozenset(row.path for row in ROWS if row.path)
_BLOCKS = frozenset(blocks_of(ROWS))
# Editors look for "$schema"; blocks of other frameworks are for qase's reporters in other languages.
_FOREIGN = ("$schema", "framework.")


def is_own(variable: str) -> bool:
    """Whether a variable is one of our own, which upstream does not get."""
    return variable in _OWN_VARIABLES


def warnings(inputs: Inputs, known_upstream: Collection[str]) -> list[str]:
    """A warning for each name that nothing reads.

    Args:
        inputs: all sources.
        known_upstream: the `QASE_*` names that the installed upstream reads; empty if that is not known.
    """
    return [
        *_variables(inputs.environ, known_upstream),
        *_keys(inputs.famacase_file, FAMACASE_FILE),
        *_keys(*inputs.defaults),
    ]


def nearest(name: str, known: Collection[str], prefix: str = "") -> str:
    """The end of a message, such as " Did you mean mode?", or "" if no known name is near.

    Args:
        name: that nobody knows.
        known: those that there are.
        prefix: of all of them, which makes none nearer.
    """
    found = closest(name[len(prefix) :], [candidate[len(prefix) :] for candidate in known])
    return f" Did you mean {prefix}{found}?" if found else ""


def _variables(environ: Mapping[str, str], known_upstream: Collection[str]) -> Iterator[str]:
    twins = {"FAMACASE_" + name[len("QASE_") :] for name in known_upstream}
    # The timeout is read here too, so it has its effect with an upstream that does not know it.
    effective = _OWN_VARIABLES | twins | {"FAMACASE_TESTOPS_API_TIMEOUT"}
    for name, value in sorted(environ.items()):
        if not name.startswith("FAMACASE_") or not given(value) or name in effective:
            continue
        if name not in _VARIABLES:
            near = nearest(name, _VARIABLES | twins, "FAMACASE_")
            yield f"{name} in the environment is not a known setting.{near}"
        elif known_upstream:
            yield f"{name} in the environment has no effect: the installed qase-pytest does not read it."


def _keys(node: Mapping[str, Any], file: str, above: str = "") -> Iterator[str]:
    for key, value in node.items():
        path = f"{above}{key}"
        if path in _BLOCKS:
            if isinstance(value, Mapping):
                yield from _keys(value, file, f"{path}.")
        elif path not in _PATHS and not path.startswith(_FOREIGN):
            yield f"{path} in {file} is not a known setting.{nearest(path, _PATHS | _BLOCKS)}"
