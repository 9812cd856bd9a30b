"""All that knows qase-pytest and qase-python-commons; no other room imports them."""

from __future__ import annotations

import contextlib
import sys
from types import CodeType
from typing import Any

# Upstream's plugin: the module, whatever name it was registered under.
PLUGIN_MODULE = "qase.pytest.conftest"

# The modules that read the environment.
_READERS = ("qase.commons.config", "qase.commons.logger")


def is_loaded(pluginmanager: Any) -> bool:
    """Whether upstream's plugin takes part in the session; ``-p no:qase_pytest`` leaves it out."""
    return any(getattr(plugin, "__name__", None) == PLUGIN_MODULE for plugin in pluginmanager.get_plugins())


def option_registration() -> Any:
    """Upstream's own function that registers its command-line options, ``(parser, group) -> None``.

    Where a release has moved it, one that registers nothing: the flags have no twins then, and that the
    release is another one is said when its patches are checked.
    """
    try:
        from qase.pytest.options import QasePytestOptions

        return QasePytestOptions.addoptions
    except (ImportError, AttributeError):
        return lambda parser, group: None


def modes() -> tuple[str, ...]:
    """The modes that the installed upstream has; ``testops_multi`` came with qase-pytest 8."""
    from qase.commons.models.config.qaseconfig import Mode

    return tuple(mode.value for mode in Mode)


def environment_names() -> frozenset[str]:
    """The ``QASE_*`` variables that the installed upstream reads: the string constants of its readers'
    code.
    """
    names: set[str] = set()
    for module in _READERS:
        if module in sys.modules:
            for value in vars(sys.modules[module]).values():
                _collect(value, module, names)
    return frozenset(names)


def _collect(value: Any, module: str, names: set[str]) -> None:
    if getattr(value, "__module__", None) != module:
        return
    if isinstance(value, type):
        for member in vars(value).values():
            _collect(member, module, names)
    code = getattr(getattr(value, "__func__", value), "__code__", None)
    waiting = [code] if isinstance(code, CodeType) else []
    while waiting:
        for constant in waiting.pop().co_consts:
            if isinstance(constant, CodeType):
                waiting.append(constant)
            elif isinstance(constant, str) and constant.startswith("QASE_"):
                names.add(constant)


def set_aside_plugin_instance(monkeypatch: Any) -> None:
    """Let a session that begins inside another one make a plugin instance of its own.

    Args:
        monkeypatch: pytest's ``MonkeyPatch``; its undoing gives the outer session's instance, and its run
            file, back.
    """
    from . import guards

    _apply_row("plugin instance", monkeypatch)
    monkeypatch.setattr("qase.pytest.plugin.QasePytestPlugin.meta_run_file", guards.nowhere())


def leave_lock_file(monkeypatch: Any) -> None:
    """Keep upstream, which does not report, from making its lock file in the working directory under xdist.

    Args:
        monkeypatch: pytest's ``MonkeyPatch``.
    """
    # An upstream in which the row has moved stays as it is.
    with contextlib.suppress(ImportError, AttributeError):
        _apply_row("lock file", monkeypatch)


def _apply_row(name: str, monkeypatch: Any) -> None:
    """Apply a row of the table that needs no session's bindings."""
    from .patches import TABLE, apply

    for row in TABLE:
        if row.name == name:
            apply(row, monkeypatch, None)
