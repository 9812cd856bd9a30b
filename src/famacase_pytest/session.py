"""What one pytest session owns: its settings, the patches, the way to the back end, what it has to say."""

from __future__ import annotations

import os
import shlex
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .errors import ApiError
from .settings.kinds import NEEDS_BACKEND
from .settings.model import Settings
from .speaker import Speaker, defect
from .summary import counted

if TYPE_CHECKING:
    from .countdown import Countdown
    from .delivery.channel import Channel, Leftovers
    from .upstream.each_test import TestWatch
    from .upstream.patches import Installation

# What a controller hands to its xdist workers, under this key of ``workerinput``.
_BRIEFING = "famacase"


class _Guard:
    """A context that no defect leaves; one for all, since every test passes it twice."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._session.failed(error)  # a reporter is a guest
        return True


class Session(Speaker):
    """Everything of one session that reports to Famacase, in its controller or in one of its workers.

    Args:
        config: pytest's.
        settings: as resolved from all sources.
        notices: what the settings have to say to the user.
    """

    def __init__(self, config: pytest.Config, settings: Settings, notices: Sequence[str]) -> None:
        super().__init__(config, notices)
        self._settings = settings
        self._briefing: dict[str, Any] | None = None
        if self._is_worker:
            self._briefing = config.workerinput.get(_BRIEFING, {})  # type: ignore[attr-defined]
        self._installation: Installation | None = None
        self._channel: Channel | None = None
        self._runs: dict[str, int] = {}
        self._watch: TestWatch | None = None
        self._leftovers: Leftovers | None = None
        self._plan_cases: dict[str, list[int]] = {}
        self._missing_plans: set[tuple[str, int]] = set()
        self._spare_run_file = Path(tempfile.gettempdir(), f"famacase-run-{uuid.uuid4()}")
        self._countdown: Countdown | None = None
        self._failed = False
        self._has_failed = False
        self._guard = _Guard(self)
        self._run_file_refused = False

    # The beginning and the end

    def install(self) -> None:
        """Rebind upstream's names to this session.

        Raises:
            UpstreamMismatch: the installed upstream is not one that the patches fit; nothing is rebound.
        """
        from .upstream import client, imports, plan_loader
        from .upstream.config_reader import ConfigReader
        from .upstream.each_test import TestWatch
        from .upstream.patches import Bindings, Installation

        settings = self._settings
        if settings.mode.value in NEEDS_BACKEND:
            # Opened before anything is rebound: the environment is still what the user gave.
            self._open_channel()
        bindings = Bindings(
            client=client.bound_to(self),
            plan_loader=plan_loader.bound_to(self),
            # Where upstream has fallen back to a local report, files are its own to keep.
            channel=lambda: None if self._failed else self._channel,
            reader=ConfigReader(
                settings.overlay.environ, settings.overlay.options, settings.overlay.file, self._config
            ),
            run_url=self.run_url,
            run_file=self._run_file(),
        )
        # The patches look into modules that upstream itself has not needed so far.
        imports.load_sparing_clients()
        installation = Installation(bindings, speedups=settings.speedups.value)
        installation.check()
        installation.install()
        self._installation = installation
        if self._channel is not None:
            self._watch = TestWatch(self._config, self._channel)

    def end(self) -> None:
        """Put upstream's names back and let go of everything."""
        try:
            if self._installation is not None:
                self._installation.undo()
        finally:
            if self._channel is not None:
                self._channel.close()

    # What upstream's client and plan loader ask for

    def channel(self) -> Channel:
        """The way to the back end."""
        if self._channel is None:
            self._open_channel()
        assert self._channel is not None
        return self._channel

    def _open_channel(self) -> None:
        from . import channels

        if self._briefing is None:
            self._note_earlier_sessions()
            self._channel = channels.for_controller(
                self._settings, self._config.rootpath, os.environ, self._notices.append
            )
        else:
            worker = self._config.workerinput["workerid"]  # type: ignore[attr-defined]
            self._channel = channels.for_worker(self._settings, self._briefing, worker, self._notices.append)

    def _note_earlier_sessions(self) -> None:
        from . import channels

        base = channels.outbox_base(self._settings, self._config.rootpath)
        waiting, more = channels.waiting_sessions(base, self._notices.append)
        if waiting:
            results = sum(waiting)
            whose = "an earlier session" if len(waiting) == 1 else f"{len(waiting)} earlier sessions"
            others = f", and those of {more} more," if more else ""
            self._notices.append(
                f"{counted(results, 'result')} of {whose}{others} "
                f"{'waits' if results == 1 else 'wait'} in {base}. "
                f"Send {'it' if results == 1 else 'them'} with: {self._resend_command()}"
            )

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The cases of a plan; kept for the workers, which must not ask the back end."""
        try:
            self._plan_cases[code] = self.channel().plan_cases(code, plan_id)
        except ApiError as error:
            if error.status == 404:
                self._missing_plans.add((code, plan_id))
            self._notices.append(f"plan {plan_id} could not be read, so all tests run: {error}")
            raise
        return self._plan_cases[code]

    def has_plan(self, code: str, plan_id: int) -> bool:
        """Whether a run may name the plan: one that is not there would keep the run from being created."""
        return (code, plan_id) not in self._missing_plans

    def run_url(self, run_id: Any) -> str:
        """The page of a run; of one that could not be created yet, the page of all."""
        base = f"{self._settings.base_url}/runs"
        return f"{base}/{run_id}" if run_id and int(run_id) > 0 else base

    def run_opened(self, code: str, run_id: int) -> None:
        """A run of the session is known."""
        self._runs[code] = run_id
        self._write_run_file()

    def could_not_start(self, error: ApiError) -> None:
        """The back end could not be opened: upstream falls back, or reports nothing."""
        self._failed = True
        self._notices.append(str(error))

    def could_not_send(self, error: ApiError, results: int) -> None:
        """A batch is lost to the back end."""
        self._notices.append(f"{counted(results, 'result', 'was/were')} not delivered: {error}")

    def could_not_complete(self, error: ApiError) -> None:
        """The results are there; their run stays open."""
        self._notices.append(str(error))

    # What pytest and xdist tell

    def guarded(self) -> _Guard:
        """Keep a defect of ours from the session: it is said once, and the tests go on."""
        return self._guard

    def failed(self, error: Exception) -> None:
        """Take note of a defect of ours."""
        if not self._has_failed:
            self._has_failed = True
            self._notices.append(defect(error))

    def test_began(self) -> None:
        """A test begins."""
        if self._watch is not None:
            self._watch.began()

    def test_finished(self) -> None:
        """A test has ended; its result is taken before the next one begins."""
        if self._watch is not None:
            self._watch.finished()

    def workers_to_come(self, specs: Sequence[Any]) -> None:
        """xdist is about to start its workers; the specifications serve crashed ones' successors too."""
        from .upstream import imports

        # Loaded under its entry point's name, so that the workers find it by that.
        if self._settings.speedups.value and self._config.pluginmanager.hasplugin(imports.PLUGIN):
            imports.ask_workers(specs, os.environ)

    def brief_worker(self, workerinput: dict[str, Any]) -> None:
        """Hand an xdist worker what it must not find out for itself."""
        workerinput[_BRIEFING] = {
            "run_file": str(self._run_file()),
            "failed": self._failed,
            "plan_cases": self._plan_cases,
            "outbox": str(self._channel.directory) if self._channel and self._channel.directory else None,
        }

    def worker_ended(self, workeroutput: Mapping[str, Any]) -> None:
        """Take what a worker says of itself at its end."""
        report = workeroutput.get(_BRIEFING, {})
        self._notices.extend(report.get("notices", ()))
        if self._channel is not None:
            self._channel.worker_losses += report.get("lost", 0)
            self._channel.worker_sent += report.get("sent", 0)

    def worker_crashed(self, worker: str, message: str) -> None:
        """Report the test in which a worker died."""
        if self._channel is not None:
            self._channel.finish_crashed(worker, "failed", message)

    def ending(self, exitstatus: int) -> None:
        """The last test is over; upstream completes its run next."""
        if self._channel is not None and not self._is_worker:
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            if terminal is not None and terminal.isatty:
                from .countdown import Countdown

                self._countdown = Countdown(terminal)
                self._channel.on_wait = self._countdown.show
            interrupted = exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
            self._channel.note_end("interrupted" if interrupted else "normal")

    def finish(self) -> None:
        """Upstream is done: see everything delivered."""
        if self._channel is None:
            return
        self._channel.forget_begun()
        self._channel.drain()
        if self._countdown is not None:
            self._countdown.clear()
        self._leftovers = self._channel.leftovers()
        if self._is_worker:
            self._config.workeroutput[_BRIEFING] = {  # type: ignore[attr-defined]
                "lost": self._leftovers.lost,
                "sent": self._leftovers.delivered,
                "notices": self._notices,
            }
        else:
            self._write_run_file()

    def summarize(self, terminalreporter: Any) -> None:
        super().summarize(terminalreporter)
        if self._leftovers is not None and not self._is_worker:
            for line, good in self._summary(self._leftovers):
                terminalreporter.write_line(f"famacase: {line}", **({} if good else {"yellow": True}))
            self._leftovers = None

    def _summary(self, left: Leftovers) -> Iterator[tuple[str, bool]]:
        """The lines that tell how far delivery came, each with whether that is good."""
        where = ", ".join(self.run_url(self.channel().real_run(*run)) for run in self._runs.items())
        if left.delivered:
            yield f"{counted(left.delivered, 'result')} delivered to {where}", True
        for reason in left.rejected:
            yield f"a result was refused by the back end and is kept: {reason}", False
        if left.dropped:
            yield (
                f"{counted(left.dropped, 'file', 'was/were')} not kept, since the outbox was full "
                "(FAMACASE_OUTBOX_MAX_MB); the results say which.",
                False,
            )
        if left.lost:
            yield f"{counted(left.lost, 'result', 'is/are')} lost; the run stays open.", False
        if left.in_background and (left.waiting or left.open_runs):
            verb = counted(left.waiting, "result", "is/are")
            yield f"{verb} being delivered in the background to {where}", True
        elif left.waiting or left.open_runs or left.rejected:
            reason = f" ({left.reason})" if left.reason else ""
            what = (
                counted(left.waiting, "result", "waits/wait")
                if left.waiting
                else "a run waits to be completed"
            )
            yield (
                f"{what} in {self.channel().directory}{reason}. Send them with: {self._resend_command()}",
                False,
            )

    def _resend_command(self) -> str:
        """The command that sends what waits, as it is called from where pytest was."""
        from . import channels

        base = channels.outbox_base(self._settings, self._config.rootpath)
        if self._channel is not None and self._channel.directory is not None:
            base = self._channel.directory.parent
        default = Path.cwd() / channels.OUTBOX
        return "famacase resend" if base == default else f"famacase resend --dir {shlex.quote(str(base))}"

    def _run_file(self) -> Path:
        """Where upstream's controller leaves the run for its workers: a path of this session's own."""
        if self._briefing:
            return Path(self._briefing["run_file"])
        if self._channel is not None and self._channel.directory is not None:
            return self._channel.directory / "run"
        return self._spare_run_file

    def _write_run_file(self) -> None:
        """Write id and link of the run as JSON, for the jobs that come after this one."""
        if self._settings.run_file is None or self._is_worker or not self._runs:
            return
        from .delivery.system import System

        runs = []
        for code, run_id in self._runs.items():
            real = self.channel().real_run(code, run_id)
            runs.append({"project": code, "id": real if real > 0 else None, "url": self.run_url(real)})
        document = runs[0] if len(runs) == 1 else {"runs": runs}
        try:
            self._settings.run_file.value.write_text(System.dumps(document) + "\n", encoding="utf-8")
        except OSError as error:
            if self._run_file_refused:
                return
            self._run_file_refused = True
            self._notices.append(
                f"{self._settings.run_file.source} names {self._settings.run_file.value}, which cannot be "
                f"written ({error.strerror}): the job that waits for it does not get the run's id. "
                "Choose another path."
            )
