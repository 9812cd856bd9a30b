"""What the figures were measured on: without it they mean nothing."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

_DISTRIBUTIONS = ("famacase-pytest", "qase-pytest", "qase-python-commons", "pytest", "pytest-xdist")


def describe() -> dict[str, Any]:
    """Date, machine, load, versions, and which of the two plugins pytest loads first by itself."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in _DISTRIBUTIONS},
        },
        "loaded_first": _loaded_first(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.machine()
    return platform.machine()


def _loaded_first() -> str:
    """The first of the two in the order of pytest's own search for plugins: that of directory entries."""
    names = (distribution.metadata["Name"] for distribution in distributions())
    return next(name for name in names if name in ("famacase-pytest", "qase-pytest"))


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
