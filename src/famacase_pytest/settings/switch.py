"""The switch: whether this session reports to Famacase, and to which address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from . import address
from .kinds import NEEDS_BACKEND
from .sources import (
    COMMAND_LINE,
    Inputs,
    Value,
    candidates,
    given,
    meant_for_famacase,
    meant_for_qase,
    strongest,
)
from .table import BY_NAME, FAMACASE_FILE, flag_of

HOW_TO_SET = (
    'Set FAMACASE_API_URL (or --famacase-api-url, or "famacase": {"apiUrl": ...} in famacase.config.json)'
)
_ENABLED = BY_NAME["ENABLED"]
_API_URL = BY_NAME["API_URL"]
_HOST = BY_NAME["TESTOPS_API_HOST"]
_MODE = BY_NAME["MODE"]
_FALLBACK = BY_NAME["FALLBACK"]


class Switch(NamedTuple):
    """What the switch says.

    Attributes:
        active: whether the session reports to Famacase.
        reason: why not, if it is not.
        address: normalised; None if none is known or the one given is in `problem`.
        problem: an error, or "".
        warning: a warning, or "".
    """

    active: bool
    reason: str = ""
    address: Value[str] | None = None
    problem: str = ""
    warning: str = ""


def enabled(inputs: Inputs) -> tuple[Value[bool] | None, str]:
    """What FAMACASE_ENABLED says (None: nothing), and what is wrong with it (or "")."""
    value = strongest(_ENABLED, inputs)
    if value is None:
        return None, ""
    try:
        return Value(_ENABLED.kind.parse(value.value), value.source), ""
    except ValueError:
        # Guessing here would send results to one place or the other.
        return None, (
            f"{value.source} is {value.value!r}: it must be {_ENABLED.kind.must}. It is not clear "
            f"where results "
            "should go; correct or remove it."
        )


def decide(inputs: Inputs, on: Value[bool] | None) -> Switch:
    """Look for an address.

    Args:
        inputs: with both files read.
        on: what FAMACASE_ENABLED says, if that is not false.
    """
    ours = next(meant_for_famacase((_API_URL, _HOST), inputs), None)
    if ours is None and on is None:
        return _without_address(inputs)
    switched_by = ours.source if ours else on.source if on else None
    override = next((value for value in candidates(_HOST, inputs) if _explicit(value)), None)
    if override is not None:
        return _checked(
            override,
            f"while {switched_by} switches reporting to Famacase: Famacase's results and token "
            f"would go to Qase. "
            "Remove the flag, or set FAMACASE_ENABLED=false to report to Qase.",
        )
    if ours is not None:
        return _checked(
            ours,
            "and not to Famacase: Famacase's token would go to Qase. Give the address of your Famacase "
            "back end; to report to Qase, remove it or set FAMACASE_ENABLED=false.",
        )
    theirs = next(meant_for_qase(_HOST, inputs), None)
    if theirs is None:
        return Switch(True)
    found = _checked(theirs, "")
    if found.address is None and _names_qase(theirs):
        return Switch(True, reason=f"{theirs.source} belongs to Qase and is not used")
    return found


def _explicit(value: Value[Any]) -> bool:
    return value.source.kind == COMMAND_LINE and value.source.of_qase


def _checked(value: Value[Any], refusal: str) -> Switch:
    """The address normalised; an error if it is malformed or belongs to Qase."""
    if not isinstance(value.value, str):
        return Switch(True, problem=f"{value.source} is not text: no back end is known. Give its address.")
    shown = address.scrubbed(value.value.strip())
    try:
        normal = address.normalise(value.value)
    except ValueError as error:
        return Switch(
            True, problem=f"{value.source} is {shown!r}: {error}. No back end is known; correct it."
        )
    if address.is_qase(address.host_of(normal)):
        return Switch(True, problem=f"{value.source} is {shown!r}, which belongs to Qase {refusal}".rstrip())
    return Switch(True, address=Value(normal, value.source))


def _names_qase(value: Value[Any]) -> bool:
    try:
        return address.is_qase(address.host_of(address.normalise(str(value.value))))
    except ValueError:
        return False


def _without_address(inputs: Inputs) -> Switch:
    """No address and no FAMACASE_ENABLED: Qase's session, unless only Famacase's settings want to report."""
    settings = list(_famacase_settings(inputs))
    if not settings:
        return Switch(False, reason="no Famacase setting is present")
    reason = "no Famacase address is set"
    listed = ", ".join(settings)
    theirs = _reporting(inputs, of_qase=True)
    if theirs is not None:
        return Switch(
            False,
            reason,
            warning=f"No Famacase address is set, so {listed} {_are(settings)} ignored and the "
            f"results go to Qase "
            f"({theirs.source} is {theirs.value}). {HOW_TO_SET} to report to Famacase, or remove "
            f"what is ignored.",
        )
    ours = _reporting(inputs, of_qase=False)
    if ours is not None:
        return Switch(
            False,
            reason,
            problem=f"{ours.source} is {ours.value}, but no Famacase address is set: the results "
            f"would go nowhere. "
            f"{HOW_TO_SET}, or FAMACASE_ENABLED=false to run without reporting.",
        )
    wanted = next((value for value in candidates(_MODE, inputs) if not value.source.of_qase), None)
    if wanted is not None and str(wanted.value).strip().lower() == "report":
        return Switch(
            False,
            reason,
            warning=f"No Famacase address is set, so {listed} {_are(settings)} ignored and no "
            f"report is written. "
            f"{HOW_TO_SET}, or FAMACASE_ENABLED=true to use them without a back end.",
        )
    return Switch(False, reason)


def _famacase_settings(inputs: Inputs) -> Iterator[str]:
    """The names of all Famacase settings that say something."""
    for dest, value in inputs.options.items():
        if dest.startswith("famacase_") and given(value):
            yield f"--famacase-{flag_of(dest[len('famacase_') :])}"
    for name, text in inputs.environ.items():
        if name.startswith("FAMACASE_") and given(text):
            yield name
    if inputs.famacase_file:
        yield FAMACASE_FILE


def _reporting(inputs: Inputs, *, of_qase: bool) -> Value[str] | None:
    """The mode or fallback of one family that talks to a back end, or None.

    Upstream passes over a mode that it does not know, and takes it in this spelling only.
    """
    # Upstream has no fallback that reports to Qase; one that reports to Famacase is a wish all the same.
    for row in (_MODE,) if of_qase else (_MODE, _FALLBACK):
        for value in candidates(row, inputs):
            if value.source.of_qase != of_qase:
                continue
            word = str(value.value) if of_qase else str(value.value).strip().lower()
            if word in NEEDS_BACKEND:
                return Value(word, value.source)
            if word in row.kind.schema["enum"]:
                break
    return None


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
