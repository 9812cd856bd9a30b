"""What the API refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException


class Problem(HTTPException):
    """A request that is answered with an error.

    Args:
        status: HTTP status of the answer.
        detail: what goes into the body: a sentence, or a list of faults, each with ``loc`` (where), ``msg``
            (what) and ``type`` (the rule that it breaks).
        headers: headers beside the usual ones.
    """

    def __init__(
        self, status: int, detail: str | list[dict[str, Any]], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, headers=headers)
        self.detail: Any = detail


def not_found(what: str) -> Problem:
    """404: `what`, such as "run 7", is not in this project."""
    return Problem(404, f"There is no {what} here.")


def invalid(message: str, *where: str | int, kind: str = "value") -> Problem:
    """422 with one fault: `message` about the member at `where`."""
    return Problem(422, [{"loc": list(where), "msg": message, "type": kind}])


def unavailable() -> Problem:
    """503: the disk is full or failing."""
    return Problem(
        503, "The data cannot be written or read now: the disk is full or failing. Try again later."
    )
