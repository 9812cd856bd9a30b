"""The client of the team's tracker: which class it is, and how it is configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from testbench_defect_service.clients.abstract_client import AbstractDefectClient
from testbench_defect_service.clients.utils import (
    load_client_config_from_path,
    load_toml_config_from_path,
)
from testbench_defect_service.models.config import DefectServiceConfig

from ..errors import SettingsError
from ..resolver import resolve_class
from ..settings.model import Defects

# The table of a service's own file that concerns it.
_SECTION = "testbench-defect-service"


class Tracker:
    """A tracker that is configured, and not asked anything yet.

    Args:
        settings: name the client's class and its configuration, or a file of the service that does.
        directory: where pytest was started.

    Raises:
        SettingsError: there is no such class, or its configuration is wrong.
    """

    def __init__(self, settings: Defects, directory: Path) -> None:
        config: object = settings.client_config.value if settings.client_config else {}
        source = str(settings.client_config.source) if settings.client_config else ""
        path: Path | None = None
        if settings.config is not None:
            source = f"{settings.config.source} ({settings.config.value})"
            service = _of_service(settings.config.value, source)
            name, named_by = service.client_class, source
            path = service.client_config_path
            config = service.client_config or {}
        if settings.client_class is not None:
            name, named_by = settings.client_class.value, str(settings.client_class.source)
        self._class: Any = resolve_class(
            name,
            AbstractDefectClient,
            setting=named_by,
            directory=directory,
        )
        kind = getattr(self._class, "CONFIG_CLASS", None)
        try:
            if kind is None:
                self._config = config
            elif path is not None:
                self._config = load_client_config_from_path(directory / path, kind)
            else:
                self._config = kind.model_validate(config)
        except Exception as error:
            raise SettingsError(
                f"{source or named_by}: the configuration of {self._class.__name__} is wrong "
                f"({_described(error)}): no defect could be filed. Correct it."
            ) from error

    def open(self) -> Any:
        """Make the client."""
        return self._class(self._config)


def _of_service(path: Path, source: str) -> DefectServiceConfig:
    try:
        return DefectServiceConfig.model_validate(load_toml_config_from_path(path)[_SECTION])
    except Exception as error:
        reason = f"there is no [{_SECTION}]" if isinstance(error, KeyError) else _described(error)
        raise SettingsError(
            f"{source} is no configuration of a TestBench Defect Service ({reason}): no defect is filed. "
            "Correct the file, or name a client by FAMACASE_DEFECTS_CLIENT_CLASS."
        ) from error


def _described(error: BaseException) -> str:
    """What is wrong, with the names of the fields."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors())
    return str(error.__cause__ or error)
