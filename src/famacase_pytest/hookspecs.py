"""The hooks that a conftest.py or another plugin can implement; docs/hooks.md has an example of each.

A hook that raises is reported once, with the name of its plugin, and reporting goes on without it. Write
``@pytest.hookimpl(optionalhook=True)``, so that a suite runs without this package too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest


class Run:
    """A run that the session reports to.

    Args:
        project: the project's code.
        look_up: gives its id as far as it is known, and its page.
    """

    def __init__(self, project: str, look_up: Callable[[], tuple[int | None, str]]) -> None:
        self.project = project
        self._look_up = look_up

    @property
    def id(self) -> int | None:
        """The back end's id; None until the first result has created the run."""
        return self._look_up()[0]

    @property
    def url(self) -> str:
        """The run's page; as long as there is no run, the page of all runs."""
        return self._look_up()[1]

    def __repr__(self) -> str:
        return f"Run(project={self.project!r}, id={self.id}, url={self.url!r})"


class Summary(NamedTuple):
    """How far delivery came in a session, over all of its runs.

    Attributes:
        delivered: results that the back end has.
        waiting: results that it does not have yet; they are kept in the outbox.
        rejected: why it does not take some; they are kept.
        lost: results that could neither be stored nor sent.
        kept_back: results that a hook did not let through.
        reason: why results wait, as far as it is known.
    """

    delivered: int = 0
    waiting: int = 0
    rejected: tuple[str, ...] = ()
    lost: int = 0
    kept_back: int = 0
    reason: str | None = None


@pytest.hookspec(firstresult=True)
def pytest_famacase_defaults() -> Mapping[str, Any] | None:
    """Give settings that hold where no other source has one.

    Asked while pytest is configured, in each process, also if Famacase is not used so far: an address given
    here switches it on. The first answer that is not None counts.

    Returns:
        A document as in ``famacase.config.json``, such as ``{"testops": {"project": "SHOP"}}``, or None.

    .. versionadded:: 0.2
    """


@pytest.hookspec
def pytest_famacase_integrations(config: pytest.Config) -> Any:
    """Give integrations, before the first test; on xdist's controller alone.

    Args:
        config: pytest's.

    Returns:
        An integration, a subclass of `famacase_pytest.Integration`, a dotted path, or a list of those.

    .. versionadded:: 0.2
    """


@pytest.hookspec
def pytest_famacase_run_started(config: pytest.Config, run: Run) -> None:
    """Learn which run the session reports to, before the first test; on xdist's controller alone.

    Args:
        config: pytest's.
        run: with several projects the hook is called for each of their runs.

    .. versionadded:: 0.2
    """


@pytest.hookspec
def pytest_famacase_result(
    config: pytest.Config, item: pytest.Item | None, result: dict[str, Any]
) -> bool | None:
    """Change a result, or keep it back, before it is stored.

    Called in the process that ran the test, once for each project that the result goes to. What is secret has
    been masked already.

    Args:
        config: pytest's.
        item: the test; None if the result comes after the last one.
        result: as it is sent: the contract's ``Result``. Change it in place; its ``id`` stays as it is.

    Returns:
        False to keep it back; anything else lets it through.

    .. versionadded:: 0.2
    """


@pytest.hookspec
def pytest_famacase_run_finished(config: pytest.Config, run: Run, summary: Summary) -> None:
    """Learn how far delivery came, after the last test; on xdist's controller alone.

    Args:
        config: pytest's.
        run: with several projects the hook is called for each of their runs.
        summary: of the session.

    .. versionadded:: 0.2
    """
