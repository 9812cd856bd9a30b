"""The settings of a subcommand."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import wiring
from ..errors import SettingsError
from ..settings.model import Settings
from ..settings.resolve import resolve
from ..settings.sources import ConfigFiles
from ..summary import telling

if TYPE_CHECKING:
    from ..delivery.api.base import ReportingClient


@contextlib.contextmanager
def asking(settings: Settings) -> Iterator[ReportingClient]:
    """The calls to the back end; it is told if an answer takes long, so nothing may be printed meanwhile."""
    with telling(f"waiting for {settings.base_url}"), wiring.open_api(settings) as api:
        yield api


def command_settings(address: str | None = None) -> Settings:
    """Resolve the settings from the environment and the config files of the current directory.

    Args:
        address: of the command line; it beats all others.

    Raises:
        SettingsError: a value is wrong, or no address is set.
    """
    # Commands need neither a mode nor a project.
    no_tests = {"qase_mode": "off", "qase_fallback": "off", "famacase_api_url": address}
    resolution = resolve(os.environ, no_tests, ConfigFiles(Path.cwd()))
    if resolution.settings is not None and resolution.settings.debug.value:
        log = logging.getLogger("famacase_pytest")
        log.setLevel(logging.DEBUG)
        log.addHandler(logging.StreamHandler())
    for warning in resolution.warnings:
        print(f"famacase: {warning}", file=sys.stderr)
    if resolution.settings is None or resolution.settings.api_url is None:
        reason = f" ({resolution.reason})" if resolution.reason else ""
        raise SettingsError(
            f"No Famacase address is set{reason}: there is no back end to talk to. "
            "Set FAMACASE_API_URL, and FAMACASE_REPORTER_TOKEN with the project's token."
        )
    return resolution.settings
