"""Everything that depends on qase-pytest and qase-python-commons; no other package here imports them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

# The module of upstream's plugin, whatever name it was registered under.
PLUGIN_MODULE = "qase.pytest.conftest"

# The name of its entry point.
PLUGIN_ENTRY = "qase_pytest"

# The function of that module that reads the configuration.
_SETUP = "setup_config_manager"

# The modules that read the environment.
_READERS = ("qase.commons.config", "qase.commons.logger")


def is_loaded(pluginmanager: Any) -> bool:
    """Whether upstream's plugin takes part in the session; ``-p no:qase_pytest`` leaves it out."""
    return any(getattr(plugin, "__name__", None) == PLUGIN_MODULE for plugin in pluginmanager.get_plugins())


def await_configuration(config: Any, act: Callable[[], None], monkeypatch: Any) -> bool:
    """Have something done when upstream's plugin is about to read its configuration.

    Args:
        config: of the session; others are left alone.
        act: undoes the monkeypatch, too.
        monkeypatch: pytest's ``MonkeyPatch``.

    Returns:
        False if the installed release reads it in another way than those that are known.
    """
    plugin = sys.modules[PLUGIN_MODULE]
    code = getattr(getattr(plugin, "pytest_configure", None), "__code__", None)
    if not hasattr(plugin, _SETUP) or _SETUP not in getattr(code, "co_names", ()):
        return False
    setup = getattr(plugin, _SETUP)

    def act_before(configured: Any) -> Any:
        if configured is not config:
            return setup(configured)
        act()
        return getattr(plugin, _SETUP)(configured)

    monkeypatch.setattr(plugin, _SETUP, act_before)
    return True


def option_registration() -> Any:
    """Upstream's function that registers its command-line options, ``(parser, group) -> None``.

    If a release has moved it, the result registers nothing and the flags have no twins. That the release does
    not fit is reported when the patches are checked.
    """
    try:
        from qase.pytest.options import QasePytestOptions

        return QasePytestOptions.addoptions
    except (ImportError, AttributeError):
        return lambda parser, group: None


def modes() -> tuple[str, ...]:
    """The modes of the installed upstream; ``testops_multi`` came with qase-pytest 8."""
    from qase.commons.models.config.qaseconfig import Mode

    return tuple(mode.value for mode in Mode)


def environment_names() -> frozenset[str]:
    """The ``QASE_*`` variables that the installed upstream reads, as found in its compiled code."""
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
    """Let a session inside another one make its own plugin instance.

    Args:
        monkeypatch: pytest's ``MonkeyPatch``; undoing it restores the outer session's instance and run file.
    """
    from . import guards

    monkeypatch.setattr("qase.pytest.plugin.QasePytestPluginSingleton._instance", None)
    monkeypatch.setattr("qase.pytest.plugin.QasePytestPlugin.meta_run_file", guards.nowhere())


def leave_lock_file(monkeypatch: Any) -> None:
    """Keep a silenced upstream from making its lock file in the working directory under xdist.

    Args:
        monkeypatch: pytest's ``MonkeyPatch``.
    """
    from . import guards

    # An upstream that has moved the name is left alone.
    with contextlib.suppress(ImportError, AttributeError):
        monkeypatch.setattr("qase.pytest.plugin.FileLock", guards.NoLock)


def marks(id: Any = None, title: str = "", suite: str = "", fields: Any = None) -> list[Any]:
    """What upstream's decorators put on a test.

    Args:
        id: of its case, or a list of them.
        title: in the place of its name.
        suite: that it belongs to.
        fields: by name.
    """
    from qase.pytest import qase

    found = []
    if id:
        found.append(qase.id(id))
    if title:
        found.append(qase.title(title))
    if suite:
        found.append(qase.suite(suite))
    if fields:
        found.append(qase.fields(*fields.items()))
    return found
