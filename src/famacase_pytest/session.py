"""One pytest session that reports: its settings, the patches, its transport, what it tells the user."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import __version__
from .errors import PASSING, ApiError, Refused, SettingsError
from .hooks import Hooks
from .hookspecs import Run, Summary
from .job import JobFiles
from .settings.kinds import NEEDS_BACKEND
from .settings.model import Settings
from .summary import Line, Notices, ProgressLine, counted, ending, internal_error, write_progress
from .teardown import TeardownHooks

if TYPE_CHECKING:
    from .defects.session import SessionDefects
    from .delivery.controller import ControllerTransport
    from .delivery.models import CapturedResult
    from .delivery.relay.process import Link
    from .delivery.transport import Leftovers, Transport
    from .upstream.capture import TestCapture
    from .upstream.patches import Installation

# What a controller hands to its xdist workers, under this key of ``workerinput``.
_HANDOVER = "famacase"


# Whose hooks of the session's end do not end the process; those of a conftest may.
_NEVER_EXIT = frozenset({"_pytest", "xdist", "qase", "famacase_pytest"})


# Taken here, since tests replace it.
_monotonic = time.monotonic


class _Guard:
    """A context that no internal error leaves; one for all, since every test passes it twice.

    Attributes:
        seconds: spent in it so far.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._began = _monotonic()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.seconds += _monotonic() - self._began
        if error is None or isinstance(error, PASSING):
            return False
        self._session.failed(error)
        return True


