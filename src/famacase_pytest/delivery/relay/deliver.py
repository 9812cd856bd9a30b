"""What delivery does in one round: runs that wait to be created, files, results, runs that are to be
completed.

The same code serves the courier beside a session, the pytest process itself where there is no courier, and
``famacase resend``.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Callable

from famacase_pytest.delivery.api import ReporterApi
from famacase_pytest.delivery.ledger import Ledger
from famacase_pytest.delivery.outbox import Outbox
from famacase_pytest.delivery.parts import Fingerprint, Part
from famacase_pytest.delivery.records import Item, Run, StoredFile
from famacase_pytest.delivery.references import note_missing, resolve_refs
from famacase_pytest.delivery.relay.uploads import fingerprint_of, upload_parts
from famacase_pytest.delivery.system import System
from famacase_pytest.errors import Refused, Rejected

# A request of results is kept to this many bytes, so that a few large stack traces do not run into a
# server's limit.
MAX_POST_BYTES = 8 * 1024 * 1024

# Answers that are about what was sent, not about the run; the batch is halved until the offender stands
# alone.
_ABOUT_RESULTS = frozenset({400, 413, 422})

# Rounds in which the server may fail (500) on one file alone, before its result goes without it.
_TRIES_AT_A_FILE = 4

# What is said of a test whose process ended without a word, such as by ``os._exit``.
PROCESS_ENDED = "the process ended during this test"

RunKey = tuple[str, int]


class Delivery:
    """Takes from one session's outbox and delivers.

    Args:
        outbox: the session's.
        ledger: what has been delivered; held by nobody else.
        api: the back end.
        batch_size: results in one request.
        workers: upload requests at a time.

    Attributes:
        completes: whether runs are completed; a courier whose session died completes none.
        on_progress: called whenever the back end has taken something.
        blocked: why the back end takes nothing more for a run, by project and run; everything of it is kept.
    """

    def __init__(
        self, outbox: Outbox, ledger: Ledger, api: ReporterApi, *, batch_size: int, workers: int
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._api = api
        self._batch_size = batch_size
        self._workers = workers
        self._failures: Counter[Fingerprint] = Counter()
        self.completes = True
        self.blocked: dict[RunKey, Refused] = {}
        self._set_aside: set[tuple[str, int]] = set()
        self.on_progress: Callable[[], None] = lambda: None

    def waiting(self) -> list[Item]:
        """The results that can be delivered now, oldest first."""
        while True:
            items = self._outbox.pending(self._ledger, self._batch_size * 4, excluding=self._set_aside)
            free = [item for item in items if (item.project, item.run_id) not in self.blocked]
            if free or not items:
                return free
            # A run that takes nothing must not stand before the others.
            self._set_aside.update(item.key for item in items)

    def deliver(self, items: Sequence[Item]) -> None:
        """Deliver results, with their files before them.

        Raises:
            Unreachable: the back end is away; what was not acknowledged stays in the outbox.
        """
        for (project, run_id), group in _by_run(items).items():
            try:
                real = self._real_run(project, run_id)
                for batch in self._batches(group):
                    self._deliver_batch(project, real, batch)
            except Refused as error:
                self.blocked[project, run_id] = error
                self._ledger.set_state(blocked=self._blocked_texts())

    def complete_runs(self) -> None:
        """Complete the runs of which it was asked and of which nothing is left to deliver.

        Raises:
            Unreachable: the back end is away; the runs stay open.
        """
        for run in self.runs_to_complete() if self.completes else ():
            key = (run.project, run.run_id)
            if key in self.blocked:
                continue
            if self._outbox.count_pending(self._ledger).get(key) or self._rejected_of(key):
                continue
            try:
                real = self._real_run(*key)
                self._api.complete_run(run.project, real)
                url = self._publish(run.project, real) if run.publish else None
            except (Refused, Rejected) as error:
                self.blocked[key] = error if isinstance(error, Refused) else _as_refused(error)
                self._ledger.set_state(blocked=self._blocked_texts())
                continue
            self._ledger.record_completion(run.project, run.run_id, url)
            self.on_progress()

    def runs_to_complete(self) -> list[Run]:
        """The runs whose completion was asked for and has not happened."""
        return [
            run
            for run in self._outbox.runs()
            if run.requested and not self._ledger.is_completed(run.project, run.run_id)
        ]

    def _publish(self, project: str, run_id: int) -> str | None:
        try:
            return self._api.publish_run(project, run_id)
        except (Refused, Rejected):
            # The run is complete; upstream says that there is no link.
            return None

    def _real_run(self, project: str, run_id: int) -> int:
        """The run's id at the back end; a provisional one is created now."""
        known = self._ledger.real_run(project, run_id)
        if known is not None:
            return known
        run = self._run(project, run_id)
        body = with_environment(run, self._api)
        try:
            real = self._api.create_run(project, body, run.key or str(uuid.uuid4()))
        except Rejected as error:
            raise _as_refused(error) from error
        self._ledger.record_run(project, run_id, real)
        self.on_progress()
        return real

    def _run(self, project: str, run_id: int) -> Run:
        for run in self._outbox.runs():
            if (run.project, run.run_id) == (project, run_id):
                return run
        raise Refused(
            f"The outbox {self._outbox.directory} knows no run {run_id} of project {project}; "
            "its results stay there. Name a run with 'famacase resend --to-run ID'."
        )

    def _batches(self, items: Sequence[Item]) -> Iterable[list[Item]]:
        batch: list[Item] = []
        size = 0
        for item in items:
            if batch and (len(batch) == self._batch_size or size + len(item.payload) > MAX_POST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += len(item.payload)
        if batch:
            yield batch

    def _deliver_batch(self, project: str, run_id: int, items: Sequence[Item]) -> None:
        files = {item.key: self._outbox.attachments(item) for item in items if item.has_files}
        self._upload(project, [file for stored in files.values() for file in stored])
        self._post(
            project, run_id, [(item, self._text(project, item, files.get(item.key, ()))) for item in items]
        )

    def _text(self, project: str, item: Item, files: Sequence[StoredFile]) -> str:
        """The result as it is sent: with the ids of its files, and a word about those that are missing."""
        if not files:
            return item.payload
        ids: dict[str, str] = {}
        missing: list[tuple[str, str]] = []
        for file in files:
            known = None if file.problem else self._ledger.id_of(project, file.fingerprint)
            if known is not None:
                ids[file.ref] = known
            else:
                reason = file.problem or self._ledger.problem_of(project, file.fingerprint)
                missing.append((file.file_name, reason or "not uploaded"))
        payload = resolve_refs(System.loads(item.payload), ids)
        return System.dumps(note_missing(payload, missing), ensure_ascii=False)

    def _upload(self, project: str, files: Sequence[StoredFile]) -> None:
        """Upload what the back end does not have yet; what cannot be uploaded is entered as a problem.

        A group is entered in the ledger with its key before the request, so that a courier that takes over
        after a death repeats the same request, which a server that keeps the key answers as the first.
        """
        wanted: dict[Fingerprint, StoredFile] = {}
        for file in files:
            if not file.problem and not self._ledger.is_settled(project, file.fingerprint):
                wanted.setdefault(file.fingerprint, file)
        if not wanted:
            return
        parts = {fingerprint: file.part for fingerprint, file in wanted.items()}
        planned = []
        for key, prints in self._ledger.planned(project):
            if all(print_ in parts for print_ in prints):
                planned.append((key, [parts.pop(print_) for print_ in prints]))

        def plan(group: Sequence[Part]) -> str:
            key = str(uuid.uuid4())
            self._ledger.plan_upload(project, [fingerprint_of(part) for part in group], key)
            return key

        def uploaded(part: Part, id_: str) -> None:
            self._ledger.record_upload(project, fingerprint_of(part), id_)
            self.on_progress()

        def refused(part: Part, reason: str) -> None:
            self._ledger.record_problem(project, fingerprint_of(part), reason)

        def hopeless(part: Part) -> bool:
            self._failures[fingerprint_of(part)] += 1
            return self._failures[fingerprint_of(part)] >= _TRIES_AT_A_FILE

        upload_parts(
            self._api,
            project,
            list(parts.values()),
            planned=planned,
            workers=self._workers,
            plan=plan,
            uploaded=uploaded,
            refused=refused,
            hopeless=hopeless,
        )

    def _post(self, project: str, run_id: int, batch: Sequence[tuple[Item, str]]) -> None:
        """Post a batch; where the server refuses what is in it, halve it until the offender stands alone."""
        waiting = [list(batch)]
        while waiting:
            part = waiting.pop()
            try:
                self._api.post_results(project, run_id, [text for _, text in part])
            except Rejected as error:
                if error.status not in _ABOUT_RESULTS:
                    raise _as_refused(error) from error
                if len(part) > 1:
                    half = len(part) // 2
                    waiting += [part[half:], part[:half]]
                else:
                    self._ledger.reject(part[0][0], f"{error.status} {error.detail}".rstrip())
            else:
                self._ledger.acknowledge([item for item, _ in part])
            self.on_progress()

    def _rejected_of(self, key: RunKey) -> bool:
        return any((entry.project, entry.run_id) == key for entry in self._ledger.rejected())

    def _blocked_texts(self) -> list[dict[str, Any]]:
        return [
            {"project": project, "run": run_id, "status": error.status, "message": str(error)}
            for (project, run_id), error in self.blocked.items()
        ]


def _by_run(items: Iterable[Item]) -> dict[RunKey, list[Item]]:
    groups: dict[RunKey, list[Item]] = {}
    for item in items:
        groups.setdefault((item.project, item.run_id), []).append(item)
    return groups


def _as_refused(error: Rejected) -> Refused:
    return Refused(str(error), status=error.status, detail=error.detail)


def with_environment(run: Run, api: ReporterApi) -> dict[str, Any]:
    """The body that creates a run, with the environment that its session could not look up.

    Raises:
        Unreachable, Refused: the back end could not be asked.
    """
    body = dict(run.body or {})
    if run.environment_slug:
        environment = api.environment_id(run.project, run.environment_slug)
        if environment is not None:
            body["environment_id"] = environment
    return body


def finish_unfinished(outbox: Outbox, item: Item, status: str, message: str) -> None:
    """Turn the result of a test that its process did not survive into one that can be delivered.

    Args:
        outbox: holds the result.
        item: the result as it stood when its test began.
        status: of the result.
        message: what became of its process.
    """
    payload = System.loads(item.payload)
    execution = payload["execution"]
    end = System.time()
    start = execution.get("start_time")
    execution.update(status=status, end_time=end)
    if start is not None and end >= start:
        execution["duration"] = int((end - start) * 1000)
    payload["message"] = message
    outbox.finish_unfinished(item, System.dumps(payload, ensure_ascii=False))


def finish_all_unfinished(outbox: Outbox) -> int:
    """Finish what a dead session left unfinished, as ``invalid``; returns how many there were."""
    items = outbox.unfinished()
    for item in items:
        finish_unfinished(outbox, item, "invalid", PROCESS_ENDED)
    return len(items)
