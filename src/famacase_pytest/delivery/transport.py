"""The one interface between a session and delivery: what upstream's client asks for, and where results go."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from famacase_pytest import errors
from famacase_pytest.delivery.late import LateFiles
from famacase_pytest.delivery.models import (
    Attachment,
    CapturedResult,
    Item,
    Outcome,
    Progress,
    Run,
    StoredFile,
    clean_mime_type,
    clean_name,
    reason_of,
    sendable,
)
from famacase_pytest.delivery.outbox.blobs import Unstorable, check_size, open_file, origin_of
from famacase_pytest.delivery.outbox.database import OutboxUnavailable
from famacase_pytest.delivery.outbox.store import IN_PROGRESS, Outbox, account, finish, is_anything_left
from famacase_pytest.delivery.outbox.writer import Writer
from famacase_pytest.delivery.relay.process import RelayProcess
from famacase_pytest.delivery.system import System
from famacase_pytest.errors import PASSING, ApiError, Refused

if TYPE_CHECKING:
    from famacase_pytest.delivery.screening import Screening

# Seconds between two looks at whether the relay is there.
_LOOK = 0.05

# Seconds of silence at the start, after which the user is told what is waited for.
_SILENCE = 1.0

# Seconds beyond its deadline that the relay has to say how far it came.
_GRACE = 2.0

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
        dropped: files that were not kept since the outbox was full.
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
    dropped: int = 0
    statuses: Mapping[str, int] = {}
    failed: tuple[Outcome, ...] = ()
    files: int = 0
    file_bytes: int = 0
    again: int = 0


class _Known(NamedTuple):
    """What is known of a run: the back end's id, whether it is completed, its public link."""

    real: int | None = None
    is_completed: bool = False
    public_url: str | None = None


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
                self._writer.begin(code, run_id, str(result["id"]), _encode(result))
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
            results = [replace(result, payload=self._screening.masked(result.payload)) for result in results]
        for result in results:
            try:
                self._store(code, run_id, result)
            except OutboxUnavailable as error:
                if not self._unstored and self._writer is not None:
                    self._tell(f"{error} Results are held in memory and sent after the last test.")
                self._unstored.append((code, run_id, result))

    def settled(self, result: CapturedResult) -> CapturedResult:
        """The same result, with its files as they are now, whatever becomes of them."""
        if self._screening is not None:
            return self._screening.settled(result)
        if self._writer is None:
            return result
        files = [self._file(source, result.copies.get(source.ref)) for source in result.files]
        return replace(result, copies={file.ref: replace(file, origin=None) for file in files})

    def unstored(self) -> list[dict[str, Any]]:
        """The results that the disk still has no room for, as they travel over a pipe."""
        held, self._unstored = self._unstored, []
        left = []
        for code, run_id, result in held:
            try:
                self._store(code, run_id, result)
            except OutboxUnavailable:
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

    def _store(self, code: str, run_id: int, result: CapturedResult) -> None:
        if self._writer is None:
            raise OutboxUnavailable("There is no outbox.")
        files = [self._file(source, result.copies.get(source.ref)) for source in result.files]
        result_id = str(result.payload["id"])
        self._writer.put(code, run_id, result_id, _encode(result.payload), files)
        self._begun.discard((code, run_id, result_id))
        if files and self._late_files is not None:
            self._late_files.watch(self.test, (code, run_id, result_id), files)

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


