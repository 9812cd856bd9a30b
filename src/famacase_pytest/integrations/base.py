"""What an integration is, what it is told, and where it is registered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

STATUSES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


@dataclass(frozen=True)
class TestCase:
    """A test.

    Attributes:
        nodeid: pytest's.
        title: the last part of it, with the parameters.
        markers: of those whose arguments are plain values, by name, the arguments of each of them: positional
            ones in a list, the others by name.
    """

    __test__: ClassVar[bool] = False  # pytest would otherwise collect a class of this name

    nodeid: str
    title: str
    markers: Mapping[str, list[tuple[list[Any], dict[str, Any]]]] = field(default_factory=dict)

    def marked(self, name: str) -> list[Any]:
        """All values that markers of a name were given, lists among them taken apart."""
        given = [
            value
            for positional, named in self.markers.get(name, ())
            for value in [*positional, *named.values()]
        ]
        return [part for value in given for part in (value if isinstance(value, (list, tuple)) else [value])]


@dataclass(frozen=True)
class TestResult:
    """How a test ended.

    Attributes:
        test_case: the test.
        status: one of STATUSES; error: its setup or teardown failed.
        duration: seconds, setup and teardown included.
        message: the last line of what pytest says of the failure, or the reason of a skip; None otherwise.
        details: all that pytest says of the failure.
    """

    __test__: ClassVar[bool] = False

    test_case: TestCase
    status: str
    duration: float
    message: str | None = None
    details: str | None = None

    @property
    def is_failure(self) -> bool:
        """Whether the test makes the run fail."""
        return self.status in ("failed", "error")


class Integration:
    """Base class of integrations; overwrite what you need.

    The methods are called in a thread of their own, one after the other, once a session: under xdist on the
    controller. One that takes longer than 30 s is left, with all that the integration would have been told.

    Attributes:
        required: whether the session is to end before its first test if `on_run_start` raises.
    """

    required = False

    def on_run_start(self) -> None:
        """The session begins. What raises here is deregistered."""

    def on_test_end(self, test_case: TestCase, result: TestResult) -> None:
        """A test has ended; called in the order in which tests end."""

    def on_run_end(
        self,
        test_results: list[TestResult],
        test_run_id: int | None,
        elapsed_time: float,
        log_path: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        """All tests have ended, and results are delivered as far as that was possible.

        Args:
            test_results: in the order in which the tests ended.
            test_run_id: of the run at the back end; None if there is none.
            elapsed_time: seconds.
            log_path: pytest's log file, if it writes one.
            context: one for all integrations, which are called in the order of their registration: what one
                writes the next one reads. It holds ``famacase_run_id``, ``famacase_run_url`` and
                ``famacase_summary``.
        """


class Registry:
    """The integrations that were registered from code, in their order."""

    def __init__(self) -> None:
        self._integrations: list[Integration] = []

    def register(self, integration: Integration) -> None:
        """Add an integration to the sessions of this process; those there before the first test count.

        Raises:
            TypeError: it is no instance of a subclass of `Integration`.
        """
        if not isinstance(integration, Integration):
            raise TypeError(f"{integration!r} is no instance of a subclass of famacase_pytest.Integration")
        if integration not in self._integrations:
            self._integrations.append(integration)

    def deregister(self, integration: Integration) -> None:
        """Take an integration out; one that is not there is none."""
        if integration in self._integrations:
            self._integrations.remove(integration)

    def __iter__(self) -> Iterator[Integration]:
        return iter(list(self._integrations))

    def __len__(self) -> int:
        return len(self._integrations)


registry = Registry()


def totals(test_results: Iterable[TestResult]) -> dict[str, int]:
    """``total_testcases``, and the number of results with each status."""
    counts = {"total_testcases": 0, **dict.fromkeys(STATUSES, 0)}
    for result in test_results:
        counts["total_testcases"] += 1
        counts[result.status] += 1
    return counts
