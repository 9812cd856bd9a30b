"""The one interface between a session and the back end, whichever way results take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from famacase_pytest.delivery.parts import Attachment


@dataclass(frozen=True)
class Parcel:
    """One result on its way.

    Args:
        payload: the contract's ``Result``; each attachment in it bears an ``Attachment.ref`` in the place of
            the
            id that the server will give.
        files: the files that it refers to.
        kept: by ref, what ``keep`` gave for files that were kept when they were attached.
    """

    payload: dict[str, Any]
    files: tuple[Attachment, ...] = ()
    kept: Mapping[str, Any] = field(default_factory=dict)


class Leftovers(NamedTuple):
    """How far delivery came.

    Args:
        delivered: results that the back end has.
        waiting: results that it does not have yet; they are kept.
        rejected: why it does not take some; they are kept.
        lost: results that could neither be stored nor sent.
        open_runs: runs whose completion is due.
        reason: why results wait, as far as it is known.
        in_background: whether a courier goes on delivering what waits.
        dropped: files that were not kept since the outbox was full.
    """

    delivered: int = 0
    waiting: int = 0
    rejected: tuple[str, ...] = ()
    lost: int = 0
    open_runs: int = 0
    reason: str | None = None
    in_background: bool = False
    dropped: int = 0


class Channel:
    """What a session asks of the back end; what is defined here is what a channel does that keeps nothing.

    Methods raise ``ApiError`` when the back end refuses or cannot be reached, after their own attempts.

    Attributes:
        directory: where results wait, or None.
        worker_losses: results that xdist workers could neither store nor send.
        worker_sent: results that they have sent themselves, since they could not be stored.
        on_wait: called again and again while the end of the session waits for delivery, with a function that
            counts the results that wait, and the seconds that are left.
    """

    directory: Path | None = None
    worker_losses = 0
    worker_sent = 0
    on_wait: Callable[[Callable[[], int], float], None] = staticmethod(lambda count, seconds: None)

    # Before the first test

    def open_project(self, code: str) -> None:
        """Make sure that the project is there and that the token opens it."""
        raise NotImplementedError

    def environment_id(self, code: str, slug: str) -> int | None:
        """The id of the environment that bears the slug, or None."""
        raise NotImplementedError

    def is_environment_open(self, code: str) -> bool:
        """Whether None was no answer: the environment of the project is looked up elsewhere, or later."""
        return False

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The ids of the cases that a plan holds."""
        raise NotImplementedError

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        """Create a run from the contract's ``RunCreate``.

        Returns:
            Its id; a negative one stands for a run that will be created later.
        """
        raise NotImplementedError

    def check_run(self, code: str, run_id: int) -> bool:
        """Whether the run is there."""
        raise NotImplementedError

    # While tests run

    def begin(self, code: str, run_id: int, result: Mapping[str, Any]) -> None:
        """Be told of a result whose test has just begun."""

    def forget_begun(self) -> None:
        """Be told that what was begun in this process and not put will not be: a filter, or Ctrl-C."""

    def keep(self, source: Attachment) -> Any:
        """Keep a file as it is now, for ``Parcel.kept``; None where files are read when they are sent."""
        return None

    def put(self, code: str, run_id: int, parcels: Sequence[Parcel]) -> None:
        """Take finished results for delivery."""
        raise NotImplementedError

    def finish_crashed(self, worker: str, status: str, message: str) -> None:
        """Report the test in which an xdist worker died.

        Args:
            worker: xdist's id of it, such as ``gw0``.
            status, message: of the result.
        """

    # After the last test

    def note_end(self, how: str) -> None:
        """Take note of how the session ended: ``normal`` or ``interrupted``."""

    def complete_run(self, code: str, run_id: int, *, publish: bool = False) -> bool:
        """Complete the run once all of its results are delivered; False if that was not possible.

        Args:
            publish: whether a public link will be asked for.
        """
        raise NotImplementedError

    def publish_run(self, code: str, run_id: int) -> str | None:
        """The public link of the run's report, if the back end gives one."""
        raise NotImplementedError

    def real_run(self, code: str, run_id: int) -> int:
        """The back end's id of a run that was to be created later; itself as long as there is none."""
        return run_id

    def drain(self) -> None:
        """Wait until everything is delivered that can be, up to the session's deadline."""

    def leftovers(self) -> Leftovers:
        """How far delivery came."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of connections, files and processes."""
