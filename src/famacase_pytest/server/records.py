"""What the local back end keeps, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Project:
    """A project of which somebody has the token."""

    id: int
    code: str


@dataclass(frozen=True)
class Run:
    """A run with its counts.

    Attributes:
        body: what `createRun` was given.
        created_at: Unix time in seconds; `completed_at` too, or None while the run is in progress.
        stats: number of results by status; a result without a status counts as "untested".
    """

    id: int
    project_id: int
    project_code: str
    body: dict[str, Any]
    created_at: float
    completed_at: float | None
    is_public: bool
    stats: dict[str, int]

    @property
    def status(self) -> str:
        return "in_progress" if self.completed_at is None else "completed"


@dataclass(frozen=True)
class StoredResult:
    """A result as it is kept: `id` in lower case, `body` the JSON text that goes back out."""

    id: str
    status: str | None
    body: str


@dataclass(frozen=True)
class Attachment:
    """An uploaded file. Its bytes are in the file room under `sha256`."""

    id: str
    file_name: str
    mime_type: str
    file_size: int
    sha256: str


@dataclass(frozen=True)
class Reference:
    """A mention of an attachment in a result, and where in the request it stands."""

    attachment_id: str
    where: tuple[Any, ...]
