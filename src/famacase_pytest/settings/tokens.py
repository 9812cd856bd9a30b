"""Tokens: where they may stand and which one belongs to a project. None is ever shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from .sources import FAMACASE, QASE, Inputs, Source, Value, candidates, given
from .table import BY_NAME

TOKEN_PLACEHOLDER = "famacase-holds-the-token"
"""What upstream is given in place of a token: it checks that there is one, and writes it into debug logs."""

_QUOTES = "\"'`"
_LONGEST_FILE = 64 * 1024
_RECOGNISABLE = 8
"""Characters from which on a token is searched for inside other text; a shorter one would match by chance."""

_TOKEN, _TOKEN_FILE, _TOKENS, _QASE_TOKEN = (
    BY_NAME[name]
    for name in ("REPORTER_TOKEN", "REPORTER_TOKEN_FILE", "REPORTER_TOKENS", "TESTOPS_API_TOKEN")
)


@dataclass(repr=False)
class _Held:
    """A token as a source holds it, or what is wrong with it."""

    source: Source
    token: str = ""
    problem: str = ""


@dataclass(repr=False)
class Tokens:
    """The tokens of a session. Neither `repr` nor `str` nor an error shows one.

    What is wrong with a token is an error when it is asked for: a session that sends nothing needs none.
    """

    _general: _Held | None = None
    _by_project: Mapping[str, _Held] = field(default_factory=dict)
    _problem: str = ""
    _secrets: frozenset[str] = frozenset()

    def for_project(self, code: str) -> str:
        """The token for a project.

        Raises:
            SettingsError: there is none, or the one that counts cannot be used.
        """
        held = self._held(code)
        problem = self._problem or (held.problem if held else _missing(code))
        if problem or held is None:
            raise SettingsError(problem)
        return held.token

    def source_for(self, code: str) -> Source | None:
        """Where the token for a project stands, or None if there is none."""
        held = self._held(code)
        return held.source if held else None

    def scrubbed(self, text: str) -> str:
        """The text with every token in it replaced, also those of weaker sources."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= _RECOGNISABLE:
                text = text.replace(secret, "***")
        return text

    def exposed_by(self, text: str) -> bool:
        """Whether a text is one of the tokens or contains one."""
        return text in self._secrets or self.scrubbed(text) != text

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
    """Gather the tokens. Nothing is raised: errors wait until a token is asked for.

    Any Famacase token beats any Qase token. Within a layer REPORTER_TOKEN beats REPORTER_TOKEN_FILE, and that
    beats TESTOPS_API_TOKEN. A token of a project beats the general one.
    """
    by_project: dict[str, _Held] = {}
    problem = ""
    secrets = {str(value.value).strip() for _, value in candidates((_TOKEN, _QASE_TOKEN), inputs)}
    for _, value in candidates((_TOKENS,), inputs):
        try:
            tokens: Mapping[str, object] = _TOKENS.kind.parse(value.value)
        except ValueError:
            what = f"must be {_TOKENS.kind.must}; its value is not shown"
            problem = problem or _unusable(value.source, what)
            # No pair can be told from another, so all of the text counts as secret.
            secrets |= {part.strip() for part in str(value.value).replace("=", ",").split(",")}
            continue
        for code, token in tokens.items():
            secrets.add(str(token).strip())
            by_project.setdefault(code, _checked(token, value.source, f"of project {code} "))
    general = next(_general(inputs), None)
    if general:
        secrets.add(general.token)
    return Tokens(general, by_project, problem, frozenset(secrets - {""}))


def _general(inputs: Inputs) -> Iterator[_Held]:
    """The tokens that are good for all projects, the strongest first."""
    for product in (FAMACASE, QASE):
        for row, value in candidates((_TOKEN, _TOKEN_FILE, _QASE_TOKEN), inputs, product):
            yield _in_file(value, inputs) if row is _TOKEN_FILE else _checked(value.value, value.source)


def _in_file(value: Value[Any], inputs: Inputs) -> _Held:
    def unusable(what: str) -> _Held:
        problem = f"{value.source} names the file {str(value.value)!r}, {what}: there is no token."
        return _Held(value.source, problem=problem)

    try:
        path = inputs.files.directory / Path(str(value.value).strip()).expanduser()
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except (OSError, RuntimeError, ValueError) as error:
        return unusable(f"which cannot be read ({getattr(error, 'strerror', None) or error})")
    if len(content) > _LONGEST_FILE:
        return unusable("which is too large to be one")
    try:
        words = content.decode("utf-8-sig").split()
    except UnicodeDecodeError:
        return unusable("which is not text")
    if not words:
        return unusable("which is empty")
    if len(words) > 1:
        return unusable("which must hold the token alone, on one line")
    return _checked(words[0], value.source, "in the file ")


def _checked(value: object, source: Source, which: str = "") -> _Held:
    """The token, if it can be sent in a header; the message never shows it."""
    token = value.strip() if isinstance(value, str) else ""
    if not given(token):
        what = f"holds no text as the token {which}".rstrip()
    elif token[0] in _QUOTES or token[-1] in _QUOTES:
        what = f"holds a token {which}with quotation marks around it"
    elif not token.isprintable() or any(character.isspace() for character in token):
        what = f"holds a token {which}with spaces or control characters in it"
    elif not token.isascii():
        # RFC 9110, 5.5: what is beyond ASCII in a header's value is opaque, and mostly refused.
        what = f"holds a token {which}with characters that no HTTP header can carry"
    else:
        return _Held(source, token)
    return _Held(source, problem=_unusable(source, what))


def _unusable(source: Source, what: str) -> str:
    return f"{source} {what}: nothing could be sent. Copy the token again, without quotation marks."


def _missing(code: str) -> str:
    project = f" for project {code}" if code else ""
    example = code or "CODE"
    return (
        f"No token{project} is set: nothing could be sent. Set FAMACASE_REPORTER_TOKEN, or "
        "FAMACASE_REPORTER_TOKEN_FILE (a file that holds it), or "
        f'FAMACASE_REPORTER_TOKENS="{example}=...", or "famacase": {{"reporterToken": ...}} or '
        f'{{"tokens": {{"{example}": ...}}}} in famacase.config.json; FAMACASE_TESTOPS_API_TOKEN, '
        "--famacase-testops-api-token and testops.api.token count too."
    )
