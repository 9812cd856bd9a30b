"""What can be said of the switch before pytest has read its command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .table import FAMACASE_FILE


def is_on(environ: Mapping[str, str], directory: Path) -> bool:
    """Whether environment and files alone switch reporting to Famacase on; False when in doubt.

    The command line can still switch it off.

    Args:
        environ: the process environment.
        directory: where ``famacase.config.json`` lies.
    """
    if not any(name.startswith("FAMACASE_") for name in environ) and not (directory / FAMACASE_FILE).exists():
        return False
    from ..errors import SettingsError
    from . import switch
    from .sources import Inputs, read_file

    try:
        inputs = Inputs(environ, {}, read_file(directory, FAMACASE_FILE), {}, directory)
    except SettingsError:
        return False  # said where the settings are resolved
    on, problem = switch.enabled(inputs)
    if problem or (on is not None and not on.value):
        return False
    decision = switch.decide(inputs, on)
    return decision.active and not decision.problem
