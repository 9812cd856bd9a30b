"""Calls integrations in threads of their own, so that no test waits for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..delivery.system import System
from .base import Integration, TestResult, registry

# Seconds that one call of an integration may take.
PATIENCE = 30.0

Call = Callable[[Integration], None]


class _Left(Exception):
    """An integration has not returned in time."""


class Lifecycle:
    """The integrations of one session, from its start to its end.

    Args:
        integrations: in the order in which they are called.
        tell: takes a line for the user.
        patience: seconds that one call may take.

    Attributes:
        reason: why the session must not run, once the start is over; "" if it may.
    """

    def __init__(
        self, integrations: Sequence[Integration], tell: Callable[[str], None], patience: float = PATIENCE
    ) -> None:
        self.reason = ""
        self._threads = [_Thread(integration, patience) for integration in integrations]
        self._tell = tell
        self._told: set[tuple[_Thread, str]] = set()
        self._steps: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._pid = System.getpid()
        System.thread(target=self._work, name="famacase-integrations", daemon=True).start()

    def start(self) -> None:
        """Tell that the session begins; where an integration is required, wait until that is done."""
        done = threading.Event()

        def step() -> None:
            for thread in list(self._threads):
                self._start(thread)
            done.set()

        self._steps.put(step)
        if any(thread.integration.required for thread in self._threads):
            done.wait()

    def test_ended(self, result: TestResult) -> None:
        """Tell that a test has ended; returns at once."""
        self._steps.put(
            lambda: self._tell_all("on_test_end", lambda one: one.on_test_end(result.test_case, result))
        )

    def end(
        self, results: list[TestResult], elapsed: float, log_path: str | None, context: dict[str, Any]
    ) -> None:
        """Tell that the session is over, and wait until that is done; Ctrl-C ends the wait.

        Args:
            results: in the order in which the tests ended.
            elapsed: seconds.
            log_path: pytest's log file.
            context: one for all integrations.
        """
        if System.getpid() != self._pid:
            return  # a fork of a test, which has none of the threads
        run_id = context.get("famacase_run_id")
        self._steps.put(
            lambda: self._tell_all(
                "on_run_end",
                lambda one: one.on_run_end(
                    list(results), run_id, elapsed, log_path=log_path, context=context
                ),
            )
        )
        self._steps.put(None)
        self._ended.wait()

    def _work(self) -> None:
        for step in iter(self._steps.get, None):
            step()
        for thread in self._threads:
            thread.end()
        self._ended.set()

    def _start(self, thread: _Thread) -> None:
        try:
            thread.call(lambda one: one.on_run_start())
        except BaseException as error:  # noqa: BLE001 (the code of others, in a thread)
            what = _said(thread, "on_run_start", error)
            self._drop(thread)
            if thread.integration.required:
                self.reason = f"{what} It is required, so no test is run."
            else:
                self._tell(f"{what} It is not called any more; the tests and reporting go on.")

    def _tell_all(self, method: str, call: Call) -> None:
        for thread in list(self._threads):
            try:
                thread.call(call)
            except BaseException as error:  # noqa: BLE001 (the code of others, in a thread)
                if (thread, method) not in self._told:
                    self._told.add((thread, method))
                    self._tell(f"{_said(thread, method, error)} The others are called all the same.")
                if isinstance(error, _Left):
                    self._drop(thread)

    def _drop(self, thread: _Thread) -> None:
        self._threads.remove(thread)
        registry.deregister(thread.integration)
        thread.end()


class _Thread:
    """Makes the calls of one integration, whose thread is left if one of them does not return.

    Args:
        integration: the one that is called.
        patience: seconds.
    """

    def __init__(self, integration: Integration, patience: float) -> None:
        self.integration = integration
        self._patience = patience
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_running = False

    def call(self, call: Call) -> None:
        """Make a call and wait for it. Raises what it raises, and _Left."""
        if not self._is_running:
            self._is_running = True
            System.thread(target=self._work, name="famacase-integration", daemon=True).start()
        done = threading.Event()
        errors: list[BaseException] = []

        def made() -> None:
            try:
                call(self.integration)
            except BaseException as error:  # noqa: BLE001 (raised below, in the thread of the caller)
                errors.append(error)
            finally:
                done.set()

        self._calls.put(made)
        if not done.wait(self._patience):
            raise _Left(f"it has not returned within {self._patience:g} s")
        if errors:
            raise errors[0]

    def end(self) -> None:
        """Let the thread end, once it has returned from its call."""
        self._calls.put(None)

    def _work(self) -> None:
        for call in iter(self._calls.get, None):
            call()


def _said(thread: _Thread, method: str, error: BaseException) -> str:
    kind = "" if isinstance(error, _Left) else f"{type(error).__name__}: "
    return f"the integration {type(thread.integration).__name__} failed in {method} ({kind}{error})."
