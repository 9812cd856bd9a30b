"""What a process of a session puts into the outbox, and what it does when the outbox takes nothing more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import ApiError
from .channel import Channel, Parcel
from .outbox import OutboxUnavailable
from .parts import Attachment
from .records import StoredFile
from .writer import Writer


class Sink:
    """Stores results and files; keeps in memory what a full disk does not take.

    Args:
        writer: this process's part of the outbox.
        direct: gives a channel that sends from this process, for what could not be stored.
        tell: takes a line for the user.

    Attributes:
        lost: results that could neither be stored nor sent.
    """

    def __init__(self, writer: Writer, direct: Callable[[], Channel], tell: Callable[[str], None]) -> None:
        self._writer = writer
        self._direct = direct
        self._tell = tell
        self._overflow: list[tuple[str, int, Parcel]] = []
        self.lost = 0

    def begin(self, code: str, run_id: int, result: Mapping[str, Any]) -> None:
        """Store a result whose test has just begun, in case its process does not survive the test."""
        try:
            self._writer.begin(code, run_id, str(result["id"]), _json(result))
        except OutboxUnavailable:
            # The finished result is tried as well, and says what is wrong.
            return

    def keep(self, source: Attachment) -> StoredFile:
        """Copy a file as it is now; its ``problem`` says if that was not possible."""
        return self._writer.store(source)

    def put(self, code: str, run_id: int, parcels: Sequence[Parcel]) -> None:
        """Store finished results."""
        for parcel in parcels:
            try:
                self._store(code, run_id, parcel)
            except OutboxUnavailable as error:
                if not self._overflow:
                    self._tell(f"{error} Results are held in memory and sent after the last test.")
                self._overflow.append((code, run_id, parcel))

    def settle(self) -> None:
        """See to what could not be stored: there may be room again, and otherwise it is sent from here."""
        overflow, self._overflow = self._overflow, []
        for code, run_id, parcel in overflow:
            try:
                self._store(code, run_id, parcel)
            except OutboxUnavailable:
                self._send(code, run_id, parcel)

    def close(self) -> None:
        """Let go of the database."""
        self._writer.close()

    def _store(self, code: str, run_id: int, parcel: Parcel) -> None:
        files = [self._file(source, parcel.kept.get(source.ref)) for source in parcel.files]
        self._writer.put(code, run_id, str(parcel.payload["id"]), _json(parcel.payload), files)

    def _file(self, source: Attachment, kept: StoredFile | None) -> StoredFile:
        if kept is None:
            return self._writer.store(source)
        return replace(self._writer.refresh(kept), ref=source.ref)

    def _send(self, code: str, run_id: int, parcel: Parcel) -> None:
        try:
            self._direct().put(code, run_id, [parcel])
        except ApiError as error:
            self.lost += 1
            self._tell(f"The result {parcel.payload['title']!r} is lost: it could not be stored, and {error}")


def _json(payload: Mapping[str, Any]) -> str:
    # Compact: this runs on the test's thread, and the text is stored and sent as it is.
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
