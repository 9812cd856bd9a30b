"""What a back end says that does as the contract has it, with sockets (here) or without (`tests_unit`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Say:
    """An answer; `body` is sent as it is, `json_` as JSON."""

    status: int = 200
    json_: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def lawful(method: str, path: str) -> Say:
    """The answer to any call but an upload, whose path has no query."""
    if path.endswith("/environments"):
        return Say(200, [{"id": 3, "slug": "staging"}, {"id": 4, "slug": "production"}])
    if path.endswith("/cases"):
        return Say(200, {"case_ids": [1, 2, 3]})
    if path.endswith("/results"):
        return Say(201, body=b"") if method == "POST" else Say(200, {"total": 0, "results": []})
    if path.endswith("/complete"):
        return Say(200, body=b"")
    if path.endswith("/public"):
        return Say(200, {"url": "https://famacase.example.com/r/1"})
    return Say(201, {"id": 7, "code": "SMOKE"})