class ControllerTransport(Transport):
    """The transport of a session's controller, or of a session without workers.

    It opens no connection: the relay asks the back end and delivers. Only where no process can be started is
    that done in this process, after the last test.

    Args:
        outbox: the session's; None if no directory can be made.
        writer: stores this process's results in it.
        relay: delivers.
        drain_timeout: seconds that completing a run may wait for delivery.
        start_timeout: seconds that the start of the session may wait for the back end, in all.
        falls_back: whether upstream is to use its fallback if the back end cannot be opened; otherwise
            results wait in the outbox.
        tell: takes a line for the user.
        tell_now: takes one that is of use at this moment only.
        screening: what the user's settings change in results; None: nothing.

    Attributes:
        wrong: what is wrong with the target, as far as the back end has said: token, project, environment,
            run. Results wait in the outbox all the same.
        on_wait: called again and again while the end of the session waits for delivery, with a function that
            looks how far it is, and the seconds until the deadline.
    """

    def __init__(
        self,
        outbox: Outbox | None,
        writer: Writer | None,
        relay: RelayProcess,
        *,
        drain_timeout: float,
        start_timeout: float,
        falls_back: bool,
        tell: Tell,
        tell_now: Tell,
        screening: Screening | None = None,
    ) -> None:
        super().__init__(writer, tell, screening)
        self.wrong: list[str] = []
        self._tell_now = tell_now
        self._is_waiting_told = False
        self.on_wait: Callable[[Callable[[], Progress], float], None] = lambda look, seconds: None
        self.directory = None if outbox is None else outbox.directory
        self._outbox = outbox
        self._ledger = None if outbox is None else outbox.ledger()
        self._relay = relay
        self._drain_timeout = drain_timeout
        self._start_timeout = start_timeout
        self._patience = start_timeout
        self._falls_back = falls_back
        self._checks: list[tuple[int, str, str]] = []
        self._slugs: dict[str, str] = {}
        self._runs: list[Run] = []
        self._titles: dict[tuple[str, int], str] = {}
        self._known: dict[tuple[str, int], _Known] = {}
        self._ended = "interrupted"
        self._requests: list[tuple[str, int, bool]] = []
        # How many of these are noted in the outbox, and whether it does not take them.
        self._noted = 0
        self._cannot_note = False
        # What the relay has said last of how far it came, and whether it has ended and cleaned up.
        self._account: dict[str, Any] | None = None
        self._has_ended = False
        self._of_workers: list[dict[str, Any]] = []
        self._stored: dict[str, int] = {}
        self._sent = 0
        self._lost = 0
        self._look_at = 0.0
        self._is_away = False
        self._is_withdrawn = False
        self._gave_up = False
        self._drained = False
        self._late = False
        self._in_background = False
        # What kept this process from delivering by itself.
        self._obstacle: BaseException | None = None

    # While pytest is configured

    def open_project(self, code: str) -> None:
        """See `Transport`."""
        number = self._ask("check_project", project=code)
        if self._falls_back:
            self._answered(number, f"token and project {code}")
        else:
            self._checks.append((number, f"token and project {code}", ""))

    def environment_id(self, code: str, slug: str) -> int | None:
        """See `Transport`."""
        self._slugs[code] = slug
        missing = f"Project {code} has no environment with the slug {slug!r}: the run is created without one."
        number = self._ask("environment", project=code, slug=slug)
        self._checks.append((number, f"environment {slug}", missing))
        return None

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """See `Transport`."""
        number = self._ask("plan", project=code, plan_id=plan_id)
        try:
            cases: list[int] = self._answered(number, f"plan {plan_id}")["cases"]
        except ApiError as error:
            # The caller says it.
            self._told.add(str(error))
            raise
        return cases

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        """See `Transport`."""
        provisional = -1 - len(self._runs)
        run = Run(
            code,
            provisional,
            body=dict(body),
            # Kept with the run: whoever repeats the request gets the run that the first one created.
            key=str(uuid.uuid4()),
            environment_slug=self._slugs.get(code),
        )
        self._add_run(run)
        self._titles[code, provisional] = str(body["title"])
        return provisional

    def check_run(self, code: str, run_id: int) -> None:
        """See `Transport`; a run that is not there is no reason to drop its results."""
        self._add_run(Run(code, run_id))
        try:
            answer = self._answered(self._ask("check_run", project=code, run_id=run_id), f"run {run_id}")
        except ApiError as error:
            if error.status == 404:
                error = Refused(
                    f"Project {code} has no run {run_id}. Correct FAMACASE_TESTOPS_RUN_ID, and send what "
                    "waits with: famacase resend --to-run ID, or --to-run new.",
                    status=404,
                )
            if self._falls_back:
                raise error from None
            self._go_without(error)
        else:
            if answer.get("title"):
                self._titles[code, run_id] = str(answer["title"])
            if answer.get("status") == "completed":
                self.wrong.append(
                    f"Run {run_id} of project {code} is completed already: what the back end does not take "
                    "any more waits in the outbox. Correct FAMACASE_TESTOPS_RUN_ID, or send what waits with: "
                    "famacase resend --to-run ID, or --to-run new."
                )
                self._tell(self.wrong[-1])

    def wait_until_opened(self) -> None:
        """Before the first test: tell the user what is wrong with token, project or environment."""
        checks, self._checks = self._checks, []
        for number, what, missing in checks:
            try:
                answer = self._answered(number, what)
            except ApiError as error:
                self._go_without(error)
            else:
                if missing and answer.get("id", 0) is None:
                    self.wrong.append(missing)
                    self._tell(missing)
        self._relay.settle()
        self._has_relay()
        self._rest()

    def withdraw(self) -> None:
        """No test is going to run: no run is completed, also not one that others report to."""
        self._is_withdrawn = True

    # While tests run

    def put(self, code: str, run_id: int, results: Sequence[CapturedResult]) -> None:
        """See `Transport`; a relay that has died is started again."""
        self._drained = False
        super().put(code, run_id, results)
        now = System.monotonic()
        if now >= self._look_at:
            self._relay.ensure()
            # A suite may close all descriptors in each test.
            self._look_at = now + _LOOK + self._relay.losses
            if self._outbox is not None:
                self._outbox.renew_presence()

    def take_over(self, stored: Mapping[str, int], unstored: Sequence[dict[str, Any]]) -> None:
        """Take what an xdist worker says at its end; see `stored` and `unstored`."""
        self._stored.update(stored)
        self._of_workers.extend(unstored)

    def finish_crashed(self, worker: str, status: str, message: str, test: str | None) -> None:
        """Report the test in which an xdist worker died.

        Args:
            worker: xdist's id of it, such as ``gw0``.
            status: of the result.
            message: of the result.
            test: names the test to the worker that may repeat it, see `adopt`; None: none shall take it up.
        """
        outbox = self._outbox
        if outbox is None:
            return
        items = [item for item in outbox.unfinished() if item.writer.startswith(f"{worker}-")]
        if self._screening is not None:
            message = self._screening.crash(message)
        for item in items:
            ended = status
            if self._screening is not None:
                ended = self._screening.crash_status(System.loads(item.payload), status)
            self._note(partial(finish, outbox, item, ended, message))
        if items and test is not None:
            self._note(lambda: outbox.hand_over(test, items))
        self._rest()

    def not_repeated(self, test: str) -> None:
        """Nobody repeats the test that was named to `finish_crashed`."""
        outbox = self._outbox
        if outbox is not None:
            self._note(lambda: outbox.take_back(test))

    # After the last test

    def results(self) -> list[Item]:
        """What the processes of the session have stored; nothing that cannot be read."""
        try:
            return [] if self._outbox is None else self._outbox.results()
        except OutboxUnavailable:
            return []

    def amend(self, item: Item, payload: Mapping[str, Any]) -> None:
        """Have a result delivered again, with another payload."""
        outbox = self._outbox
        if outbox is not None:
            self._drained = False
            self._note(lambda: outbox.amend(item, _encode(payload)))

    def note_end(self, how: str) -> None:
        """Note how the session ended, ``normal`` or ``interrupted``.

        Whoever sends later what is left completes the runs of a session that ended normally, and no others.
        """
        self._ended = how

    def complete_run(self, code: str, run_id: int, *, publish: bool = False) -> bool:
        """See `Transport`; waits for the relay to deliver."""
        if self._is_withdrawn:
            return False
        self.teardown_ended()
        self._send_unstored()
        if self._lost:
            self.drain()
            return False
        self._requests.append((code, run_id, publish))
        self._drained = False
        self.drain()
        if self._gave_up:
            self._note_end()
        if self._outbox is None or self._cannot_note:
            return self._complete_unstored(code, run_id, publish)
        return self._run(code, run_id).is_completed

    def publish_run(self, code: str, run_id: int) -> str | None:
        """See `Transport`."""
        return self._run(code, run_id).public_url

    def real_run(self, code: str, run_id: int) -> int:
        """The back end's id of a run; as long as it has not been created, the provisional one."""
        if run_id < 0 and self._ledger is not None and not self._run(code, run_id).real:
            with contextlib.suppress(OutboxUnavailable):
                self._known[code, run_id] = _Known(self._ledger.real_run(code, run_id))
                self._rest()
        return self._run(code, run_id).real or run_id

    def title(self, code: str, run_id: int) -> str | None:
        """The title of a run, as far as it is known."""
        return self._titles.get((code, run_id))

    @property
    def waited(self) -> float:
        """Seconds that the start of the session has waited for the back end."""
        return self._start_timeout - self._patience

    def drain(self) -> None:
        """Wait for the relay to deliver everything, up to the deadline; Ctrl-C ends the wait."""
        if self._gave_up or self._drained:
            return
        deadline = System.monotonic() + self._drain_timeout
        self._send_unstored()
        with self._interruptible():
            self._drained = self._drained_by(deadline)
            self._gave_up = not self._drained

    def leftovers(self) -> Leftovers:
        """How far delivery came. A relay that nobody waits for any more is ended first: it could go on."""
        if self._gave_up and not self._in_background:
            self._end_relay(account=True)
        if self._outbox is None:
            return Leftovers(delivered=self._sent, lost=self._lost)
        left = self._left()
        reasons = list(left["reasons"])
        if self._obstacle is not None:
            reasons.append(f"delivery was stopped by {type(self._obstacle).__name__}: {self._obstacle}")
        if self._late:
            reasons.append(f"it took longer than the {self._drain_timeout:g} s of FAMACASE_DRAIN_TIMEOUT")
        return Leftovers(
            delivered=left["delivered"] + self._sent,
            waiting=left["waiting"],
            rejected=tuple(left["rejected"]),
            lost=self._lost,
            open_runs=left["open_runs"],
            reason=reasons[0] if reasons else None,
            in_background=self._in_background and not reasons,
            dropped=left["dropped"],
            statuses=left["statuses"],
            failed=tuple(Outcome(*entry) for entry in left["failed"]),
            files=left["files"],
            file_bytes=left["file_bytes"],
            again=left["again"],
        )

    def close(self) -> None:
        """Let the relay go; an outbox in which nothing is left goes too."""
        super().close()
        if self._outbox is None:
            self._relay.end(_GRACE)
            return
        if self._in_background:
            # That a full disk does not take even this was said before, and harms nothing.
            with contextlib.suppress(OutboxUnavailable):
                self._outbox.drop_all_unfinished()
            # Nobody waits: the relay goes on by itself, as long as the usual deadline, and cleans up.
            self._relay.leave()
        else:
            self._rest()
            if not self._has_ended:
                self._end_relay()
            # On Windows nobody can remove what this process has open.
            if not self._has_ended or os.name == "nt":
                # If not even that can be found out, which was told before, it stays for `famacase resend`.
                with contextlib.suppress(OutboxUnavailable):
                    self._outbox.drop_all_unfinished()
                    if self._left_nothing():
                        self._outbox.remove()
        self._outbox.close()

    # Questions to the back end

    def _ask(self, question: str, **details: object) -> int:
        return self._relay.order(question, seconds=self._start_timeout, **details)

    def _answered(self, number: int, what: str) -> dict[str, Any]:
        """The answer to a question. Raises ApiError, also if there is none in time.

        Args:
            number: of the question.
            what: it is about.
        """
        began = System.monotonic()

        def waiting() -> None:
            left = self._patience - (System.monotonic() - began)
            if not self._is_waiting_told and left < self._start_timeout - _SILENCE:
                self._is_waiting_told = True
                self._tell_now(
                    f"waiting for {self._relay.briefing['api_url']} ({what}), for {left:.0f} s at most; then "
                    "the session goes on, and its results wait in the outbox."
                )

        answer = self._relay.answer(number, self._patience, waiting)
        self._patience = max(0.0, self._patience - (System.monotonic() - began))
        if answer is None:
            raise errors.Unreachable(
                f"{self._relay.trouble}: the back end was not asked. Results are kept."
                if self._relay.trouble
                else f"The back end at {self._relay.briefing['api_url']} has not answered within "
                f"{self._start_timeout:g} s. Check the network, the server and the address "
                "(FAMACASE_API_URL)."
            )
        problem = answer.get("error")
        if problem:
            kind: type[ApiError] = getattr(errors, problem["kind"])
            raise kind(problem["message"], status=problem["status"], detail=problem["detail"])
        return answer

    def _go_without(self, error: ApiError) -> None:
        if not self._has_relay():
            return  # which says all that is known
        if isinstance(error, Refused):
            self.wrong.append(str(error))
        if not self._is_away:
            self._is_away = True
            where = f"wait in {self.directory}" if self.directory else "are held in memory"
            what = "" if str(error) in self._told else f"{error} "
            self._tell(f"{what}Until then results {where}.")

    # Delivery

    def _drained_by(self, deadline: float) -> bool:
        """Whether everything was done that can be done."""
        if self._outbox is None:
            return True
        if self._drain_timeout == 0:
            self._note_end()
            self._in_background = self._relay.ensure()
            return False
        self._stored.update(self.stored())
        left = max(0.0, deadline - System.monotonic())
        number = self._relay.order(
            "drain", seconds=left, stored=self._stored, ended=self._ended, runs=self._requests
        )
        answer = self._relay.answer(number, left + _GRACE, lambda: self._waiting(deadline))
        if answer is not None:
            self._late = not answer["done"] and System.monotonic() >= deadline
            self._cannot_note = not answer["noted"]
            self._noted = len(self._requests) if answer["noted"] else 0
            self._take(answer["account"])
            return bool(answer["done"])
        self._note_end()
        if self._relay.ensure():
            self._relay.tell("stop")
            self._late = True
            return False
        self._has_relay()
        return self._deliver_from_here(deadline)

    def _has_relay(self) -> bool:
        """Whether there is a relay, or can be one; that there is none is said once."""
        if self._relay.is_alive() or not self._relay.trouble:
            return True
        where = (
            "pytest itself delivers, after the last test" if self._outbox else "results are held in memory"
        )
        self._tell_once(f"{self._relay.trouble}: {where}.")
        return False

    def _deliver_from_here(self, deadline: float) -> bool:
        """What the relay does, in this process, by the same code as ``famacase resend``."""
        import threading

        from famacase_pytest.delivery.relay.main import open_api, open_loop

        assert self._outbox is not None
        assert self._ledger is not None
        lock = self._outbox.delivery_lock()
        if not lock.acquire(max(0.0, deadline - System.monotonic())):
            return False
        cancelled = threading.Event()
        briefing = self._relay.briefing
        loop = None
        try:
            loop = open_loop(self._outbox, self._ledger, briefing, open_api(briefing, cancelled), cancelled)
            loop.delivery.expected = self._stored
            loop.start()
            done = loop.drain(
                max(0.0, deadline - System.monotonic()), threading.Event(), lambda: self._waiting(deadline)
            )
            self._obstacle = loop.failure
            self._take(account(self._outbox, self._ledger))
            return done
        except (OutboxUnavailable, *PASSING):
            raise
        except BaseException as error:  # noqa: BLE001 (guards of a suite may raise anything)
            self._obstacle = error
            return False
        finally:
            if loop is not None:
                loop.stop()
            lock.release()

    def _send_unstored(self) -> None:
        """Send what no disk has room for from memory, by way of the relay."""
        with self._interruptible():
            results = [*self.unstored(), *self._of_workers]
            self._of_workers = []
            if not results:
                return
            runs = [run._asdict() for run in self._runs]
            seconds = self._drain_timeout or _GRACE
            number = self._relay.order("results", results=results, runs=runs, seconds=seconds)
            answer = self._relay.answer(number, seconds + _GRACE)
            if answer is None:
                why = self._relay.trouble or f"it took longer than {seconds:g} s"
                answer = {"delivered": 0, "problems": [f"{len(results)} results are lost: {why}."]}
            self._sent += answer["delivered"]
            self._lost += len(results) - answer["delivered"]
            for problem in answer["problems"]:
                self._tell(problem)

    def _complete_unstored(self, code: str, run_id: int, publish: bool) -> bool:
        """Complete a run where no outbox could take note that this is wanted."""
        real = self.real_run(code, run_id)
        with self._interruptible():
            if self._outbox is not None:
                left = self._left()
                if left["waiting"] or left["rejected"]:
                    return False
            number = self._relay.order("complete", project=code, run_id=real, publish=publish)
            answer = self._relay.answer(number, self._drain_timeout or _GRACE) or {}
            completed = bool(answer.get("completed"))
            self._known[code, run_id] = _Known(answer.get("real", real), completed, answer.get("url"))
            if answer.get("problem"):
                self._tell(answer["problem"])
            return completed
        return False

    def _waiting(self, deadline: float) -> None:
        # That it cannot be counted here is no reason to wait no longer.
        with contextlib.suppress(OutboxUnavailable):
            self.on_wait(self._progress, max(0.0, deadline - System.monotonic()))

    def _progress(self) -> Progress:
        assert self._outbox is not None
        assert self._ledger is not None
        return self._outbox.progress(self._ledger)

    def _end_relay(self, *, account: bool = False) -> None:
        answer = self._relay.end(_GRACE, account=account)
        self._has_ended = answer is not None
        self._take(answer and answer["account"])

    def _take(self, account: dict[str, Any] | None) -> None:
        self._account = account
        for project, run_id, *known in account["runs"] if account else ():
            self._known[project, run_id] = _Known(*known)

    def _run(self, code: str, run_id: int) -> _Known:
        return self._known.get((code, run_id), _Known())

    def _left(self) -> dict[str, Any]:
        """How far delivery came: as the relay has said, which sees more than a process out of descriptors."""
        assert self._outbox is not None
        assert self._ledger is not None
        return self._account or account(self._outbox, self._ledger)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Around what may take long after the last test: Ctrl-C ends it, and so does an outbox that fails."""
        try:
            yield
        except OutboxUnavailable as error:
            self._gave_up = True
            self._tell_once(str(error))
        except KeyboardInterrupt:
            self._relay.tell("stop")
            self._gave_up = True
            self._tell("Interrupted while results were being delivered: what is left waits in the outbox.")

    # The outbox

    def _add_run(self, run: Run) -> None:
        self._runs.append(run)
        outbox = self._outbox
        if outbox is not None:
            self._note(lambda: outbox.add_run(run))

    def _note(self, change: Callable[[], object]) -> bool:
        """Change the outbox; that it takes nothing more is said once, and is no reason to end a session."""
        try:
            change()
        except OutboxUnavailable as error:
            self._tell_once(str(error))
            return False
        return True

    def _note_end(self) -> None:
        outbox, new = self._outbox, self._requests[self._noted :]
        if outbox is not None and new:
            self._noted = len(self._requests)
            self._cannot_note = not self._note(lambda: outbox.note_end(self._ended, new))

    def _rest(self) -> None:
        """Leave no file of ours open that a test could close, but for the writer's."""
        if self._outbox is not None and self._ledger is not None:
            self._outbox.rest()
            self._ledger.rest()

    def _left_nothing(self) -> bool:
        assert self._outbox is not None
        assert self._ledger is not None
        lock = self._outbox.delivery_lock()
        return lock.acquire(0.0) and not is_anything_left(self._outbox, self._ledger)


