"""Results of suites written for qase-pytest, delivered to a Famacase back end.

The package is a pytest plugin: installing it and setting ``FAMACASE_API_URL`` is all that a suite needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .integrations.base import Integration, registry

__version__ = "0.2.0"

__all__ = ["Integration", "__version__", "registry"]


def __getattr__(name: str) -> Any:
    """Import what only some suites name when they name it: each session imports this module."""
    if name not in ("Integration", "registry"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .integrations import base

    return getattr(base, name)
