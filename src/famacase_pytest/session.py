"""What one pytest session owns: its settings, the patches, the way to the back end, what it has to say."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import upstream
from .errors import ApiError, SettingsError, UpstreamMismatch
from .settings.model import Settings, resolve

if TYPE_CHECKING:
    from .delivery.channel import Channel
    from .upstream.patches import Installation

# Options under which pytest runs no test: nothing is validated, requested or stored.
_TESTLESS = (
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "collectonly",
    "setupplan",
)

# What a controller hands to its xdist workers, under this key of ``workerinput``.
_BRIEFING = "famacase"


def begin(config: pytest.Config) -> None:
    """Decide what the session is to Famacase, and make it so.

    Raises:
        pytest.UsageError: a setting is missing or wrong; pytest ends with exit code 4 before the first test.
    """
    config.stash[_STATE] = state = _begin(config)
    if isinstance(state, Session):
        _reporting.append(state)


def end(config: pytest.Config) -> None:
    """Undo all that ``begin`` has done. Harmless for a session that never began."""
    state = config.stash.get(_STATE, None)
    if state is None:
        return
    if state in _reporting:
        _reporting.remove(state)
    state.end()


def of(config: pytest.Config) -> Session | Bystander:
    """What the session is to Famacase."""
    return config.stash[_STATE]


def _begin(config: pytest.Config) -> Session | Bystander:
    if not upstream.is_loaded(config.pluginmanager):
        return Bystander(config)
    if _reporting:
        return Bystander(config).silence_upstream(inside=True)
    testless = any(getattr(config.option, name, False) for name in _TESTLESS)
    try:
        resolution = resolve(os.environ, vars(config.option), Path.cwd(), upstream.environment_names())
    except SettingsError as error:
        if testless:
            return Bystander(config).silence_upstream()
        raise pytest.UsageError(str(error)) from None
    if resolution.settings is None:
        return Bystander(config, () if testless else resolution.warnings)
    if testless:
        return Bystander(config).silence_upstream()
    session = Session(config, resolution.settings, resolution.warnings)
    try:
        session.install()
    except UpstreamMismatch as error:
        session.end()
        return Bystander(config, [str(error)]).silence_upstream()
    return session


class Speaker:
    """Prints what there is to say when pytest has a place for it.

    Notices do not go through Python's warnings: under ``-W error`` those would turn a green suite red.

    Args:
        config: pytest's.
        notices: one line each.
    """

    def __init__(self, config: pytest.Config, notices: Sequence[str] = ()) -> None:
        self._config = config
        self._notices = list(notices)
        self._is_worker = hasattr(config, "workerinput")

    def announce(self) -> None:
        """Say what there is to say before the first test."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            self.summarize(reporter)

    def brief_worker(self, workerinput: dict[str, Any]) -> None:
        """Hand an xdist worker what it must not find out for itself; nothing where nothing is reported."""

    def summarize(self, terminalreporter: Any) -> None:
        """Say what there is to say after the last test. The controller speaks for its workers."""
        if not self._is_worker:
            for notice in self._notices:
                terminalreporter.write_line(f"famacase: {notice}", yellow=True)
        self._notices.clear()


class Bystander(Speaker):
    """A session that does not report to Famacase."""

    def __init__(self, config: pytest.Config, notices: Sequence[str] = ()) -> None:
        super().__init__(config, notices)
        self._monkeypatch = pytest.MonkeyPatch()

    def silence_upstream(self, *, inside: bool = False) -> Bystander:
        """Keep upstream from reporting either, by its own ``mode`` option, which beats all its other sources.

        Args:
            inside: whether another session of this process is under way, whose plugin instance stays its own.
        """
        for option in ("qase_mode", "qase_fallback"):
            self._monkeypatch.setattr(self._config.option, option, "off", raising=False)
        if inside:
            upstream.set_aside_plugin_instance(self._monkeypatch)
        return self

    def end(self) -> None:
        """Undo what was done to upstream."""
        self._monkeypatch.undo()


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
        self._directory: Path | None = None
        self._plan_cases: dict[str, list[int]] = {}
        self._failed = False

    # The beginning and the end

    def install(self) -> None:
        """Rebind upstream's names to this session.

        Raises:
            UpstreamMismatch: the installed upstream is not one that the patches fit; nothing is rebound.
        """
        from .upstream import client, plan_loader
        from .upstream.config_reader import ConfigReader
        from .upstream.patches import Bindings, Installation

        settings = self._settings
        bindings = Bindings(
            client=client.bound_to(self),
            plan_loader=plan_loader.bound_to(self),
            channel=lambda: self._channel,
            reader=ConfigReader(
                settings.overlay_environ, settings.overlay_options, settings.overlay_file, self._config
            ),
            run_url=self.run_url,
            run_file=self._run_file(),
        )
        installation = Installation(bindings, speedups=settings.speedups.value)
        installation.check()
        installation.install()
        self._installation = installation
        if self._config.pluginmanager.hasplugin("xdist") and not self._is_worker:
            from .plugin import XdistHooks

            self._config.pluginmanager.register(XdistHooks(), "famacase-xdist")

    def end(self) -> None:
        """Put upstream's names back and let go of everything."""
        if self._installation is not None:
            self._installation.undo()
        if self._channel is not None:
            self._channel.close()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    # What upstream's client and plan loader ask for

    def channel(self) -> Channel:
        """The way to the back end, opened when it is first needed."""
        if self._channel is None:
            from .delivery.api import ReporterApi
            from .delivery.direct import DirectChannel
            from .delivery.worker import WorkerChannel

            settings = self._settings
            api = ReporterApi(
                settings.base_url,
                settings.tokens.for_project,
                timeout=settings.timeout.value,
                attempts=settings.retry_attempts.value,
                connections=settings.attachment_workers.value + 4,
                notify=self._notices.append,
            )
            direct = DirectChannel(api, workers=settings.attachment_workers.value)
            self._channel = direct if self._briefing is None else WorkerChannel(direct, self._briefing)
        return self._channel

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The cases of a plan; kept for the workers, which must not ask the back end."""
        try:
            self._plan_cases[code] = self.channel().plan_cases(code, plan_id)
        except ApiError as error:
            self._notices.append(f"plan {plan_id} could not be read, so all tests run: {error}")
            raise
        return self._plan_cases[code]

    def run_url(self, run_id: Any) -> str:
        """The page of a run."""
        return f"{self._settings.base_url}/runs/{run_id}"

    def could_not_start(self, error: ApiError) -> None:
        """The back end could not be opened: upstream falls back, or reports nothing."""
        self._failed = True
        self._notices.append(str(error))

    def could_not_send(self, error: ApiError, results: int) -> None:
        """A batch is lost to the back end."""
        self._notices.append(f"{results} results were not delivered: {error}")

    def could_not_complete(self, error: ApiError) -> None:
        """The results are there; their run stays open."""
        self._notices.append(str(error))

    def brief_worker(self, workerinput: dict[str, Any]) -> None:
        """As ``Speaker.brief_worker``."""
        workerinput[_BRIEFING] = {
            "run_file": str(self._run_file()),
            "failed": self._failed,
            "plan_cases": self._plan_cases,
        }

    def _run_file(self) -> Path:
        if self._briefing:
            return Path(self._briefing["run_file"])
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="famacase-"))
        return self._directory / "run"


_STATE: pytest.StashKey[Session | Bystander] = pytest.StashKey()

# The sessions of this process that report: at most one, since a session inside a test of another one
# (pytester in process) must leave it alone.
_reporting: list[Session] = []
