"""When integrations are called, which are called no more, and what is said of it."""

from __future__ import annotations

import threading

import pytest

from famacase_pytest.integrations import lifecycle
from famacase_pytest.integrations.base import Integration, registry
from famacase_pytest.integrations.lifecycle import Lifecycle

from .played import result


class Noting(Integration):
    """Notes its calls; one of them may raise."""

    def __init__(self, calls=None, fails_in="", error=None, required=False):
        self.calls = [] if calls is None else calls
        self.threads = set()
        self.required = required
        self._fails_in, self._error = fails_in, error or RuntimeError("no")

    def _note(self, method, *told):
        self.calls.append((method, *told))
        self.threads.add(threading.current_thread())
        if method == self._fails_in:
            raise self._error

    def on_run_start(self):
        self._note("start")

    def on_test_end(self, test_case, result):
        self._note("test", test_case.title, result.status)

    def on_run_end(self, test_results, test_run_id, elapsed_time, log_path=None, context=None):
        self._note("end", len(test_results), test_run_id, elapsed_time, log_path)
        context[f"by {len(context)}"] = True


class Other(Noting):
    pass


@pytest.fixture(autouse=True)
def empty_registry():
    yield
    for integration in list(registry):
        registry.deregister(integration)


def session(*integrations, results=(), patience=30.0, context=None):
    """A session from start to end; what was said, and the reason not to run."""
    said = []
    whole = Lifecycle(integrations, said.append, patience)
    whole.start()
    for one in results:
        whole.test_ended(one)
    context = {"famacase_run_id": 7} if context is None else context
    whole.end(list(results), 1.5, "log", context)
    return said, whole.reason


def test_an_integration_is_told_everything_once_in_order_and_in_one_thread():
    noting = Noting()
    results = [result("test_a"), result("test_b", "failed")]
    assert session(noting, results=results) == ([], "")
    assert noting.calls == [
        ("start",),
        ("test", "test_a", "passed"),
        ("test", "test_b", "failed"),
        ("end", 2, 7, 1.5, "log"),
    ]
    [thread] = noting.threads
    assert thread is not threading.current_thread()
    thread.join(60)
    assert not thread.is_alive()


def test_integrations_are_called_in_their_order_and_read_what_those_before_have_written():
    calls, context = [], {}
    session(Noting(calls), Noting(calls), context=context)
    assert [call[0] for call in calls] == ["start", "start", "end", "end"]
    assert context == {"by 0": True, "by 1": True}
    # Without a run at the back end there is no number.
    assert calls[-1][2] is None


def test_one_that_cannot_start_is_called_no_more_and_the_others_are():
    failing, other = Noting(fails_in="start"), Other()
    registry.register(failing)
    said, reason = session(failing, other, results=[result()])
    assert said == [
        "the integration Noting failed in on_run_start (RuntimeError: no). It is not called any more; "
        "the tests and reporting go on."
    ]
    assert reason == ""
    assert [call[0] for call in failing.calls] == ["start"]
    assert [call[0] for call in other.calls] == ["start", "test", "end"]
    assert failing not in registry


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), KeyboardInterrupt()])
def test_a_required_one_that_cannot_start_is_the_reason_not_to_run(error):
    failing = Noting(fails_in="start", error=error, required=True)
    said = []
    whole = Lifecycle([Other(), failing], said.append)
    whole.start()
    # Known as soon as that returns.
    assert whole.reason.startswith(f"the integration Noting failed in on_run_start ({type(error).__name__}: ")
    assert whole.reason.endswith("It is required, so no test is run.")
    whole.end([], 0.0, None, {})
    assert said == []


def test_one_that_fails_later_is_called_again_and_told_of_once_for_each_method():
    failing = Noting(fails_in="test")
    said, _ = session(failing, Other(), results=[result(), result()])
    assert said == [
        "the integration Noting failed in on_test_end (RuntimeError: no). The others are called all the same."
    ]
    assert [call[0] for call in failing.calls] == ["start", "test", "test", "end"]
    said, _ = session(Noting(fails_in="end"), Other(fails_in="end"))
    assert [line.split()[2] for line in said] == ["Noting", "Other"]


def test_one_that_does_not_return_is_left_with_all_that_is_to_come():
    begun, release = threading.Event(), threading.Event()

    class Hanging(Noting):
        def on_test_end(self, test_case, result):
            self.calls.append("test")
            begun.set()
            release.wait(60)

    hanging, other = Hanging(), Other()
    registry.register(hanging)
    said, started = [], threading.Event()
    whole = Lifecycle([hanging, other], said.append)
    whole.start()
    whole._steps.put(started.set)
    started.wait(60)
    # From now on nobody has any patience: what hangs is left at once.
    for thread in whole._threads[:1]:
        thread._patience = 0.0
    whole.test_ended(result())
    whole.test_ended(result())
    whole.end([], 0.0, None, {})
    begun.wait(60)
    release.set()
    assert said == [
        "the integration Hanging failed in on_test_end (it has not returned within 0 s). "
        "The others are called all the same."
    ]
    assert hanging.calls == [("start",), "test"]
    assert [call[0] for call in other.calls] == ["start", "test", "test", "end"]
    assert hanging not in registry


def test_the_fork_of_a_test_waits_for_nothing(monkeypatch):
    noting = Noting()
    whole = Lifecycle([noting], print)
    whole.start()
    with monkeypatch.context() as patched:
        patched.setattr(lifecycle.System, "getpid", lambda: -1)
        whole.end([], 0.0, None, {})
    whole.end([], 0.0, None, {})
    assert [call[0] for call in noting.calls] == ["start", "end"]
