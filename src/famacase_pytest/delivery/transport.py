"""The one interface between a session and delivery: what upstream's client asks for, and where results go."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import PASSING
from .late import LateFiles
from .models import (
    Attachment,
    CapturedResult,
    Outcome,
    StoredFile,
    clean_mime_type,
    clean_name,
    reason_of,
    sendable,
)
from .outbox.blobs import check_size, read_file
from .outbox.database import OutboxUnavailable
from .outbox.store import IN_PROGRESS
from .outbox.writer import Writer
from .system import System

if TYPE_CHECKING:
    from .screening import Screening

Tell = Callable[[str], None]


class Leftovers(NamedTuple):
    """How far delivery came.

    Attributes:
        delivered: results that the back end has.
        waiting: results that it does not have yet; they are kept.
        rejected: why it does not take some; they are kept.
        lost: results that could neither be stored nor sent.
        open_runs: runs whose completion is due.
        reason: why results wait, as far as it is known.
        in_background: whether a relay goes on delivering what waits.
        unsent: what kept files from being sent, how many each, and the name of one of them.
        statuses: how many of the delivered results have each status.
        failed: those of them that did not pass.
        files: that the back end got, and file_bytes of them.
        again: files of results that were not sent, since the back end had their content already.
    """

    delivered: int = 0
    waiting: int = 0
    rejected: tuple[str, ...] = ()
    lost: int = 0
    open_runs: int = 0
    reason: str | None = None
    in_background: bool = False
    unsent: tuple[tuple[str, int, str], ...] = ()
    statuses: Mapping[str, int] = {}
    failed: tuple[Outcome, ...] = ()
    files: int = 0
    file_bytes: int = 0
    again: int = 0


class Transport:
    """What a process of a session asks of delivery; what both kinds of processes do with results is here.

    Args:
        writer: this process's part of the outbox; None where there is no outbox: then all results are held in
            memory.
        tell: takes a line for the user.
        screening: what the user's settings change in results; None: nothing.

    Attributes:
        directory: where results wait, or None.
    """

    directory: Path | None = None

    def __init__(self, writer: Writer | None, tell: Tell, screening: Screening | None = None) -> None:
        self._writer = writer
        self._screening = screening
        self._tell = tell
        self._told: set[str] = set()
        self._begun: set[tuple[str, int, str]] = set()
        self._unstored: list[tuple[str, int, CapturedResult]] = []
        self._late_files = None if writer is None else LateFiles(writer)
        # pytest's node id of the test that runs.
        self.test = ""

    # While pytest is configured

    def open_project(self, code: str) -> None:
        """Check that the token opens the project. Raises ApiError where that must be known at once."""
        raise NotImplementedError

    def environment_id(self, code: str, slug: str) -> int | None:
        """None: an environment is looked up by whoever creates the run."""
        raise NotImplementedError

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The ids of the cases that a plan holds. Raises ApiError."""
        raise NotImplementedError

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        """Promise a run.

        Args:
            code: of the project.
            body: the contract's ``RunCreate``.

        Returns:
            A provisional, negative id; the run is created with its first result.
        """
        raise NotImplementedError

    def check_run(self, code: str, run_id: int) -> None:
        """Look whether a run takes results. Raises ApiError where they may not wait until that is known."""
        raise NotImplementedError

    # While tests run

    def test_started(self, name: str, params: Mapping[str, object], test_id: str) -> None:
        """Note name and parameters of the test that runs now, and pytest's id of them, for what is masked."""
        if self._screening is not None:
            self._screening.test_started(name, params, test_id)

    def begin(self, code: str, run_id: int, result: Mapping[str, Any]) -> None:
        """Store the unfinished result of a test that starts, in case the process dies in it."""
        if self._writer is not None:
            if self._screening is not None:
                result = self._screening.masked(result)
            # The finished result is tried as well, and says what is wrong.
            with contextlib.suppress(OutboxUnavailable):
                self._writer.begin(code, run_id, str(result["id"]), encode(result))
                self._begun.add((code, run_id, str(result["id"])))

    def progress(self, code: str, run_id: int, result: CapturedResult, *, sends: bool) -> None:
        """Store the result of a test that goes on, so that it is sent as it is now, and replaced later.

        Args:
            code: of the project.
            run_id: the run.
            result: ``in_progress``, or how the test ends.
            sends: whether it is sent now; otherwise only if the process dies.
        """
        if self._writer is None:
            return
        result = self.screened(result)
        if sends:
            # What there is no room for now is in the finished result too.
            with contextlib.suppress(OutboxUnavailable):
                self._store(code, run_id, result)
        if result.payload["execution"]["status"] == IN_PROGRESS:
            self.begin(code, run_id, result.payload)

    def forget_begun(self) -> None:
        """Drop the unfinished results of this process: upstream does not report their tests."""
        if self._begun and self._writer is not None:
            with contextlib.suppress(OutboxUnavailable):
                self._writer.drop_unfinished()
            self._begun.clear()

    def copy(self, source: Attachment) -> StoredFile | None:
        """Copy a file as it is now, for ``CapturedResult.copies``; None where nothing can be stored."""
        if self._writer is None:
            return None
        if self._screening is not None:
            return self._screening.copy(source, self._writer)
        return self._writer.store(source)

    def screened(self, result: CapturedResult) -> CapturedResult:
        """A finished result as the user's settings have it: its status, its files, its secrets."""
        return result if self._screening is None else self._screening.result(result)

    def adopt(self, test: str) -> dict[str, CapturedResult]:
        """The results, by project, of a test in which another worker died, if it is repeated here.

        They are this process's from here on. Cheap where there are none.
        """
        return {}

    def hidden(self, text: str) -> str:
        """A text that goes elsewhere than into a result, without what is secret."""
        return text if self._screening is None else self._screening.hidden(text)

    def put(self, code: str, run_id: int, results: Sequence[CapturedResult]) -> None:
        """Store finished results; what the outbox does not take is held in memory."""
        if self._screening is not None:
            # What a hook has put in is masked as well.
            results = [result._replace(payload=self._screening.masked(result.payload)) for result in results]
        for result in results:
            problem = self._problem_of(code, run_id, result)
            if problem:
                if not self._unstored and self._writer is not None:
                    self._tell(f"{problem} Results are held in memory and sent after the last test.")
                self._unstored.append((code, run_id, result))

    def settled(self, result: CapturedResult) -> CapturedResult:
        """The same result, with its files as they are now, whatever becomes of them."""
        if self._screening is not None:
            return self._screening.settled(result)
        if self._writer is None:
            return result
        files = [self._file(source, result.copies.get(source.ref)) for source in result.files]
        return result._replace(copies={file.ref: replace(file, origin=None) for file in files})

    def unstored(self) -> list[dict[str, Any]]:
        """The results that the disk still has no room for, as they travel over a pipe."""
        held, self._unstored = self._unstored, []
        left = []
        for code, run_id, result in held:
            if self._problem_of(code, run_id, result):
                left.append(_packed(code, run_id, result))
        return left

    def stored(self) -> dict[str, int]:
        """How many results this process has stored, by the name of its writer."""
        return {} if self._writer is None else self._writer.stored

    # After the last test

    def complete_run(self, code: str, run_id: int, *, publish: bool = False) -> bool:
        """Complete the run once all of its results are delivered; False if that was not possible.

        Args:
            code: of the project.
            run_id: the run.
            publish: whether a public link will be asked for.
        """
        return False  # a worker's run is its controller's to complete

    def publish_run(self, code: str, run_id: int) -> str | None:
        """The public link of the run's report, if the back end gave one."""
        return None

    def drain(self) -> None:
        """Wait until everything is delivered that can be, up to the session's deadline."""

    def close(self) -> None:
        """Let go of files and processes."""
        if self._writer is not None:
            self._writer.close()

    @property
    def has_late_files(self) -> bool:
        """Whether there are files that fixtures may still finish."""
        return bool(self._late_files)

    def teardown_starts(self, node: Callable[[], str]) -> None:
        """Fixtures are about to be torn down, which may finish files that are attached already.

        Args:
            node: gives pytest's id of what ends, the empty text for the session; called only if need be.
        """
        if self._late_files:
            self._late_files.begin(node())

    def teardown_ended(self) -> None:
        """Replace the copies of files that were finished since `teardown_starts`."""
        if self._late_files:
            # An earlier state of a file is better than none.
            with contextlib.suppress(OutboxUnavailable):
                self._late_files.end()

    def _problem_of(self, code: str, run_id: int, result: CapturedResult) -> str:
        """Store a result; returns why that fails, or ""."""
        try:
            self._store(code, run_id, result)
        except PASSING:
            raise
        except OutboxUnavailable as error:
            return str(error)
        except BaseException as error:  # noqa: BLE001 (a guard of a suite may raise anything; it is said)
            return f"A result cannot be stored ({type(error).__name__}: {error})."
        return ""

    def _store(self, code: str, run_id: int, result: CapturedResult) -> None:
        if self._writer is None:
            raise OutboxUnavailable("There is no outbox.")
        files = [self._file(source, result.copies.get(source.ref)) for source in result.files]
        result_id = str(result.payload["id"])
        self._writer.put(code, run_id, result_id, encode(result.payload), files)
        self._begun.discard((code, run_id, result_id))
        if files and self._late_files is not None:
            self._late_files.watch(self.test, (code, run_id, result_id), files, result.late)

    def _file(self, source: Attachment, copied: StoredFile | None) -> StoredFile:
        assert self._writer is not None
        if copied is None:
            return self._writer.store(source)
        name = clean_name(source.file_name)
        return replace(self._writer.refresh(copied), ref=source.ref, file_name=name)

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


