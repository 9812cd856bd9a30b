"""What upstream is given to read: an environment, one file, and the values of its flags.

Each setting stands in exactly one of the three, so upstream's own precedence cannot contradict ours:

- a winner from the command line in the flags;
- every other winner in the file, in the form that all supported releases read. Upstream applies variables
  one by one, and drops the rest after one that it cannot read (in c3.4.0-4.1.4 any batch size); values in
  its file that have been checked here do no such harm;
- in the environment the one setting that has no key in files, and variables that the table does not know.

None of them holds a real token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .address import without_scheme
from .names import is_own
from .sources import COMMAND_LINE, Inputs, Value, given
from .table import UPSTREAM, by_destination
from .tokens import TOKEN_PLACEHOLDER, Tokens

NO_HOST = "famacase.invalid"
"""The host for upstream in a mode without a back end: no network resolves it, where its default is Qase."""


@dataclass(repr=False)
class Overlay:
    """What upstream reads in place of the real sources.

    Attributes:
        environ: for `os.environ`: the process environment, without `FAMACASE_*` and without tokens.
        file: for the content of `qase.config.json`.
        options: values for the `qase_*` attributes of the namespace.
    """

    environ: dict[str, str]
    file: dict[str, Any]
    options: dict[str, Any]


def build(
    inputs: Inputs, values: Mapping[str, Value[Any]], address: Value[str] | None, tokens: Tokens
) -> Overlay:
    """Put each checked value where upstream reads it.

    Args:
        inputs: all sources.
        values: the winning values by row name, parsed.
        address: of the back end, normalised; None if there is none.
        tokens: those that must not appear.
    """
    environ = _environ(inputs, tokens)
    document = inputs.merged()
    options = _options(inputs)
    for row in UPSTREAM:
        if row.path:
            _remove(document, row.path)
        found = values.get(row.name)
        if found is None:
            continue
        if found.source.kind == COMMAND_LINE:
            plain = isinstance(found.value, (bool, int))
            options[f"qase_{row.destination}"] = found.value if plain else row.kind.to_text(found.value)
        elif row.path:
            _put(document, row.path, row.kind.to_file(found.value))
        else:
            environ[f"QASE_{row.name}"] = row.kind.to_text(found.value)
    document = {key: _without_tokens(value, tokens) for key, value in document.items()}
    host = without_scheme(address.value) if address else NO_HOST
    for name, value in (("host", host), ("token", TOKEN_PLACEHOLDER)):
        environ[f"QASE_TESTOPS_API_{name.upper()}"] = value
        options[f"qase_testops_api_{name}"] = value
        _put(document, f"testops.api.{name}", value)
    return Overlay(environ, document, options)


def _environ(inputs: Inputs, tokens: Tokens) -> dict[str, str]:
    """The environment with the variables that the table does not know; the others go into the file."""
    known = {f"QASE_{row.name}" for row in UPSTREAM if row.in_environment}
    result, twins = {}, {}
    for name, value in inputs.environ.items():
        if name.startswith("FAMACASE_"):
            twin = "QASE_" + name[len("FAMACASE_") :]
            if given(value) and twin not in known and not is_own(name):
                twins[twin] = value.strip()
        elif not name.startswith("QASE_") or (given(value) and name not in known):
            result[name] = value
    return {name: value for name, value in {**result, **twins}.items() if not tokens.exposed_by(value)}


def _options(inputs: Inputs) -> dict[str, Any]:
    """Flags that the table does not know, `--qase-*` over their twins."""
    result = {}
    for prefix in ("famacase_", "qase_"):
        for dest, value in inputs.options.items():
            name = dest[len(prefix) :]
            if dest.startswith(prefix) and given(value) and by_destination(name) is None:
                result[f"qase_{name}"] = value
    return result


def _remove(document: dict[str, Any], path: str) -> None:
    *blocks, last = path.split(".")
    node: Any = document
    for key in blocks:
        node = node.get(key) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(last, None)


def _put(document: dict[str, Any], path: str, value: object) -> None:
    *blocks, last = path.split(".")
    node = document
    for key in blocks:
        inner = node.get(key)
        if not isinstance(inner, dict):
            # Absent, or empty: anything else of another kind has been refused before.
            inner = node[key] = {}
        node = inner
    node[last] = value


def _without_tokens(value: object, tokens: Tokens) -> object:
    """Replace each text in a document that contains a token, under whatever key it stands."""
    if isinstance(value, dict):
        return {key: _without_tokens(item, tokens) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_tokens(item, tokens) for item in value]
    return TOKEN_PLACEHOLDER if isinstance(value, str) and tokens.scrubbed(value) != value else value
