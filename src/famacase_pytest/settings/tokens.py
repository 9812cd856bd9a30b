"""Tokens: where they may stand, which one belongs to a project, and that none is ever shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from .sources import Inputs, Source, Value, candidates, given, meant_for_famacase, meant_for_qase
from .table import BY_NAME

TOKEN_PLACEHOLDER = "famacase-holds-the-token"
"""What upstream is given in place of a token: it checks that there is one, and writes it into debug logs."""

_LONGEST_FILE = 64 * 1024
_RECOGNISABLE = 8
"""Characters from which on a token is searched for inside other text; a shorter one would match by chance."""


@dataclass(frozen=True)
class _Held:
    """A token as a source holds it, or what is wrong with it."""

    source: Source
    token: str = field(default="", repr=False)
    problem: str = ""


@dataclass(frozen=True)
class Tokens:
    """The tokens of a session. Neither `repr` nor `str` nor an error shows one.

    What is wrong with a token is an error when it is asked for: a session that sends nothing needs none.
    """

    _general: _Held | None = field(default=None, repr=False)
    _by_project: Mapping[str, _Held] = field(default_factory=dict, repr=False)
    _problem: str = field(default="", repr=False)
    _known: frozenset[str] = field(default=frozenset(), repr=False)

    def for_project(self, code: str) -> str:
        """The token for a project.

        Raises:
            SettingsError: there is none, or the one that counts cannot be used.
        """
        held = self._held(code)
        if self._problem:
            raise SettingsError(self._problem)
        if held is None:
            raise SettingsError(_missing(code))
        if held.problem:
            raise SettingsError(held.problem)
        return held.token

    def source_for(self, code: str) -> Source | None:
        """Where the token for a project stands, or None if there is none."""
        held = self._held(code)
        return held.source if held else None

    def secrets(self) -> frozenset[str]:
        """Every token that any source holds, also those that lose: what must not appear in any output."""
        return self._known

    def scrubbed(self, text: str) -> str:
        """The text with every token in it replaced."""
        for secret in sorted(self._known, key=len, reverse=True):
            if len(secret) >= _RECOGNISABLE:
                text = text.replace(secret, "***")
        return text

    def exposed_by(self, text: str) -> bool:
        """Whether a text is one of the tokens or contains one."""
        return text in self._known or self.scrubbed(text) != text

    def __bool__(self) -> bool:
        """Whether any source holds a token."""
        return bool(self._general or self._by_project or self._problem)

    def __str__(self) -> str:
        sources = [f"general: {self._general.source}"] if self._general else []
        sources += [f"{code}: {held.source}" for code, held in self._by_project.items()]
        return f"Tokens({'; '.join(sources) or 'none'})"

    __repr__ = __str__

    def _held(self, code: str) -> _Held | None:
        return self._by_project.get(code, self._general)


def read_tokens(inputs: Inputs) -> Tokens:
    """Gather the tokens; nothing is raised, errors wait until a token is asked for.

    Any Famacase token beats any Qase token. Within a layer REPORTER_TOKEN beats REPORTER_TOKEN_FILE, and that
    beats TESTOPS_API_TOKEN. A token of a project beats the general one.
    """
    by_project: dict[str, _Held] = {}
    problem = ""
    known = {str(value.value).strip() for value in _plain(inputs)}
    row = BY_NAME["REPORTER_TOKENS"]
    for value in candidates(row, inputs):
        try:
            tokens: Mapping[str, object] = row.kind.parse(value.value)
        except ValueError:
            problem = problem or _sentence(value.source, f"must be {row.kind.must}; its value is not shown")
            # No pair can be told from another, so all of the text counts as secret.
            known |= {part.strip() for part in str(value.value).replace("=", ",").split(",") if part.strip()}
            continue
        for code, token in tokens.items():
            held = _checked(Value(token, value.source), f"of project {code} ")
            known |= {str(token).strip()}
            by_project.setdefault(code, held)
    general = next(_general(inputs), None)
    held_general = _from(general, inputs) if general else None
    if held_general:
        known.add(held_general.token)
    return Tokens(held_general, by_project, problem, frozenset(known - {""}))


def _general(inputs: Inputs) -> Iterator[Value[Any]]:
    rows = [BY_NAME[name] for name in ("REPORTER_TOKEN", "REPORTER_TOKEN_FILE", "TESTOPS_API_TOKEN")]
    return chain(meant_for_famacase(rows, inputs), meant_for_qase(BY_NAME["TESTOPS_API_TOKEN"], inputs))


def _plain(inputs: Inputs) -> Iterator[Value[Any]]:
    """Values that are tokens themselves, rather than lead to one."""
    return chain.from_iterable(
        candidates(BY_NAME[name], inputs) for name in ("REPORTER_TOKEN", "TESTOPS_API_TOKEN")
    )


def _from(value: Value[Any], inputs: Inputs) -> _Held:
    if (
        "TOKEN_FILE" in value.source.name
        or "token-file" in value.source.name
        or "TokenFile" in value.source.name
    ):
        return _from_file(value, inputs.directory)
    return _checked(value, "")


def _from_file(value: Value[Any], directory: Path) -> _Held:
    source = value.source

    def wrong(what: str) -> _Held:
        return _Held(
            source, problem=f"{source} names the file {str(value.value)!r}, {what}: there is no token."
        )

    try:
        path = directory / Path(str(value.value).strip()).expanduser()
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except (OSError, RuntimeError, ValueError) as error:
        return wrong(f"which cannot be read ({getattr(error, 'strerror', None) or error})")
    if len(content) > _LONGEST_FILE:
        return wrong("which is too large to be one")
    try:
        lines = content.decode("utf-8-sig").split()
    except UnicodeDecodeError:
        return wrong("which is not text")
    if len(lines) != 1:
        return wrong("which is empty" if not lines else "which must hold the token alone, on one line")
    return _checked(Value(lines[0], source), "in the file ")


def _checked(value: Value[object], which: str) -> _Held:
    """The token, if it can be sent in a header; the message never shows it."""
    token = value.value.strip() if isinstance(value.value, str) else ""
    if not given(token):
        return _Held(
            value.source, problem=_sentence(value.source, f"holds no text as the token {which}".rstrip())
        )
    if not token.isprintable() or any(character.isspace() for character in token):
        what = f"holds a token {which}with spaces or control characters in it"
    elif not _sendable(token):
        what = f"holds a token {which}with characters that no HTTP header can carry"
    else:
        return _Held(value.source, token)
    return _Held(value.source, problem=_sentence(value.source, what))


def _sendable(token: str) -> bool:
    # RFC 9110, 5.5: what is beyond ASCII in a header's value is opaque, and mostly refused.
    return token.isascii()


def _sentence(source: Source, what: str) -> str:
    return f"{source} {what}: nothing could be sent. Copy the token again, without quotation marks."


def _missing(code: str) -> str:
    project = f" for project {code}" if code else ""
    return (
        f"No token{project} is set: nothing could be sent. Set FAMACASE_REPORTER_TOKEN, or "
        f"FAMACASE_REPORTER_TOKEN_FILE "
        f'(a file that holds it), or FAMACASE_REPORTER_TOKENS="{code or "CODE"}=...", or "famacase": '
        f'{{"reporterToken": ...}} or {{"tokens": {{"{code or "CODE"}": ...}}}} in famacase.config.json; '
        "FAMACASE_TESTOPS_API_TOKEN, --famacase-testops-api-token and testops.api.token count too."
    )
