"""What can be said of the settings before pytest has read its command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from .table import BY_NAME, FAMACASE_FILE, QASE_FILE


class Early(NamedTuple):
    """What environment and files alone say; the command line can still say otherwise.

    Attributes:
        on: whether reporting to Famacase is switched on; False when in doubt.
        reports: whether, if so, a mode is set that needs the back end.
    """

    on: bool = False
    reports: bool = False


def look(environ: Mapping[str, str], directory: Path) -> Early:
    """Read environment and files; what is wrong with them is said where the settings are resolved.

    Args:
        environ: the process environment.
        directory: where the files lie.
    """
    if not any(name.startswith("FAMACASE_") for name in environ) and not (directory / FAMACASE_FILE).exists():
        return Early()
    from ..errors import SettingsError
    from . import switch
    from .kinds import NEEDS_BACKEND
    from .sources import Inputs, read_file, strongest

    try:
        ours, theirs = (read_file(directory, name) for name in (FAMACASE_FILE, QASE_FILE))
    except SettingsError:
        return Early()
    inputs = Inputs(environ, {}, ours, theirs, directory)
    on, problem = switch.enabled(inputs)
    if problem or (on is not None and not on.value):
        return Early()
    decision = switch.decide(inputs, on)
    if not decision.active or decision.problem:
        return Early()
    found = (strongest(BY_NAME[name], inputs) for name in ("MODE", "FALLBACK"))
    modes = {str(value.value).strip().lower() for value in found if value is not None}
    return Early(on=True, reports=bool(modes & NEEDS_BACKEND))
