"""The names of the vendor's client: ``famacase`` and ``famacase.pytest`` lead to ``qase.pytest``.

The vendor's client is the distribution FamacasePytest. It bundles a copy of qase-pytest under these names and
registers it as a pytest plugin of its own. Its suites run as they are with this package in its place. The
names are not in the wheel, since the files would clash with those of that distribution.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from . import PLUGIN_ENTRY

_PACKAGE = "famacase"
# The vendor's plugin: its module, and the name of its entry point. A suite may ask for it by either.
_PLUGIN_MODULE = "famacase.pytest.plugin"
_PLUGIN = "famacase_pytest"
_BELOW = ("famacase.pytest", _PLUGIN_MODULE)

SET_ASIDE = (
    "The distribution FamacasePytest is installed too. Its plugin is set aside, since everything would be "
    "reported twice, and what a suite imports from famacase is qase-pytest's. Remove it with: "
    "pip uninstall FamacasePytest"
)

MARKER = "famacase: known to the vendor's client, for suites that bear it; it has no effect"


def provide(pluginmanager: Any) -> bool:
    """Make the names importable, and keep the vendor's own client from reporting beside us.

    Args:
        pluginmanager: pytest's. If upstream's plugin is blocked there, the vendor's client was chosen to
            report, and is left alone.

    Returns:
        Whether the vendor's plugin would have taken part in the session.
    """
    installed = _is_installed()
    if installed and pluginmanager.is_blocked(PLUGIN_ENTRY):
        return False
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        # At the end, it is not asked before a module of this name was found nowhere else.
        sys.meta_path.insert(0 if installed else len(sys.meta_path), _Finder())
    return installed and _set_aside(pluginmanager)


def of_vendor(pluginmanager: Any) -> Any:
    """The vendor's plugin, None if it does not take part in the session."""
    for plugin in pluginmanager.get_plugins():
        if getattr(plugin, "__name__", None) == _PLUGIN_MODULE and not _is_ours(plugin):
            return plugin
    return None


def _is_installed() -> bool:
    """Whether the import path has the vendor's package; nothing of it is imported."""
    for finder in sys.meta_path:
        if not isinstance(finder, _Finder) and hasattr(finder, "find_spec"):
            spec = finder.find_spec(_PACKAGE, None)
            if spec is not None:
                places = spec.submodule_search_locations or ()
                return any(Path(place, "pytest", "plugin.py").is_file() for place in places)
    return False


def _set_aside(pluginmanager: Any) -> bool:
    """Take the vendor's plugin out of the session, or keep it from coming in; drop its modules."""
    wanted = not pluginmanager.is_blocked(_PLUGIN)
    plugin = of_vendor(pluginmanager)
    if plugin is not None:
        pluginmanager.unregister(plugin)
    pluginmanager.set_blocked(_PLUGIN)
    # What is imported from them would fill a plugin instance that reports nothing.
    for name, module in list(sys.modules.items()):
        if f"{name}.".startswith(f"{_PACKAGE}.") and not _is_ours(module):
            del sys.modules[name]
    return wanted


def _is_ours(module: object) -> bool:
    return isinstance(getattr(module, "__loader__", None), _Finder)


class _Finder(MetaPathFinder, Loader):
    """Finds the two packages, and an empty module in the place of the vendor's plugin."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for one of them, else None."""
        if fullname == _PACKAGE or (fullname in _BELOW and _is_ours(sys.modules[_PACKAGE])):
            return ModuleSpec(fullname, self, is_package=fullname != _PLUGIN_MODULE)
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Give a package the public names of upstream, and the name that the vendor has given to ``qase``."""
        if module.__name__ != _PLUGIN_MODULE:
            from qase import pytest as upstream

            public = {name: getattr(upstream, name) for name in upstream.__all__}
            vars(module).update(public, famacase=public["qase"], __all__=[*public, "famacase"])
