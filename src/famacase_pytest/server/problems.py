"""What the API refuses, and how it says so.

A `Problem` has a status, and as its detail a sentence or a list of faults, each with ``loc`` (where), ``msg``
(what) and ``type`` (the rule that is broken).
"""

from __future__ import annotations

from fastapi import HTTPException as Problem

__all__ = ["Problem", "invalid", "not_found", "unavailable"]


def not_found(what: str) -> Problem:
    """404: `what`, such as "run 7", is not in this project."""
    return Problem(404, f"There is no {what} here.")


def invalid(message: str, *where: str | int, kind: str = "value") -> Problem:
    """422 with one fault: `message` about the member at `where`."""
    return Problem(422, [{"loc": list(where), "msg": message, "type": kind}])


def unavailable() -> Problem:
    """503: the disk is full or failing."""
    return Problem(503, "The data cannot be written or read now: the disk is full or failing. Try later.")
