"""Uploads the files of a batch: equal ones once, in as few requests as allowed, several at a time."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from threading import Thread as _Thread  # tests replace it in its module
from typing import Protocol

from famacase_pytest.delivery.parts import (
    MIB,
    Attachment,
    Fingerprint,
    Limits,
    Part,
    PartUnreadable,
    fingerprint,
    group,
    part_of,
    reason_of,
)
from famacase_pytest.errors import Rejected, Unreachable

# Answers that can be about one file of the request. Any other refusal would be repeated for each half.
_ABOUT_CONTENT = frozenset({400, 413, 415, 422})

# The answer of a server that has failed, maybe on one of the files.
_SERVER_ERROR = 500

# Files on which a server that has taken no other may fail before the fault is held to be its own.
_SUSPECTS = 2


class Uploads(Protocol):
    """The one call that uploading needs; `ReporterApi` has it."""

    def upload(self, code: str, parts: Sequence[Part], key: str) -> list[str]:
        """Stores the files and returns their ids in the order given."""
        ...


@dataclass(frozen=True)
class UploadOutcome:
    """What became of the files of a batch.

    Attributes:
        ids: the back end's id by reference, of all files that it has.
        problems: why a file could not be uploaded, by reference.
    """

    ids: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def upload_all(
    api: Uploads,
    project: str,
    sources: Sequence[Attachment],
    *,
    workers: int,
    known: MutableMapping[tuple[str, Fingerprint], str],
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> UploadOutcome:
    """Uploads what is not known yet, and says which id each reference has.

    A file that is missing, unreadable, too large or refused is a problem of its own references; all others
    are uploaded all the same. Each request has an `Idempotency-Key` that all its attempts share, so that an
    upload whose answer was lost is not stored twice by a server that keeps the key; on another server the
    first copy stays behind unused, since ids come from one answer only.

    Args:
        api: the back end.
        project: the project's code.
        sources: the files, each under its reference; equal files may occur any number of times.
        workers: requests at a time, 1 or more.
        known: ids of earlier uploads by (project, fingerprint). Each id is entered as soon as the back end
            has acknowledged its file, from the uploading thread and under a lock of this call, so that
            nothing is lost if a later request fails. If calls overlap in time, each may upload an equal file.

    Raises:
        Unreachable, Refused: a request failed for a reason that is not about its files. What was uploaded
            until then is in `known`; the same call again sends the rest.
    """
    problems: dict[str, str] = {}
    prints: dict[str, Fingerprint] = {}
    wanted: dict[Fingerprint, Part] = {}
    for source in sources:
        try:
            _check_size(source.size(), limits)
            print_ = fingerprint(source)
            _check_size(print_.size, limits)
        except (OSError, _TooLarge) as error:
            problems[source.ref] = reason_of(error)
            continue
        prints[source.ref] = print_
        if (project, print_) not in known:
            wanted.setdefault(print_, part_of(source, print_))

    unwanted: dict[Fingerprint, str] = {}
    upload_parts(
        api,
        project,
        list(wanted.values()),
        workers=workers,
        limits=limits,
        uploaded=lambda part, id_: known.__setitem__((project, fingerprint_of(part)), id_),
        refused=lambda part, reason: unwanted.__setitem__(fingerprint_of(part), reason),
    )

    ids = {}
    for ref, print_ in prints.items():
        id_ = known.get((project, print_))
        if id_ is not None:
            ids[ref] = id_
        else:
            problems[ref] = unwanted[print_]
    return UploadOutcome(ids, problems)


def upload_parts(
    api: Uploads,
    project: str,
    parts: Sequence[Part],
    *,
    workers: int,
    uploaded: Callable[[Part, str], None],
    refused: Callable[[Part, str], None],
    planned: Sequence[tuple[str, Sequence[Part]]] = (),
    plan: Callable[[Sequence[Part]], str] = lambda parts: str(uuid.uuid4()),
    hopeless: Callable[[Part], bool] = lambda part: False,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
) -> None:
    """Uploads files whose fingerprints are known, in groups and several requests at a time.

    Args:
        api: the back end.
        project: the project's code.
        parts: the files, each once.
        workers: requests at a time, 1 or more.
        uploaded: told the id of each file as soon as the back end has acknowledged it.
        refused: told why a file cannot be uploaded.
        planned: groups that an earlier process was about to send, with the keys of their requests.
        plan: gives the key of a group's request, before it is sent.
        hopeless: asked about a file on which alone the server failed (500): whether it has done so often
            enough for the file to be given up as refused.
        limits: of the contract.

    The functions are called from the uploading threads, one at a time.

    Raises:
        Unreachable, Refused: a request failed for a reason that is not about its files.
    """
    upload = _Upload(api, project, uploaded, refused, plan, hopeless)
    upload.run([*planned, *((None, parts_) for parts_ in group(parts, limits))], workers)


def fingerprint_of(part: Part) -> Fingerprint:
    """The fingerprint of a part that was made from one."""
    assert part.sha256 is not None
    return Fingerprint(part.sha256, part.size, part.file_name, part.mime_type)


class _TooLarge(Exception):
    pass


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.file_bytes:
        raise _TooLarge(
            f"{size / MIB:.1f} MiB, more than the {limits.file_bytes / MIB:g} MiB that one file may have"
        )


class _Upload:
    """One call of upload_parts: its requests, and what its threads share."""

    def __init__(
        self,
        api: Uploads,
        project: str,
        uploaded: Callable[[Part, str], None],
        refused: Callable[[Part, str], None],
        plan: Callable[[Sequence[Part]], str],
        hopeless: Callable[[Part], bool],
    ) -> None:
        self._api = api
        self._hopeless = hopeless
        # Files on which alone the server failed.
        self._broken: list[tuple[Part, Unreachable]] = []
        self._has_uploaded = False
        self._project = project
        self._uploaded = uploaded
        self._refused = refused
        self._plan = plan
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def run(self, groups: Sequence[tuple[str | None, Sequence[Part]]], workers: int) -> None:
        self._send_all(groups, workers)
        held_back = [
            error
            for part, error in self._broken
            if not self._given_up(part, f"the server failed on it: {error.status} {error.detail}".rstrip())
        ]
        if held_back:
            raise held_back[0]

    def _given_up(self, part: Part, reason: str) -> bool:
        if not self._hopeless(part):
            return False
        self._give_up([part], reason)
        return True

    def _send_all(self, groups: Sequence[tuple[str | None, Sequence[Part]]], workers: int) -> None:
        if workers <= 1 or len(groups) <= 1:
            for key, parts in groups:
                self._send(key, parts)
            return
        waiting = deque(groups)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                while waiting and not self._stopped.is_set():
                    with self._lock:
                        group_ = waiting.popleft() if waiting else None
                    if group_ is not None:
                        self._send(*group_)
            except BaseException as error:  # noqa: BLE001 (raised below, in the thread of the caller)
                failures.append(error)
                self._stopped.set()

        # Not a ThreadPoolExecutor: its threads are those that a test may have replaced.
        threads = [
            _Thread(target=work, name=f"famacase-upload-{number}", daemon=True)
            for number in range(min(workers, len(groups)))
        ]
        for thread in threads:
            thread.start()
        try:
            # Requests in flight are waited for after a failure, since their ids count; not after Ctrl-C.
            for thread in threads:
                thread.join()
        finally:
            self._stopped.set()
        if failures:
            raise failures[0]

    def _send(self, key: str | None, parts: Sequence[Part]) -> None:
        """Sends one group, in smaller requests where some of it is refused or cannot be read."""
        waiting = [(key, list(parts))]
        while waiting and not self._stopped.is_set():
            known_key, request = waiting.pop()
            try:
                ids = self._api.upload(self._project, request, known_key or self._key(request))
            except PartUnreadable as error:
                self._give_up([error.part], error.reason)
                rest = [part for part in request if part is not error.part]
                if rest:
                    waiting.append((None, rest))
            except Unreachable as error:
                # It may be one of the files: the others are not to wait for it.
                if error.status != _SERVER_ERROR:
                    raise
                if len(request) > 1:
                    waiting += _halves(request)
                    continue
                self._broken.append((request[0], error))
                if len(self._broken) > _SUSPECTS and not self._has_uploaded:
                    raise  # it is the server
            except Rejected as error:
                if len(request) > 1 and error.status in _ABOUT_CONTENT:
                    waiting += _halves(request)
                else:
                    self._give_up(request, f"refused by the server: {error.status} {error.detail}".rstrip())
            else:
                self._has_uploaded = True
                with self._lock:
                    for part, id_ in zip(request, ids):
                        self._uploaded(part, id_)

    def _key(self, parts: Sequence[Part]) -> str:
        with self._lock:
            return self._plan(parts)

    def _give_up(self, parts: Sequence[Part], reason: str) -> None:
        with self._lock:
            for part in parts:
                self._refused(part, reason)


def _halves(request: list[Part]) -> list[tuple[str | None, list[Part]]]:
    """Two smaller requests; the first half is sent first, since the last one in the list is."""
    half = len(request) // 2
    return [(None, request[half:]), (None, request[:half])]
