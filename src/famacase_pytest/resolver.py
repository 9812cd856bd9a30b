"""From a name in the settings to a class or an object of the team's own code."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from .errors import PASSING, SettingsError, closest

T = TypeVar("T")


def resolve_class(name: str, base: type[T], *, setting: str, directory: Path) -> type[T]:
    """Find the class that a setting names.

    Five forms are taken: a file with and without its extension (``clients/own_client.py``,
    ``clients/own_client``), an absolute file, ``package.Class``, and a full dotted path. Where no class is
    named it is the one called like the file in PascalCase, else the single subclass that is defined there.

    Args:
        name: as the setting has it.
        base: what the class must extend.
        setting: where the name stands, for messages.
        directory: where relative files begin, usually where pytest was started; modules are found there too.

    Raises:
        SettingsError: there is no such class, it cannot be imported, or it does not extend `base`.
    """
    found = load(name, setting=setting, directory=directory)
    if isinstance(found, ModuleType):
        found = _class_in(found, base, name, setting)
    if not inspect.isclass(found) or not issubclass(found, base):
        raise SettingsError(
            f"{setting} is {name!r}, which is no subclass of {base.__module__}.{base.__name__}: it cannot be "
            "used. Extend that class."
        )
    if inspect.isabstract(found):
        left = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise SettingsError(f"{setting} is {name!r}, which does not implement {left}: write what is missing.")
    return found


def load(name: str, *, setting: str, directory: Path, known: Collection[str] = ()) -> object:
    """Import what a name stands for: the module of a file, a module, or an object in a module.

    Arguments and exceptions as for `resolve_class`; ``known`` are other names that may have been meant.
    """
    file = _file(name, directory)
    try:
        if file is not None:
            return _module_of(file)
        return _object_at(name, directory, known)
    except PASSING:
        raise
    except BaseException as error:  # the code of others may raise anything
        reason = str(error) if isinstance(error, _NotFound) else f"{type(error).__name__}: {error}"
        raise SettingsError(
            f"{setting} is {name!r}, which cannot be imported ({reason}): it cannot be used. Give a file, "
            f"relative to {directory} or absolute, or a dotted path such as package.Class."
        ) from error


class _NotFound(Exception):
    """A name stands for nothing."""


def _file(name: str, directory: Path) -> Path | None:
    """The file that a name stands for, or None if it is a dotted path."""
    path = directory / Path(name).expanduser()
    for candidate in (path, path.with_name(f"{path.name}.py")):
        if candidate.suffix == ".py" and candidate.is_file():
            return candidate.resolve()
    return None


def _module_of(file: Path) -> ModuleType:
    """Import a file under a name of its own, once: what it defines is the same class for all who name it."""
    name = f"{file.stem}_{hashlib.sha256(os.fsencode(file)).hexdigest()[:8]}"
    known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    # What lies beside it is imported from there, as when it is run as a script.
    _append(file.parent)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _object_at(path: str, directory: Path, known: Collection[str]) -> object:
    """The module at a dotted path, or the object in the longest part of it that is a module."""
    if not all(part.isidentifier() for part in path.split(".")):
        raise _NotFound("there is no such file, and it is no dotted path")
    _append(directory)
    importlib.invalidate_caches()
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            found: object = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Only that this very module is missing: one that it imports in vain is an error of its own.
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                continue
            raise
        for part in parts[length:]:
            if not hasattr(found, part):
                raise _NotFound(f"{module} has no {part}{_nearest(part, dir(found))}")
            found = getattr(found, part)
        return found
    raise _NotFound(f"there is no module {parts[0]}{_nearest(path, known)}")


def _nearest(name: str, known: Collection[str]) -> str:
    found = closest(name, known)
    return f"; did you mean {found}?" if found else ""


def _append(directory: Path) -> None:
    """Let modules be imported from a directory, after all others."""
    if str(directory) not in sys.path:
        sys.path.append(str(directory))


def _class_in(module: ModuleType, base: type[T], name: str, setting: str) -> object:
    """The class that a module is there for."""
    stem = Path(module.__file__).stem if module.__file__ else module.__name__.rpartition(".")[2]
    called = getattr(module, "".join(f"{word[:1].upper()}{word[1:]}" for word in stem.split("_")), None)
    if inspect.isclass(called):
        return called
    found = {
        entry
        for entry in vars(module).values()
        if inspect.isclass(entry) and issubclass(entry, base) and entry.__module__ == module.__name__
    }
    if len(found) == 1:
        return found.pop()
    names = ", ".join(sorted(entry.__name__ for entry in found)) or "none"
    raise SettingsError(
        f"{setting} is {name!r}, and of the classes there that extend {base.__module__}.{base.__name__} one "
        f"has to be chosen ({names}): name it as in package.module.Class."
    )
