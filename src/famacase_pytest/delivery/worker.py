"""The transport of an xdist worker."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import Refused
from .models import Attachment, CapturedResult, StoredFile, reason_of, sendable
from .outbox.database import OutboxUnavailable
from .outbox.store import Outbox
from .outbox.writer import Writer
from .system import System
from .transport import Tell, Transport

if TYPE_CHECKING:
    from .screening import Screening


class WorkerTransport(Transport):
    """Answers from what the controller handed over, and asks the back end for nothing.

    Args:
        outbox: the session's; None where there is none.
        writer: stores the results in it.
        handover: the controller's: ``failed`` tells that it could not open the back end, ``plan_cases`` holds
            the cases of its plan by project.
        tell: takes a line for the user.
        screening: what the user's settings change in results; None: nothing.
    """

    def __init__(
        self,
        outbox: Outbox | None,
        writer: Writer | None,
        handover: Mapping[str, Any],
        tell: Tell,
        screening: Screening | None = None,
    ) -> None:
        super().__init__(writer, tell, screening)
        self._outbox = outbox
        self._handover = handover

    def adopt(self, test: str) -> dict[str, CapturedResult]:
        """See `Transport`."""
        if self._outbox is None or self._writer is None:
            return {}
        adopted = {}
        # What cannot be read stays where it is, and is delivered from there.
        with contextlib.suppress(OutboxUnavailable):
            for item in self._outbox.handed_over(test):
                files = [self._own(file) for file in self._outbox.attachments(item)]
                # Stored here before it goes there: whoever dies in between, it is not lost.
                self._writer.put(item.project, item.run_id, item.result_id, item.payload, files)
                self._outbox.remove_result(item)
                adopted[item.project] = CapturedResult(
                    System.loads(item.payload),
                    tuple(
                        Attachment(file.ref, file.file_name, file.mime_type, content=b"") for file in files
                    ),
                    {file.ref: file for file in files},
                )
            if adopted:
                self._outbox.rest()
        return adopted

    def _own(self, file: StoredFile) -> StoredFile:
        """Another writer's file, as one of this process's."""
        assert self._writer is not None
        if file.problem:
            return file
        try:
            with file.open() as stored:
                content = stored.read()
        except OSError as error:
            return replace(file, sha256=None, size=0, problem=sendable(reason_of(error)))
        return self._writer.store(Attachment(file.ref, file.file_name, file.mime_type, content=content))

    def open_project(self, code: str) -> None:
        """See `Transport`."""
        if self._handover.get("failed", True):
            raise Refused(f"The controller of this session could not report to project {code}.")

    def environment_id(self, code: str, slug: str) -> int | None:
        """See `Transport`."""
        return None

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """See `Transport`."""
        return list(self._handover.get("plan_cases", {}).get(code, ()))

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        """See `Transport`."""
        raise Refused(f"A worker creates no run in project {code}; its controller does.")

    def check_run(self, code: str, run_id: int) -> None:
        """See `Transport`."""
