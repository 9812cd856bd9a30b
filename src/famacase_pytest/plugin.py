"""The pytest plugin: its hooks. `activation` decides what a session does, `session` does it.

A session that does not use Famacase passes through here without importing anything beyond this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .session import Session


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from . import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    from .activation import prepare
    from .settings.options import add_options, add_orchestration, record
    from .upstream import option_registration

    config = pluginmanager.get_plugin("pytestconfig")
    assert isinstance(config, pytest.Config)
    prepare(config)
    group = parser.getgroup("famacase", "reporting to Famacase")
    add_options(group, record(option_registration()))
    add_orchestration(parser)
    pluginmanager.register(LastHooks(), "famacase-last")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: Sequence[str]
) -> None:
    from .activation import foresee
    from .settings.options import intended

    # Those of addopts and PYTEST_ADDOPTS too; other plugins have registered their flags by now.
    meant = intended(args, parser.getgroup("famacase"))
    if meant:
        # pytest shows it below its error about the flag.
        parser.extra_info["did you mean"] = meant
    foresee(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    from .activation import postpone

    # First, since one of its flags has pytest collect only.
    orchestrated = _prepare_orchestration(config)
    postpone(config, lambda: _begin(config, orchestrated))


class LastHooks:
    """Called when other plugins and conftests have been: registered before the call, which is too late."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        from .activation import settle

        settle(config)


def _begin(config: pytest.Config, orchestrated: bool) -> None:
    from .activation import begin

    session = begin(config)
    if session is not None:
        if orchestrated:
            from .orchestration.plugin import PROGRESS

            config.stash[PROGRESS] = session.test_progressed
        config.pluginmanager.register(ReportingHooks(session), "famacase-reporting")
        if hasattr(config, "workerinput"):
            config.pluginmanager.register(WorkerHooks(session), "famacase-worker")
        # Not by its name, which depends on how it was loaded.
        if hasattr(config.hook, "pytest_configure_node"):
            config.pluginmanager.register(XdistHooks(session), "famacase-xdist")


def _prepare_orchestration(config: pytest.Config) -> bool:
    """Whether there are descriptions of long tests; without any, nothing of that is imported."""
    asked_for = config.option.run_orch or config.option.load_orch
    if not asked_for and not config.getini("orchestration_descriptions"):
        return False
    from .orchestration import plugin

    plugin.prepare(config)
    config.pluginmanager.register(plugin, "famacase-orchestration")
    return True


def pytest_unconfigure(config: pytest.Config) -> None:
    from .activation import end

    end(config)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    from .activation import of

    of(session.config).notices.print()


def pytest_report_header(config: pytest.Config) -> str | None:
    from .activation import of

    return of(config).header()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    from .activation import integrate

    integrate(session.config)
    return (yield)


def pytest_terminal_summary(config: pytest.Config) -> None:
    from .activation import of

    of(config).summarize()


class ReportingHooks:
    """Registered by a session that reports; any other is not called for each test.

    Args:
        session: the one that registers it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        with self._session.guarded():
            self._session.before_tests()
        self._session.check_target()
        try:
            return (yield)
        except KeyboardInterrupt:
            # A second one may come before pytest has noted the first, and then it ends with status 0.
            self._session.was_interrupted = True
            raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        self._session.item = item

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            with self._session.guarded():
                self._session.collection_failed(report)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self) -> None:
        with self._session.guarded():
            self._session.test_started()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        with self._session.guarded():
            self._session.test_set_up(item)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        with self._session.guarded():
            self._session.test_finished()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, object, object]:
        with self._session.guarded():
            self._session.before_completion(exitstatus)
        try:
            return (yield)
        finally:
            with self._session.guarded():
                self._session.finish()
                if exitstatus == 0 and self._session.fails():
                    session.exitstatus = pytest.ExitCode.TESTS_FAILED


class WorkerHooks:
    """Registered by an xdist worker that reports: it keeps its results where its controller is gone.

    xdist then fails to send what it has to say, in the middle of what pytest does for a test.

    Args:
        session: the one that registers it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None, object, object]:
        with _sending():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, object, object]:
        with _sending():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self) -> Generator[None, object, object]:
        with _sending():
            return (yield)
        # Reached only if that failed, which ended the call before our own hook was called.
        with self._session.guarded():
            self._session.test_finished()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        with _sending():
            return (yield)


@contextlib.contextmanager
def _sending() -> Iterator[None]:
    """Let pass that an xdist worker could not send something to its controller, which is gone."""
    try:
        yield
    except OSError as error:
        # execnet has no class of its own for it.
        if not str(error).startswith("cannot send"):
            raise


class XdistHooks:
    """Registered by a session that reports where xdist takes part, since these hooks are xdist's own.

    Args:
        session: the one that registers it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def pytest_xdist_setupnodes(self, config: pytest.Config, specs: Sequence[Any]) -> None:
        with self._session.guarded():
            self._session.before_workers(specs)

    def pytest_configure_node(self, node: Any) -> None:
        with self._session.guarded():
            self._session.brief_worker(node.workerinput)

    def pytest_testnodedown(self, node: Any) -> None:
        with self._session.guarded():
            self._session.worker_ended(getattr(node, "workeroutput", {}))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> Generator[None, object, object]:
        # Before a plugin gives the test to another worker, which may begin at once.
        with self._session.guarded():
            self._session.worker_crashed(report.node.gateway.id, crashitem, str(report.longrepr))
        try:
            return (yield)
        finally:
            if report.outcome != "rerun":
                with self._session.guarded():
                    self._session.not_repeated(crashitem)
