"""Whether a pytest session reports to Famacase, stays out, or keeps upstream silent; decided once."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import upstream
from .errors import PASSING, SettingsError, UpstreamMismatch
from .hooks import Hooks
from .session import Session
from .settings.resolve import preview, resolve, single
from .settings.sources import BY_DEFAULT, ConfigFiles, Defaults, Inputs
from .settings.switch import reporting_mode
from .summary import Notices, internal_error
from .upstream import aliases, imports

if TYPE_CHECKING:
    from .delivery.relay.process import Link

# Options under which pytest runs no test: nothing is validated, requested or stored.
_TESTLESS = (
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "collectonly",
    "setuponly",
    "setupplan",
)

_GONE = (
    "The settings with which pytest started report to Famacase, but a conftest or a plugin has changed the "
    "environment or the files since, and nothing is reported. Let it keep the FAMACASE_ variables, or set "
    "FAMACASE_ENABLED=false there if that is meant."
)

# Options of xdist that ask for workers.
_WORKERS = ("numprocesses", "tx")


# What is said where settings are there when the tests begin, and were not when it was decided.
_TOO_LATE = (
    "Settings for Famacase were made after qase-pytest had read its configuration, so nothing is reported "
    "there. Make them before pytest starts, or in the pytest_configure of the conftest in the root "
    "directory; that of a plugin given by -p needs tryfirst=True."
)


def prepare(config: pytest.Config) -> None:
    """Do what cannot wait for the command line, if environment and files alone switch reporting on."""
    imports.answered(os.environ)
    config.stash[_SET_ASIDE] = aliases.provide(config.pluginmanager)
    # pytest would end here; what is wrong shows again in `begin`, which says it.
    with contextlib.suppress(Exception):
        _prepare(config)


def _prepare(config: pytest.Config) -> None:
    config.stash[_FILES] = files = ConfigFiles(Path.cwd())
    expected = preview(os.environ, files)
    if expected.needs_backend:
        config.stash[_EXPECTED] = True
        # An xdist worker has none of its own, nor has a session inside the test of another one.
        if "PYTEST_XDIST_WORKER" not in os.environ and not _reporting:
            from .delivery.relay.process import launch_early

            # First of all: what the relay imports takes longer than the rest of the start here.
            config.stash[_LINK] = launch_early(os.environ)
        # Now, so that it is bound to the real functions: a conftest may start patches as it is imported.
        from . import wiring  # noqa: F401
    if expected.active:
        imports.load_sparing_clients()
        from .upstream.patches import install_early

        config.stash[_EARLY] = install_early()


def foresee(config: pytest.Config) -> None:
    """Prepare for the conftest files that are imported next, if the command line switches reporting on."""
    if _EARLY not in config.stash:
        with contextlib.suppress(Exception):
            if preview(os.environ, _files(config), vars(config.known_args_namespace)).active:
                from .upstream.patches import install_early

                config.stash[_EARLY] = install_early()


def postpone(config: pytest.Config, act: Callable[[], None]) -> None:
    """Begin when upstream is about to read its configuration: until then conftests may set variables.

    Args:
        config: pytest's.
        act: begins. Called at once if upstream's moment is not known, since it must not be missed.
    """
    config.stash[_POSTPONED] = act
    config.stash[_MOMENT] = moment = pytest.MonkeyPatch()
    if not upstream.is_loaded(config.pluginmanager) or not upstream.await_configuration(
        config, lambda: settle(config), moment
    ):
        settle(config)


def settle(config: pytest.Config) -> None:
    """Do what was postponed, unless it is done: upstream reads nothing where no test is to run."""
    act = config.stash.get(_POSTPONED, None)
    if act is not None:
        config.stash[_POSTPONED] = None
        config.stash[_MOMENT].undo()
        act()


def begin(config: pytest.Config) -> Session | None:
    """Decide, and bring it about.

    Returns:
        The session if it reports, for the plugin to pass on what happens; None if not.

    Raises:
        pytest.UsageError: a setting is missing or wrong; pytest ends with exit code 4 before the first test.
    """
    config.addinivalue_line("markers", aliases.MARKER)
    _undo_early(config)
    config.stash[_STATE] = state = _begin(config)
    if config.stash.get(_SET_ASIDE, False) and not (state.notices.is_worker or _is_testless(config)):
        state.notices.lines.insert(0, aliases.SET_ASIDE)
    if not isinstance(state, Session):
        _close_link(config)
        return None
    _reporting.append(state)
    return state


def end(config: pytest.Config) -> None:
    """Undo all that ``begin`` has done. Harmless for a session that never began."""
    state = config.stash.get(_STATE, None)
    if state is None:
        # Somebody else's configuration has failed, or the session was never configured.
        config.stash.get(_MOMENT, pytest.MonkeyPatch()).undo()
        _undo_early(config)
        _close_link(config)
        return
    if config in _integrating:
        _integrating.remove(config)
    if state in _reporting:
        _reporting.remove(state)
    try:
        # pytest leaves its summary out after pytest.exit, an internal error, or with --no-summary.
        state.summarize()
        state.end()
    except PASSING:
        raise
    except BaseException as error:  # noqa: BLE001 (an internal error must not fail the suite)
        state.notices.add(internal_error(error))
    state.notices.print()


def _undo_early(config: pytest.Config) -> None:
    config.stash.get(_EARLY, pytest.MonkeyPatch()).undo()


def _close_link(config: pytest.Config) -> None:
    link = config.stash.get(_LINK, None)
    if link is not None:
        link.close()


def integrate(config: pytest.Config) -> None:
    """Begin with the team's integrations, whether the session reports to Famacase or not.

    Raises:
        pytest.UsageError: one of them is not there, or is required and cannot begin; pytest ends with exit
            code 4 before the first test.
    """
    state = of(config)
    if _integrating or _is_testless(config):
        return
    if (
        isinstance(state, Inactive)
        and state.is_qases
        and preview(os.environ, _files(config), vars(config.option)).needs_backend
    ):
        state.notices.add(_TOO_LATE)
    base = sys.modules.get("famacase_pytest.integrations.base")
    try:
        inputs = Inputs(os.environ, vars(config.option), _files(config), config.stash[_DEFAULTS])
        named = single("INTEGRATIONS", inputs)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    is_registered = base is not None and len(base.registry) > 0
    if named is None and not is_registered and not config.hook.pytest_famacase_integrations.get_hookimpls():
        return
    from .integrations.plugin import SessionIntegrations, WorkerIntegrations

    _integrating.append(config)
    config.pluginmanager.register(WorkerIntegrations(), "famacase-markers")
    if hasattr(config, "workerinput"):
        return
    names = [] if named is None else [(str(named.source), name) for name in named.value]
    offered = Hooks(config, state.notices.add).call("pytest_famacase_integrations")
    teams = SessionIntegrations(config, names, offered, state.notices.add, state.context, state.hidden)
    config.pluginmanager.register(teams, "famacase-integrations")
    teams.begin()


def of(config: pytest.Config) -> Session | Inactive:
    """What was decided."""
    return config.stash[_STATE]


class Inactive:
    """A session that does not report to Famacase.

    Args:
        config: pytest's.
        lines: what to tell the user.
    """

    def __init__(self, config: pytest.Config, lines: Sequence[str] = ()) -> None:
        self.notices = Notices(config, lines)
        # Whether it is left to qase-pytest, since no setting asks for Famacase.
        self.is_qases = False
        self._config = config
        self._monkeypatch = pytest.MonkeyPatch()

    def silence_upstream(self, *, inside: bool = False) -> Inactive:
        """Keep upstream from reporting either, by its own ``mode`` option, which beats all its other sources.

        Args:
            inside: whether another session of this process is under way, whose plugin instance stays its own.
        """
        options = self._config.option
        for name in ("qase_mode", "qase_fallback"):
            self._monkeypatch.setattr(options, name, "off", raising=False)
        if hasattr(self._config, "workerinput") or any(getattr(options, name, None) for name in _WORKERS):
            upstream.leave_lock_file(self._monkeypatch)
        if inside:
            upstream.set_aside_plugin_instance(self._monkeypatch)
        return self

    def header(self) -> None:
        """Nothing."""

    def summarize(self) -> None:
        """Say what there is to say after the last test."""
        self.notices.print()

    def hidden(self, text: str) -> str:
        """A text for integrations: nothing is masked where nothing is reported."""
        return text

    def context(self) -> dict[str, Any]:
        """What integrations are told of the run: there is none."""
        return {"famacase_run_id": None, "famacase_run_url": None, "famacase_summary": None}

    def end(self) -> None:
        """Undo what was done to upstream."""
        self._monkeypatch.undo()


def _begin(config: pytest.Config) -> Session | Inactive:
    try:
        return _decide(config)
    except (pytest.UsageError, *PASSING):
        raise
    except BaseException as error:  # noqa: BLE001 (an internal error must not stop the suite)
        return _unable(config, [internal_error(error)]).silence_upstream()


def _decide(config: pytest.Config) -> Session | Inactive:
    config.stash[_DEFAULTS] = Defaults()
    if not upstream.is_loaded(config.pluginmanager):
        imports.restore()
        return _unable(config, _without_upstream(config))
    if _reporting:
        return Inactive(config).silence_upstream(inside=True)
    testless = _is_testless(config)
    said: list[str] = []
    try:
        config.stash[_DEFAULTS] = Hooks(config, said.append).defaults()
        resolution = resolve(
            os.environ,
            vars(config.option),
            _files(config),
            upstream.environment_names(),
            upstream.modes(),
            config.stash[_DEFAULTS],
        )
    except SettingsError as error:
        if testless:
            return Inactive(config).silence_upstream()
        raise pytest.UsageError(str(error)) from None
    if resolution.settings is None:
        # It is Qase's session, whatever there was before it or the command line has changed.
        imports.restore()
        if config.stash.get(_EXPECTED, False) and not (testless or resolution.is_switched_off):
            said.append(_GONE)
        qases = Inactive(config, () if testless else [*said, *resolution.warnings])
        qases.is_qases = True
        return qases
    if testless:
        return Inactive(config).silence_upstream()
    settings, warnings = resolution.settings, [*said, *resolution.warnings]
    if settings.mode.value == "off" and settings.mode.source == BY_DEFAULT and settings.api_url is not None:
        warnings.append(
            f"{settings.api_url.source} is set, but no mode is, so nothing is reported. Set "
            "FAMACASE_MODE=testops to report, or FAMACASE_MODE=off to be told no more."
        )
    if settings.client_class is not None and settings.needs_backend:
        from . import wiring

        try:
            wiring.check_client(settings)
        except SettingsError as error:
            raise pytest.UsageError(str(error)) from None
    session = Session(config, settings, warnings, config.stash.get(_LINK, None))
    try:
        session.install()
    except UpstreamMismatch as error:
        session.end()
        if settings.strict.value:
            raise pytest.UsageError(str(error)) from None
        return Inactive(config, [str(error)]).silence_upstream()
    except BaseException:
        session.end()
        raise
    return session


def _unable(config: pytest.Config, lines: Sequence[str]) -> Inactive:
    """A session that was to report and cannot, for a reason that no setting names.

    Raises:
        pytest.UsageError: it is strict.
    """
    try:
        strict = single("STRICT", Inputs(os.environ, vars(config.option), _files(config))) if lines else None
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    if strict is not None and strict.value:
        raise pytest.UsageError(f"{lines[0]} {strict.source} is true: no test has been run.")
    return Inactive(config, lines)


def _without_upstream(config: pytest.Config) -> list[str]:
    """What to say of a session that was to report, but that upstream's plugin takes no part in."""
    manager = config.pluginmanager
    if _reporting or _is_testless(config) or aliases.of_vendor(manager) is not None:
        return []
    mode = reporting_mode(Inputs(os.environ, vars(config.option), _files(config)))
    if mode is None:
        return []
    left_out = manager.is_blocked(upstream.PLUGIN_ENTRY)
    why = "-p no:qase_pytest leaves its plugin out" if left_out else "its plugin is not loaded"
    remedy = "Remove that option" if left_out else "Load it with -p qase_pytest"
    return [
        f"{mode.source} is {mode.value}, but qase-pytest takes no part in this session ({why}), so nothing "
        f"is reported. {remedy}, or set FAMACASE_MODE=off."
    ]


