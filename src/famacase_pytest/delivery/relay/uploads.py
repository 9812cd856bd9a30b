"""Uploads the files of a batch: equal ones once, in as few requests as allowed, several at a time."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from ...errors import Rejected, Unreachable
from ..api.multipart import PartUnreadable, group
from ..models import Fingerprint, Part
from ..system import System

# Answers that can be about one file of the request. Any other refusal would be repeated for each half.
_ABOUT_CONTENT = frozenset({400, 413, 415, 422})

# The answer of a server that has failed, maybe on one of the files.
_SERVER_ERROR = 500

# Files on which a server that has taken no other may fail before the fault is held to be its own.
_SUSPECTS = 2

# The namespace of the keys of upload requests.
_KEYS = uuid.UUID("5b0f0c4e-7a54-4c39-9a3e-0d6ad6a6b2f1")

Received = Sequence[tuple[Part, str]]


class Uploads(Protocol):
    """The one call that uploading needs; `ReporterApi` has it."""

    def upload(self, code: str, parts: Sequence[Part], key: str) -> list[str]:
        """Store the files; returns their ids in the order given."""
        ...


def upload_parts(
    api: Uploads,
    project: str,
    parts: Sequence[Part],
    *,
    upload_threads: int,
    scope: str,
    uploaded: Callable[[Received], None],
    refused: Callable[[Part, str], None],
) -> list[tuple[Part, Unreachable]]:
    """Upload files, in groups and several requests at a time.

    A group that the server refuses is halved until the offender stands alone. The key of a request follows
    from what is in it, so that whoever takes over after a death repeats the same request, which a server that
    keeps the key answers as the first.

    Args:
        api: the back end.
        project: the project's code.
        parts: the files, each once.
        upload_threads: requests at a time, 1 or more.
        scope: within which equal requests have the same key.
        uploaded: told the ids of a request's files as soon as the back end has acknowledged them.
        refused: told why a file cannot be uploaded.

    The two functions are called from the uploading threads, one at a time.

    Returns:
        The files on which alone the server failed (500), with its answers: the same call again may help.

    Raises:
        Unreachable, Refused: a request failed for a reason that is not about its files.
    """
    upload = _Upload(api, project, scope, uploaded, refused)
    upload.run(group(parts), upload_threads)
    return upload.failed


def request_key(scope: str, project: str, files: Sequence[Fingerprint]) -> str:
    """The Idempotency-Key of an upload request: a UUID that is the same for the same files in this order."""
    return str(uuid.uuid5(_KEYS, System.dumps([scope, project, files])))


class _Upload:
    """One call of upload_parts: its requests, and what its threads share."""

    def __init__(
        self,
        api: Uploads,
        project: str,
        scope: str,
        uploaded: Callable[[Received], None],
        refused: Callable[[Part, str], None],
    ) -> None:
        self.failed: list[tuple[Part, Unreachable]] = []
        self._api = api
        self._project = project
        self._scope = scope
        self._uploaded = uploaded
        self._refused = refused
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._has_uploaded = False

    def run(self, groups: Sequence[Sequence[Part]], upload_threads: int) -> None:
        """Send all groups."""
        waiting = deque(groups)
        errors: list[BaseException] = []

        def work() -> None:
            try:
                while not self._stopped.is_set():
                    try:
                        parts = waiting.popleft()
                    except IndexError:
                        return
                    self._send(parts)
            except BaseException as error:  # noqa: BLE001 (raised below, in the thread of the caller)
                errors.append(error)
                self._stopped.set()

        count = min(upload_threads, len(groups))
        if count == 1:
            work()
        else:
            # Not a ThreadPoolExecutor: its threads are those that a test may have replaced.
            threads = [
                System.thread(target=work, name=f"famacase-upload-{number}", daemon=True)
                for number in range(count)
            ]
            for thread in threads:
                thread.start()
            try:
                # Requests in flight are waited for after a failure, since their ids count; not after Ctrl-C.
                for thread in threads:
                    thread.join()
            finally:
                self._stopped.set()
        if errors:
            raise errors[0]

    def _send(self, parts: Sequence[Part]) -> None:
        """Send one group, in smaller requests where some of it is refused or cannot be read."""
        waiting = [list(parts)]
        while waiting and not self._stopped.is_set():
            request = waiting.pop()
            try:
                ids = self._api.upload(self._project, request, self._key(request))
            except PartUnreadable as error:
                self._give_up([error.part], error.reason)
                rest = [part for part in request if part is not error.part]
                if rest:
                    waiting.append(rest)
            except Unreachable as error:
                # It may be one of the files: the others are not to wait for it.
                if error.status != _SERVER_ERROR:
                    raise
                if len(request) > 1:
                    waiting += _halves(request)
                    continue
                self.failed.append((request[0], error))
                if len(self.failed) > _SUSPECTS and not self._has_uploaded:
                    raise  # it is the server
            except Rejected as error:
                if len(request) > 1 and error.status in _ABOUT_CONTENT:
                    waiting += _halves(request)
                else:
                    self._give_up(request, f"refused by the server: {error.status} {error.detail}".rstrip())
            else:
                self._has_uploaded = True
                with self._lock:
                    self._uploaded(list(zip(request, ids)))

    def _key(self, request: Sequence[Part]) -> str:
        return request_key(self._scope, self._project, [part.fingerprint for part in request])

    def _give_up(self, parts: Sequence[Part], reason: str) -> None:
        with self._lock:
            for part in parts:
                self._refused(part, reason)


def _halves(request: list[Part]) -> list[list[Part]]:
    """Two smaller requests; the first half is sent first, since the last one in the list is."""
    half = len(request) // 2
    return [request[half:], request[:half]]
