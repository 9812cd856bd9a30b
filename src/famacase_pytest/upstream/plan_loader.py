"""The cases of a test plan, from Famacase."""

from __future__ import annotations

from typing import ClassVar, Protocol


class PlanReader(Protocol):
    """What the plan loader needs of its session."""

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The ids of a plan's cases; none if it cannot be read."""


class FamacasePlanLoader:
    """Replaces upstream's ``TestOpsPlanLoader``.

    Upstream runs only the returned cases, and runs everything when there are none: also those of a plan that
    cannot be read, which the session has said by then.

    Args:
        api_token: upstream's; not used, since the session knows the real one.
        host: not used either.
    """

    session: ClassVar[PlanReader]

    def __init__(self, api_token: str, host: str = "") -> None:
        self.case_list: list[int] = []

    def load(self, code: str, plan_id: int) -> list[int]:
        """The ids of a plan's cases; none if it cannot be read."""
        self.case_list = self.session.plan_cases(code, int(plan_id))
        return self.case_list


def bound_to(session: PlanReader) -> type[FamacasePlanLoader]:
    """A plan loader class for one session; upstream makes the instances."""
    return type("FamacasePlanLoader", (FamacasePlanLoader,), {"session": session})
