"""The table of patches. It is checked as a whole, and installed and undone as a whole.

Upstream has no way to plug in another transport, so a short list of its names is rebound while a session
runs. All rows are checked against the installed upstream before the first is applied: half of them would send
results, and a token, to the wrong place.

To support another release of upstream, add a row, or bound one with ``before``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import pytest
from qase.commons.client.base_api_client import BaseApiClient

from ..delivery.system import System
from ..errors import UpstreamMismatch
from . import capture, guards, speedups, steps, subtests
from .client import FamacaseClient
from .config_reader import ConfigReader
from .plan_loader import FamacasePlanLoader
from .views import View

if TYPE_CHECKING:
    from ..delivery.transport import Transport

Version = tuple[int, ...]


class Bindings(NamedTuple):
    """The parts of one pytest session that the replacements need.

    Args:
        client: class that replaces upstream's API client.
        plan_loader: class that replaces upstream's plan loader.
        transport: returns where results go, or None as long as nothing has asked for it.
        reader: wraps upstream's reading of its configuration.
        run_file: file through which the controller passes its run to its xdist workers.
        tell: takes a line for the user.
        end_with: takes upstream's work at the end of the session, and the runs that it completes there; see
            `capture.ending`.
    """

    client: type[FamacaseClient]
    plan_loader: type[FamacasePlanLoader]
    transport: Callable[[], Transport | None]
    reader: ConfigReader
    run_file: Any
    tell: Callable[[str], None] = lambda line: None
    end_with: Callable[[Callable[[], None], Iterator[tuple[str, int, bool]]], None] = lambda end, runs: end()


class Patch(NamedTuple):
    """A name of upstream's that is rebound.

    Args:
        name: the purpose of the row, for error messages.
        module: the module that holds the name.
        attribute: the name; ``Class.attribute`` for a member of a class.
        replacement: makes the new value from the bindings and the old value.
        parameters: those that the old value must have, ``self`` included; None if they do not matter.
        since: the first release of qase-python-commons that has the name.
        before: the first release that no longer has it.
        required: whether reporting is refused if the row does not fit; otherwise the row is left out.
        scope: ``session``, or ``configuration`` for a row that is applied only during upstream's
            ``setup_config_manager``.
        adds: whether upstream does not have the name, such as a hook that it does not implement, or a method
            that a class inherits.
        speedup: whether the row only saves time; the user can switch these rows off.
        early: whether it is wanted while conftest files are imported too, before the session is configured;
            its replacement needs no bindings.
    """

    name: str
    module: str
    attribute: str
    replacement: Callable[[Bindings, Any], Any]
    parameters: tuple[str, ...] | None = None
    since: Version = (0,)
    before: Version = (10**6,)
    required: bool = True
    scope: str = "session"
    adds: bool = False
    speedup: bool = False
    early: bool = False

    @property
    def path(self) -> str:
        """The dotted name, for messages."""
        return f"{self.module}.{self.attribute}"


_CLIENT = ("self", "config", "logger")
_HOST = ("host_data", "framework", "reporter_name")


def _own_ids(_: Bindings, old: Any) -> View:
    return View(old, uuid4=System.uuid4)


TABLE: tuple[Patch, ...] = (
    # The transport. Without any of these a result could reach Qase, or nobody.
    Patch("API client", "qase.commons.reporters.testops", "ApiV2Client",
          lambda b, _: b.client, _CLIENT, before=(4, 1, 7)),
    Patch("API client", "qase.commons.client.api_v2_client", "ApiV2Client",
          lambda b, _: b.client, (*_CLIENT, *_HOST), since=(4, 1, 7)),
    Patch("plan loader", "qase.commons", "TestOpsPlanLoader",
          lambda b, _: b.plan_loader, ("self", "api_token", "host")),
    Patch("configuration", "qase.pytest.conftest", "setup_config_manager",
          lambda b, old: b.reader.around(old), ("config",)),
    # A line between pytest's dots for each failure, never under xdist; its link is always that of the run.
    Patch("link to a test", "qase.commons.reporters.testops", "QaseTestOps._QaseTestOps__show_link",
          lambda b, _: lambda reporter, ids, title: None, ("self", "ids", "title")),
    Patch("link to a test of several projects", "qase.commons.reporters.testops_multi",
          "QaseTestOpsMulti._QaseTestOpsMulti__show_link",
          lambda b, _: lambda reporter, code, ids, title: None,
          ("self", "project_code", "ids", "title"), since=(5, 0, 0)),
    # The process as upstream's reader of the configuration sees it.
    Patch("environment of the configuration", "qase.commons.config", "os",
          lambda b, old: b.reader.os_view(old), scope="configuration"),
    Patch("files of the configuration", "qase.commons.config", "open",
          lambda b, _: b.reader.open, adds=True, scope="configuration"),
    Patch("environment of the log", "qase.commons.logger", "os",
          lambda b, old: b.reader.os_view(old), scope="configuration"),
    # Upstream's defects that would mix sessions.
    Patch("plugin instance", "qase.pytest.plugin", "QasePytestPluginSingleton._instance", lambda b, _: None),
    Patch("run file", "qase.pytest.plugin", "QasePytestPlugin.meta_run_file", lambda b, _: b.run_file),
    Patch("removing the run file", "qase.pytest.plugin", "QasePytestPlugin.drop_run_id",
          lambda b, old: guards.dropping_run_file(old), (), required=False),
    Patch("lock file", "qase.pytest.plugin", "FileLock", lambda b, _: guards.NoLock),
    Patch("controller check", "qase.pytest.plugin", "is_xdist_controller", lambda b, _: guards.is_controller),
    Patch("runs of several projects in a worker", "qase.pytest.plugin", "QasePytestPlugin.load_run_from_lock",
          lambda b, old: guards.loading_several_runs(old), ("self",), since=(5, 0, 0), before=(5, 1, 2)),
    Patch("network profiler", "qase.commons.profilers.network", "NetworkProfilerSingleton._instance",
          lambda b, _: None, required=False),
    Patch("database profiler", "qase.commons.profilers.db", "DatabaseProfilerSingleton._instance",
          lambda b, _: None, since=(4, 1, 0), required=False),
    # Upstream's defects that would end a session with INTERNALERROR, or lose an outcome.
    Patch("opening the debug log", "qase.commons.logger", "Logger.__init__",
          lambda b, old: guards.logging_anywhere(old, b.tell), required=False),
    Patch("writing the debug log", "qase.commons.logger", "Logger.log",
          lambda b, old: guards.logging_or_not(old), ("self", "message", "level"), required=False),
    Patch("title of a test", "qase.pytest.plugin", "QasePytestPlugin._get_title",
          lambda b, old: guards.titled(old), ("self", "item"), required=False),
    Patch("marks of a test", "qase.pytest.plugin", "QasePytestPlugin.pytest_collection_modifyitems",
          lambda b, old: guards.with_plain_marks(old), ("self", "session", "config", "items"),
          required=False),
    Patch("reason of a skip", "qase.pytest.plugin", "QasePytestPlugin._process_test_result",
          lambda b, old: guards.with_reason(old), ("self", "report", "call", "item"), required=False),
    Patch("parameters of a test", "qase.pytest.plugin", "QasePytestPlugin._set_params",
          lambda b, old: guards.with_texts_of_parameters(old), ("self", "item"), required=False),
    Patch("failure without an exception", "qase.pytest.plugin", "QasePytestPlugin._handle_failed_test",
          lambda b, old: guards.failing_without_exception(old), ("self", "call"), required=False),
    Patch("skip in the set-up", "qase.pytest.plugin", "QasePytestPlugin.pytest_runtest_makereport",
          lambda b, old: guards.skipping_in_setup(old), ("self", "item", "call"),
          before=(4,), required=False),
    Patch("state before a subtest", "qase.pytest.plugin", "QasePytestPlugin._process_test_result",
          lambda b, old: subtests.keeping_state(old), ("self", "report", "call", "item"), required=False),
    Patch("report of a test", "qase.pytest.plugin", "QasePytestPlugin.pytest_runtest_logreport",
          lambda b, _: subtests.noting(guards.note_report), adds=True, required=False),
    Patch("subtests of a test", "qase.pytest.plugin", "QasePytestPlugin.finish_pytest_item",
          lambda b, old: subtests.with_subtests(old), ("self",), required=False),
    Patch("end of the session", "qase.pytest.plugin", "QasePytestPlugin.pytest_sessionfinish",
          lambda b, old: capture.ending(old, b.end_with), ("self", "session", "exitstatus"), required=False),
    Patch("end of a test", "qase.pytest.plugin", "QasePytestPlugin.finish_pytest_item",
          lambda b, old: guards.with_status(old), ("self",), required=False),
    # Steps that would end otherwise than their code.
    Patch("error in a step", "qase.pytest.context_manager", "ContextManager.__init__",
          lambda b, old: steps.ending_with_error(old), ("self", "func", "args", "kwargs"), required=False),
    Patch("step of a coroutine", "qase.pytest.context_manager", "ContextManager.__call__",
          lambda b, old: steps.awaiting(old), adds=True, required=False, early=True),
    Patch("current step", "qase.commons.models.runtime", "Runtime.step_id",
          lambda b, _: steps.CurrentStep(), adds=True, required=False),
    # Each result and each file is ours when its test has finished.
    Patch("sending thread", "qase.commons.reporters.testops", "threading",
          lambda b, old: View(old, Thread=capture.InlineThread)),
    Patch("sending thread of several projects", "qase.commons.reporters.testops_multi", "threading",
          lambda b, old: View(old, Thread=capture.InlineThread), since=(5, 0, 0)),
    Patch("attaching a file", "qase.commons.models.runtime", "Runtime.add_attachment",
          lambda b, old: capture.copying_attachments(old, b.transport), ("self", "attachment")),
    # A test may give uuid.uuid4 a value of its own; results, steps and files of one id replace each other.
    Patch("id of a result", "qase.commons.models.result", "uuid", _own_ids, required=False),
    Patch("id of a step", "qase.commons.models.step", "uuid", _own_ids, required=False),
    Patch("id of a file", "qase.commons.models.attachment", "uuid", _own_ids, required=False),
    # Same meaning, less time.
    Patch("host data", "qase.commons.reporters.core", "get_host_info",
          lambda b, old: speedups.host_info_like(old), ("framework", "reporter_name"),
          required=False, speedup=True),
    Patch("host data of the local report", "qase.commons.reporters.report", "get_host_info",
          lambda b, old: speedups.host_info_like(old), ("framework", "reporter_name"), since=(5, 0, 0),
          required=False, speedup=True),
    Patch("clock", "qase.commons.utils", "QaseUtils.get_real_time",
          lambda b, old: speedups.real_time(old), (), since=(4, 1, 2), required=False, speedup=True),
    Patch("adding a result", "qase.commons.reporters.core", "QaseCoreReporter.add_result",
          lambda b, old: speedups.DEBUG_TEXT.adding(old), ("self", "result"), required=False, speedup=True),
    Patch("start of a test", "qase.pytest.plugin", "QasePytestPlugin.start_pytest_item",
          lambda b, old: speedups.starting(old), ("self", "item"), required=False, speedup=True),
    Patch("text of a result", "qase.commons.models.basemodel", "BaseModel.__str__",
          lambda b, old: speedups.DEBUG_TEXT.writing(old), required=False, speedup=True),
)  # fmt: skip


def upstream_version(distribution: str = "qase-python-commons") -> str:
    """The installed version of an upstream distribution, such as ``5.1.6``."""
    return version(distribution)


def install_early() -> pytest.MonkeyPatch:
    """Apply the rows that conftest files must find already, until the session is decided on.

    Returns:
        What undoes it.
    """
    monkeypatch = pytest.MonkeyPatch()
    bindings: Any = None
    for row in TABLE:
        if row.early and mismatch(row, bindings) is None:
            _rebind(monkeypatch, row, bindings)
    return monkeypatch


class Installation:
    """Checks, installs and undoes the rows for one session.

    Args:
        bindings: the parts of the session.
        speedups: whether to include the rows that only save time.
        table: the rows; tests pass others.
    """

    def __init__(
        self, bindings: Bindings, *, speedups: bool = True, table: tuple[Patch, ...] = TABLE
    ) -> None:
        self._bindings = bindings
        self._monkeypatch = pytest.MonkeyPatch()
        installed = version_tuple(upstream_version())
        self.rows = tuple(
            row for row in table if row.since <= installed < row.before and (speedups or not row.speedup)
        )

    def check(self) -> None:
        """Compare every row with the installed upstream, and leave out optional ones that do not fit.

        Raises:
            UpstreamMismatch: a required row does not fit; nothing is rebound.
        """
        problems = []
        usable = []
        for row in self.rows:
            problem = mismatch(row, self._bindings)
            if problem is None:
                usable.append(row)
            elif row.required:
                problems.append(f"{row.name} ({row.path}): {problem}")
        self.rows = tuple(usable)
        if problems:
            raise UpstreamMismatch(
                f"qase-pytest {upstream_version('qase-pytest')} with qase-python-commons "
                f"{upstream_version()} is not as this release of famacase-pytest knows it: "
                f"{'; '.join(problems)}. No result of this session is reported, neither to Famacase nor to "
                "Qase; the tests run all the same. Install a newer famacase-pytest, or an older qase-pytest."
            )

    def install(self) -> None:
        """Rebind the session's names; those of the configuration follow when upstream reads it."""
        self._bindings.reader.during = self._configuration
        try:
            self._apply(self._monkeypatch, "session")
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Put every name back; may be repeated."""
        self._monkeypatch.undo()

    @contextlib.contextmanager
    def _configuration(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            self._apply(monkeypatch, "configuration")
            yield

    def _apply(self, monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
        for row in self.rows:
            if row.scope == scope:
                _rebind(monkeypatch, row, self._bindings)


def _rebind(monkeypatch: pytest.MonkeyPatch, row: Patch, bindings: Bindings) -> None:
    owner, attribute = _owner(row)
    old = inspect.getattr_static(owner, attribute, None)
    monkeypatch.setattr(owner, attribute, row.replacement(bindings, old), raising=False)


def mismatch(row: Patch, bindings: Bindings) -> str | None:
    """Why a row does not fit the installed upstream, or None if it does."""
    try:
        owner, attribute = _owner(row)
    except (ImportError, AttributeError) as error:
        return f"it is not there ({error})"
    if row.adds:
        there = vars(owner).get(attribute)
        # Of an early row it may be ours, as where a session is only looked at.
        is_ours = getattr(there, "__module__", "").startswith("famacase_pytest.")
        return None if there is None or is_ours else "it is there by now"
    try:
        old = inspect.getattr_static(owner, attribute)
    except AttributeError:
        return "it is not there"
    if row.parameters is not None:
        found = _parameters(old)
        if found != row.parameters:
            return f"its parameters are ({', '.join(found)}), not ({', '.join(row.parameters)})"
    if row.replacement(bindings, old) is bindings.client:
        return _missing_methods(bindings.client)
    return None


def version_tuple(text: str) -> Version:
    """``"5.1.6"`` as ``(5, 1, 6)``, up to the first part that is not a number."""
    numbers = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _owner(row: Patch) -> tuple[Any, str]:
    *classes, attribute = row.attribute.split(".")
    owner: Any = importlib.import_module(row.module)
    for name in classes:
        owner = getattr(owner, name)
    return owner, attribute


def _parameters(value: Any) -> tuple[str, ...]:
    if isinstance(value, staticmethod):
        value = value.__func__
    function = value.__init__ if inspect.isclass(value) else value
    return tuple(inspect.signature(function).parameters)


def _missing_methods(client: type[FamacaseClient]) -> str | None:
    """Which method or parameter of upstream's base class our client lacks, if any."""
    if client.__abstractmethods__:
        return f"our client lacks {', '.join(sorted(client.__abstractmethods__))}"
    for name in sorted(BaseApiClient.__abstractmethods__):
        theirs = _parameters(inspect.getattr_static(BaseApiClient, name))
        ours = _parameters(inspect.getattr_static(client, name))
        if theirs != ours:
            return f"{name} takes ({', '.join(theirs)}), our client's ({', '.join(ours)})"
    return None
