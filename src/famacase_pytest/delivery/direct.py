"""Delivery without an outbox: a batch is on the server when the call returns."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from famacase_pytest.delivery.api import ReporterApi
from famacase_pytest.delivery.channel import Channel, Leftovers, Parcel
from famacase_pytest.delivery.parts import Fingerprint
from famacase_pytest.delivery.references import note_missing, resolve_refs
from famacase_pytest.delivery.relay.uploads import upload_all
from famacase_pytest.delivery.system import System
from famacase_pytest.errors import ApiError, Refused


class DirectChannel(Channel):
    """Sends results from the process that has them.

    Args:
        api: the back end.
        workers: upload requests at a time.

    Attributes:
        sent, lost: results that the back end has taken, and has not.
    """

    def __init__(self, api: ReporterApi, *, workers: int) -> None:
        self._api = api
        self._workers = workers
        self._known: dict[tuple[str, Fingerprint], str] = {}
        self._lock = threading.Lock()
        self.sent = 0
        self.lost = 0

    def open_project(self, code: str) -> None:
        self._api.get_project(code)

    def environment_id(self, code: str, slug: str) -> int | None:
        return self._api.environment_id(code, slug)

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        return self._api.plan_cases(code, plan_id)

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        return self._api.create_run(code, body, str(uuid4()))

    def check_run(self, code: str, run_id: int) -> bool:
        try:
            self._api.get_run(code, run_id)
        except Refused as error:
            if error.status == 404:
                return False
            raise
        return True

    def put(self, code: str, run_id: int, parcels: Sequence[Parcel]) -> None:
        try:
            self._put(code, run_id, parcels)
        except ApiError:
            with self._lock:
                self.lost += len(parcels)
            raise

    def _put(self, code: str, run_id: int, parcels: Sequence[Parcel]) -> None:
        sources = [source for parcel in parcels for source in parcel.files]
        outcome = upload_all(self._api, code, sources, workers=self._workers, known=self._known)
        results = []
        for parcel in parcels:
            missing = [
                (source.file_name, outcome.problems[source.ref])
                for source in parcel.files
                if source.ref in outcome.problems
            ]
            payload = note_missing(resolve_refs(parcel.payload, outcome.ids), missing)
            results.append(System.dumps(payload))
        self._api.post_results(code, run_id, results)
        with self._lock:
            self.sent += len(results)

    def complete_run(self, code: str, run_id: int, *, publish: bool = False) -> bool:
        self._api.complete_run(code, run_id)
        return True

    def publish_run(self, code: str, run_id: int) -> str | None:
        return self._api.publish_run(code, run_id)

    def settle(self) -> None:
        """Nothing is ever open here; see ``Sink.settle``."""

    def leftovers(self) -> Leftovers:
        return Leftovers(delivered=self.sent + self.worker_sent, lost=self.lost + self.worker_losses)

    def close(self) -> None:
        self._api.close()
