"""Where values come from: the command line, the environment and two files. Each value keeps its source."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import SettingsError
from .table import BLOCK, FAMACASE_FILE, QASE_FILE, ROWS, Row, flag_of

T = TypeVar("T")

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"
FILE = "file"
PLUGIN = "plugin"
DEFAULT = "default"

FAMACASE = "famacase"
QASE = "qase"
PRECEDENCE = (
    (COMMAND_LINE, QASE),
    (COMMAND_LINE, FAMACASE),
    (ENVIRONMENT, FAMACASE),
    (ENVIRONMENT, QASE),
    (FILE, FAMACASE),
    (FILE, QASE),
    (PLUGIN, FAMACASE),
)
"""The places in which a value may stand, the strongest first, each with the product it is meant for."""


class Source(NamedTuple):
    """Where a value stands. As text it reads like "FAMACASE_MODE in the environment".

    Attributes:
        kind: COMMAND_LINE, ENVIRONMENT, FILE, PLUGIN or DEFAULT.
        name: of the flag, of the variable, or the path of the key.
        file: name of the file, for kind FILE; hook and plugin, for kind PLUGIN.
    """

    kind: str
    name: str = ""
    file: str = ""

    def __str__(self) -> str:
        if self.kind == DEFAULT:
            return "default"
        if self.kind in (FILE, PLUGIN):
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


class ConfigFiles:
    """The config files of one directory. Each is read when it is first needed, and only once.

    A file that is not there, or cannot be used, counts as empty.

    Args:
        directory: the current one, as for upstream.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._documents: dict[str, dict[str, Any]] = {}
        self._problems: dict[str, str] = {}
        self._versions: dict[str, object] = {}
        self._broken: list[str] = []

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name, without reading it."""
        return (self.directory / name).exists()

    def document(self, name: str) -> Mapping[str, Any]:
        """The content of a file.

        Args:
            name: FAMACASE_FILE or QASE_FILE.
        """
        if name not in self._documents:
            self._versions[name] = _version(self.directory / name)
            try:
                self._documents[name] = document = _read(self.directory / name)
                if name == QASE_FILE:
                    self._broken = list(_without_broken_blocks(document))
            except SettingsError as error:
                self._documents[name] = {}
                self._problems[name] = str(error)
        return self._documents[name]

    def problem(self, name: str) -> str:
        """Why a file cannot be used, "" if it can."""
        self.document(name)
        return self._problems.get(name, "")

    def passed_over(self) -> list[str]:
        """What is said of the Qase file, or of blocks of it, that cannot be used: no session ends for it."""
        problem = self.problem(QASE_FILE)
        return [problem] if problem else self._broken

    def is_current(self) -> bool:
        """Whether this is still the current directory, and what was read is still what the files hold.

        A conftest may write a file or change the directory before pytest is configured. Where the directory
        is gone there is nothing else to read.
        """
        try:
            directory = Path.cwd()
        except OSError:
            return True
        return self.directory == directory and all(
            _version(self.directory / name) == version for name, version in self._versions.items()
        )


class Defaults(NamedTuple):
    """What a plugin gives where no other source has a value.

    Attributes:
        document: as in `famacase.config.json`.
        source: the hook and the plugin, for messages.
    """

    document: Mapping[str, Any] = {}
    source: str = ""


@dataclass(eq=False, repr=False)
class Inputs:
    """All sources of a session's settings.

    Attributes:
        environ: the process environment.
        options: the namespace of pytest's command line.
        files: the config files; relative paths begin in their directory.
        defaults: what a plugin gives.
    """

    environ: Mapping[str, str]
    options: Mapping[str, object]
    files: ConfigFiles
    defaults: Defaults = field(default=Defaults())

    @property
    def famacase_file(self) -> Mapping[str, Any]:
        """Content of `famacase.config.json`."""
        return self.files.document(FAMACASE_FILE)

    @property
    def qase_file(self) -> Mapping[str, Any]:
        """Content of `qase.config.json`."""
        return self.files.document(QASE_FILE)

    def merged(self) -> dict[str, Any]:
        """`famacase.config.json` over `qase.config.json` over a plugin's defaults, without our own block."""
        below = merge(_of_upstream(self.defaults.document), self.qase_file)
        return merge(below, _of_upstream(self.famacase_file))


