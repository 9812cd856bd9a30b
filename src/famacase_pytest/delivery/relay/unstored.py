"""Delivery of results that no disk has room for: they come over the pipe and are sent from memory."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from famacase_pytest.delivery.api.client import ReporterApi
from famacase_pytest.delivery.models import Attachment, Fingerprint, note_missing, resolve_refs
from famacase_pytest.delivery.relay.uploads import upload_all
from famacase_pytest.delivery.system import System
from famacase_pytest.errors import ApiError, Rejected

# Results in one request.
_BATCH = 50

RunKey = tuple[str, int]


class UnstoredResults:
    """Sends results from memory.

    Args:
        api: the back end.
        workers: upload requests at a time.
    """

    def __init__(self, api: ReporterApi, workers: int) -> None:
        self._api = api
        self._workers = workers
        self._known: dict[tuple[str, Fingerprint], str] = {}
        self._runs: dict[RunKey, int] = {}
        self._bodies: dict[RunKey, Mapping[str, Any]] = {}

    def deliver(self, order: Mapping[str, Any], real_run: Callable[[str, int], int]) -> dict[str, Any]:
        """Send the results of an order.

        Args:
            order: ``results``, see ``transport.py``, and the session's ``runs``.
            real_run: gives the back end's id of a session's run, creating it if need be; raises ApiError.

        Returns:
            ``delivered``, a number, and ``problems``: why the others were not.
        """
        for run in order.get("runs", ()):
            self._bodies[run["project"], run["run_id"]] = run
        groups: dict[RunKey, list[dict[str, Any]]] = {}
        for result in order["results"]:
            groups.setdefault((result["project"], result["run_id"]), []).append(result)
        delivered = 0
        problems: list[str] = []
        for (project, run_id), results in groups.items():
            waiting = [results[at : at + _BATCH] for at in range(0, len(results), _BATCH)]
            try:
                real = real_run(project, run_id)
                while waiting:
                    batch = waiting[0]
                    try:
                        self._send(project, real, batch)
                        delivered += len(batch)
                    except Rejected as error:
                        if len(batch) > 1:
                            waiting[1:1] = [[result] for result in batch]
                        else:
                            problems.append(_lost(batch, error))
                    del waiting[0]
            except ApiError as error:
                # One silence is enough: nobody sits through it for each result.
                problems.append(_lost([result for batch in waiting for result in batch], error))
        return {"delivered": delivered, "problems": problems}

    def create_run(self, project: str, run_id: int) -> int:
        """The back end's id of a run, which is created when it is first asked for."""
        if run_id > 0:
            return run_id
        key = (project, run_id)
        if key not in self._runs:
            run = self._bodies[key]
            body = dict(run["body"])
            if run.get("environment_slug"):
                environment = self._api.environment_id(project, run["environment_slug"])
                if environment is not None:
                    body["environment_id"] = environment
            self._runs[key] = self._api.create_run(project, body, run.get("key") or str(uuid.uuid4()))
        return self._runs[key]

    def complete(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Complete a run, and publish it if that is asked for."""
        project, run_id = order["project"], order["run_id"]
        real = self._runs.get((project, run_id), run_id)
        if real < 0:
            return {"completed": True, "real": real}
        try:
            self._api.complete_run(project, real)
            url = self._api.publish_run(project, real) if order["publish"] else None
        except ApiError as error:
            return {"completed": False, "real": real, "problem": str(error)}
        return {"completed": True, "real": real, "url": url}

    def _send(self, project: str, run_id: int, results: Sequence[Mapping[str, Any]]) -> None:
        sources = [_source(file) for result in results for file in result["files"]]
        outcome = upload_all(self._api, project, sources, workers=self._workers, known=self._known)
        texts = []
        for result in results:
            missing = [
                (file["file_name"], outcome.problems[file["ref"]])
                for file in result["files"]
                if file["ref"] in outcome.problems
            ]
            payload = resolve_refs(System.loads(result["payload"]), outcome.ids)
            texts.append(System.dumps(note_missing(payload, missing)))
        self._api.post_results(project, run_id, texts)


def _source(file: Mapping[str, Any]) -> Attachment:
    content = None if file["content"] is None else base64.b64decode(file["content"])
    return Attachment(file["ref"], file["file_name"], file["mime_type"], file["path"], content)


def _lost(results: Sequence[Mapping[str, Any]], error: ApiError) -> str:
    first = repr(System.loads(results[0]["payload"])["title"])
    which = f"The result {first} is" if len(results) == 1 else f"{first} and {len(results) - 1} more are"
    return f"{which} lost: what could not be stored could not be sent either: {error}"
