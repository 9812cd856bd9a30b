"""How a result's payload refers to its files: references become ids, and what is missing is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# A message is for people; a test that attached thousands of missing files is told by its first ones.
_NAMED_MISSING = 20


def refs_of(payload: Mapping[str, Any]) -> list[str]:
    """The references in a payload, each once, in order of first mention, steps of any depth included."""
    found: dict[str, None] = {}
    for entry in _entries(payload):
        found.setdefault(entry["id"])
    return list(found)


def resolve_refs(payload: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """A payload whose attachments bear the back end's ids.

    Args:
        payload: a wire Result whose AttachmentRefs hold a reference as `id`; it is not changed. What holds no
            attachments is shared with the answer, not copied.
        ids: the back end's id by reference. An AttachmentRef without one is dropped.

    The walk keeps a list instead of calling itself: steps nested a thousand deep are within the contract.
    """
    answer = dict(payload)
    if "attachments" in answer:
        answer["attachments"] = _resolved(answer["attachments"], ids)
    open_owners = [answer]
    while open_owners:
        owner = open_owners.pop()
        if not owner.get("steps"):
            continue
        steps = [dict(step) for step in owner["steps"]]
        owner["steps"] = steps
        for step in steps:
            execution = step.get("execution")
            if execution and "attachments" in execution:
                attachments = _resolved(execution["attachments"], ids)
                step["execution"] = {**execution, "attachments": attachments}
        open_owners.extend(steps)
    return answer


def note_missing(payload: Mapping[str, Any], missing: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A payload whose message ends with the files that could not be sent.

    Args:
        payload: a wire Result; it is not changed.
        missing: file name and reason of each.
    """
    answer = dict(payload)
    if not missing:
        return answer
    named = "; ".join(f"{name} ({reason})" for name, reason in missing[:_NAMED_MISSING])
    if len(missing) > _NAMED_MISSING:
        named += f"; and {len(missing) - _NAMED_MISSING} more"
    note = f"Attachments that could not be uploaded: {named}"
    message = answer.get("message")
    answer["message"] = f"{message}\n\n{note}" if message else note
    return answer


def _entries(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from payload.get("attachments") or ()
    waiting = list(reversed(payload.get("steps") or ()))
    while waiting:
        step = waiting.pop()
        yield from (step.get("execution") or {}).get("attachments") or ()
        waiting.extend(reversed(step.get("steps") or ()))


def _resolved(entries: Any, ids: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{**entry, "id": ids[entry["id"]]} for entry in entries or () if entry.get("id") in ids]
