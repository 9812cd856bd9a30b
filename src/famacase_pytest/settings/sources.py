"""Where values come from: the command line, the environment, two files; each value remembers its source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import SettingsError
from .table import BLOCK, FAMACASE_FILE, QASE_FILE, Row, flag_of

T = TypeVar("T")

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"
FILE = "file"
DEFAULT = "default"
LAYERS = (COMMAND_LINE, ENVIRONMENT, FILE)
"""The kinds of sources, the strongest first."""


class Source(NamedTuple):
    """Where a value stands, as a user would say it.

    Attributes:
        kind: COMMAND_LINE, ENVIRONMENT, FILE or DEFAULT.
        name: of the flag, of the variable, or the path of the key.
        file: name of the file, for kind FILE.
    """

    kind: str
    name: str = ""
    file: str = ""

    def __str__(self) -> str:
        if self.kind == DEFAULT:
            return "default"
        if self.kind == FILE:
            return f"{self.name} in {self.file}"
        return f"{self.name} {'on' if self.kind == COMMAND_LINE else 'in'} the {self.kind}"

    @property
    def of_qase(self) -> bool:
        """Whether the value was meant for Qase."""
        return self.file == QASE_FILE or self.name.startswith(("QASE_", "--qase-"))


BY_DEFAULT = Source(DEFAULT)


@dataclass(frozen=True)
class Value(Generic[T]):
    """A value and its source."""

    value: T
    source: Source


@dataclass(frozen=True)
class Inputs:
    """Everything that a session is told, before anything is made of it.

    Attributes:
        environ: the process environment.
        options: the namespace of pytest's command line.
        famacase_file: content of `famacase.config.json`, {} if there is none.
        qase_file: content of `qase.config.json`, {} if there is none.
        directory: where relative paths begin.
    """

    environ: Mapping[str, str] = field(repr=False)
    options: Mapping[str, object] = field(repr=False)
    famacase_file: Mapping[str, Any] = field(repr=False)
    qase_file: Mapping[str, Any] = field(repr=False)
    directory: Path

    def merged(self) -> dict[str, Any]:
        """`famacase.config.json` over `qase.config.json`, without our own block."""
        return merge(
            self.qase_file, {key: value for key, value in self.famacase_file.items() if key != BLOCK}
        )


def given(value: object) -> bool:
    """Whether a value says anything: an empty variable, flag or key counts as not set, and so does null."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def candidates(row: Row, inputs: Inputs) -> Iterator[Value[Any]]:
    """All values that the sources hold for one setting, the strongest first, as they stand there."""
    for prefix in ("famacase",) if row.own else ("qase", "famacase"):
        value = inputs.options.get(f"{prefix}_{row.destination}")
        if given(value):
            yield Value(value, Source(COMMAND_LINE, f"--{prefix}-{flag_of(row.destination)}"))
    if row.in_environment:
        for prefix in ("FAMACASE",) if row.own else ("FAMACASE", "QASE"):
            name = f"{prefix}_{row.name}"
            if given(inputs.environ.get(name)):
                yield Value(inputs.environ[name], Source(ENVIRONMENT, name))
    if row.path:
        yield from _in_files(row, inputs)


def strongest(row: Row, inputs: Inputs) -> Value[Any] | None:
    """The value that wins, or None if no source has one."""
    return next(candidates(row, inputs), None)


def meant_for_famacase(rows: Sequence[Row], inputs: Inputs) -> Iterator[Value[Any]]:
    """What Famacase's own sources hold for one of several settings that mean the same, the strongest first.

    Within a layer the order of `rows` decides: an address, say, has two names in each.
    """
    found = [value for row in rows for value in candidates(row, inputs) if not value.source.of_qase]
    # The sort is stable, so the order of rows stays within a layer.
    yield from sorted(found, key=lambda value: LAYERS.index(value.source.kind))


def meant_for_qase(row: Row, inputs: Inputs) -> Iterator[Value[Any]]:
    """What Qase's sources hold for a setting, the strongest first."""
    return (value for value in candidates(row, inputs) if value.source.of_qase)


def read_files(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read `famacase.config.json` and `qase.config.json`.

    Args:
        directory: the current one, as upstream has it.

    Raises:
        SettingsError: a file cannot be read, is not JSON, or is not an object; one line for each file.
    """
    documents, problems = [], []
    for name in (FAMACASE_FILE, QASE_FILE):
        try:
            documents.append(read_file(directory, name))
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("\n".join(problems))
    return documents[0], documents[1]


def read_file(directory: Path, name: str) -> dict[str, Any]:
    """Read one config file, {} if there is none; errors as `read_files`."""
    consequence = "no settings could be read; correct the file or remove it."
    try:
        content = (directory / name).read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{name} cannot be read ({error.strerror or error}): {consequence}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name} is not UTF-8 (byte {error.start + 1}): {consequence}") from None
    if not text.strip():
        raise SettingsError(f"{name} is empty: {consequence}")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"{name}, {place}: invalid JSON ({error.msg}): {consequence}") from None
    except RecursionError:
        raise SettingsError(f"{name} is nested too deeply: {consequence}") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{name} must hold a JSON object, not {_json_kind(document)}: {consequence}")
    return document


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one file over another, key by key; lists are replaced whole, null leaves what is below.

    Neither argument is changed, and the result shares no object with them.
    """
    result = {key: _copied(value) for key, value in below.items()}
    for key, value in above.items():
        lower = result.get(key)
        if isinstance(value, Mapping):
            result[key] = merge(lower if isinstance(lower, Mapping) else {}, value)
        elif value is not None or key not in result:
            result[key] = _copied(value)
    return result


def look_up(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    node: Any = document
    for key in path.split("."):
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return node


def broken_blocks(inputs: Inputs, rows: tuple[Row, ...]) -> list[str]:
    """Places where a file has something else than an object, though keys of the table stand below it."""
    problems = []
    merged = inputs.merged()
    parents = {row.path.rpartition(".")[0] for row in rows if "." in row.path}
    prefixes = {
        ".".join(path.split(".")[:depth]) for path in parents for depth in range(1, path.count(".") + 2)
    }
    for path in sorted(prefixes):
        own = path.split(".")[0] == BLOCK
        node = look_up(inputs.famacase_file if own else merged, path)
        # Upstream passes over what is empty or null, whatever its kind.
        if node and not isinstance(node, Mapping):
            file = FAMACASE_FILE if own or given(look_up(inputs.famacase_file, path)) else QASE_FILE
            problems.append(
                f"{path} in {file} must be an object, not {_json_kind(node)}: correct or remove it."
            )
    return problems


def _in_files(row: Row, inputs: Inputs) -> Iterator[Value[Any]]:
    files = [(FAMACASE_FILE, inputs.famacase_file), (QASE_FILE, inputs.qase_file)]
    for name, document in files[:1] if row.own else files:
        value = look_up(document, row.path)
        if given(value):
            yield Value(value, Source(FILE, row.path, name))


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _json_kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {list: "a list", str: "text", int: "a number", float: "a number", type(None): "null"}
    return kinds.get(type(value), "an object")
