"""Files whose values are named with their line: JSON, in which ``//`` begins a comment, and YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ..errors import SettingsError

SUFFIXES = (".json", ".yaml", ".yml")

Location = tuple[Any, ...]
"""The keys that lead to a value."""

_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*', re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


class Located:
    """What a file holds, and where.

    Args:
        path: of the file. YAML needs PyYAML, which is imported for it alone.

    Attributes:
        content: as it was read.

    Raises:
        SettingsError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: Mapping[Location, int] = {}
        try:
            self.content, self._lines = _read(path)
        except ImportError:
            self.fail((), "YAML needs PyYAML: pip install pyyaml.")
        except RecursionError:
            self.fail((), "this contains itself, or is nested too deeply.")
        except (OSError, ValueError) as error:
            self._lines = {(): getattr(error, "lineno", 1)}
            self.fail((), f"this cannot be read: {error}.")

    def fail(self, location: Location, problem: str) -> NoReturn:
        """Raise SettingsError for what stands at a location."""
        line = self._lines.get(location, 1)
        raise SettingsError(f"{self.path}:{line}: {problem} No test runs before that is mended.")


def _read(path: Path) -> tuple[Any, dict[Location, int]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        text = _COMMENT.sub(lambda match: match[1] or "", text)
        return json.loads(text, strict=False), dict(_lines(text))
    import yaml

    try:
        return yaml.safe_load(text), dict(_yaml_lines(yaml.compose(text), (), yaml.SafeLoader("")))
    except yaml.YAMLError as error:
        # A character that no YAML has is met by the reader, which knows of no lines.
        mark = getattr(error, "problem_mark", None)
        line = mark.line if mark else 0
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise json.JSONDecodeError(problem or "no YAML", "\n" * line, line) from error


def _lines(text: str) -> Iterator[tuple[Location, int]]:
    """The line of each key and item of valid JSON."""
    # Of each object that is open the key, None before the first; of each list the index.
    keys: list[Any] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        is_key = bool(keys) and keys[-1] is None and token[0] == '"'
        if is_key:
            keys[-1] = json.loads(token, strict=False)
        if is_key or (keys and type(keys[-1]) is int and token not in "}],:"):
            yield tuple(keys), text.count("\n", 0, match.start()) + 1
        if token in "{[":
            keys.append(None if token == "{" else 0)
        elif token in "}]":
            keys.pop()
        elif token == ",":
            keys[-1] = keys[-1] + 1 if type(keys[-1]) is int else None


def _yaml_lines(node: Any, at: Location, loader: Any) -> Iterator[tuple[Location, int]]:
    for index, child in enumerate(node.value if node is not None and node.id != "scalar" else ()):
        key, value = child if node.id == "mapping" else (child, child)
        inner = (*at, _yaml_key(key, loader) if node.id == "mapping" else index)
        yield inner, key.start_mark.line + 1
        yield from _yaml_lines(value, inner, loader)


def _yaml_key(node: Any, loader: Any) -> Any:
    """A key as the content has it: a number, or true for ``on``. What merges mappings is no key at all."""
    is_text = node.tag.endswith((":str", ":merge", ":value"))
    return node.value if is_text else loader.construct_object(node)
