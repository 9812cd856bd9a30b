"""Qase's generated API clients, not imported before somebody uses them.

Upstream's modules import them at their top, for their own transport: half a second of every session, of which
a session that reports to Famacase uses nothing. Where this package is loaded before upstream's plugin, the
imports of these two packages are answered with stand-ins, for as long as upstream itself is being imported.

What makes this safe:

- the packages leave ``sys.modules`` again, so whoever imports them gets the real ones;
- the few names that upstream's modules took from them are classes that know what they stand for. The first
  that is called or asked for anything puts the real ones in the place of all of them, in the same modules, so
  that upstream's own client works for whoever uses it;
- a session that does not report to Famacase has them put in place before it begins (``restore``).

Where upstream's plugin is loaded first, the controller has paid for the import already. Its xdist workers are
spared it all the same: they are asked to load this plugin first (``ask_workers``).
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# The generated clients. In all supported releases only ``qase.commons.loader`` and the modules of
# ``qase.commons.client`` import them at their top.
CLIENTS = ("qase.api_client_v1", "qase.api_client_v2")

# What an active session imports of upstream; the last one only inside a function, from c4.1.7 on.
_WANTED = ("qase.pytest.conftest", "qase.commons.client.api_v2_client")

# This plugin's name for pytest: its entry point's.
PLUGIN = "famacase"

_ADDOPTS = "PYTEST_ADDOPTS"
# In a worker that was asked: what _ADDOPTS was, after "=", or nothing if it was not set.
_ADDOPTS_BEFORE = "_FAMACASE_ADDOPTS_BEFORE"

# Names with a stand-in: module, name, stand-in.
_held: list[tuple[ModuleType, str, type]] = []


def load_sparing_clients() -> bool:
    """Import upstream without its generated clients; call it only if the session is sure to be active.

    What is imported already stays as it is: where upstream's plugin was loaded first, that is one of the two
    clients in newer releases, and both in older ones.

    Returns:
        False if there was nothing to spare.
    """
    wanted = [name for name in _WANTED if name not in sys.modules]
    spared = [name for name in CLIENTS if name not in sys.modules]
    if not (wanted and spared):
        return False
    before = set(sys.modules)
    try:
        with _answering(spared):
            for name in wanted:
                importlib.import_module(name)
    except ImportError:
        # Whoever imports upstream next, for real, gets the error where it belongs.
        _remember(before)
        restore()
        return False
    _remember(before)
    return True


def restore() -> None:
    """Put the real classes in the place of all stand-ins. Harmless when there are none."""
    held, _held[:] = list(_held), []
    for module, name, stand_in in held:
        if vars(module).get(name) is stand_in:
            setattr(module, name, _real(stand_in))


def ask_workers(specs: Sequence[Any], environ: MutableMapping[str, str]) -> None:
    """Have xdist start its workers with ``-p famacase``, if this process was not.

    The way is a variable of the worker's environment, which is as before when ``answered`` was called there:
    before any conftest, and long before any test.

    Args:
        specs: execnet's, of the workers to come.
        environ: of this process, which its workers inherit.
    """
    if not any(name in sys.modules for name in CLIENTS):
        return
    for spec in specs:
        # Another interpreter or another machine may not have this plugin.
        if spec.popen and not spec.python and not spec.via and _ADDOPTS not in spec.env:
            before = environ.get(_ADDOPTS)
            # In front: at the end it could be taken for the value of the last option.
            spec.env[_ADDOPTS] = f"-p {PLUGIN} {before or ''}".strip()
            spec.env[_ADDOPTS_BEFORE] = "" if before is None else f"={before}"


def answered(environ: MutableMapping[str, str]) -> None:
    """In a worker, put the variable back that ``ask_workers`` has changed."""
    before = environ.pop(_ADDOPTS_BEFORE, None)
    if before:
        environ[_ADDOPTS] = before[1:]
    elif before is not None:
        environ.pop(_ADDOPTS, None)


def _remember(before: set[str]) -> None:
    """Note which of upstream's modules hold stand-ins, of those that were imported since."""
    for name in set(sys.modules).difference(before):
        module = sys.modules[name]
        if name.startswith("qase."):
            _held.extend((module, key, value) for key, value in vars(module).items() if _stands_in(value))


class _StandIn(type):
    """The type of stand-ins: classes, since upstream's annotations name them."""

    def __new__(mcs, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> Any:
        """Called for a class that derives from a stand-in: it derives from the real one."""
        real = tuple(_real_of_all(base) if _stands_in(base) else base for base in bases)
        return type(real[0])(name, real, members)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real_of_all(cls)(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        # Such as typing asks every class for.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real_of_all(cls), name)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real_of_all(cls))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real_of_all(cls))


class _Module(ModuleType):
    """A module that has every name: each is a stand-in, made when it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # Not by calling the metaclass, whose instances are called for real objects.
        stand_in = type.__new__(_StandIn, name, (), {"__module__": self.__name__})
        setattr(self, name, stand_in)
        return stand_in


class _Finder(MetaPathFinder, Loader):
    """Answers the import of some packages and of everything in them, for one thread."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for what belongs to these packages."""
        if threading.get_ident() != self._thread:
            return None
        if not any(f"{fullname}.".startswith(f"{package}.") for package in self._packages):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that has every name."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to execute."""


@contextlib.contextmanager
def _answering(packages: Sequence[str]) -> Iterator[None]:
    finder = _Finder(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        _retire()


def _retire() -> None:
    """Let the real packages be found again."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name, module in list(sys.modules.items()):
        if isinstance(module, _Module):
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            # An import leaves the module in its parent too.
            if vars(sys.modules.get(parent, module)).get(child) is module:
                delattr(sys.modules[parent], child)


def _stands_in(value: Any) -> bool:
    return type(value) is _StandIn


def _real(stand_in: type) -> Any:
    return getattr(importlib.import_module(stand_in.__module__), stand_in.__name__)


def _real_of_all(stand_in: type) -> Any:
    """What a stand-in stands for; nobody meets another one afterwards, such as in an ``except`` clause."""
    # It may have happened while upstream was still being imported.
    _retire()
    restore()
    return _real(stand_in)