class WorkerTransport(Transport):
    """The transport of an xdist worker, which answers from what the controller handed over.

    Args:
        outbox: the session's; None where there is none.
        writer: stores the results in it.
        briefing: the controller's: ``failed`` tells that it could not open the back end, ``plan_cases`` holds
            the cases of its plan by project.
        tell: takes a line for the user.
        screening: what the user's settings change in results; None: nothing.
    """

    def __init__(
        self,
        outbox: Outbox | None,
        writer: Writer | None,
        briefing: Mapping[str, Any],
        tell: Tell,
        screening: Screening | None = None,
    ) -> None:
        super().__init__(writer, tell, screening)
        self._outbox = outbox
        self._briefing = briefing

    def adopt(self, test: str) -> dict[str, CapturedResult]:
        """See `Transport`."""
        if self._outbox is None or self._writer is None:
            return {}
        adopted = {}
        # What cannot be read stays where it is, and is delivered from there.
        with contextlib.suppress(OutboxUnavailable):
            for item in self._outbox.handed_over(test):
                files = [self._own(file) for file in self._outbox.attachments(item)]
                # Stored here before it goes there: whoever dies in between, it is not lost.
                self._writer.put(item.project, item.run_id, item.result_id, item.payload, files)
                self._outbox.remove_result(item)
                adopted[item.project] = CapturedResult(
                    System.loads(item.payload),
                    tuple(
                        Attachment(file.ref, file.file_name, file.mime_type, content=b"") for file in files
                    ),
                    {file.ref: file for file in files},
                )
            if adopted:
                self._outbox.rest()
        return adopted

    def _own(self, file: StoredFile) -> StoredFile:
        """Another writer's file, as one of this process's."""
        assert self._writer is not None
        if file.problem:
            return file
        try:
            with file.open() as stored:
                content = stored.read()
        except OSError as error:
            return replace(file, sha256=None, size=0, problem=sendable(reason_of(error)))
        return self._writer.store(Attachment(file.ref, file.file_name, file.mime_type, content=content))

    def open_project(self, code: str) -> None:
        """See `Transport`."""
        if self._briefing.get("failed", True):
            raise Refused(f"The controller of this session could not report to project {code}.")

    def environment_id(self, code: str, slug: str) -> int | None:
        """See `Transport`."""
        return None

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """See `Transport`."""
        return list(self._briefing.get("plan_cases", {}).get(code, ()))

    def create_run(self, code: str, body: Mapping[str, Any]) -> int:
        """See `Transport`."""
        raise Refused(f"A worker creates no run in project {code}; its controller does.")

    def check_run(self, code: str, run_id: int) -> None:
        """See `Transport`."""


# Kept: ``json.dumps`` makes an encoder for each call with options. Compact, since the text is sent as it is.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _packed(code: str, run_id: int, result: CapturedResult) -> dict[str, Any]:
    """A result with the contents of its files, as it travels over a pipe; see ``relay.main``."""
    files = [_packed_file(source, result.copies.get(source.ref)) for source in result.files]
    return {"project": code, "run_id": run_id, "payload": System.dumps(result.payload), "files": files}


def _packed_file(source: Attachment, copied: StoredFile | None) -> dict[str, Any]:
    from base64 import b64encode

    name = clean_name(source.file_name)
    packed = {"ref": source.ref, "file_name": name, "mime_type": clean_mime_type(source.mime_type, name)}
    try:
        content = b64encode(_content_of(source, copied)).decode()
    except (OSError, ValueError, Unstorable) as error:
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
    file = open_file(origin_of(source.path).path)
    try:
        return b"".join(file.chunks())
    finally:
        file.close()
