"""The transport of a session's controller, or of a session without workers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ApiError, Refused
from .models import CapturedResult, Item, Outcome, Progress, Run
from .outbox.database import OutboxUnavailable
from .outbox.store import Outbox, account, finish, finish_in_progress, has_in_progress, is_anything_left
from .outbox.writer import Writer
from .questions import Questions
from .relay.process import RelayProcess
from .system import System
from .transport import Leftovers, Tell, Transport, encode

if TYPE_CHECKING:
    from .outbox.ledger import Ledger
    from .screening import Screening

# Seconds between two looks at whether the relay is there.
_LOOK = 0.05

# Seconds beyond its deadline that the relay has to say how far it came.
_GRACE = 2.0


class _Known(NamedTuple):
    """What is known of a run: the back end's id, whether it is completed, its public link."""

    real: int | None = None
    is_completed: bool = False
    public_url: str | None = None


class ControllerTransport(Transport):
    """The transport of a session's controller, or of a session without workers.

    It opens no connection: the relay asks the back end and delivers. Only where no process can be started is
    that done in this process, after the last test.

    Args:
        outbox: the session's; None if no directory can be made.
        ledger: the outbox's.
        writer: stores this process's results in it.
        relay: delivers.
        drain_timeout: seconds that completing a run may wait for delivery.
        start_timeout: seconds that the start of the session may wait for the back end, in all.
        falls_back: whether upstream is to use its fallback if the back end cannot be opened; otherwise
            results wait in the outbox.
        tell: takes a line for the user.
        tell_now: takes one that is of use at this moment only.
        run_source: the setting that names a run which exists already.
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
        ledger: Ledger | None,
        writer: Writer | None,
        relay: RelayProcess,
        *,
        drain_timeout: float,
        start_timeout: float,
        falls_back: bool,
        tell: Tell,
        tell_now: Tell,
        run_source: str,
        screening: Screening | None = None,
    ) -> None:
        super().__init__(writer, tell, screening)
        self.wrong: list[str] = []
        self._questions = Questions(relay, start_timeout, tell_now)
        self.on_wait: Callable[[Callable[[], Progress], float], None] = lambda look, seconds: None
        self.directory = None if outbox is None else outbox.directory
        self._outbox = outbox
        self._ledger = ledger
        self._relay = relay
        self._drain_timeout = drain_timeout
        self._falls_back = falls_back
        self._run_source = run_source
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
        number = self._questions.ask("check_project", project=code)
        if self._falls_back:
            self._questions.answer(number, f"token and project {code}")
        else:
            self._checks.append((number, f"token and project {code}", ""))

    def environment_id(self, code: str, slug: str) -> int | None:
        """See `Transport`."""
        self._slugs[code] = slug
        missing = f"Project {code} has no environment with the slug {slug!r}: the run is created without one."
        number = self._questions.ask("environment", project=code, slug=slug)
        self._checks.append((number, f"environment {slug}", missing))
        return None

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """See `Transport`."""
        number = self._questions.ask("plan", project=code, plan_id=plan_id)
        try:
            cases: list[int] = self._questions.answer(number, f"plan {plan_id}")["cases"]
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
            key=str(System.uuid4()),
            environment_slug=self._slugs.get(code),
        )
        self._add_run(run)
        self._titles[code, provisional] = str(body["title"])
        return provisional

    def check_run(self, code: str, run_id: int) -> None:
        """See `Transport`; a run that is not there is no reason to drop its results."""
        self._add_run(Run(code, run_id))
        try:
            number = self._questions.ask("check_run", project=code, run_id=run_id)
            answer = self._questions.answer(number, f"run {run_id}")
        except ApiError as error:
            if error.status == 404:
                error = Refused(
                    f"Project {code} has no run {run_id}. Correct {self._run_source}, and send what waits "
                    "with: famacase resend --to-run ID, or --to-run new.",
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
                    f"any more waits in the outbox. Correct {self._run_source}, or send what waits with: "
                    "famacase resend --to-run ID, or --to-run new."
                )
                self._tell(self.wrong[-1])

    def wait_until_opened(self) -> None:
        """Before the first test: tell the user what is wrong with token, project or environment."""
        checks, self._checks = self._checks, []
        for number, what, missing in checks:
            try:
                answer = self._questions.answer(number, what)
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

    def finish_crashed(self, worker: str, message: str, test: str | None) -> None:
        """Report the test in which an xdist worker died.

        Args:
            worker: xdist's id of it, such as ``gw0``.
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
            status = "failed"
            if self._screening is not None:
                status = self._screening.crash_status(System.loads(item.payload), status)
            self._note(partial(finish, outbox, item, status, message))
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
            self._note(lambda: outbox.amend(item, encode(payload)))

    def note_end(self, how: str) -> None:
        """Note how the session ended, ``normal`` or ``interrupted``.

        Whoever sends later what is left completes the runs of a session that ended normally, and no others.
        """
        self._ended = how

    def finish_in_progress(self) -> None:
        """Report how a session that was interrupted has left what is in progress at the back end."""
        outbox = self._outbox
        if outbox is None or self._ended == "normal":
            return
        finished: list[int] = []
        self._note(lambda: finished.append(finish_in_progress(outbox)))
        if any(finished):
            self._drained = False
        self._rest()

    def complete_run(self, code: str, run_id: int, *, publish: bool = False) -> bool:
        """See `Transport`; waits for the relay to deliver."""
        if self._is_withdrawn:
            return False
        self.finish_in_progress()
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

    def foresee(self, runs: Sequence[tuple[str, int, bool]]) -> None:
        """Deliver what is there, and note the runs that are completed soon, by the relay if need be.

        Args:
            runs: project, id, and whether in public.
        """
        if not self._is_withdrawn:
            self._requests.extend(runs)
            self._drained = False
            self.drain(completes=False)

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
        return self._questions.waited

    def drain(self, *, completes: bool = True) -> None:
        """Wait for the relay to deliver everything, up to the deadline; Ctrl-C ends the wait.

        Args:
            completes: whether runs of which that was asked are completed.
        """
        if self._gave_up or self._drained:
            return
        deadline = System.monotonic() + self._drain_timeout
        self._send_unstored()
        with self._interruptible():
            self._drained = self._drained_by(deadline, completes)
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
            unsent=tuple((problem, count, name) for problem, count, name in left["unsent"]),
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
        elif self._is_at_work():
            self._relay.leave(abandoned=True)
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

    def _is_at_work(self) -> bool:
        """Whether a worker that Ctrl-C has left behind goes on to say that its test is in progress."""
        if self._ended == "normal" or self._has_ended or self._outbox is None:
            return False
        with contextlib.suppress(OutboxUnavailable):
            return has_in_progress(self._outbox)
        return False

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

    def _drained_by(self, deadline: float, completes: bool) -> bool:
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
            "drain",
            seconds=left,
            stored=self._stored,
            ended=self._ended,
            runs=self._requests,
            completes=completes,
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
        # Without a relay everything is done at once, by the call that completes.
        return not completes or self._deliver_here(deadline)

    def _has_relay(self) -> bool:
        """Whether there is a relay, or can be one; that there is none is said once."""
        if self._relay.is_alive() or not self._relay.trouble:
            return True
        where = (
            "pytest itself delivers, after the last test" if self._outbox else "results are held in memory"
        )
        self._tell_once(f"{self._relay.trouble}: {where}.")
        return False

    def _deliver_here(self, deadline: float) -> bool:
        from .relay.main import deliver_here

        assert self._outbox is not None
        assert self._ledger is not None
        done, account, self._obstacle = deliver_here(
            self._outbox,
            self._ledger,
            self._relay.briefing,
            self._stored,
            deadline,
            lambda: self._waiting(deadline),
            self._relay.note_request,
        )
        self._take(account)
        return done

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