class Session:
    """Everything of one session that reports to Famacase, in its controller or in one of its workers.

    Args:
        config: pytest's.
        settings: as resolved from all sources.
        notices: what the settings have to say to the user.
        link: of a relay that has been launched already.
    """

    # Taken here, since tests replace it.
    _getpid = staticmethod(os.getpid)

    def __init__(
        self, config: pytest.Config, settings: Settings, notices: Sequence[str], link: Link | None = None
    ) -> None:
        self.notices = Notices(config, notices, settings.tokens.scrubbed)
        self._config = config
        self._settings = settings
        self._link = link
        self._is_worker = self.notices.is_worker
        # What an xdist worker was handed by its controller.
        self._handover: dict[str, Any] = (
            config.workerinput.get(_HANDOVER, {})  # type: ignore[attr-defined]
            if self._is_worker
            else {}
        )
        self._installation: Installation | None = None
        self._transport: Transport | None = None
        # The same one, in a controller.
        self._controller: ControllerTransport | None = None
        self._capture: TestCapture | None = None
        self._defects: SessionDefects | None = None
        self._runs: dict[str, int] = {}
        # The process that the last test was started in.
        self._pid = self._getpid()
        # Whether the last test is over, and how far delivery came has not been said.
        self._is_unsaid = False
        self._plan_cases: dict[str, list[int]] = {}
        self._missing_plans: set[tuple[str, int]] = set()
        self._spare_run_file = Path(tempfile.gettempdir(), f"famacase-run-{uuid.uuid4()}")
        self._progress: ProgressLine | None = None
        # What upstream does at the end, where that was put off.
        self._put_off: Callable[[], None] | None = None
        # Whether upstream falls back, since the back end could not be opened.
        self._fell_back = False
        # What is wrong with token, project, environment, plan or run, as far as the back end has said.
        self._wrong: list[str] = []
        if settings.strict.value:
            # pytest ends with the first of them as its error.
            self.notices.withholds = lambda line: any(reason in line for reason in self._wrong[:1])
        self._had_internal_error = False
        self._guard = _Guard(self)
        self._job_files = JobFiles(settings, self.notices.add)
        self._hooks = Hooks(config, self.notices.add)
        self.was_interrupted = False
        # The test that runs, or ran last.
        self.item: pytest.Item | None = None
        self._watches_teardown = False
        # Results that a hook did not let through, those of workers as well.
        self._kept_back = 0
        # Of the slowest worker.
        self._worker_seconds = 0.0
        self._said_by_workers: set[str] = set()

    # The beginning and the end

    def install(self) -> None:
        """Rebind upstream's names to this session.

        Raises:
            UpstreamMismatch: the installed upstream is not one that the patches fit; nothing is rebound.
        """
        began = _monotonic()
        self._install()
        self._guard.seconds += _monotonic() - began

    def _install(self) -> None:
        from .upstream import client, imports, plan_loader
        from .upstream.capture import TestCapture
        from .upstream.config_reader import ConfigReader
        from .upstream.patches import Bindings, Installation

        settings = self._settings
        if settings.mode.value in NEEDS_BACKEND:
            # Opened before anything is rebound: the environment is still what the user gave.
            self._open_transport()
            self._open_defects()
        bindings = Bindings(
            client=client.bound_to(self),
            plan_loader=plan_loader.bound_to(self),
            # Where upstream has fallen back to a local report, files are its own to keep.
            transport=lambda: None if self._fell_back else self._transport,
            reader=ConfigReader(
                settings.overlay.environ, settings.overlay.options, settings.overlay.file, self._config
            ),
            run_file=self._run_file(),
            tell=self.notices.add,
            end_with=self._end_with,
        )
        # The patches look into modules that upstream itself has not needed so far.
        imports.load_sparing_clients()
        installation = Installation(bindings, speedups=settings.speedups.value)
        installation.check()
        installation.install()
        self._installation = installation
        if self._transport is not None:
            self._capture = TestCapture(
                self._config, self._transport, merges=settings.reruns.value == "merge"
            )
        elif self._link is not None:
            # The command line has chosen a mode without a back end: the relay gets no briefing, and ends.
            self._link.close()
            self._link = None

    def end(self) -> None:
        """Put upstream's names back and let go of everything."""
        self._leave_to_parent()
        try:
            if self._installation is not None:
                self._installation.undo()
        finally:
            if self._transport is not None:
                self._transport.close()

    # What upstream's client and plan loader ask for

    def transport(self) -> Transport:
        """Where results go, and who answers upstream's questions."""
        self._leave_to_parent()
        if self._transport is None:
            self._open_transport()
        assert self._transport is not None
        return self._transport

    def _open_transport(self) -> None:
        from . import wiring

        if self._is_worker:
            worker = self._config.workerinput["workerid"]  # type: ignore[attr-defined]
            self._transport = wiring.worker_transport(
                self._settings, self._handover, worker, os.environ, self.notices.add
            )
        else:
            self._note_earlier_sessions()
            self._transport = self._controller = wiring.controller_transport(
                self._settings,
                self._config.rootpath,
                os.environ,
                self.notices.add,
                self.notices.say,
                self.notices.requests.append,
                self._link,
            )
            self._controller.wrong = self._wrong

    def _note_earlier_sessions(self) -> None:
        from . import wiring

        base = wiring.outbox_base(self._settings, self._config.rootpath)
        waiting, more = wiring.waiting_sessions(base, self.notices.add)
        if waiting:
            results = sum(waiting)
            whose = "an earlier session" if len(waiting) == 1 else f"{len(waiting)} earlier sessions"
            others = f", and those of {more} more," if more else ""
            self.notices.add(
                f"{counted(results, 'result')} of {whose}{others} "
                f"{'waits' if results == 1 else 'wait'} in {base}. "
                f"Send {'it' if results == 1 else 'them'} with: {self._resend_command()}"
            )

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The cases of a plan; kept for the workers, which must not ask the back end.

        None at all, which makes upstream run every test, if the plan cannot be read.
        """
        try:
            self._plan_cases[code] = self.transport().plan_cases(code, plan_id)
        except ApiError as error:
            if error.status == 404:
                self._missing_plans.add((code, plan_id))
            if isinstance(error, Refused):
                self._wrong.append(str(error))
            self.notices.add(f"plan {plan_id} could not be read, so all tests run: {error}")
            return []
        return self._plan_cases[code]

    def has_plan(self, code: str, plan_id: int) -> bool:
        """Whether a run may name the plan: one that is not there would keep the run from being created."""
        return (code, plan_id) not in self._missing_plans

    def run_url(self, code: str, run_id: Any) -> str:
        """The page of a run; of one that has not been created yet, the page of all."""
        from . import wiring

        real = int(run_id) if run_id else 0
        if real < 0 and self._controller is not None:
            real = self._controller.real_run(code, real)
        return wiring.run_url(self._settings, code, real if real > 0 else None)

    def run_opened(self, code: str, run_id: int) -> None:
        """A run of the session is known."""
        is_new = code not in self._runs
        self._runs[code] = run_id
        self._write_run_file()
        if is_new and not self._is_worker:
            self._hooks.call("pytest_famacase_run_started", run=self._run(code))

    def ended(self, code: str, captured: CapturedResult) -> CapturedResult:
        """A result as it is to be stored, together with the earlier attempts of its test."""
        return captured if self._capture is None else self._capture.ended(code, captured)

    def lets_through(self, payload: dict[str, Any]) -> bool:
        """Let plugins change a result that is about to be stored; False: it is kept back."""
        lets_through = self._hooks.lets_through(self.item, payload)
        self._kept_back += not lets_through
        return lets_through

    def could_not_start(self, error: ApiError) -> None:
        """The back end could not be opened: upstream falls back, or reports nothing."""
        self._fell_back = True
        if isinstance(error, Refused):
            self._wrong.append(str(error))
        self.notices.add(str(error))

    def could_not_complete(self, error: ApiError) -> None:
        """The results are there; their run stays open."""
        self.notices.add(str(error))

    # What pytest and xdist tell

    def guarded(self) -> _Guard:
        """Keep an internal error from the session: it is said once, and the tests go on."""
        return self._guard

    def failed(self, error: BaseException) -> None:
        """Note an internal error."""
        if not self._had_internal_error:
            self._had_internal_error = True
            self.notices.add(internal_error(error))

    def before_tests(self) -> None:
        """Collection is over: say what is wrong with the target before the first test."""
        if self._controller is not None:
            # Up to now it was upstream's calls that waited.
            self._guard.seconds += self._controller.waited
            if not self._fell_back:
                self._controller.wait_until_opened()
        self.notices.print()

    def collection_failed(self, report: pytest.CollectReport) -> None:
        """Report a file that cannot be collected; its workers each tell xdist's controller of it."""
        if self._controller is not None and self._capture is not None:
            self._capture.collection_failed(report)

    def check_target(self) -> None:
        """Stop a strict session whose target is wrong.

        Raises:
            pytest.UsageError: pytest ends with exit code 4.
        """
        if self._wrong and self._settings.strict.value:
            if self._controller is not None:
                self._controller.withdraw()
            raise pytest.UsageError(
                f"{self._wrong[0]} {self._settings.strict.source} is true: no test has been run."
            )

    def fails(self) -> bool:
        """Whether a strict session has left anything undelivered, rejected or lost."""
        if not self._settings.strict.value or self._controller is None:
            return False
        left = self._controller.leftovers()
        waits = (left.waiting or left.open_runs) and not left.in_background
        return bool(waits or left.rejected or left.lost or self._had_internal_error)

    def test_started(self) -> None:
        """Store the unfinished result of the test, in case the process does not survive it."""
        # A test runner may fork for each test.
        self._pid = self._getpid()
        if self._settings.masks and self._transport is not None and self.item is not None:
            callspec = getattr(self.item, "callspec", None)
            params, test_id = (callspec.params, callspec.id) if callspec else ({}, "")
            self._transport.test_started(self.item.name, params, test_id)
        if self._capture is not None:
            self._capture.started()

    def test_set_up(self, item: pytest.Item) -> None:
        """The set-up of a test begins, perhaps once more."""
        if self._capture is not None:
            self._capture.set_up(item)

    def test_progressed(self, extra: Callable[[], Mapping[str, Any]]) -> None:
        """Store what the test has come to so far; see `TestCapture.progressed`."""
        if self._capture is not None and self._pid == self._getpid():
            with self._guard:
                self._capture.progressed(extra, lambda result: self._hooks.lets_through(self.item, result))

    def test_finished(self) -> None:
        """Store the result of the test before the next one starts."""
        self._leave_to_parent()
        if self._capture is not None:
            if self._transport is not None and self.item is not None:
                self._transport.test = self.item.nodeid
            self._capture.finished()
            if not self._watches_teardown and self._transport is not None and self._transport.has_late_files:
                self._watches_teardown = True
                hooks = TeardownHooks(self._guard, lambda: self._transport)
                self._config.pluginmanager.register(hooks, "famacase-teardown")

    def before_workers(self, specs: Sequence[Any]) -> None:
        """Prepare the specifications of the workers that xdist is about to start, and of their successors."""
        from .upstream import imports

        # Loaded under its entry point's name, so that the workers find it by that.
        if self._settings.speedups.value and self._config.pluginmanager.hasplugin(imports.PLUGIN):
            imports.ask_workers(specs, os.environ)

    def brief_worker(self, workerinput: dict[str, Any]) -> None:
        """Hand an xdist worker what it must not find out for itself."""
        workerinput[_HANDOVER] = {
            "run_file": str(self._run_file()),
            "failed": self._fell_back,
            "plan_cases": self._plan_cases,
            "outbox": str(self._transport.directory)
            if self._transport and self._transport.directory
            else None,
        }

    def worker_ended(self, workeroutput: Mapping[str, Any]) -> None:
        """Take what a worker hands over at its end."""
        report = workeroutput.get(_HANDOVER, {})
        lines = dict.fromkeys(report.get("notices", ()))
        # Workers have much in common.
        self.notices.lines.extend(line for line in lines if line not in self._said_by_workers)
        self._said_by_workers.update(lines)
        self._kept_back += report.get("kept_back", 0)
        # They work side by side.
        self._worker_seconds = max(self._worker_seconds, report.get("seconds", 0.0))
        if self._controller is not None:
            self._controller.take_over(report.get("stored", {}), report.get("unstored", ()))

    def worker_crashed(self, worker: str, test: str, message: str) -> None:
        """Report the test in which a worker died; another worker may repeat it."""
        if self._controller is not None:
            may_be_repeated = self._settings.reruns.value == "merge"
            self._controller.finish_crashed(worker, message, test if may_be_repeated else None)

    def not_repeated(self, test: str) -> None:
        """No other worker repeats the test in which a worker died."""
        if self._controller is not None:
            self._controller.not_repeated(test)

    def before_completion(self, exitstatus: int) -> None:
        """The last test is over; upstream completes its run next."""
        self._leave_to_parent()
        if exitstatus == pytest.ExitCode.INTERNAL_ERROR and self._capture is not None:
            self._capture.broken_off()
        if self._transport is not None:
            # Hooks of the session's end may finish files too.
            self._transport.teardown_starts(lambda: "")
        if self._controller is None:
            return
        self._is_unsaid = True
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and (terminal.isatty or self._config.option.verbose >= -1):
            self._progress = ProgressLine(
                partial(write_progress, terminal), is_terminal=terminal.isatty, hint="Ctrl-C stops waiting"
            )
            self._controller.on_wait = self._progress.show
        interrupted = self.was_interrupted or exitstatus in (
            pytest.ExitCode.INTERRUPTED,
            pytest.ExitCode.INTERNAL_ERROR,
        )
        self._controller.note_end("interrupted" if interrupted else "normal")
        if self._defects is not None and not interrupted:
            self._file_defects(self._defects, self._controller)

    def _end_with(self, end: Callable[[], None], runs: Iterator[tuple[str, int, bool]]) -> None:
        """Upstream is about to complete its runs; that waits for hooks that may still finish files.

        Args:
            end: completes them.
            runs: project, id, and whether in public.
        """
        if self._controller is None or not self._controller.has_late_files:
            end()
            return
        self._put_off = end
        hooks = self._config.hook.pytest_sessionfinish.get_hookimpls()
        if any(hook.function.__module__.partition(".")[0] not in _NEVER_EXIT for hook in hooks):
            with self._guard:
                self._controller.foresee(list(runs))

    def _open_defects(self) -> None:
        """Make ready what files defects. Raises UsageError if its settings are wrong."""
        settings = self._settings.defects
        if settings is None or self._controller is None:
            return
        try:
            from .defects.session import SessionDefects
        except ImportError as error:
            raise pytest.UsageError(
                f"Defects are to be filed, but {error.name} is not installed: no test has been run. Install "
                "famacase-pytest[defects], on Python 3.10 or newer, or set FAMACASE_TESTOPS_DEFECT=false."
            ) from None
        directory = self._config.invocation_params.dir
        try:
            self._defects = SessionDefects(settings, directory, self._settings.projects)
        except SettingsError as error:
            raise pytest.UsageError(str(error)) from None
        self._defects.begin()

    def _file_defects(self, defects: SessionDefects, controller: ControllerTransport) -> None:
        """File what the results ask for, and send those again that have a defect now."""
        # The run is created with its first result, and a defect has a link to it.
        controller.drain()
        base = controller.directory.parent if controller.directory else None
        items = controller.results()
        numbers = defects.file(items, self.run_url, base, self.notices.add)
        for item, payload in defects.numbered(items, numbers):
            controller.amend(item, payload)

    def finish(self) -> None:
        """Upstream has completed its run: see everything delivered."""
        if self._transport is None:
            return
        if not self._is_worker:
            # Of a worker: by its controller, or, where that died, reported by the relay.
            if self._controller is not None:
                self._controller.finish_in_progress()
            self._transport.forget_begun()
        self._transport.teardown_ended()
        if self._put_off is not None:
            self._put_off()
        self._transport.drain()
        if self._progress is not None:
            self._progress.clear()
        if self._is_worker:
            self._config.workeroutput[_HANDOVER] = {  # type: ignore[attr-defined]
                "stored": self._transport.stored(),
                "unstored": self._transport.unstored(),
                "notices": self.notices.lines,
                "kept_back": self._kept_back,
                "seconds": self._guard.seconds,
            }
        else:
            self._write_run_file()
            self._tell_end()

    def hidden(self, text: str) -> str:
        """A text for integrations, without what is secret."""
        return text if self._transport is None else self._transport.hidden(text)

    def context(self) -> dict[str, Any]:
        """What integrations are told of the run, once it has ended; with several projects, of the first."""
        run = next(map(self._run, self._runs), None)
        return {
            "famacase_run_id": run and run.id,
            "famacase_run_url": run and run.url,
            "famacase_summary": None if self._controller is None else self._end()._asdict(),
        }

    def _end(self) -> Summary:
        """How far delivery came."""
        assert self._controller is not None
        left = self._controller.leftovers()
        return Summary(left.delivered, left.waiting, left.rejected, left.lost, self._kept_back, left.reason)

    def _tell_end(self) -> None:
        """Tell the hooks how far delivery came."""
        if self._controller is None or not self._hooks.are_implemented("pytest_famacase_run_finished"):
            return
        summary = self._end()
        for code in self._runs:
            self._hooks.call("pytest_famacase_run_finished", run=self._run(code), summary=summary)

    def _run(self, code: str) -> Run:
        """A run as hooks are handed it."""

        def look_up() -> tuple[int | None, str]:
            run_id = self._runs[code]
            real = self._controller.real_run(code, run_id) if self._controller else run_id
            return (real if real > 0 else None, self.run_url(code, real))

        return Run(code, look_up)

    def _leave_to_parent(self) -> None:
        """Report nothing from here on, in a child that a test has forked and that returned from the test.

        It runs the rest of the session, as its parent does, which reports all of it.
        """
        if self._transport is None or self._pid == self._getpid():
            return
        from .delivery.transport import NoTransport

        self._pid = self._getpid()
        self._transport = NoTransport()
        self._controller = self._capture = None
        self._is_worker = False
        self.notices.is_silent = True

    def summarize(self) -> None:
        """Say what there is to say after the last test, and how far delivery came; each once."""
        self._leave_to_parent()
        lines: list[Line] = []
        if self._is_unsaid and self._controller is not None:
            with self._guard:
                # Counted now: the relay may have delivered since.
                left = self._controller.leftovers()
                lines = self._lines(left)
                self._job_files.write_summary(left, lines, self._titles, self._result_page)
            # Not before: Ctrl-C may end the counting.
            self._is_unsaid = False
        self.notices.summarize(lines)

    def _lines(self, left: Leftovers) -> list[Line]:
        """The lines of the summary."""
        assert self._controller is not None
        where = ", ".join(self.run_url(*run) for run in self._runs.items())
        titles = ", ".join(filter(None, self._titles().values()))
        seconds = self._guard.seconds + self._worker_seconds
        outbox, command = self._controller.directory, self._resend_command()
        return list(ending(left, where, titles, seconds, self._result_page, outbox, command))

    def _titles(self) -> dict[Run, str | None]:
        """The session's runs, with their titles as far as they are known."""
        assert self._controller is not None
        return {self._run(code): self._controller.title(code, run_id) for code, run_id in self._runs.items()}

    def _result_page(self, project: str, run_id: int, result_id: str) -> str:
        page = self.run_url(project, run_id)
        # How results are addressed is known of Famacase alone.
        return page if self._settings.client_class else f"{page}/results/{result_id}"

    def header(self) -> str:
        """What stands at the head of pytest's output."""
        settings = self._settings
        target = settings.client_class or settings.api_url
        where = [target.value] if target and settings.needs_backend else []
        codes = ", ".join(settings.projects)
        if codes:
            where.append(f"project{'s' if len(settings.projects) > 1 else ''} {codes}")
        off = " (nothing is reported)" if settings.mode.value == "off" else ""
        parts = [*where, f"mode {settings.mode.value}{off}", f"qase-pytest {version('qase-pytest')}"]
        return f"famacase {__version__}: {', '.join(parts)}"

    def _resend_command(self) -> str:
        """The command that sends what waits, as it is called from where pytest was."""
        from . import wiring

        base = wiring.outbox_base(self._settings, self._config.rootpath)
        if self._transport is not None and self._transport.directory is not None:
            base = self._transport.directory.parent
        default = self._config.invocation_params.dir / wiring.OUTBOX
        return "famacase resend" if base == default else f"famacase resend --dir {shlex.quote(str(base))}"

    def _run_file(self) -> Path:
        """Where upstream's controller leaves the run for its workers: a path of this session's own."""
        if self._handover:
            return Path(self._handover["run_file"])
        if self._transport is not None and self._transport.directory is not None:
            return self._transport.directory / "run"
        return self._spare_run_file

    def _write_run_file(self) -> None:
        if not self._is_worker and not self.notices.is_silent:
            self._job_files.write_runs([self._run(code) for code in self._runs])
