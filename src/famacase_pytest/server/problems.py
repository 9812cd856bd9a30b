"""What the API refuses, and how it says so."""

from __future__ import annotations

from typing import Any, Union

from famacase_pytest.server.shape import Fault

Detail = Union[str, list[dict[str, Any]]]


class Problem(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status of the answer.
        detail: what goes into the body: a sentence, or a list of faults, each with ``loc`` (where), ``msg``
            (what) and ``type`` (the rule that it breaks).
        headers: headers beside the usual ones.
    """

    def __init__(self, status: int, detail: Detail, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def not_found(what: str) -> Problem:
    """404: `what`, such as "run 7", is not in this project."""
    return Problem(404, f"There is no {what} here.")


def invalid(message: str, *where: str | int, kind: str = "value") -> Problem:
    """422 with one fault: `message` about the member at `where`."""
    return Problem(422, [Fault(kind, message).detail(*where)])


def too_large(message: str) -> Problem:
    """413: a body or a file is beyond what the contract allows."""
    return Problem(413, message)
