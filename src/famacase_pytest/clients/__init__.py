"""Back ends of a team's own, in the place of the REST calls; docs/backends.md."""

from __future__ import annotations

from ..delivery.api.base import ReportingClient
from ..delivery.api.multipart import PartUnreadable
from ..delivery.models import Part
from ..errors import Refused, Rejected, Unreachable
from .jsonl import JsonlClient, JsonlConfig

__all__ = [
    "JsonlClient",
    "JsonlConfig",
    "Part",
    "PartUnreadable",
    "Refused",
    "Rejected",
    "ReportingClient",
    "Unreachable",
]
