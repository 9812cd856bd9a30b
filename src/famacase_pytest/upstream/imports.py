"""Qase's generated API clients are imported only when something uses them.

Upstream imports them with its own transport. That takes half a second of every session, and a session that
reports to Famacase uses none of it. If this package is loaded before upstream's plugin, stand-ins replace
these two packages while upstream is being imported.

Why this is safe:

- the stand-in packages leave ``sys.modules`` again, so that a later import gets the real ones;
- the names that upstream took from them are classes that know their real counterparts. The first use of one
  replaces all of them with the real ones, so that upstream's own client works;
- in a session that does not report to Famacase they are replaced before it begins (``restore``).

If upstream's plugin is loaded first, the controller has imported the clients already. Its xdist workers still
need not: they are asked to load this plugin first (``ask_workers``).
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import MutableMapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# In all supported releases, only ``qase.commons.loader`` and the modules of ``qase.commons.client`` import
# these at module level.
CLIENTS = ("qase.api_client_v1", "qase.api_client_v2")

# What an active session imports of upstream. Releases of the commons from 4.1.7 on import the last inside a
# function.
_WANTED = ("qase.pytest.conftest", "qase.commons.client.api_v2_client")

# The name of this plugin's entry point.
PLUGIN = "famacase"

_ADDOPTS = "PYTEST_ADDOPTS"
# In a worker that was asked: "=" and the former value of _ADDOPTS, or empty if it was not set.
_ADDOPTS_BEFORE = "_FAMACASE_ADDOPTS_BEFORE"

# The names of upstream's that are stand-ins: module, name, stand-in.
_held: list[tuple[ModuleType, str, type]] = []


def load_sparing_clients() -> bool:
    """Import upstream without its generated clients; call it only if the session is sure to be active.

    If upstream's plugin was loaded first, one of the two clients is imported already in newer releases, and
    both are in older ones. Those stay.

    Returns:
        Whether an import was spared.
    """
    wanted = [name for name in _WANTED if name not in sys.modules]
    spared = [name for name in CLIENTS if name not in sys.modules]
    if not (wanted and spared):
        return False
    before = set(sys.modules)
    failed = False
    sys.meta_path.insert(0, _Finder(spared))
    try:
        for name in wanted:
            importlib.import_module(name)
    except ImportError:
        failed = True
    finally:
        _retire()
    for name in set(sys.modules) - before:
        if name.startswith("qase."):
            module = sys.modules[name]
            _held.extend((module, key, value) for key, value in vars(module).items() if _stands_in(value))
    if failed:
        # The error is raised where upstream is imported next.
        restore()
    return not failed


def restore() -> None:
    """Replace all stand-ins with the real classes; does nothing if there are none."""
    held, _held[:] = list(_held), []
    for module, name, stand_in in held:
        if vars(module).get(name) is stand_in:
            setattr(module, name, _real(stand_in))


def ask_workers(specs: Sequence[Any], environ: MutableMapping[str, str]) -> None:
    """Have xdist start its workers with ``-p famacase``, unless this process was started so.

    This sets a variable of the workers' environment. ``answered`` restores it there before any conftest is
    loaded.

    Args:
        specs: execnet's, of the workers to come.
        environ: of this process; the workers inherit it.
    """
    if not any(name in sys.modules for name in CLIENTS):
        return
    for spec in specs:
        # Another interpreter or another machine may not have this plugin.
        if spec.popen and not spec.python and not spec.via and _ADDOPTS not in spec.env:
            before = environ.get(_ADDOPTS)
            # In front, since at the end it could become the value of the last option.
            spec.env[_ADDOPTS] = f"-p {PLUGIN} {before or ''}".strip()
            spec.env[_ADDOPTS_BEFORE] = "" if before is None else f"={before}"


def answered(environ: MutableMapping[str, str]) -> None:
    """In a worker, restore the variable that ``ask_workers`` has changed."""
    before = environ.pop(_ADDOPTS_BEFORE, None)
    if before:
        environ[_ADDOPTS] = before[1:]
    elif before is not None:
        environ.pop(_ADDOPTS, None)


class _StandIn(type):
    """The type of stand-ins, which are classes because upstream's annotations name them."""

    def __new__(mcs, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> Any:
        """Called for a class that derives from a stand-in; it derives from the real class instead."""
        real = tuple(_real_of_all(base) if _stands_in(base) else base for base in bases)
        return type(real[0])(name, real, members)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real_of_all(cls)(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        # The typing module asks every class for some of these.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real_of_all(cls), name)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real_of_all(cls))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real_of_all(cls))


class _Module(ModuleType):
    """A module that has every name; each is a stand-in, made at its first use."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # Calling the metaclass would end in its own __new__.
        stand_in = type.__new__(_StandIn, name, (), {"__module__": self.__name__})
        setattr(self, name, stand_in)
        return stand_in


class _Finder(MetaPathFinder, Loader):
    """Finds stand-ins for some packages and everything in them, on one thread."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for a module of these packages, else None."""
        if threading.get_ident() != self._thread:
            return None
        if not any(f"{fullname}.".startswith(f"{package}.") for package in self._packages):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A stand-in module."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has its names already."""


def _retire() -> None:
    """Remove the finder and the stand-in modules, so that the real packages are found again."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name, module in list(sys.modules.items()):
        if isinstance(module, _Module):
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            # An import also sets the module as an attribute of its parent.
            if vars(sys.modules.get(parent, module)).get(child) is module:
                delattr(sys.modules[parent], child)


def _stands_in(value: Any) -> bool:
    return type(value) is _StandIn


def _real(stand_in: type) -> Any:
    return getattr(importlib.import_module(stand_in.__module__), stand_in.__name__)


def _real_of_all(stand_in: type) -> Any:
    """The real class of a stand-in, after all stand-ins have been replaced, in ``except`` clauses too."""
    # Upstream may still be being imported.
    _retire()
    restore()
    return _real(stand_in)