class NoTransport(Transport):
    """Takes nothing and does nothing, in a process that must not report."""

    def __init__(self) -> None:
        super().__init__(None, lambda line: None)

    def put(self, code: str, run_id: int, results: Sequence[CapturedResult]) -> None:
        """Drop them: another process reports them."""


def _packed(code: str, run_id: int, result: CapturedResult) -> dict[str, Any]:
    """A result with the contents of its files, as it travels to the relay; see ``relay.unstored``."""
    files = [_packed_file(source, result.copies.get(source.ref)) for source in result.files]
    return {"project": code, "run_id": run_id, "payload": System.dumps(result.payload), "files": files}


def _packed_file(source: Attachment, copied: StoredFile | None) -> dict[str, Any]:
    name = clean_name(source.file_name)
    packed = {"ref": source.ref, "file_name": name, "mime_type": clean_mime_type(source.mime_type, name)}
    try:
        content = b64encode(_content_of(source, copied)).decode()
    except PASSING:
        raise
    except BaseException as error:  # noqa: BLE001 (a guard of a suite may raise anything; it is told)
        return {**packed, "content": None, "problem": sendable(reason_of(error))}
    return {**packed, "content": content, "problem": None}


def _content_of(source: Attachment, copied: StoredFile | None) -> bytes:
    """The bytes of a file: of its copy if there is one, else as it is now.

    Raises:
        OSError, ValueError, Unstorable: it cannot be read, or is too large.
    """
    if copied is not None and not copied.problem:
        with contextlib.suppress(OSError), copied.open() as stored:
            return stored.read()
    if source.content is not None:
        check_size(len(source.content))
        return source.content
    assert source.path is not None
    return read_file(source.path)[0]


# Kept: ``json.dumps`` makes an encoder for each call with options. Compact, since the text is sent as it is.
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
