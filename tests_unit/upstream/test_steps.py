"""Which step is under way, in tasks and threads; whole sessions are in tests_compat."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from qase.commons.models.runtime import Runtime
from qase.commons.models.step import Step, StepTextData, StepType

from famacase_pytest.upstream import steps


@pytest.fixture
def runtime(monkeypatch):
    monkeypatch.setattr(Runtime, "step_id", steps.CurrentStep(), raising=False)
    return Runtime()


class Run:
    """Steps of a runtime, and which one each of them was begun below."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.below = {}

    def __call__(self, name, *inner):
        self.begin(name)
        for one in inner:
            self(one)
        self.end(name)

    def begin(self, name):
        step = Step(StepType.TEXT, name, StepTextData(name))
        self.runtime.add_step(step)
        self.below[name] = step.parent_id

    def end(self, name):
        self.runtime.finish_step(name, "passed")


@pytest.fixture
def run(runtime):
    return Run(runtime)


def test_steps_of_one_thread(run):
    run("a", "b", "c")
    run("d")
    assert run.below == {"a": None, "b": "a", "c": "a", "d": None}


def test_threads_begin_below_the_step_of_pytests_thread(run):
    with ThreadPoolExecutor(1) as pool:
        for outer in ("a", "d"):
            run.begin(outer)
            pool.submit(run, f"{outer}1", f"{outer}2").result()
            run.end(outer)
    assert run.below == {"a": None, "a1": "a", "a2": "a1", "d": None, "d1": "d", "d2": "d1"}


def test_threads_do_not_mix(run):
    met = threading.Barrier(2, timeout=10)

    def work(name):
        run.begin(name)
        met.wait()
        run(f"{name}1")
        met.wait()
        run.end(name)

    run.begin("outer")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, "ab"))
    run("last")
    assert run.below == {"outer": None, "a": "outer", "b": "outer", "a1": "a", "b1": "b", "last": "outer"}


def test_tasks_begin_below_the_step_that_they_were_started_in(run):
    async def work(name):
        run.begin(name)
        await asyncio.sleep(0)
        run(f"{name}1")
        await asyncio.sleep(0)
        run.end(name)

    async def all_of_it():
        run.begin("outer")
        late = asyncio.ensure_future(work("late"))
        await asyncio.gather(work("a"), work("b"))
        run.end("outer")
        run("after")
        await late

    asyncio.run(all_of_it())
    outer = ("late", "a", "b")
    assert run.below == {
        "outer": None,
        "after": None,
        **dict.fromkeys(outer, "outer"),
        **{f"{name}1": name for name in outer},
    }


def test_a_context_of_an_earlier_test_counts_no_more(run, runtime):
    async def work(names):
        await asyncio.gather(*(asyncio.sleep(0, run(name)) for name in names))

    loop = asyncio.new_event_loop()
    try:
        run.begin("early")
        task = loop.create_task(work("ab"))
        runtime.clear()
        loop.run_until_complete(task)
    finally:
        loop.close()
    assert run.below == {"early": None, "a": None, "b": None}


def test_it_is_upstreams_own_again_after_the_session(monkeypatch):
    with monkeypatch.context() as session:
        session.setattr(Runtime, "step_id", steps.CurrentStep(), raising=False)
        runtime = Runtime()
        Run(runtime).begin("a")
    assert runtime.step_id == "a"


# Where upstream has changed


def changed(title, expected=None, data=None):
    yield


def returning(title, expected=None):
    return None


@pytest.mark.parametrize("function", [changed, returning])
def test_another_step_of_upstream_is_left_alone(monkeypatch, function):
    from qase.pytest.context_manager import contextdecorator
    from qase.pytest.decorators import qase

    monkeypatch.setattr(qase, "step", staticmethod(contextdecorator(function)))
    original = object()
    assert steps.ending_with_error(original) is original


def test_other_context_managers_are_left_alone(installation):
    from qase.pytest import contextdecorator

    installation.install()
    try:
        calls = []

        @contextdecorator
        def around(name):
            calls.append(name)
            yield
            calls.append(f"after {name}")

        @around("one")
        def plain():
            calls.append("in it")

        @around("two")
        async def awaited():
            calls.append("in the coroutine")

        plain()
        asyncio.run(awaited())
        assert calls == ["one", "in it", "after one", "two", "in the coroutine", "after two"]
    finally:
        installation.undo()
