"""The channel of an xdist worker: only the controller of a session asks the back end for anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from famacase_pytest.delivery.channel import Channel, Leftovers, Parcel
from famacase_pytest.delivery.direct import DirectChannel
from famacase_pytest.delivery.parts import Attachment
from famacase_pytest.delivery.sink import Sink
from famacase_pytest.errors import Refused


class WorkerChannel(Channel):
    """Answers upstream's look-ups from what the controller handed over.

    Args:
        inner: takes the results.
        briefing: the controller's: ``failed`` tells that it could not open the back end, ``plan_cases``
            holds the cases of its plan by project.
    """

    def __init__(self, inner: Sink | DirectChannel, briefing: Mapping[str, Any]) -> None:
        self._inner = inner
        self._briefing = briefing

    def open_project(self, code: str) -> None:
        if self._briefing.get("failed", True):
            raise Refused(f"The controller of this session could not report to project {code}.")

    def environment_id(self, code: str, slug: str) -> int | None:
        return None

    def is_environment_open(self, code: str) -> bool:
        return True

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        return list(self._briefing.get("plan_cases", {}).get(code, ()))

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        raise Refused(f"A worker creates no run in project {code}; its controller does.")

    def check_run(self, code: str, run_id: int) -> bool:
        return True

    def begin(self, code: str, run_id: int, result: Mapping[str, Any]) -> None:
        self._inner.begin(code, run_id, result)

    def forget_begun(self) -> None:
        self._inner.forget_begun()

    def keep(self, source: Attachment) -> Any:
        return self._inner.keep(source)

    def put(self, code: str, run_id: int, parcels: Sequence[Parcel]) -> None:
        self._inner.put(code, run_id, parcels)

    def complete_run(self, code: str, run_id: int, *, publish: bool = False) -> bool:
        return False

    def publish_run(self, code: str, run_id: int) -> str | None:
        return None

    def drain(self) -> None:
        self._inner.settle()

    def leftovers(self) -> Leftovers:
        return Leftovers(delivered=self._inner.sent, lost=self._inner.lost)

    def close(self) -> None:
        self._inner.close()
