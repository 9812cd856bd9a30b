"""The switch: whether this session reports to Famacase, and to which address."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import SettingsError
from . import address
from .kinds import NEEDS_BACKEND
from .sources import COMMAND_LINE, FAMACASE, QASE, Inputs, Value, candidates, given, strongest
from .table import BLOCK, BY_NAME, FAMACASE_FILE, flag_of

HOW_TO_SET = (
    'Set FAMACASE_API_URL (or --famacase-api-url, or "famacase": {"apiUrl": ...} in famacase.config.json)'
)
_ENABLED = BY_NAME["ENABLED"]
_HOST = BY_NAME["TESTOPS_API_HOST"]
_MODE = BY_NAME["MODE"]
_TOKEN = BY_NAME["TESTOPS_API_TOKEN"]


class Decision(NamedTuple):
    """Whether the session reports to Famacase, and where to.

    Attributes:
        active: whether it does.
        reason: why not; if it does, why an address that Qase's settings give is not used, or "".
        address: normalised; None if none is known or the one given is in `problem`.
        enabled: the value of FAMACASE_ENABLED, None if it is not set.
        problem: what is wrong with the address, or "".
        warning: settings that have no effect, or "".
    """

    active: bool
    reason: str = ""
    address: Value[str] | None = None
    enabled: Value[bool] | None = None
    problem: str = ""
    warning: str = ""


def decide(inputs: Inputs) -> Decision:
    """Decide whether the session reports to Famacase.

    No file is read if a flag or a variable switches off: it may have any content then.

    Raises:
        SettingsError: FAMACASE_ENABLED is unclear, a file cannot be used, or a mode that only Famacase's
            settings ask for has no address. Of a session that does not report to Famacase,
            `qase.config.json` may have any content.
    """
    enabled = _enabled(inputs)
    if enabled is not None and not enabled.value:
        return Decision(False, f"{enabled.source} switches off", enabled=enabled)
    client = strongest(BY_NAME["CLIENT_CLASS"], inputs)
    if client is not None:
        # No host: outboxes are told apart by it, and nothing that is meant for one class goes to another.
        name = hashlib.sha256(str(client.value).encode()).hexdigest()[:16]
        address = Value(f"https://{name}.client.invalid", client.source)
        return Decision(True, address=address, enabled=enabled)
    ours = next((value for _, value in candidates((BY_NAME["API_URL"], _HOST), inputs, FAMACASE)), None)
    active = ours is not None or enabled is not None
    problem = inputs.files.problem(FAMACASE_FILE)
    if problem:
        # Both are reported at once.
        raise SettingsError("\n".join([problem, *inputs.files.passed_over()]))
    return _with_address(inputs, ours, enabled) if active else _without_address(inputs)


def _enabled(inputs: Inputs) -> Value[bool] | None:
    found = strongest(_ENABLED, inputs)
    if found is None:
        return None
    try:
        return Value(_ENABLED.kind.parse(found.value), found.source)
    except ValueError:
        # Guessing here would send results to one place or the other.
        raise SettingsError(
            f"{found.source} is {found.value!r}: it must be {_ENABLED.kind.must}. It is not clear where "
            "results should go; correct or remove it."
        ) from None


def _with_address(inputs: Inputs, ours: Value[Any] | None, enabled: Value[bool] | None) -> Decision:
    """Choose and check the address; `ours` is the strongest one from Famacase's sources."""
    theirs = strongest(_HOST, inputs, QASE)
    if theirs is not None and theirs.source.kind == COMMAND_LINE:
        switched_by = ours or enabled
        assert switched_by is not None
        refusal = (
            f"while {switched_by.source} switches reporting to Famacase: Famacase's results and token would "
            "go to Qase. Remove the flag, or set FAMACASE_ENABLED=false to report to Qase."
        )
        return _checked(theirs, enabled, refusal)
    if ours is not None:
        refusal = (
            "and not to Famacase: Famacase's token would go to Qase. Give the address of your Famacase back "
            "end; to report to Qase, remove it or set FAMACASE_ENABLED=false."
        )
        return _checked(ours, enabled, refusal)
    if theirs is None:
        return Decision(True, enabled=enabled)
    return _checked(theirs, enabled)


def _checked(value: Value[Any], enabled: Value[bool] | None, refusal: str = "") -> Decision:
    """Normalise the address.

    Args:
        value: the address as it was written.
        enabled: goes into the decision.
        refusal: what follows on "belongs to Qase"; "": an address of Qase counts as none.
    """
    decision = Decision(True, enabled=enabled)
    if not isinstance(value.value, str):
        what = f"{value.source} is not text: no back end is known. Give its address."
        return decision._replace(problem=what)
    shown = address.scrubbed(value.value.strip())
    try:
        normal = address.normalise(value.value)
    except ValueError as error:
        what = f"{value.source} is {shown!r}: {error}. No back end is known; correct it."
        return decision._replace(problem=what)
    if not address.is_qase(address.host_of(normal)):
        return decision._replace(address=Value(normal, value.source))
    if not refusal:
        return decision._replace(reason=f"{value.source} belongs to Qase and is not used")
    return decision._replace(problem=f"{value.source} is {shown!r}, which belongs to Qase {refusal}")


