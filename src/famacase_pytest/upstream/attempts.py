"""The attempts of a test that a plugin repeats become one result.

Upstream makes a result of each attempt. Which plugin repeats a test does not matter: an attempt is known by
its test, which is the same one. Each attempt is stored when it has ended, together with those before it,
under the id of the first: what was stored or sent before is replaced.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from ..delivery.models import CapturedResult, resolve_refs

if TYPE_CHECKING:
    from ..delivery.transport import Transport

FAILED = ("failed", "invalid")
_OWN_FIELDS = ("attempts", "flaky")

# What the result of an attempt says from which there was no return. Whoever reports it adds what is known.
DIED = "The process ended during this attempt."


@dataclass
class _Record:
    """The attempts at one test.

    Attributes:
        id: of the first one's result, and so of all.
        number: of the attempt that runs, or ran last.
        captured: those that have ended, by project.
    """

    id: str
    number: int = 1
    captured: dict[str, list[CapturedResult]] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        """Whether the last attempt failed, so that the test may be repeated much later."""
        return any(_status(results[-1]) in FAILED for results in self.captured.values())


_RECORD: pytest.StashKey[_Record] = pytest.StashKey()


class Attempts:
    """The attempts at the test that runs.

    Args:
        transport: copies files.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._item: pytest.Item | None = None
        self._record = _Record("")

    def begin(self, item: pytest.Item, result: Any) -> None:
        """An attempt begins.

        Args:
            item: the test.
            result: upstream's, unfinished; it gets the id of the first attempt's.
        """
        if self._item is not item:
            # One that passed is not repeated later: its steps need not be kept to the end of the session.
            if self._item is not None and not self._record.has_failed:
                del self._item.stash[_RECORD]
            self._item = item
        record = item.stash.get(_RECORD, None)
        if record is None:
            record = item.stash[_RECORD] = _Record(result.id)
            for code, died in self._transport.adopt(item.nodeid).items():
                record.id, record.captured[code] = died.payload["id"], split(died)
                record.number = max(record.number, len(record.captured[code]))
            if not record.captured:
                self._record = record
                return
        self._record = record
        result.id = record.id
        record.number += 1
        for captured in record.captured.values():
            # The next attempt may write the same files.
            captured[:] = [self._transport.settled(earlier) for earlier in captured]

    def begun(self, code: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What is to be stored of an attempt that begins, should the process die in it."""
        earlier = self._record.captured.get(code)
        if not earlier:
            return payload
        return merge([*earlier, CapturedResult(payload)], is_over=False).payload

    def in_progress(self, code: str, captured: CapturedResult) -> CapturedResult:
        """What an attempt has come to that goes on, together with those before it."""
        earlier = self._record.captured.get(code)
        return merge([*earlier, _renamed(captured, self._record.number)]) if earlier else captured

    def ended(self, code: str, captured: CapturedResult) -> CapturedResult:
        """An attempt has ended.

        Returns:
            It, together with those before it; a result that is of no test comes back as it is.
        """
        record = self._record
        if captured.payload["id"] != record.id:
            return captured
        attempts = record.captured.setdefault(code, [])
        if record.number > 1:
            captured = _renamed(captured, record.number)
        attempts.append(captured)
        return captured if len(attempts) == 1 else merge(attempts)

    def is_stored(self, code: str, result_id: str) -> bool:
        """Whether an earlier attempt of the result that has just ended is stored."""
        return result_id == self._record.id and bool(self._record.captured.get(code))


def merge(attempts: Sequence[CapturedResult], *, is_over: bool = True) -> CapturedResult:
    """One result of several attempts.

    Args:
        attempts: in their order; their files bear different refs.
        is_over: whether the last one has ended; otherwise the result is for the case that it never does.
    """
    payloads = [attempt.payload for attempt in attempts]
    first, last = payloads[0], payloads[-1]
    failures = [payload for payload in payloads if payload["execution"].get("status") in FAILED]
    fields = {**last.get("fields", {}), "attempts": str(len(attempts))}
    if failures and last["execution"].get("status") == "passed":
        fields["flaky"] = "true"
    steps = [_step(payload, number, len(payloads)) for number, payload in enumerate(payloads, 1)]
    if not is_over:
        steps[-1]["execution"]["status"] = "invalid"
        steps[-1]["data"]["expected_result"] = DIED
    durations = [payload["execution"].get("duration") for payload in payloads]
    execution = {
        **last["execution"],
        "start_time": first["execution"].get("start_time"),
        "duration": sum(filter(None, durations)) if is_over else None,
    }
    if not execution.get("stacktrace") and failures:
        execution["stacktrace"] = failures[0]["execution"].get("stacktrace")
    merged = {**last, "fields": fields, "execution": execution, "steps": steps, "attachments": []}
    merged["message"] = _message(payloads)
    copies = {ref: copy for attempt in attempts for ref, copy in attempt.copies.items()}
    return CapturedResult(merged, tuple(file for attempt in attempts for file in attempt.files), copies)


def split(captured: CapturedResult) -> list[CapturedResult]:
    """The attempts that a result was merged of; one that was not is an attempt itself."""
    payload = captured.payload
    steps = payload.get("steps", ())
    fields = {name: value for name, value in payload.get("fields", {}).items() if name not in _OWN_FIELDS}
    if [step["id"] for step in steps] != [_step_id(payload, number) for number in range(1, len(steps) + 1)]:
        return [captured]
    attempts = []
    for step in steps:
        execution = dict(step["execution"])
        attempt = {
            **payload,
            "fields": fields,
            "message": step["data"].get("expected_result"),
            "attachments": execution.pop("attachments"),
            "steps": [{**child, "parent_id": None} for child in step["steps"]],
            "execution": {**payload["execution"], **execution},
        }
        attempts.append(CapturedResult(attempt))
    # All of the files go with the first: they are merged again.
    attempts[:1] = [first._replace(files=captured.files, copies=captured.copies) for first in attempts[:1]]
    return attempts or [captured]


def _step_id(payload: Mapping[str, Any], number: int) -> str:
    """The id of the step of an attempt: the same whenever it is made anew."""
    return str(uuid.uuid5(uuid.UUID(payload["id"]), str(number)))


def _step(payload: Mapping[str, Any], number: int, of: int) -> dict[str, Any]:
    """An attempt as a step."""
    step_id = _step_id(payload, number)
    execution = payload["execution"]
    data = {"action": f"Attempt {number} of {of}"}
    if payload.get("message"):
        data["expected_result"] = payload["message"]
    return {
        "id": step_id,
        "parent_id": None,
        "step_type": "text",
        "data": data,
        "execution": {
            **{name: execution.get(name) for name in ("status", "start_time", "end_time", "duration")},
            "attachments": payload.get("attachments", []),
        },
        "steps": [{**step, "parent_id": step_id} for step in payload.get("steps", ())],
        "attachments": [],
    }


def _message(payloads: Sequence[Mapping[str, Any]]) -> str | None:
    """The first failure, or else the first message, and what the last attempt says beyond it."""
    said = [payload.get("message") for payload in payloads]
    failures = [text for text, payload in zip(said, payloads) if payload["execution"].get("status") in FAILED]
    first = next(filter(None, [*failures, *said]), None)
    last = said[-1]
    if not first or not last or last == first:
        return first
    return f"{first}\n\nAttempt {len(said)} of {len(said)}: {last}"


def _renamed(captured: CapturedResult, number: int) -> CapturedResult:
    """The same result, with refs of files that no other attempt has."""
    if not captured.files:
        return captured
    refs = {file.ref: f"{file.ref}/{number}" for file in captured.files}
    return CapturedResult(
        resolve_refs(captured.payload, refs),
        tuple(replace(file, ref=refs[file.ref]) for file in captured.files),
        {refs[ref]: replace(copy, ref=refs[ref]) for ref, copy in captured.copies.items()},
    )


def _status(captured: CapturedResult) -> str | None:
    status: str | None = captured.payload["execution"].get("status")
    return status
