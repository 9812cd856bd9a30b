"""Results on their way into the database: the rows that they become, and what they mention."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .models import MAX_STEP_DEPTH, Problem, canonical, invalid
from .summaries import summary_of

Place = tuple[Any, ...]


class Mention(NamedTuple):
    """A mention of an attachment in a result, and where in the request it stands."""

    attachment_id: str
    where: Place


def to_rows(results: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[Mention]]:
    """Takes results apart that fit `models.ResultsCreate`, and gives their statuses the canonical names.

    Returns:
        The columns of each result, the run's aside, with those of its summary under ``summary``, and every
        mention of an attachment.
    """
    rows: list[dict[str, Any]] = []
    mentions: list[Mention] = []
    for index, result in enumerate(results):
        place = ("body", "results", index)
        status = result["execution"]["status"] = canonical(result["execution"]["status"])
        _gather(result, place, mentions)
        _walk(result.get("steps", ()), (*place, "steps"), mentions)
        try:
            body = json.dumps(result, separators=(",", ":"))
        except RecursionError:
            raise too_deep(*place) from None
        row = {"id": result["id"].lower(), "status": status, "body": body}
        rows.append({**row, "summary": summary_of(result)})
    return rows, mentions


def too_deep(*where: str | int) -> Problem:
    """422: what is at `where` is nested further than this server can follow."""
    message = f"This is nested too deeply; steps may be {MAX_STEP_DEPTH} levels deep."
    return invalid(message, *where, kind="depth")


def _walk(steps: Sequence[Mapping[str, Any]], place: Place, mentions: list[Mention], depth: int = 1) -> None:
    if steps and depth > MAX_STEP_DEPTH:
        raise too_deep(*place[:3])
    for index, step in enumerate(steps):
        step["execution"]["status"] = canonical(step["execution"]["status"])
        _gather(step["execution"], (*place, index, "execution"), mentions)
        _walk(step["steps"], (*place, index, "steps"), mentions, depth + 1)


def _gather(holder: Mapping[str, Any], place: Place, mentions: list[Mention]) -> None:
    for index, one in enumerate(holder.get("attachments", ())):
        mentions.append(Mention(one["id"], (*place, "attachments", index, "id")))
