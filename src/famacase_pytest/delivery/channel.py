"""The one interface between a session and the back end, whichever way results take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .parts import Attachment


@dataclass(frozen=True)
class Parcel:
    """One result on its way.

    Args:
        payload: the contract's ``Result``; each attachment in it bears a ``Attachment.ref`` in the place of
            the
            id that the server will give.
        files: the files that it refers to.
        kept: by ref, what ``keep`` gave for files that were kept when they were attached.
    """

    payload: dict[str, Any]
    files: tuple[Attachment, ...] = ()
    kept: Mapping[str, Any] = field(default_factory=dict)


class Channel(Protocol):
    """What a session asks of the back end.

    Methods raise ``ApiError`` when the back end refuses or cannot be reached, after their own attempts.
    """

    def open_project(self, code: str) -> None:
        """Make sure that the project is there and that the token opens it."""

    def environment_id(self, code: str, slug: str) -> int | None:
        """The id of the environment that bears the slug, or None."""

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The ids of the cases that a plan holds."""

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        """Create a run from the contract's ``RunCreate`` and return its id."""

    def check_run(self, code: str, run_id: int) -> bool:
        """Whether the run is there."""

    def begin(self, code: str, run_id: int, result: Mapping[str, Any]) -> None:
        """Be told of a result whose test has just begun."""

    def keep(self, source: Attachment) -> Any:
        """Keep a file as it is now, for ``Parcel.kept``; None where files are read when they are sent."""

    def put(self, code: str, run_id: int, parcels: Sequence[Parcel]) -> None:
        """Take results for delivery."""

    def complete_run(self, code: str, run_id: int, *, publish: bool = False) -> bool:
        """Complete the run once all of its results are delivered; False if that was not possible.

        Args:
            publish: whether a public link will be asked for.
        """

    def publish_run(self, code: str, run_id: int) -> str | None:
        """The public link of the run's report, if the back end gives one."""

    def close(self) -> None:
        """Let go of connections and files."""
