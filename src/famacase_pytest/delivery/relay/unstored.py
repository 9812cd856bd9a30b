"""Results that no disk has room for: the relay gets them over its pipe and sends them from memory."""

from __future__ import annotations

import hashlib
import uuid
from base64 import b64decode
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any, Callable

from ...errors import ApiError, Rejected
from ..api.base import ReportingClient
from ..models import Fingerprint, Part, Run
from ..outbox.ledger import Upload
from ..system import System
from .deliver import RunKey, failure_of, with_environment, with_files
from .uploads import Received, upload_parts

# Results in one request.
_BATCH = 50


class UnstoredResults:
    """Delivers results that no disk has room for: they come over the pipe and are sent from memory.

    Args:
        api: the back end.
        upload_threads: upload requests at a time.
    """

    def __init__(self, api: ReportingClient, upload_threads: int) -> None:
        self._api = api
        self._upload_threads = upload_threads
        self._runs: dict[RunKey, Run] = {}
        self._created: dict[RunKey, int] = {}
        self._uploads: dict[tuple[str, Fingerprint], Upload] = {}

    def deliver(self, order: Mapping[str, Any], real_run: Callable[[str, int], int]) -> dict[str, Any]:
        """Send the results of an order.

        Args:
            order: ``results``, each as `delivery.transport` packs it, and the session's ``runs``.
            real_run: gives the back end's id of a session's run, creating it if need be; raises ApiError.

        Returns:
            ``delivered``, a number, and ``problems``: why the others were not.
        """
        for entry in order.get("runs", ()):
            run = Run(**entry)
            self._runs[run.project, run.run_id] = run
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
        key = (project, run_id)
        if run_id < 0 and key not in self._created:
            run = self._runs[key]
            body = with_environment(run, self._api)
            self._created[key] = self._api.create_run(project, body, run.key or str(uuid.uuid4()))
        return self._created.get(key, run_id)

    def complete(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Complete a run, and publish it if that is asked for."""
        project, run_id = order["project"], order["run_id"]
        real = self._created.get((project, run_id), run_id)
        if real < 0:
            return {"completed": True, "real": real}
        try:
            self._api.complete_run(project, real)
            url = self._api.publish_run(project, real) if order["publish"] else None
        except ApiError as error:
            return {"completed": False, "real": real, "problem": str(error)}
        return {"completed": True, "real": real, "url": url}

    def _send(self, project: str, run_id: int, results: Sequence[Mapping[str, Any]]) -> None:
        files = [file for result in results for file in result["files"]]
        parts = {file["ref"]: _part_of(file) for file in files if file["content"] is not None}
        self._upload(project, {part.fingerprint: part for part in parts.values()})
        texts = []
        for result in results:
            found = []
            for file in result["files"]:
                part = parts.get(file["ref"])
                upload = self._uploads[project, part.fingerprint] if part else Upload(None, file["problem"])
                found.append((file["ref"], file["file_name"], upload))
            texts.append(with_files(result["payload"], found))
        self._api.post_results(project, run_id, texts)

    def _upload(self, project: str, parts: Mapping[Fingerprint, Part]) -> None:
        def uploaded(received: Received) -> None:
            for part, id_ in received:
                self._uploads[project, part.fingerprint] = Upload(id_, None)

        def refused(part: Part, reason: str) -> None:
            self._uploads[project, part.fingerprint] = Upload(None, reason)

        failed = upload_parts(
            self._api,
            project,
            [part for print_, part in parts.items() if (project, print_) not in self._uploads],
            upload_threads=self._upload_threads,
            # Nobody takes over here: the attempts of one request have a key in common, and no others.
            scope=str(uuid.uuid4()),
            uploaded=uploaded,
            refused=refused,
        )
        for part, error in failed:
            refused(part, failure_of(error))


def _part_of(file: Mapping[str, Any]) -> Part:
    content = b64decode(file["content"])
    sha256 = hashlib.sha256(content).hexdigest()
    return Part(file["file_name"], file["mime_type"], len(content), partial(BytesIO, content), sha256)


def _lost(results: Sequence[Mapping[str, Any]], error: ApiError) -> str:
    first = repr(System.loads(results[0]["payload"])["title"])
    which = f"The result {first} is" if len(results) == 1 else f"{first} and {len(results) - 1} more are"
    return f"{which} lost: what could not be stored could not be sent either: {error}"
