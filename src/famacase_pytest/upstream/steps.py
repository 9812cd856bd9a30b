"""Steps that end as their code ends: with its own error, when a coroutine is done, each task by itself.

Upstream keeps the step that is under way in one attribute, for all tasks and threads. It takes a coroutine
function for a function, which returns at once. And an `AttributeError` in a step makes its context manager
begin a second time, which Python refuses.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, Callable

import pytest
from qase.commons.models.step import Step, StepTextData, StepType

from ..delivery.system import System

# Of the step that is under way here: the steps of its test, its id, and the id below which a thread without a
# context has begun. No test has the same dict of steps as another one.
_UNDER_WAY: ContextVar[tuple[Any, str | None, object] | None] = ContextVar("step under way", default=None)

# In the third place, for whatever has got its context from the test.
_HAS_CONTEXT = object()


class CurrentStep:
    """Replaces the attribute ``Runtime.step_id``: each task, and each thread, has a current step of its own.

    A task begins with the one that it was started in. So does a thread that was given a context, as
    ``asyncio.to_thread`` does; any other begins with the last one of pytest's thread, as upstream has it.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def __get__(self, runtime: Any, owner: type | None = None) -> Any:
        if runtime is None:
            return self
        found = _UNDER_WAY.get()
        if found is not None and found[0] is runtime.steps:
            return found[1]
        state = vars(runtime)
        # A loop that serves several tests may have the context of an earlier one.
        return state.get("_outside_tasks" if threading.get_ident() == self._thread else "step_id")

    def __set__(self, runtime: Any, step_id: str | None) -> None:
        state = vars(runtime)
        if threading.get_ident() == self._thread:
            # Also under its own name, for the time after the session.
            state["step_id"] = step_id
            if not _is_in_task():
                state["_outside_tasks"] = step_id
            _UNDER_WAY.set((runtime.steps, step_id, _HAS_CONTEXT))
            return
        found = _UNDER_WAY.get()
        began = found[2] if found is not None and found[0] is runtime.steps else state.get("step_id")
        # The threads of a pool keep their context from one job to the next.
        _UNDER_WAY.set(None if step_id == began else (runtime.steps, step_id, began))


def _is_in_task() -> bool:
    """Whether an event loop is running on this thread."""
    # The public function would raise an error for each test.
    running = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    if running is not None and running() is not None:
        return True
    trio = sys.modules.get("trio")
    if trio is not None:
        with contextlib.suppress(AttributeError, RuntimeError):
            return bool(trio.lowlevel.current_task())
    return False


def ending_with_error(original: Callable[..., None]) -> Callable[..., None]:
    """Upstream's ``ContextManager.__init__``, with our ``_step`` in the place of upstream's ``qase.step``.

    Steps of functions that were decorated before the session began come here as well, at each call.
    """
    from qase.pytest.decorators import qase

    upstreams = getattr(qase.step, "__wrapped__", None)
    if not inspect.isgeneratorfunction(upstreams) or _parameters(upstreams) != _parameters(_step):
        return original

    def __init__(manager: Any, func: Any, args: Any = (), kwargs: Any = None) -> None:
        original(manager, _step if func is upstreams else func, args, kwargs)

    return __init__


def _parameters(function: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def _step(title: Any, expected: Any = None) -> Generator[None, None, None]:
    """A step that ends with whatever ends its code; a skip and an error both go on as they are."""
    from qase.pytest.plugin import PluginNotInitializedException, QasePytestPluginSingleton

    try:
        plugin = QasePytestPluginSingleton.get_instance()
    except PluginNotInitializedException:
        yield
        return
    if plugin.ignore:
        # Nothing takes the steps of a test that is not reported: they would be the next one's.
        yield
        return
    data = StepTextData(action=title, expected_result=expected if expected else None)
    step = Step(step_type=StepType.TEXT, id=str(System.uuid4()), data=data)
    plugin.start_step(step)
    try:
        yield
    except BaseException as error:
        _finish(plugin.runtime, step, "skipped" if isinstance(error, pytest.skip.Exception) else "failed")
        raise
    _finish(plugin.runtime, step, "passed")


def _finish(runtime: Any, step: Any, status: str) -> None:
    # A task may outlive its test, whose result is stored by then.
    if runtime.steps.get(step.id) is step:
        runtime.finish_step(step.id, status=status)


def awaiting(original: Callable[..., Any]) -> Callable[..., Any]:
    """``ContextManager.__call__``, by which it decorates a function; a coroutine function is awaited."""

    def __call__(manager: Any, func: Any) -> Any:
        if not inspect.iscoroutinefunction(func):
            return original(manager, func)

        @functools.wraps(func)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with manager._recreate_cm():
                return await func(*args, **kwargs)

        return awaited

    return __call__
