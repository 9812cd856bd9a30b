"""What upstream sees when it reads its configuration: our merged settings in the place of the process's own.

Upstream reads ``os.environ``, ``./qase.config.json`` and pytest's options. For the length of that one call
it is given views that hold the settings as merged from ``FAMACASE_*`` and ``QASE_*`` sources; the process
environment and the files stay as they are.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import io
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Callable

# The file that upstream asks for, in every release.
_FILE = "./qase.config.json"


class ConfigReader:
    """Stands around upstream's ``setup_config_manager``.

    Args:
        environ: the environment that upstream is to see.
        options: destinations of upstream's command-line options and their values.
        document: the merged configuration file, or None if there is none.
        owner: the pytest config of the session; another one, of a session inside a test, is left alone.

    Attributes:
        during: context in which the configuration's own patches stand; set by the installation of the
            patches.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        options: Mapping[str, Any],
        document: Mapping[str, Any] | None,
        owner: Any,
    ) -> None:
        self.environ = dict(environ)
        self._options = dict(options)
        self._document = document
        self._owner = owner
        self.during: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext

    def around(self, setup: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Upstream's ``setup_config_manager``, reading our settings."""

        def setup_config_manager(config: Any) -> Any:
            if config is not self._owner:
                return setup(config)
            with self.during():
                return setup(_ConfigView(config, self._options))

        return setup_config_manager

    def exists(self, path: Any) -> bool | None:
        """Whether the configuration file is there; None for any other path."""
        return self._document is not None if path == _FILE else None

    def open(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        """``open`` for upstream's reader: the merged file in the place of its own."""
        if path == _FILE and self._document is not None:
            return io.StringIO(json.dumps(self._document))
        return builtins.open(path, *args, **kwargs)


class OsView:
    """The module ``os`` with an environment and a configuration file of our own."""

    def __init__(self, module: Any, reader: ConfigReader) -> None:
        self._module = module
        self.environ = reader.environ
        self.path = _PathView(module.path, reader)

    def getenv(self, name: str, default: str | None = None) -> str | None:
        """As ``os.getenv``."""
        return self.environ.get(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _PathView:
    def __init__(self, module: Any, reader: ConfigReader) -> None:
        self._module = module
        self._reader = reader

    def exists(self, path: Any) -> bool:
        answer = self._reader.exists(path)
        return bool(self._module.exists(path)) if answer is None else answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _ConfigView:
    """Pytest's config with upstream's options as merged."""

    def __init__(self, config: Any, options: Mapping[str, Any]) -> None:
        self._config = config
        self.option = argparse.Namespace(**{**vars(config.option), **options})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)
