"""The calls that delivery makes of a back end, and how one of the team's own is found and made."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ...errors import PASSING, Refused, SettingsError
from ...resolver import resolve_class
from ..models import Part


class ReportingClient(abc.ABC):
    """A back end. One instance serves several threads at a time.

    A call that fails raises one of three exceptions of `famacase_pytest.errors`, by what is to be done (of
    any other, an OSError counts as the first of them, and what comes twice as the last):

    - Unreachable: it may succeed later; what it carried is kept and sent again.
    - Refused: nothing of this run or project will be taken; all of it is kept. With ``status`` 404 for a
      run or project that is not there.
    - Rejected, with ``status`` 400, 413 or 422: something in this content is not taken. Results are sent
      again in smaller numbers, until the one in question stands alone.

    Args:
        config: of the setting ``client.config``: an instance of `CONFIG_CLASS`, without one the plain dict.

    Attributes:
        CONFIG_CLASS: a pydantic model, or any class that takes the keys of the configuration as arguments.
    """

    CONFIG_CLASS: ClassVar[Any] = None

    def __init__(self, config: Any) -> None:
        self.config = config

    @abc.abstractmethod
    def get_project(self, code: str) -> Mapping[str, Any]:
        """The project; asked to find out whether it can be reported to, and whether the back end is there."""

    @abc.abstractmethod
    def create_run(self, code: str, body: Mapping[str, Any], key: str) -> int:
        """Create a run; returns its id, greater than 0.

        Args:
            code: of the project.
            body: the contract's ``RunCreate``: ``title``, ``description``, ``tags`` and so on.
            key: a UUID. Called again with it, the run that the first call created is the answer.
        """

    @abc.abstractmethod
    def get_run(self, code: str, run_id: int) -> Mapping[str, Any]:
        """The run: ``id``, ``title``, and ``status``, which is ``in_progress`` or ``completed``."""

    @abc.abstractmethod
    def post_results(self, code: str, run_id: int, results: Sequence[str]) -> None:
        """Store results, all of them or none; they are kept in the order in which they come first.

        Args:
            code: of the project.
            run_id: the run.
            results: JSON texts of the contract's ``Result``. One whose ``id`` the run has is replaced.
        """

    @abc.abstractmethod
    def upload(self, code: str, parts: Sequence[Part], key: str) -> list[str]:
        """Store files, all of them or none; returns their ids, by which results refer to them, in order.

        Args:
            code: of the project.
            parts: the files; ``part.open()`` gives the bytes.
            key: a UUID. Called again with it, the ids of the first call are the answer.
        """

    @abc.abstractmethod
    def complete_run(self, code: str, run_id: int) -> None:
        """Complete a run; one that is complete already stays as it is."""

    def environment_id(self, code: str, slug: str) -> int | None:
        """The id of the environment that bears the slug, for ``RunCreate``; None if there is none."""
        return None

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The ids of the cases that a plan holds."""
        raise Refused(f"{type(self).__name__} has no plans: all tests run.", status=404)

    def publish_run(self, code: str, run_id: int) -> str | None:
        """Make the run public; returns its link, None if there is none."""
        return None

    @classmethod
    def run_url(cls, config: Any, code: str, run_id: int | None) -> str:
        """Where people find a run, for the summary; asked in pytest's own process, without an instance.

        Args:
            config: as for the constructor.
            code: of the project.
            run_id: None as long as there is no run.
        """
        return f"{cls.__name__}, project {code}{f', run {run_id}' if run_id else ''}"

    def with_limits(
        self, *, timeout: float | None = None, attempts: int | None = None, total: float | None = None
    ) -> ReportingClient:
        """The same back end for calls that must be shorter; self, for one that is never slow.

        Args:
            timeout: seconds for an attempt; None for the usual.
            attempts: at a call; None for the usual.
            total: seconds for a call with all its attempts; None for any.
        """
        return self

    def close(self) -> None:  # noqa: B027 (not every client has something to close)
        """Let go of connections and files."""

    def __enter__(self) -> ReportingClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def resolve_client(given: Mapping[str, Any]) -> tuple[type[ReportingClient], Any]:
    """The class that the settings name and its configuration, checked.

    Args:
        given: ``class`` and the ``directory`` that it is relative to, ``config``, and in ``setting`` and
            ``config_setting`` where those stand.

    Raises:
        SettingsError: there is no such class, or it does not take the configuration.
    """
    found = resolve_class(
        given["class"],
        ReportingClient,  # type: ignore[type-abstract]
        setting=given["setting"],
        directory=Path(given["directory"]),
    )
    config_class, config = found.CONFIG_CLASS, dict(given["config"])
    if config_class is None:
        return found, config
    # Pydantic is for who wants it, and not imported here.
    make = getattr(config_class, "model_validate", None) or (lambda members: config_class(**members))
    try:
        return found, make(config)
    except PASSING:
        raise
    except BaseException as error:  # noqa: BLE001 (the code of others; it is told)
        reason = _wrong_fields(error)
    raise SettingsError(
        f"{given['config_setting']} does not fit {found.__name__} ({reason}): nothing could be sent. "
        "Correct it."
    )


def _wrong_fields(error: BaseException) -> str:
    """The fields that a configuration class does not take, without their values, which may be secret."""
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in errors())
