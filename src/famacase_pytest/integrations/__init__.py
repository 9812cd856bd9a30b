"""Integrations: what a team does with the results of a run beside reporting them; docs/integrations.md.

Importing this package imports none of those that come with it: each is imported when it is first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Integration, TestCase, TestResult, registry, totals

if TYPE_CHECKING:
    from .slack import Slack
    from .testrail import TestRail
    from .webhook import JsonWebhook

__all__ = [
    "Integration",
    "JsonWebhook",
    "Slack",
    "TestCase",
    "TestRail",
    "TestResult",
    "registry",
    "totals",
]

_MODULES = {"JsonWebhook": "webhook", "Slack": "slack", "TestRail": "testrail"}


def __getattr__(name: str) -> Any:
    """Import an integration of this package when it is first named."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
