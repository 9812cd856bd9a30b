"""What delivery does in one round: create runs, upload files, post results, complete runs.

The same code serves the relay beside a session, the pytest process itself where there is no relay, and
``famacase resend``.
"""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable

from ...errors import ApiError, Refused, Rejected
from ..api.base import ReportingClient
from ..models import MIB, Fingerprint, Item, Part, Run, StoredFile, resolve_refs
from ..outbox.database import OutboxUnavailable
from ..outbox.ledger import Ledger, Upload
from ..outbox.store import Outbox
from ..system import System
from .uploads import Received, upload_parts

# A request of results is kept to this many bytes, so that a few large stack traces do not run into a
# server's limit. One result that is larger goes alone.
MAX_POST_BYTES = 8 * MIB

# Batches that are read at a time: one for each of two projects, as a rule.
_BATCHES = 2

# Answers that are about what was sent, not about the run; the batch is halved until the offender stands
# alone.
_ABOUT_RESULTS = frozenset({400, 413, 422})

# Rounds in which the server may fail (500) on one file alone, before its result goes without it.
_TRIES_AT_A_FILE = 4


RunKey = tuple[str, int]
ItemKey = tuple[str, int]


class Delivery:
    """Takes from one session's outbox and delivers.

    Args:
        outbox: the session's.
        ledger: what has been delivered; held by nobody else.
        api: the back end.
        batch_size: results in one request.
        upload_threads: upload requests at a time.

    Attributes:
        expected: how many results each writer has stored, by its name, as far as the session told; a run of
            which some are missing is not completed.
        completes: whether runs of which it was asked are completed.
        on_progress: called whenever the back end has taken something.
        blocked: why the back end takes nothing more for a run, by project and run; everything of it is kept.
    """

    def __init__(
        self, outbox: Outbox, ledger: Ledger, api: ReportingClient, *, batch_size: int, upload_threads: int
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._api = api
        self._batch_size = batch_size
        self._upload_threads = upload_threads
        self._failures: Counter[Fingerprint] = Counter()
        self.completes = True
        self.expected: Mapping[str, int] = {}
        self.blocked: dict[RunKey, Refused] = {}
        self._set_aside: set[ItemKey] = set()
        self._created: dict[RunKey, int] = {}
        # Where results of a project go by the user's choice, if that is another one.
        self._targets: Mapping[str, str] = ledger.state().get("targets") or {}
        # Within which equal files are uploaded once.
        self._scope = str(outbox.meta().get("scope") or outbox.session_id)
        # What another process was delivering when it died, or this one when the back end went away.
        self._in_flight: list[ItemKey] = [
            (writer, seq) for writer, seq in ledger.state().get("in_flight", ())
        ]
        self.on_progress: Callable[[], None] = lambda: None

    def waiting(self) -> list[Item]:
        """The results that come next, oldest first: two batches of them at most, in number and in bytes."""
        in_flight = self._batch_in_flight()
        if in_flight:
            return in_flight
        while True:
            items = self._outbox.pending(
                self._ledger,
                _BATCHES * self._batch_size,
                max_bytes=_BATCHES * MAX_POST_BYTES,
                excluding=self._set_aside,
            )
            blocked = [item.key for item in items if _run_of(item) in self.blocked]
            if not blocked:
                return items
            # A run that takes nothing must not stand before the others.
            self._set_aside.update(blocked)

    def is_full(self, items: Sequence[Item]) -> bool:
        """Whether there are enough results for a request, or they are what is left of an earlier one."""
        return (
            bool(self._in_flight)
            or len(items) >= self._batch_size
            or sum(item.size for item in items) >= MAX_POST_BYTES
        )

    def deliver(self, items: Sequence[Item]) -> None:
        """Deliver results, with their files before them.

        Raises:
            Unreachable: the back end is away; what was not acknowledged stays in the outbox.
        """
        groups: dict[RunKey, list[Item]] = {}
        for item in items:
            groups.setdefault(_run_of(item), []).append(item)
        for (project, run_id), group in groups.items():
            try:
                real = self.real_run(project, run_id)
                for batch in self._batches(group):
                    self._deliver_batch(self._target(project), real, batch)
            except Refused as error:
                self._block((project, run_id), error)

    def complete_runs(self) -> None:
        """Complete the runs of which it was asked and of which nothing is left to deliver.

        Raises:
            Unreachable: the back end is away; the runs stay open.
        """
        if not self.completes:
            return
        missing = self._missing()
        self._ledger.set_state(missing=missing)
        for run in () if missing else self._outbox.runs():
            key = (run.project, run.run_id)
            if not run.requested or self._ledger.is_completed(*key) or key in self.blocked:
                continue
            if run.run_id < 0 and self._ledger.real_run(*key) is None and not self._outbox.has_results(*key):
                # Without a result the run was never created, and is not now.
                self._ledger.record_completion(*key)
                continue
            if key in self._outbox.count_pending(self._ledger) or self._has_rejected(key):
                continue
            try:
                real = self.real_run(*key)
                self._api.complete_run(self._target(run.project), real)
                url = self._publish(self._target(run.project), real) if run.publish else None
            except Refused as error:
                self._block(key, error)
            except Rejected as error:
                self._block(key, _as_refused(error))
            else:
                self._ledger.record_completion(run.project, run.run_id, url)
                self.on_progress()

    def _missing(self) -> str | None:
        """Why some results of the session may never arrive: they were stored and are not there any more."""
        there = self._outbox.count_stored()
        unreadable = self._outbox.unreadable
        problems = []
        for name in {**unreadable, **self.expected}:
            stored, done = self.expected.get(name), len(self._ledger.done(name))
            if name in unreadable and (stored is None or done < stored):
                problems.append(unreadable[name])
            elif stored is not None and max(there.get(name, 0), done) < stored:
                problems.append(f"Of {stored} results in {name}.db, {stored - done} are not there any more.")
        return " ".join(problems) or None

    def _publish(self, project: str, run_id: int) -> str | None:
        try:
            return self._api.publish_run(project, run_id)
        except (Refused, Rejected):
            # The run is complete; upstream says that there is no link.
            return None

    def real_run(self, project: str, run_id: int) -> int:
        """The run's id at the back end; a provisional one is created now."""
        known = self._ledger.real_run(project, run_id)
        if known is not None:
            return known
        real = self._created.get((project, run_id))
        if real is None:
            target = self._target(project)
            run = self._run(project, run_id)._replace(project=target)
            try:
                body = with_environment(run, self._api)
                real = self._api.create_run(target, body, run.key or str(uuid.uuid4()))
            except Rejected as error:
                raise _as_refused(error) from error
            # Kept here too: a disk that is full does not take it, and there shall be no second run.
            self._created[project, run_id] = real
        self._ledger.record_run(project, run_id, real)
        self.on_progress()
        return real

    def _target(self, project: str) -> str:
        """The project that results of a project go to."""
        return self._targets.get(project, project)

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
            if batch and (len(batch) == self._batch_size or size + item.size > MAX_POST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += item.size
        if batch:
            yield batch

    def _deliver_batch(self, project: str, run_id: int, items: Sequence[Item]) -> None:
        files = {item.key: self._outbox.attachments(item) for item in items if item.has_files}
        wanted = self._wanted(project, itertools.chain(*files.values()))
        if wanted:
            self._note_in_flight([item.key for item in items])
            self._upload(project, wanted)
        self._post(
            project, run_id, [(item, self._text(project, item, files.get(item.key, ()))) for item in items]
        )

    def _note_in_flight(self, keys: list[ItemKey]) -> None:
        """Note what a batch holds whose files are about to be uploaded.

        Until it is delivered the batch stays as it is, in a process that takes over too: the same files make
        the same requests, which the back end knows by their keys. Otherwise a file could be stored twice.
        """
        if keys != self._in_flight:
            self._ledger.set_state(in_flight=keys)
            self._in_flight = keys

    def _batch_in_flight(self) -> list[Item]:
        """What is left to deliver of the batch in flight."""
        items: list[Item] = []
        try:
            for writer, seq in self._in_flight:
                item = None if seq in self._ledger.done(writer) else self._outbox.item(writer, seq)
                if item is not None and _run_of(item) not in self.blocked:
                    items.append(item)
        except OutboxUnavailable:
            # A writer's database that cannot be read is to hold up no other: its results come later.
            items = []
        if not items:
            self._in_flight = []
        return items

    def _text(self, project: str, item: Item, files: Sequence[StoredFile]) -> str:
        if not files:
            return item.payload
        return with_files(
            item.payload,
            [
                (file.ref, file.file_name, self._ledger.upload(project, file.fingerprint))
                if not file.problem
                else (file.ref, file.file_name, Upload(None, file.problem))
                for file in files
            ],
        )

    def _wanted(self, project: str, files: Iterable[StoredFile]) -> list[Part]:
        """The files that the back end does not have yet, equal ones once."""
        wanted: dict[Fingerprint, Part] = {}
        for file in files:
            if not file.problem and self._ledger.upload(project, file.fingerprint) is None:
                wanted.setdefault(file.fingerprint, file.part)
        return list(wanted.values())

    def _upload(self, project: str, parts: Sequence[Part]) -> None:
        """Upload files; what cannot be uploaded is entered as a problem."""

        def uploaded(received: Received) -> None:
            self._ledger.record_uploads(project, [(part.fingerprint, id_) for part, id_ in received])
            self.on_progress()

        def refused(part: Part, reason: str) -> None:
            self._ledger.record_problem(project, part.fingerprint, reason)

        failed = upload_parts(
            self._api,
            project,
            parts,
            upload_threads=self._upload_threads,
            scope=self._scope,
            uploaded=uploaded,
            refused=refused,
        )
        held_back = []
        for part, error in failed:
            self._failures[part.fingerprint] += 1
            if self._failures[part.fingerprint] < _TRIES_AT_A_FILE:
                held_back.append(error)
            else:
                refused(part, failure_of(error))
        if held_back:
            raise held_back[0]

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

    def _has_rejected(self, key: RunKey) -> bool:
        return any((entry.project, entry.run_id) == key for entry in self._ledger.rejected())

    def _block(self, key: RunKey, error: Refused) -> None:
        """Send nothing more to a run; everything of it is kept."""
        self.blocked[key] = error
        self._ledger.set_state(
            blocked=[
                {
                    "project": project,
                    "run": run_id,
                    "status": error.status,
                    "message": f"{error}{self._elsewhere(project, run_id, error)}",
                }
                for (project, run_id), error in self.blocked.items()
            ]
        )

    def _elsewhere(self, project: str, run_id: int, error: Refused) -> str:
        """How the results get to another place, where the run or the project is the wrong one."""
        targets = ["--project CODE"] if error.status == 404 else []
        if error.status in (404, 409) and self._ledger.real_run(project, run_id):
            targets += ["--to-run ID", "--to-run new"]
        return f" They go elsewhere with: famacase resend {' or '.join(targets)}." if targets else ""


def _run_of(item: Item) -> RunKey:
    return (item.project, item.run_id)


def _as_refused(error: Rejected) -> Refused:
    return Refused(str(error), status=error.status, detail=error.detail)


def with_environment(run: Run, api: ReportingClient) -> dict[str, Any]:
    """The body that creates a run, with the environment that its session could not look up.

    Raises:
        Unreachable, Refused, Rejected: the back end could not be asked.
    """
    body = dict(run.body or {})
    if run.environment_slug:
        environment = api.environment_id(run.project, run.environment_slug)
        if environment is not None:
            body["environment_id"] = environment
    return body


def with_files(payload: str, files: Sequence[tuple[str, str, Upload | None]]) -> str:
    """A result as it is sent: with the ids of its files, and a word about those that are missing.

    Args:
        payload: the result as it is stored.
        files: reference and name of each, and what became of it.
    """
    ids = {ref: upload.file_id for ref, _, upload in files if upload and upload.file_id}
    missing = {
        ref: f"{name} ({upload.problem if upload and upload.problem else 'not uploaded'})"
        for ref, name, upload in files
        if ref not in ids
    }
    return System.dumps(resolve_refs(System.loads(payload), ids, missing), ensure_ascii=False)


def failure_of(error: ApiError) -> str:
    """Why a file is missing on which the server fails."""
    return f"the server failed on it: {error.status} {error.detail}".rstrip()
