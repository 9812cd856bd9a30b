"""The cases of a test plan, from Famacase."""

from __future__ import annotations

from typing import ClassVar, Protocol


class PlanReader(Protocol):
    """What the plan loader needs of the session that it belongs to."""

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The ids of the cases that a plan holds."""


class FamacasePlanLoader:
    """Takes the place of upstream's ``TestOpsPlanLoader``.

    Upstream restricts the run to the returned cases, and runs everything when there are none.

    Args:
        api_token, host: upstream's; not used, since the session knows the real ones.
    """

    session: ClassVar[PlanReader]

    def __init__(self, api_token: str, host: str = "") -> None:
        self.case_list: list[int] = []

    def load(self, code: str, plan_id: int) -> list[int]:
        """The ids of the cases that the plan holds.

        Raises:
            ApiError: the plan cannot be read; upstream says so and runs all tests.
        """
        self.case_list = self.session.plan_cases(code, int(plan_id))
        return self.case_list


def bound_to(session: PlanReader) -> type[FamacasePlanLoader]:
    """A plan loader of the given session; upstream makes the instances."""
    return type("FamacasePlanLoader", (FamacasePlanLoader,), {"session": session})
