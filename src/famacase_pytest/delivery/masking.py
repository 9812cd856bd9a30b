"""Secret values in what is reported: where they are found, and how they are masked.

A value is secret by the name that it stands under, as ``FAMACASE_MASK`` has it, or as the value of a
variable that ``FAMACASE_MASK_ENV`` names. It is masked wherever it occurs in the same result, however it is
spelt there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import html
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable
from urllib.parse import quote, quote_plus, unquote_plus

MASKED = "***"

# Characters that a value must have to be masked in other texts.
_SHORTEST = 4

# Texts for the lack of a value.
_NOTHING = frozenset({"", "none", "null", "true", "false", "empty", "undefined"})

# Characters from which on a value is masked where only its beginning or its end is shown, as pytest does with
# long ones, and how many of them must be there.
_LONG = 64
_SHOWN = 16

# Levels of a value that are looked into.
_DEPTH = 8

# Members of a payload that are no text of the user's.
_FIXED = frozenset({"id", "parent_id", "status", "step_type", "param_groups", "testops_ids", "thread"})

# A text in quotes, which have backslashes if it is in a text that is quoted itself. Its end may be missing.
_QUOTED = re.compile(
    r"""[bBrRuU]{0,2}
    (?: (["\']) ( (?: \\. | (?!\1)[^\\] )* ) (?: \1 | \Z )
      | (\\+["\']) (.*?) (?: (?<!\\)\3 | \Z )
    )""",
    re.S | re.X,
)
_NUMBER = re.compile(r"-?\d[\d.eE+-]*")
_BRACKETS = {"[": "]", "{": "}", "(": ")"}


class Secrets:
    """The secret values of one result.

    Args:
        values: of any length; short ones are masked under their names alone.
        named: masks what stands under a secret name in a text.
        test_id: pytest's, of the parameters of the test.
        in_directory: the same as pytest has it in the names of directories, cut off somewhere.
    """

    def __init__(
        self, values: Iterable[str], named: Callable[[str], str], test_id: str = "", in_directory: str = ""
    ) -> None:
        kept = {value for value in values if len(value) >= _SHORTEST and value.lower() not in _NOTHING}
        self._named = named
        forms = {form for value in kept for form in _spellings(value)}
        if any(form in test_id for form in forms):
            forms.add(in_directory)
        self._spellings = _longest_first(forms)
        self._long = [value for value in kept if len(value) >= _LONG]

    def hide(self, text: str) -> str:
        """The text with what is secret masked."""
        return self._replaced(self._named(text), self._spellings)

    def hide_in_signature(self, text: str) -> str:
        """The same of a signature, in which upstream has the id of the test in small letters."""
        forms = {*self._spellings}
        forms |= {form.replace("/", "::") for form in forms}
        forms |= {form.lower().replace(" ", "_") for form in forms}
        return self._replaced(self._named(text), _longest_first(forms))

    def _replaced(self, text: str, spellings: Sequence[str]) -> str:
        for spelling in spellings:
            text = text.replace(spelling, MASKED)
        for value in self._long:
            text = _without_ends(text, value)
        return text


class Mask:
    """Finds what is secret in results.

    Args:
        names: whose values are secret, in any case of letters, with or without "-" and "_".
        variables: whose values are secret.
        environ: holds them, now or later.
    """

    def __init__(self, names: Sequence[str], variables: Sequence[str], environ: Mapping[str, str]) -> None:
        self._names = {_folded(name) for name in names} - {""}
        self._variables = tuple(variables)
        self._environ = environ
        self._of_variables: set[str] = set()
        self._of_test: frozenset[str] = frozenset()
        self._test_id = ""
        self._in_directory = ""
        any_name = "|".join("[-_]?".join(map(re.escape, name)) for name in sorted(self._names)) or "(?!)"
        self._member = re.compile(rf"""(?<![\w-])(\\*["'])?(?:{any_name})(?(1)\1)\s*[:=]\s*""", re.I)
        self._query = re.compile(
            rf"""((?:^|[?&;#])(?:{any_name})=)((?:[^&;#\s"'<>\\,]|,(?!\s))+)""", re.I | re.M
        )
        self._input = re.compile(rf"""((?<![\w-])(?:{any_name})\s*[:=]\s*)([^\s,;&"'\[{{(]+)""", re.I)
        self._parameter = re.compile(rf"(\{{(?:{any_name}):).*?(\}})(?=::|$)", re.I | re.S)
        self._look_at_variables()

    def test_started(self, name: str, params: Mapping[str, object], test_id: str) -> None:
        """Note the parameters of the test that runs now, since its result may show others' texts for them.

        Args:
            name: of the test, with the id.
            params: with their real values.
            test_id: pytest's id of them all, which is what a result may show.
        """
        self._of_test = frozenset(self._named_leaves(params))
        self._test_id = test_id
        # As in the names of temporary directories.
        self._in_directory = re.sub(r"\W", "_", name)[:30][len(name.partition("[")[0]) :]

    def secrets(self, payload: Mapping[str, Any], texts: Iterable[str] = ()) -> Secrets:
        """What is secret in a result.

        Args:
            payload: the contract's Result.
            texts: of its attachments.
        """
        self._look_at_variables()
        found = {*self._of_variables, *self._of_test}
        if self._names:
            shown = set(self._named_leaves(payload.get("params") or {}))
            # What pytest calls a value is no secret.
            found.update(text for text in shown if text not in self._test_id)
            found.update(self._named_leaves(payload.get("fields") or {}))
            for text in (*_texts(payload), *texts):
                found.update(self._in_text(text))
            for step in _steps(payload):
                found.update(self._named_leaves(step.get("data") or {}, above=False))
                found.update(match[2] for match in self._input.finditer(_input_of(step)))
        return Secrets(found, self._hide_named, self._test_id, self._in_directory)

    def masked(self, payload: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
        """The payload with what is secret masked; the given one is not changed."""
        masked: dict[str, Any] = self._without(payload, secrets, frozenset({"params", "fields"}))
        if masked.get("signature"):
            signature = self._parameter.sub(rf"\1{MASKED}\2", payload["signature"])
            masked["signature"] = secrets.hide_in_signature(signature)
        return masked

    def _look_at_variables(self) -> None:
        # A test may change them, and they are still secret.
        for name in self._variables:
            value = self._environ.get(name)
            if value:
                self._of_variables.add(value)

    def _is_secret(self, name: object) -> bool:
        return isinstance(name, str) and _folded(name) in self._names

    # Finding

    def _named_leaves(
        self, members: Mapping[Any, object], above: bool = True, depth: int = _DEPTH
    ) -> Iterator[str]:
        """The texts in the values of secret names; ``above`` is whether the uppermost names count."""
        for name, value in members.items():
            if above and self._is_secret(name):
                yield from _leaves(value)
            elif depth:
                for inner in _mappings(value):
                    yield from self._named_leaves(inner, depth=depth - 1)

    def _in_text(self, text: str) -> Iterator[str]:
        for begin, end in self._member_values(text):
            yield from _leaves_of_text(text[begin:end])
        for match in self._query.finditer(text):
            yield match[2]
            yield unquote_plus(match[2])

    def _member_values(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the values of secret members stand in a text, in JSON or as Python shows them."""
        at = 0
        while match := self._member.search(text, at):
            at = match.end()
            quoted = _QUOTED.match(text, at)
            if quoted:
                end = quoted.end()
            elif match[1]:
                end = _end_of_value(text, at)
            else:
                continue  # code, such as `password = ask()`
            if end > at:
                yield at, end
                at = end

    # Masking

    def _hide_named(self, text: str) -> str:
        if not self._names:
            return text
        parts, at = [], 0
        for begin, end in self._member_values(text):
            quoted = _QUOTED.fullmatch(text, begin, end)
            quote_mark = (quoted[1] or quoted[3]) if quoted else _quote_before(text, begin)
            parts += [text[at:begin], quote_mark, MASKED, quote_mark]
            at = end
        return self._query.sub(rf"\1{MASKED}", "".join([*parts, text[at:]]))

    def _without(
        self, value: Any, secrets: Secrets, blocks: Collection[str] = (), inside: bool = False
    ) -> Any:
        """A value of the payload, masked.

        Args:
            value: the value.
            secrets: of its result.
            blocks: members of it whose own members are masked by their names.
            inside: whether it is such a member, or below one.
        """
        if isinstance(value, str):
            return secrets.hide(value)
        if isinstance(value, Mapping):
            return {
                name: self._member_of(name, member, secrets, inside, inside or name in blocks)
                for name, member in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._without(item, secrets, (), inside) for item in value]
        return value

    def _member_of(self, name: str, value: Any, secrets: Secrets, named: bool, inside: bool) -> Any:
        if named and value is not None and self._is_secret(name):
            return MASKED
        if name in _FIXED and not named:
            return value
        if name == "data" and isinstance(value, Mapping) and not named:
            # A step's: its own members have the contract's names, and those below them the user's.
            data = {key: self._without(item, secrets, (), True) for key, item in value.items()}
            if isinstance(data.get("input_data"), str):
                data["input_data"] = self._input.sub(rf"\1{MASKED}", data["input_data"])
            return data
        return self._without(value, secrets, (), inside)


def _folded(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, member in value.items():
            if name not in _FIXED:
                yield from _texts(member)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _steps(owner: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting = list(owner.get("steps") or ())
    while waiting:
        step = waiting.pop()
        yield step
        waiting.extend(step.get("steps") or ())


def _input_of(step: Mapping[str, Any]) -> str:
    given = (step.get("data") or {}).get("input_data")
    return given if isinstance(given, str) else ""


def _mappings(value: object, depth: int = _DEPTH) -> Iterator[Mapping[Any, object]]:
    """The mappings in a value; a dataclass or a named tuple counts as one."""
    if isinstance(value, Mapping):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        yield value._asdict()
    elif isinstance(value, (list, tuple)) and depth:
        for item in value:
            yield from _mappings(item, depth - 1)


def _leaves(value: object, depth: int = _DEPTH) -> Iterator[str]:
    """The texts in the value of a secret name."""
    if isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, Mapping) and depth:
        for item in value.values():
            yield from _leaves(item, depth - 1)
    elif isinstance(value, (list, tuple, set, frozenset)) and depth:
        for item in value:
            yield from _leaves(item, depth - 1)
    elif value is not None:
        # The object's own code runs.
        with contextlib.suppress(Exception):
            yield str(value)


def _leaves_of_text(text: str) -> Iterator[str]:
    """The texts in a value that stands in a text."""
    found = False
    for match in _QUOTED.finditer(text):
        found = True
        content = match[2] if match[1] else match[4]
        yield content
        for _ in range(2):
            # As many levels as it was written at.
            if "\\" not in content:
                break
            try:
                content = json.loads(f'"{content}"', strict=False)
            except ValueError:
                content = re.sub(r"\\(.)", r"\1", content)
            yield content
    if not found:
        yield from _NUMBER.findall(text)


def _end_of_value(text: str, at: int) -> int:
    """The end of a number, or of what is in brackets; where it begins if it is neither."""
    number = _NUMBER.match(text, at)
    if number:
        return number.end()
    closing: list[str] = []
    place = at
    while place < len(text):
        quoted = _QUOTED.match(text, place)
        char = text[place]
        if quoted:
            place = quoted.end()
            continue
        if char in _BRACKETS:
            closing.append(_BRACKETS[char])
        elif closing and char == closing[-1]:
            closing.pop()
        place += 1
        if not closing:
            return place if char in _BRACKETS.values() else at
    return place if closing else at


def _quote_before(text: str, at: int) -> str:
    """The quote that the name of a member ends with."""
    match = re.search(r"""(\\*["'])\s*[:=]\s*$""", text[max(0, at - 40) : at])
    return match[1] if match else '"'


def _longest_first(spellings: Iterable[str]) -> list[str]:
    return sorted({one for one in spellings if len(one) >= _SHORTEST}, key=lambda one: (-len(one), one))


@functools.lru_cache(maxsize=256)
def _spellings(value: str) -> frozenset[str]:
    """The ways in which a text may be written in other texts."""
    raw = [value, *(line.strip() for line in value.splitlines() if len(line.strip()) >= 2 * _SHORTEST)]
    if "::" in value:
        # Upstream takes a test's id apart there, and at dots.
        raw += re.split(r"::|\.", value)
    found = set(raw)
    for text in raw:
        inner = [json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]]
        found.update(inner)
        found.update(json.dumps(one)[1:-1] for one in inner)
        found.update((repr(text)[1:-1], ascii(text)[1:-1], text.encode("unicode_escape").decode("ascii")))
        found.update((text.replace("\\", "\\\\"), text.replace("'", "\\'"), text.replace('"', '\\"')))
        found.update((html.escape(text), html.escape(text, quote=False)))
        found.update(re.sub(r"\W", "_", one) for one in (text, text.encode("unicode_escape").decode("ascii")))
        for percent in (quote(text, safe="", errors="replace"), quote(text, errors="replace")):
            found.update((percent, percent.replace("%20", "+"), _lower_percents(percent)))
        found.add(quote_plus(text, errors="replace"))
    return frozenset(found)


def _lower_percents(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def _without_ends(text: str, value: str) -> str:
    """A text in which no longer beginning or end of a long value is left."""
    head, tail = value[:_SHOWN], value[-_SHOWN:]
    at = 0
    while (at := text.find(head, at)) >= 0:
        size = _SHOWN
        while size < len(value) and text[at + size : at + size + 1] == value[size]:
            size += 1
        text = text[:at] + MASKED + text[at + size :]
        at += len(MASKED)
    at = 0
    while (at := text.find(tail, at)) >= 0:
        size = _SHOWN
        while size < len(value) and at and text[at - 1] == value[-size - 1]:
            at, size = at - 1, size + 1
        text = text[:at] + MASKED + text[at + size :]
        at += len(MASKED)
    return text
