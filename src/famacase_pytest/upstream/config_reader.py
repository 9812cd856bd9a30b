"""Upstream reads its configuration from our merged settings.

Upstream reads ``os.environ``, ``./qase.config.json`` and pytest's options. During that one call it is given
views with the settings merged from ``FAMACASE_*`` and ``QASE_*`` sources. The process environment and the
files are not changed.
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

from .views import View

# The path that upstream opens, in every release.
_FILE = "./qase.config.json"


class ConfigReader:
    """Wraps upstream's ``setup_config_manager``.

    Args:
        environ: the environment that upstream is to see.
        options: destinations of upstream's command-line options and their values.
        document: the merged configuration file, or None if there is none.
        owner: the pytest config of the session. Another config belongs to a session that runs inside a test,
            and is left alone.

    Attributes:
        during: context that applies the patches of the configuration; set by ``Installation``.
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
                option = argparse.Namespace(**{**vars(config.option), **self._options})
                return setup(View(config, option=option))

        return setup_config_manager

    def os_view(self, os: Any) -> Any:
        """The module ``os`` with our environment and our configuration file."""

        def exists(path: Any) -> bool:
            return self._document is not None if path == _FILE else bool(os.path.exists(path))

        return View(os, environ=self.environ, getenv=self.environ.get, path=View(os.path, exists=exists))

    def open(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        """``open`` for upstream's reader: its configuration file is the merged one."""
        if path == _FILE and self._document is not None:
            return io.StringIO(json.dumps(self._document))
        return builtins.open(path, *args, **kwargs)
