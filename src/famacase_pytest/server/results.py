"""Results on their way into the database: what they mention, and the rows that they become."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from famacase_pytest.server.models import MAX_STEP_DEPTH
from famacase_pytest.server.problems import Problem, invalid

Place = tuple[Any, ...]


class Mention(NamedTuple):
    """A mention of an attachment in a result, and where in the request it stands."""

    attachment_id: str
    where: Place


def to_rows(results: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Mention]]:
    """Takes the results of a `createResults` apart.

    Args:
        results: as they were sent, and fit for `models.ResultsCreate`.

    Returns:
        The columns of each result, the run's aside, and every mention of an attachment.

    Raises:
        Problem: 422, a result is nested too deeply.
    """
    rows: list[dict[str, Any]] = []
    mentions: list[Mention] = []
    for index, result in enumerate(results):
        place = ("body", "results", index)
        _gather(result.get("attachments", ()), (*place, "attachments"), mentions)
        _walk(result.get("steps", ()), (*place, "steps"), mentions)
        try:
            body = json.dumps(result, separators=(",", ":"))
        except RecursionError:
            raise too_deep(*place) from None
        rows.append({"id": result["id"].lower(), "status": result["execution"]["status"], "body": body})
    return rows, mentions


def too_deep(*where: str | int) -> Problem:
    """422: what is at `where` is nested further than this server can follow."""
    message = f"This is nested too deeply; steps may be {MAX_STEP_DEPTH} levels deep."
    return invalid(message, *where, kind="depth")


def _walk(steps: Sequence[dict[str, Any]], place: Place, mentions: list[Mention], depth: int = 1) -> None:
    if steps and depth > MAX_STEP_DEPTH:
        raise too_deep(*place[:3])
    for index, step in enumerate(steps):
        attachments = step["execution"].get("attachments", ())
        _gather(attachments, (*place, index, "execution", "attachments"), mentions)
        _walk(step["steps"], (*place, index, "steps"), mentions, depth + 1)


def _gather(references: Sequence[dict[str, Any]], place: Place, mentions: list[Mention]) -> None:
    mentions += [Mention(one["id"], (*place, index, "id")) for index, one in enumerate(references)]
