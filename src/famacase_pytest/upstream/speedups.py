"""Upstream's hot spots: the same meaning, less time.

``docs/performance.md`` has the profiles that led here. Nothing depends on any of these replacements.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any, Callable

import pytest


def host_info_like(upstream: Callable[..., Any]) -> Callable[[str | None, str | None], dict[str, str]]:
    """What takes the place of upstream's ``get_host_info``.

    Args:
        upstream: upstream's own, for the names that it gives to two of the values.
    """
    renamed = _mentions(upstream.__code__, "packageManager")

    def get_host_info(framework: str | None, reporter_name: str | None) -> dict[str, str]:
        return host_info(framework, reporter_name, renamed=renamed)

    return get_host_info


def host_info(framework: str | None, reporter_name: str | None, *, renamed: bool = True) -> dict[str, str]:
    """What upstream tells about the machine and the versions, without starting a process.

    Upstream asks the ``pip`` on PATH, which may be that of another environment; this tells the versions of
    the environment that runs.

    Args:
        framework, reporter_name: distributions whose versions are wanted, or None.
        renamed: whether the versions of Python and pip are called ``language`` and ``packageManager``, as by
            newer releases, and not ``python`` and ``pip``.

    Returns:
        The keys of upstream's ``get_host_info``; an empty text where something is not known.
    """
    return {
        "system": platform.system().lower(),
        "machineName": platform.node(),
        "release": _without_prefix(platform.release()),
        "version": _without_prefix(_operating_system()),
        "arch": platform.machine(),
        "language" if renamed else "python": platform.python_version(),
        "packageManager" if renamed else "pip": _version("pip"),
        "framework": _version(framework),
        "reporter": _version(reporter_name),
        "commons": _version("qase-python-commons"),
        "apiClientV1": _version("qase-api-client"),
        "apiClientV2": _version("qase-api-v2-client"),
    }


def _version(distribution: str | None) -> str:
    if not distribution:
        return ""
    try:
        return _without_prefix(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return ""


def _without_prefix(version: str) -> str:
    # Upstream builds its headers from these and puts a "v" of its own before them.
    return version[1:] if version.startswith("v") else version


def _operating_system() -> str:
    if sys.platform == "linux":
        try:
            with open("/etc/os-release", encoding="utf-8") as file:
                for line in file:
                    if line.startswith("PRETTY_NAME="):
                        return line.partition("=")[2].strip().strip('"')
        except OSError:
            return platform.release()
    if sys.platform == "darwin":
        return platform.mac_ver()[0]
    if sys.platform == "win32":
        # The output of ``ver``, which upstream calls.
        return f"Microsoft Windows [Version {platform.version()}]"
    return platform.release()


def _mentions(code: CodeType, text: str) -> bool:
    """Whether a function has a text among its constants; the keys of a dict may stand there as one tuple."""
    return any(
        text == constant or (isinstance(constant, tuple) and text in constant) for constant in code.co_consts
    )


def real_time(upstream: Any) -> Any:
    """The clock to bind in the place of upstream's ``get_real_time``.

    Args:
        upstream: upstream's own static method, kept where libc cannot be loaded by handle.
    """
    clock = _libc_clock()
    return upstream if clock is None else staticmethod(clock)


def _libc_clock() -> Callable[[], float] | None:
    """A clock that no Python library can move, or None where libc cannot be loaded.

    ``CDLL(None)`` is the process itself, which has its C library loaded already, glibc and musl alike;
    upstream searches for the library's file by starting ``ldconfig``, at each call.
    """
    if sys.platform == "win32":
        return None
    try:
        import ctypes

        gettimeofday = ctypes.CDLL(None).gettimeofday
    except (ImportError, OSError, AttributeError):
        # No ctypes in this Python, one that is linked statically, a libc without the function.
        return None

    class Timeval(ctypes.Structure):
        _fields_ = (("seconds", ctypes.c_long), ("microseconds", ctypes.c_long))

    reference = ctypes.byref

    def clock() -> float:
        now = Timeval()
        gettimeofday(reference(now), None)
        return float(now.seconds + now.microseconds / 1e6)

    return clock


class DebugText:
    """Keeps a result from being serialised for a debug line that is not printed.

    Upstream's ``add_result`` begins with ``log_debug(f"Adding result {result}")``: the text, with all
    attachments in it, is made before the logger can say that nobody wants it. So the result is told that the
    next text made of it is that one. All other texts, and with debug on this one too, are as they were.
    """

    def __init__(self) -> None:
        self._next: Any = None

    def adding(self, upstream: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        """What takes the place of ``QaseCoreReporter.add_result``."""

        def add_result(reporter: Any, result: Any) -> None:
            if not reporter.reporter or getattr(reporter.logger, "debug", True):
                return upstream(reporter, result)
            self._next = result
            try:
                return upstream(reporter, result)
            finally:
                self._next = None

        return add_result

    def writing(self, upstream: Callable[..., str]) -> Callable[..., str]:
        """What takes the place of ``BaseModel.__str__``, of which results are the only ones meant."""

        def __str__(model: Any, *args: Any, **kwargs: Any) -> str:
            if self._next is model:
                self._next = None
                return "(not printed)"
            return upstream(model, *args, **kwargs)

        return __str__


DEBUG_TEXT = DebugText()


class _Marked:
    """A test item whose marks have been gone through; everything else is the item's own.

    Args:
        item: pytest's.
    """

    __slots__ = ("_by_name", "_item", "_marks")

    def __init__(self, item: Any) -> None:
        self._item = item
        self._marks = tuple(item.iter_markers())
        self._by_name: dict[str, list[Any]] = {}
        for mark in self._marks:
            self._by_name.setdefault(mark.name, []).append(mark)

    def iter_markers(self, name: str | None = None) -> Iterator[Any]:
        """As pytest's."""
        return iter(self._marks if name is None else self._by_name.get(name, ()))

    def get_closest_marker(self, name: str, default: Any = None) -> Any:
        """As pytest's."""
        found = self._by_name.get(name)
        return found[0] if found else default

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)


def starting(upstream: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """What takes the place of upstream's ``start_pytest_item``.

    It asks a dozen times for marks, and pytest goes through all marks of a test, its class, its module and
    its packages for each answer. They do not change in between.

    And it is called again when a test has ended, in case that the test is run once more. Where nobody can do
    that, the second result is made without what the marks say: it only takes, and loses, what is added to it
    before the next test.
    """
    from qase.commons.models.result import Result

    def start_pytest_item(plugin: Any, item: Any) -> None:
        if plugin._current_item is item and _runs_once(plugin, item.config):
            plugin.runtime.result = Result(title=item.name, signature="")
        else:
            upstream(plugin, _Marked(item))

    return start_pytest_item


_RUNS_ONCE: pytest.StashKey[bool] = pytest.StashKey()


def _runs_once(plugin: Any, config: pytest.Config) -> bool:
    """Whether only pytest itself runs tests; another plugin that implements the protocol may repeat them."""
    if _RUNS_ONCE not in config.stash:
        implementations = config.hook.pytest_runtest_protocol.get_hookimpls()
        config.stash[_RUNS_ONCE] = all(
            _is_pytests(implementation.plugin) or implementation.plugin is plugin
            for implementation in implementations
        )
    return config.stash[_RUNS_ONCE]


def _is_pytests(plugin: Any) -> bool:
    name = getattr(plugin, "__name__", None) or type(plugin).__module__
    return str(name).startswith("_pytest.")
