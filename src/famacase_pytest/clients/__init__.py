"""Back ends of a team's own, in the place of the REST calls; docs/backends.md."""

from __future__ import annotations

from famacase_pytest.clients.jsonl import JsonlClient, JsonlConfig
from famacase_pytest.delivery.api.base import ReportingClient
from famacase_pytest.delivery.api.multipart import PartUnreadable
from famacase_pytest.delivery.models import Part
from famacase_pytest.errors import Refused, Rejected, Unreachable

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
