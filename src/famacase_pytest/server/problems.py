"""What the API refuses: a status, and a sentence or faults with ``loc``, ``msg`` and ``type``."""

from __future__ import annotations

from fastapi import HTTPException as Problem

__all__ = ["Problem", "invalid", "not_found"]


def not_found(what: str) -> Problem:
    """404: `what`, such as "run 7", is not in this project."""
    return Problem(404, f"There is no {what} here.")


def invalid(message: str, *where: str | int, kind: str = "value") -> Problem:
    """422 with one fault: `message` about the member at `where`."""
    return Problem(422, [{"loc": list(where), "msg": message, "type": kind}])
