"""What the start of a session asks the back end, by way of the relay, and how long it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import errors
from .relay.process import RelayProcess
from .system import System

if TYPE_CHECKING:
    from .transport import Tell

# Seconds of silence after which the user is told what is waited for.
_SILENCE = 1.0


class Questions:
    """The questions of one session, and the seconds that are left to wait for answers.

    Args:
        relay: asks.
        timeout: seconds that the session may wait, for all answers together.
        tell_now: takes a line for the user that is of use at this moment only.
    """

    def __init__(self, relay: RelayProcess, timeout: float, tell_now: Tell) -> None:
        self._relay = relay
        self._timeout = timeout
        self._left = timeout
        self._tell_now = tell_now
        self._is_told = False

    @property
    def waited(self) -> float:
        """Seconds that the session has waited for answers."""
        return self._timeout - self._left

    def ask(self, question: str, **details: object) -> int:
        """Ask; see ``relay.main`` for the questions and their details. Returns a number for `answer`."""
        return self._relay.order(question, seconds=self._timeout, **details)

    def answer(self, number: int, what: str) -> dict[str, Any]:
        """The answer to a question. Raises ApiError, also if there is none in time.

        Args:
            number: of the question.
            what: it is about.
        """
        began = System.monotonic()
        api_url = self._relay.briefing["api_url"]

        def waiting() -> None:
            left = self._left - (System.monotonic() - began)
            if not self._is_told and left < self._timeout - _SILENCE:
                self._is_told = True
                self._tell_now(
                    f"waiting for {api_url} ({what}), for {left:.0f} s at most; then the session goes on, "
                    "and its results wait in the outbox."
                )

        answer = self._relay.answer(number, self._left, waiting)
        self._left = max(0.0, self._left - (System.monotonic() - began))
        if answer is None:
            raise errors.Unreachable(
                f"{self._relay.trouble}: the back end was not asked. Results are kept."
                if self._relay.trouble
                else f"The back end at {api_url} has not answered within {self._timeout:g} s. Check the "
                "network, the server and the address (FAMACASE_API_URL)."
            )
        problem = answer.get("error")
        if problem:
            kind: type[errors.ApiError] = getattr(errors, problem["kind"])
            raise kind(problem["message"], status=problem["status"], detail=problem["detail"])
        return answer