def _without_address(inputs: Inputs) -> Decision:
    """No address and no FAMACASE_ENABLED: Qase's session, unless only Famacase's settings want to report."""
    settings = list(_famacase_settings(inputs))
    if not settings:
        return Decision(False, "no Famacase setting is present", warning=_meant(inputs))
    decision = Decision(False, "no Famacase address is set")
    listed = f"{', '.join(settings)} {'is' if len(settings) == 1 else 'are'}"
    ignored = f"No Famacase address is set, so {listed} ignored"
    theirs = _reporting(inputs, QASE)
    if theirs is not None:
        return decision._replace(
            warning=f"{ignored} and the results go to Qase ({theirs.source} is {theirs.value}). {HOW_TO_SET} "
            "to report to Famacase, or remove what is ignored."
        )
    ours = _reporting(inputs, FAMACASE)
    if ours is not None:
        raise SettingsError(
            f"{ours.source} is {ours.value}, but no Famacase address is set: the results would go nowhere. "
            f"{HOW_TO_SET}, or FAMACASE_ENABLED=false to run without reporting."
        )
    mode = strongest(_MODE, inputs, FAMACASE)
    if mode is not None and str(mode.value).strip().lower() == "report":
        return decision._replace(
            warning=f"{ignored} and no report is written. {HOW_TO_SET}, or FAMACASE_ENABLED=true to use them "
            "without a back end."
        )
    return decision


def _meant(inputs: Inputs) -> str:
    """What to say of Qase's settings that name a Famacase back end, else "".

    A host outside qase.io may be a Qase of a company's own. Nobody is asked before the session is known to
    be for Famacase, so a host shows by its name alone, or by the form of the token beside it. A file is read
    only where a flag or a variable gives a host.
    """
    if not (inputs.environ.get("QASE_TESTOPS_API_HOST") or inputs.options.get("qase_testops_api_host")):
        return ""
    host, token = strongest(_HOST, inputs, QASE), strongest(_TOKEN, inputs, QASE)
    if host is None or not isinstance(host.value, str) or _reporting(inputs, QASE) is None:
        return ""
    try:
        name = address.host_of(address.normalise(host.value))
    except ValueError:
        return ""
    if address.is_qase(name) or not ("famacase" in name or (token and str(token.value).startswith("rep_"))):
        return ""
    return (
        f"{host.source} is {address.scrubbed(host.value.strip())!r}, which looks like a Famacase back end, "
        "but no Famacase setting is present: qase-pytest calls it as if it were Qase, and no result arrives. "
        "Set FAMACASE_ENABLED=true to report there, or FAMACASE_ENABLED=false to be told no more."
    )


def reporting_mode(inputs: Inputs) -> Value[str] | None:
    """The mode or fallback by which a session should report to Famacase, whether or not it can; else None."""
    with contextlib.suppress(SettingsError):
        enabled = _enabled(inputs)
        if enabled is not None and not enabled.value:
            return None
        ours = next(candidates((BY_NAME["API_URL"], _HOST), inputs, FAMACASE), None)
        if enabled is not None or ours is not None:
            mode = strongest(_MODE, inputs)
            word = str(mode.value).strip().lower() if mode is not None else ""
            return Value(word, mode.source) if mode is not None and word in NEEDS_BACKEND else None
    return _reporting(inputs, FAMACASE)


def _famacase_settings(inputs: Inputs) -> Iterator[str]:
    """The names of what is set for Famacase; integrations are there with and without it."""
    for dest, value in inputs.options.items():
        if dest.startswith("famacase_") and given(value) and dest != "famacase_integrations":
            yield f"--famacase-{flag_of(dest[len('famacase_') :])}"
    for name, text in inputs.environ.items():
        if name.startswith("FAMACASE_") and given(text) and name != "FAMACASE_INTEGRATIONS":
            yield name
    own = inputs.famacase_file.get(BLOCK)
    if set(inputs.famacase_file) - {BLOCK} or (own and set(own) != {"integrations"}):
        yield FAMACASE_FILE


def _reporting(inputs: Inputs, product: str) -> Value[str] | None:
    """The mode or fallback of one product's sources if it talks to a back end, or None."""
    # Upstream has no fallback that reports to Qase; one that reports to Famacase was asked for all the same.
    for row in (_MODE,) if product == QASE else (_MODE, BY_NAME["FALLBACK"]):
        for _, found in candidates((row,), inputs, product):
            # Upstream passes over a mode that it does not know, and knows this spelling only.
            word = str(found.value) if product == QASE else str(found.value).strip().lower()
            if word in NEEDS_BACKEND:
                return Value(word, found.source)
            if word in row.kind.schema["enum"]:
                break
    return None
