"""What a process of a session puts into the outbox, and what it does when the outbox takes nothing more."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from famacase_pytest.delivery.channel import Channel, Parcel
from famacase_pytest.delivery.outbox import OutboxUnavailable
from famacase_pytest.delivery.parts import Attachment
from famacase_pytest.delivery.records import StoredFile
from famacase_pytest.delivery.writer import Writer
from famacase_pytest.errors import ApiError, Rejected, Unreachable

# Results in one request of those that are sent from here.
_BATCH = 50


class Sink:
    """Stores results and files; keeps in memory what a full disk does not take.

    Args:
        writer: this process's part of the outbox.
        direct: gives a channel that sends from this process, for what could not be stored.
        real_run: gives the back end's id of a session's run; None if the run has yet to be created.
        tell: takes a line for the user.

    Attributes:
        sent: results that were sent from here, since they could not be stored.
        lost: results that could neither be stored nor sent.
    """

    def __init__(
        self,
        writer: Writer,
        direct: Callable[[], Channel],
        real_run: Callable[[str, int], int | None],
        tell: Callable[[str], None],
    ) -> None:
        self._writer = writer
        self._direct = direct
        self._real_run = real_run
        self._tell = tell
        self._overflow: list[tuple[str, int, Parcel]] = []
        self._begun: set[tuple[str, int, str]] = set()
        self.sent = 0
        self.lost = 0

    def begin(self, code: str, run_id: int, result: Mapping[str, Any]) -> None:
        """Store a result whose test has just begun, in case its process does not survive the test."""
        # The finished result is tried as well, and says what is wrong.
        with contextlib.suppress(OutboxUnavailable):
            self._writer.begin(code, run_id, str(result["id"]), _json(result))
            self._begun.add((code, run_id, str(result["id"])))

    def forget_begun(self) -> None:
        """Drop what was begun and not put, so that nobody takes it for a test that a process died in."""
        if self._begun:
            with contextlib.suppress(OutboxUnavailable):
                self._writer.drop_unfinished()
            self._begun.clear()

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
        homeless: dict[tuple[str, int], list[Parcel]] = {}
        for code, run_id, parcel in overflow:
            try:
                self._store(code, run_id, parcel)
            except OutboxUnavailable:
                homeless.setdefault((code, run_id), []).append(parcel)
        if homeless:
            self._send(homeless)

    def close(self) -> None:
        """Let go of the database."""
        self._writer.close()

    def _store(self, code: str, run_id: int, parcel: Parcel) -> None:
        files = [self._file(source, parcel.kept.get(source.ref)) for source in parcel.files]
        result_id = str(parcel.payload["id"])
        self._writer.put(code, run_id, result_id, _json(parcel.payload), files)
        self._begun.discard((code, run_id, result_id))

    def _file(self, source: Attachment, kept: StoredFile | None) -> StoredFile:
        if kept is None:
            return self._writer.store(source)
        return replace(self._writer.refresh(kept), ref=source.ref)

    def _send(self, homeless: Mapping[tuple[str, int], Sequence[Parcel]]) -> None:
        channel = self._direct()
        away: Unreachable | None = None
        try:
            for (code, run_id), parcels in homeless.items():
                real = self._real_run(code, run_id)
                waiting = [list(parcels[at : at + _BATCH]) for at in range(0, len(parcels), _BATCH)]
                while waiting:
                    batch = waiting.pop(0)
                    if away is not None or real is None:
                        # One silence is enough: nobody sits through it for each result.
                        self._lose(batch, str(away or "their run could not be created"))
                        continue
                    try:
                        channel.put(code, real, batch)
                        self.sent += len(batch)
                    except Unreachable as error:
                        away = error
                        self._lose(batch, str(error))
                    except Rejected as error:
                        if len(batch) > 1:
                            waiting[:0] = [[parcel] for parcel in batch]
                        else:
                            self._lose(batch, str(error))
                    except ApiError as error:
                        self._lose(batch, str(error))
        finally:
            channel.close()

    def _lose(self, parcels: Sequence[Parcel], reason: str) -> None:
        self.lost += len(parcels)
        first = repr(parcels[0].payload["title"])
        which = f"The result {first} is" if len(parcels) == 1 else f"{first} and {len(parcels) - 1} more are"
        self._tell(f"{which} lost: what could not be stored could not be sent either: {reason}")


def _json(payload: Mapping[str, Any]) -> str:
    # Compact: this runs on the test's thread, and the text is stored and sent as it is.
    return _encode(payload)


# Kept: ``json.dumps`` makes an encoder for each call with options.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