def _is_testless(config: pytest.Config) -> bool:
    return any(getattr(config.option, name, False) for name in _TESTLESS)


def _files(config: pytest.Config) -> ConfigFiles:
    """The config files, as `prepare` has read them where nothing has changed since."""
    files = config.stash.get(_FILES, None)
    return files if files is not None and files.is_current() else ConfigFiles(Path.cwd())


_STATE: pytest.StashKey[Session | Inactive] = pytest.StashKey()
_FILES: pytest.StashKey[ConfigFiles] = pytest.StashKey()
_SET_ASIDE: pytest.StashKey[bool] = pytest.StashKey()
# Whether environment and files asked for a back end when pytest started.
_EXPECTED: pytest.StashKey[bool] = pytest.StashKey()
_DEFAULTS: pytest.StashKey[Defaults] = pytest.StashKey()
_POSTPONED: pytest.StashKey[Callable[[], None] | None] = pytest.StashKey()
_MOMENT: pytest.StashKey[pytest.MonkeyPatch] = pytest.StashKey()
_LINK: pytest.StashKey[Link | None] = pytest.StashKey()
_EARLY: pytest.StashKey[pytest.MonkeyPatch] = pytest.StashKey()

# The sessions of this process that report: at most one, since a session inside a test of another one
# (pytester in process) must leave it alone.
_reporting: list[Session] = []

# The session of this process that has integrations, for the same reason.
_integrating: list[pytest.Config] = []
