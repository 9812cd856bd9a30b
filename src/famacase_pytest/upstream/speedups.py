"""Faster replacements for upstream's hot spots, with the same meaning.

``docs/performance.md`` has the profiles. Nothing depends on any of these replacements.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any, Callable

import pytest

from .views import View


def host_info_like(upstream: Callable[..., Any]) -> Callable[[str | None, str | None], dict[str, str]]:
    """Upstream's ``get_host_info``, without starting a process.

    Upstream asks the ``pip`` on PATH, which may belong to another environment. Here the versions are those of
    the running environment, or an empty text where one is not known.

    Args:
        upstream: upstream's own; newer releases call the versions of Python and pip ``language`` and
            ``packageManager``, older ones ``python`` and ``pip``.
    """
    renamed = _mentions(upstream.__code__, "packageManager")

    def get_host_info(framework: str | None, reporter_name: str | None) -> dict[str, str]:
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

    return get_host_info


def _version(distribution: str | None) -> str:
    if not distribution:
        return ""
    try:
        return _without_prefix(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return ""


def _without_prefix(version: str) -> str:
    # Upstream builds headers from these and adds its own "v".
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
    """Whether a text is among a function's constants, where the keys of a dict may be one tuple."""
    return any(
        text == constant or (isinstance(constant, tuple) and text in constant) for constant in code.co_consts
    )


def real_time(upstream: Any) -> Any:
    """Upstream's ``get_real_time``, without a search for the C library at each call.

    Args:
        upstream: upstream's own static method, returned if the C library cannot be loaded.
    """
    clock = _libc_clock()
    return upstream if clock is None else staticmethod(clock)


def _libc_clock() -> Callable[[], float] | None:
    """A clock that no Python library can move, or None if the C library cannot be loaded.

    ``CDLL(None)`` is the process itself, with its C library, glibc or musl. Upstream starts ``ldconfig`` to
    find the library's file, at each call.
    """
    if sys.platform == "win32":
        return None
    try:
        import ctypes

        gettimeofday = ctypes.CDLL(None).gettimeofday
    except (ImportError, OSError, AttributeError):
        # A Python without ctypes, a static one, or a C library without the function.
        return None

    class Timeval(ctypes.Structure):
        _fields_ = (("seconds", ctypes.c_long), ("microseconds", ctypes.c_long))

    def clock() -> float:
        now = Timeval()
        gettimeofday(ctypes.byref(now), None)
        return float(now.seconds + now.microseconds / 1e6)

    return clock


class DebugText:
    """Saves serialising a result for a debug line that is not printed.

    Upstream's ``add_result`` begins with ``log_debug(f"Adding result {result}")``, which serialises the
    result with all its attachments even if debug is off. With debug off, the first ``str()`` of the result
    during ``add_result`` returns a short text instead; every other one is unchanged.
    """

    def __init__(self) -> None:
        self._next: Any = None

    def adding(self, upstream: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        """Upstream's ``QaseCoreReporter.add_result``, which announces the result to ``writing``."""

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
        """Upstream's ``BaseModel.__str__``, except for the announced result."""

        def __str__(model: Any, *args: Any, **kwargs: Any) -> str:
            if self._next is model:
                self._next = None
                return "(not printed)"
            return upstream(model, *args, **kwargs)

        return __str__


DEBUG_TEXT = DebugText()


def starting(upstream: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Upstream's ``start_pytest_item``, with the item's marks collected once.

    Upstream asks for marks a dozen times, and each time pytest goes through all marks of the test, its class,
    its module and its packages. They do not change in between.

    Upstream also calls it when a test has ended, in case the test runs again. If no plugin can run it again,
    the second result is made without reading the marks: whatever is added to it is discarded.
    """
    from qase.commons.models.result import Result

    def start_pytest_item(plugin: Any, item: Any) -> None:
        if plugin._current_item is item and _runs_once(plugin, item.config):
            plugin.runtime.result = Result(title=item.name, signature="")
        else:
            upstream(plugin, _with_collected_marks(item))

    return start_pytest_item


def _with_collected_marks(item: Any) -> Any:
    marks = tuple(item.iter_markers())
    by_name: dict[str, list[Any]] = {}
    for mark in marks:
        by_name.setdefault(mark.name, []).append(mark)

    def iter_markers(name: str | None = None) -> Iterator[Any]:
        return iter(marks if name is None else by_name.get(name, ()))

    def get_closest_marker(name: str, default: Any = None) -> Any:
        return by_name[name][0] if name in by_name else default

    return View(item, iter_markers=iter_markers, get_closest_marker=get_closest_marker)


_RUNS_ONCE: pytest.StashKey[bool] = pytest.StashKey()


def _runs_once(plugin: Any, config: pytest.Config) -> bool:
    """Whether each test runs once: another plugin that implements the protocol may repeat tests."""
    if _RUNS_ONCE not in config.stash:
        implementations = config.hook.pytest_runtest_protocol.get_hookimpls()
        config.stash[_RUNS_ONCE] = all(
            _runs_none(implementation.plugin) or implementation.plugin is plugin
            for implementation in implementations
        )
    return config.stash[_RUNS_ONCE]


def _runs_none(plugin: Any) -> bool:
    """Whether a plugin is pytest's or our own, of which none runs a test once more."""
    name = getattr(plugin, "__name__", None) or type(plugin).__module__
    return str(name).startswith(("_pytest.", "famacase_pytest."))