def given(value: object) -> bool:
    """Whether a value counts as set; an empty variable, flag or key does not, and neither does null."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def candidates(rows: Sequence[Row], inputs: Inputs, *products: str) -> Iterator[tuple[Row, Value[Any]]]:
    """Find the values for settings that mean the same, the strongest first, unparsed.

    Args:
        rows: settings; within one place the order of the rows decides.
        inputs: the sources. No more of them is read than the caller takes values.
        products: FAMACASE or QASE, for values that are meant for that one only; both if none is named.
    """
    for kind, product in PRECEDENCE:
        if products and product not in products:
            continue
        for row in rows:
            if row.own and product == QASE:
                continue
            value, source = _at(kind, product, row, inputs)
            if given(value):
                yield row, Value(value, source)


def strongest(row: Row, inputs: Inputs, *products: str) -> Value[Any] | None:
    """The value of a setting that wins, or None if no source has one; arguments as for `candidates`."""
    return next((value for _, value in candidates((row,), inputs, *products)), None)


def _at(kind: str, product: str, row: Row, inputs: Inputs) -> tuple[object, Source]:
    """What one place holds for a setting; None if nothing."""
    if kind == COMMAND_LINE:
        name = f"--{product}-{flag_of(row.destination)}"
        return inputs.options.get(f"{product}_{row.destination}"), Source(kind, name)
    if kind == ENVIRONMENT:
        name = f"{product.upper()}_{row.name}"
        return inputs.environ.get(name) if row.in_environment else None, Source(kind, name)
    if kind == PLUGIN:
        document, file = inputs.defaults
    else:
        file = FAMACASE_FILE if product == FAMACASE else QASE_FILE
        document = inputs.files.document(file)
    return look_up(document, row.path) if row.path else None, Source(kind, row.path, file)


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


def look_up(document: Mapping[str, Any], path: str) -> object:
    """The value at a dotted path, or None."""
    node: Any = document
    for key in path.split("."):
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return node


def blocks_of(rows: Sequence[Row]) -> set[str]:
    """The paths of all objects that lead to the keys of the given rows."""
    return {
        ".".join(row.path.split(".")[:depth]) for row in rows for depth in range(1, row.path.count(".") + 1)
    }


def broken_blocks(inputs: Inputs) -> Iterator[str]:
    """A message for each place where a file must have an object, and has something else."""
    documents = ((inputs.famacase_file, FAMACASE_FILE), inputs.defaults)
    for path in sorted(blocks_of(ROWS)):
        found = [(look_up(node, path), file) for node, file in documents]
        node, file = next((entry for entry in found if given(entry[0])), (None, ""))
        # Upstream passes over what is empty or null, whatever its kind.
        if node and not isinstance(node, Mapping):
            yield f"{path} in {file} must be an object, not {_json_kind(node)}: correct or remove it."


def _without_broken_blocks(document: dict[str, Any]) -> Iterator[str]:
    """Take what is no object out of the Qase file where one must be; what is said of each."""
    for path in sorted(blocks_of(ROWS)):
        *above, last = path.split(".")
        parent: Any = look_up(document, ".".join(above)) if above else document
        node = parent.get(last) if isinstance(parent, dict) else None
        if node and not isinstance(node, Mapping) and path.split(".")[0] != BLOCK:
            parent.pop(last)
            yield (
                f"{path} in {QASE_FILE} must be an object, not {_json_kind(node)}. It is passed over, as if "
                "it were not set."
            )


def _of_upstream(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != BLOCK}


def _version(path: Path) -> object:
    """Something that differs once a file has been written, replaced or removed."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _read(path: Path) -> dict[str, Any]:
    consequence = "no settings could be read; correct the file or remove it."
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(
            f"{path.name} cannot be read ({error.strerror or error}): {consequence}"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path.name} is not UTF-8 (byte {error.start + 1}): {consequence}") from None
    if not text.strip():
        raise SettingsError(f"{path.name} is empty: {consequence}")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        what = f"{error.msg}{_json_hint(text, error.pos)}"
        raise SettingsError(f"{path.name}, {place}: invalid JSON ({what}): {consequence}") from None
    except RecursionError:
        raise SettingsError(f"{path.name} is nested too deeply: {consequence}") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{path.name} must hold a JSON object, not {_json_kind(document)}: {consequence}")
    return document


def _json_hint(text: str, position: int) -> str:
    """What people often take for JSON, if it stands at the place of an error."""
    before, after = text[:position].rstrip(), text[position:].lstrip()
    if after.startswith(("//", "/*", "#")):
        return "; JSON has no comments"
    # Python names the place of the comma, or of what follows on it.
    if re.match(r",\s*[}\]]", after) or (before.endswith(",") and after[:1] in ("}", "]")):
        return "; JSON has no comma before a closing bracket"
    return "; JSON has double quotation marks" if after.startswith("'") else ""


def _copied(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _json_kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds = {list: "a list", str: "text", int: "a number", float: "a number", type(None): "null"}
    return kinds.get(type(value), "an object")
