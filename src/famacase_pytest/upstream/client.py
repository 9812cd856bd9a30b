"""The API client of upstream's reporters, for Famacase."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Protocol

from qase.commons import ReporterException
from qase.commons.client.base_api_client import BaseApiClient

from ..errors import ApiError
from .payload import PayloadOptions, wire_result_or_remains

if TYPE_CHECKING:
    from ..delivery.models import CapturedResult
    from ..delivery.transport import Transport


class ReportingSession(Protocol):
    """What the client needs of its session."""

    def transport(self) -> Transport:
        """Where results go, opened at its first use."""

    def run_url(self, code: str, run_id: Any) -> str:
        """The address of a run's page."""

    def has_plan(self, code: str, plan_id: int) -> bool:
        """Whether the plan exists, so that a run may name it."""

    def run_opened(self, code: str, run_id: int) -> None:
        """Note the run that a project's results go to."""

    def could_not_start(self, error: ApiError) -> None:
        """Note that the back end cannot be opened; upstream falls back."""

    def could_not_complete(self, error: ApiError) -> None:
        """Note that a run could not be completed or published."""

    def ended(self, code: str, captured: CapturedResult) -> CapturedResult:
        """A result as it is to be stored, together with the earlier attempts of its test."""

    def lets_through(self, payload: dict[str, Any]) -> bool:
        """Let plugins change a result; False: it is kept back."""

    def failed(self, error: BaseException) -> None:
        """Told of an internal error."""


class FamacaseClient(BaseApiClient):  # type: ignore[misc]  # upstream ships no types
    """Replaces upstream's ``ApiV2Client``.

    The methods have upstream's names and parameters, and pass their values to the session's transport. They
    raise ``ReporterException``, so that upstream does not retry what has been retried already.

    Args:
        config: upstream's ``QaseConfig``.
        logger: upstream's ``Logger``.
        host_data: newer releases pass this and the following for their request headers; not used.
        framework: not used.
        reporter_name: not used.
    """

    session: ClassVar[ReportingSession]

    def __init__(
        self,
        config: Any,
        logger: Any,
        host_data: Any = None,
        framework: str | None = None,
        reporter_name: str | None = None,
    ) -> None:
        self.config = config
        self.logger = logger
        self._options = PayloadOptions.from_config(config)
        self._created: set[tuple[str, int]] = set()

    def get_project(self, project_code: str) -> None:
        """Check project and token; upstream falls back if this raises."""
        with self._reporting_failure(self.session.could_not_start):
            self.session.transport().open_project(project_code)

    def get_environment(self, environment: str, project_code: str) -> int | None:
        """None: the environment is looked up when the run is created."""
        return self.session.transport().environment_id(project_code, environment)

    def create_test_run(
        self,
        project_code: str,
        title: str,
        description: str,
        plan_id: Any = None,
        environment_id: Any = None,
    ) -> int:
        """Create a run and return its provisional id, which is below 0."""
        body = self._run_body(project_code, title, description, plan_id, environment_id)
        with self._reporting_failure(self.session.could_not_start):
            run_id = self.session.transport().create_run(project_code, body)
        self._created.add((project_code, run_id))
        self.session.run_opened(project_code, run_id)
        return run_id

    def check_test_run(self, project_code: str, run_id: Any) -> bool:
        """Look whether the run takes results; upstream also asks this of the run that it has just created.

        Returns:
            True: upstream would drop the results of a run that it does not find. Here they wait.
        """
        if (project_code, int(run_id)) not in self._created:
            with self._reporting_failure(self.session.could_not_start):
                self.session.transport().check_run(project_code, int(run_id))
            self.session.run_opened(project_code, int(run_id))
        return True

    def send_results(self, project_code: str, run_id: Any, results: Sequence[Any]) -> None:
        """Store a batch of results."""
        captured = [
            self.session.ended(project_code, wire_result_or_remains(result, self._options))
            for result in results
        ]
        with self._reporting_failure(self.session.could_not_complete):
            transport = self.session.transport()
            screened = [transport.screened(result) for result in captured]
            kept = [result for result in screened if self.session.lets_through(result.payload)]
            transport.put(project_code, int(run_id), kept)

    def complete_run(self, project_code: str, run_id: Any) -> None:
        """Complete the run; the summary has its address."""
        with self._reporting_failure(self.session.could_not_complete):
            self.session.transport().complete_run(
                project_code,
                int(run_id),
                publish=bool(getattr(self.config.testops, "show_public_report_link", False)),
            )

    def enable_public_report(self, project_code: str, run_id: Any) -> str | None:
        """Publish the run; upstream logs the returned link."""
        with self._reporting_failure(self.session.could_not_complete):
            return self.session.transport().publish_run(project_code, int(run_id))

    @contextlib.contextmanager
    def _reporting_failure(self, tell: Callable[[ApiError], None]) -> Iterator[None]:
        """Pass an error to the session, and raise it as upstream's exception."""
        try:
            yield
        except ApiError as error:
            tell(error)
            raise _told_already() from error
        except Exception as error:  # noqa: BLE001 (upstream prints its text, which may hold a token)
            self.session.failed(error)
            raise _told_already() from None

    def _upload_attachment(self, project_code: str, attachment: Any) -> list[Any]:
        """Never called by upstream's reporters, but abstract in the base class."""
        raise NotImplementedError("Attachments are delivered together with their results.")

    def _run_body(
        self, project_code: str, title: str, description: str, plan_id: Any, environment_id: Any
    ) -> dict[str, Any]:
        """The contract's ``RunCreate``.

        Upstream's client reads tags, configurations and the external link from the configuration, and so does
        this one. With several projects, each can have its own tags and link.
        """
        testops = self.config.testops
        run = _project_run(self.config, project_code)
        body: dict[str, Any] = {"title": title, "description": description, "is_autotest": True}
        if plan_id and self.session.has_plan(project_code, int(plan_id)):
            body["plan_id"] = int(plan_id)
        if environment_id:
            body["environment_id"] = int(environment_id)
        tags = getattr(run, "tags", None) or getattr(testops.run, "tags", None)
        if tags:
            body["tags"] = [str(tag) for tag in tags]
        values = getattr(getattr(testops, "configurations", None), "values", None)
        if values:
            body["configurations"] = [
                {"name": str(value.name), "value": str(value.value)} for value in values
            ]
        link = getattr(run, "external_link", None) or getattr(testops.run, "external_link", None)
        if link is not None and link.link:
            kind = getattr(link.type, "value", link.type)
            body["external_link"] = {"link": str(link.link), **({"type": kind} if kind else {})}
        return body


def _told_already() -> Exception:
    """What upstream is raised, which prints it too."""
    error: Exception = ReporterException("Famacase could not be reached or refused; see the famacase line.")
    return error


def bound_to(session: ReportingSession) -> type[FamacaseClient]:
    """A client class for one session; upstream makes the instances."""
    return type("FamacaseClient", (FamacaseClient,), {"session": session})


def _project_run(config: Any, project_code: str) -> Any:
    """The run settings of one of several projects; None with a single project."""
    for project in getattr(getattr(config, "testops_multi", None), "projects", None) or ():
        if project.code == project_code:
            return project.run
    return None
