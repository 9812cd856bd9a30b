"""Upstream's hot spots: the same meaning, less time."""

from __future__ import annotations

import ctypes
import importlib.metadata
import platform
import sys
from typing import Any, Callable


def host_info(framework: str | None, reporter_name: str | None) -> dict[str, str]:
    """What upstream tells about the machine and the versions, without starting a process.

    Upstream asks the ``pip`` on PATH, which may be that of another environment; this tells the versions of
    the environment that runs.

    Args:
        framework, reporter_name: distributions whose versions are wanted, or None.

    Returns:
        The keys of upstream's ``get_host_info``; an empty text where something is not known.
    """
    return {
        "system": platform.system().lower(),
        "machineName": platform.node(),
        "release": platform.release(),
        "version": _operating_system(),
        "arch": platform.machine(),
        "language": platform.python_version(),
        "packageManager": _version("pip"),
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
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


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
        return platform.platform()
    return platform.release()


def _libc_clock() -> Callable[[], float] | None:
    """A clock that no Python library can move, or None where libc cannot be loaded.

    ``CDLL(None)`` is the process itself, which has its C library loaded already, glibc and musl alike;
    upstream searches for the library's file by starting ``ldconfig``, at each call.
    """
    if sys.platform == "win32":
        return None

    class Timeval(ctypes.Structure):
        _fields_ = (("seconds", ctypes.c_long), ("microseconds", ctypes.c_long))

    try:
        gettimeofday = ctypes.CDLL(None).gettimeofday
    except (OSError, AttributeError):
        return None
    reference = ctypes.byref

    def clock() -> float:
        now = Timeval()
        gettimeofday(reference(now), None)
        return float(now.seconds + now.microseconds / 1e6)

    return clock


def real_time(upstream: Any) -> Any:
    """The clock to bind in the place of upstream's ``get_real_time``.

    Args:
        upstream: upstream's own static method, kept where libc cannot be loaded by handle.
    """
    clock = _libc_clock()
    return upstream if clock is None else staticmethod(clock)
