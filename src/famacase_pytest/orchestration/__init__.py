"""Long tests made of repeated events. Imported only where ini keys or flags ask for it; needs no back end."""

from __future__ import annotations

from .reporter import ResultReporter

__all__ = ["ResultReporter"]
