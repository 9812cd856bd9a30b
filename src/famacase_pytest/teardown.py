"""Looks at attached files again when fixtures are torn down, which may finish them after their test."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .delivery.transport import Transport


class TeardownHooks:
    """Registered with the first file that is attached by path: a suite without any is not to pay for it.

    Args:
        guard: keeps internal errors from the session.
        transport: gives the one that stores the files; None where nothing is stored.
    """

    def __init__(
        self, guard: AbstractContextManager[None], transport: Callable[[], Transport | None]
    ) -> None:
        self._guard = guard
        self._transport = transport
        # The last parameters of fixtures of wider scopes than a test.
        self._params: dict[str, object] = {}
        # The node whose fixtures give way to others in the set-up that goes on.
        self._giving_way: str | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """In a set-up, fixtures are torn down whose parameter is another one for this test."""
        with self._guard:
            self._giving_way = self._changed(item)
            if self._giving_way is not None:
                self._starts(self._node_giving_way)
        try:
            return (yield)
        finally:
            self._giving_way = None

    def pytest_fixture_post_finalizer(self) -> None:
        """What takes the place of a fixture that gave way may write files of the same names."""
        with self._guard:
            if self._giving_way is not None:
                self._ended()
                self._starts(self._node_giving_way)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """The fixtures of a test are torn down, and those that the next test does not need."""
        with self._guard:
            self._starts(lambda: _ending(item, nextitem))
        try:
            return (yield)
        finally:
            with self._guard:
                self._ended()

    def _changed(self, item: pytest.Item) -> str | None:
        """The id of the node whose fixtures give way to those of a test; None if none do."""
        callspec = getattr(item, "callspec", None)
        scopes = set()
        for name, scope in getattr(callspec, "_arg2scope", {}).items():
            value = callspec.params.get(name)  # type: ignore[union-attr]
            if scope.value != "function" and self._params.get(name, self) is not value:
                scopes.add(scope.value)
                self._params[name] = value
        if not scopes:
            return None
        return "" if scopes & {"session", "package"} else item.nodeid.partition("::")[0]

    def _node_giving_way(self) -> str:
        return self._giving_way or ""

    def _starts(self, node: Callable[[], str]) -> None:
        transport = self._transport()
        if transport is not None:
            transport.teardown_starts(node)

    def _ended(self) -> None:
        transport = self._transport()
        if transport is not None:
            transport.teardown_ended()


def _ending(item: pytest.Item, nextitem: pytest.Item | None) -> str:
    """The id of the outermost node that ends with a test; the empty text for the session."""
    if nextitem is None:
        return ""
    staying = nextitem.listchain()
    return next((node.nodeid for node in item.listchain() if node not in staying), item.nodeid)
