"""The hooks of others: what they change, what they answer, and what they raise."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from famacase_pytest import hookspecs
from famacase_pytest.errors import SettingsError
from famacase_pytest.hooks import Hooks
from famacase_pytest.settings.sources import Defaults


@pytest.fixture
def told():
    return []


@pytest.fixture
def pluginmanager():
    pluginmanager = pytest.PytestPluginManager()
    pluginmanager.add_hookspecs(hookspecs)
    return pluginmanager


@pytest.fixture
def hooks(pluginmanager, told):
    config = SimpleNamespace(hook=pluginmanager.hook, pluginmanager=pluginmanager)
    return Hooks(config, told.append)


@pytest.fixture
def plugin(pluginmanager):
    """Registers a plugin that implements one hook."""

    def register(name, hook, implementation, **how):
        members = {hook: staticmethod(pytest.hookimpl(**how)(implementation))}
        pluginmanager.register(type("Plugin", (), members), name)

    return register


def payload(**more):
    return {"id": "r1", "title": "t", "fields": {}, **more}


# Results


def let_through(hooks, result):
    return hooks.lets_through(None, result)


def test_without_a_hook_a_result_is_not_touched(hooks):
    # Not even looked at: this is no JSON.
    result = payload(fields={"a": object()})
    before = dict(result)
    assert let_through(hooks, result)
    assert result == before


def test_a_hook_changes_a_result_in_place(hooks, plugin):
    def change(result):
        result["title"] = "changed"
        result["fields"]["owner"] = "me"

    plugin("p", "pytest_famacase_result", change)
    result = payload()
    assert let_through(hooks, result)
    assert result == payload(title="changed", fields={"owner": "me"})


def test_the_id_stays_as_it_is(hooks, plugin):
    plugin("p", "pytest_famacase_result", lambda result: result.pop("id"))
    plugin("q", "pytest_famacase_result", lambda result: result.update(id="another"))
    result = payload()
    assert let_through(hooks, result)
    assert result["id"] == "r1"


@pytest.mark.parametrize(
    ("answers", "passes"),
    [((None,), True), ((False,), False), ((True, False), False), ((0, "", True), True)],
)
def test_only_false_keeps_a_result_back(hooks, plugin, answers, passes):
    for number, answer in enumerate(answers):
        plugin(f"p{number}", "pytest_famacase_result", lambda result, answer=answer: answer)
    assert let_through(hooks, payload()) == passes


def test_half_a_change_is_undone(hooks, plugin, told):
    def fails(result):
        result["title"] = "half"
        raise ValueError("no such owner")

    plugin("owners", "pytest_famacase_result", fails)
    result = payload()
    assert let_through(hooks, result)
    assert result == payload()
    (line,) = told
    assert line.startswith("the hook pytest_famacase_result of owners raised ValueError: no such owner. ")


@pytest.mark.parametrize("answer", [None, False])
@pytest.mark.parametrize("order", ["tryfirst", "trylast"])
def test_one_that_fails_does_not_silence_the_others(hooks, plugin, told, order, answer):
    def fails(result):
        result["title"] += ", half"
        raise ValueError("no such owner")

    def hides(result):
        result["title"] += ", without the card's number"
        return answer

    plugin("owners", "pytest_famacase_result", fails, **{order: True})
    plugin("secrets", "pytest_famacase_result", hides)
    for _ in range(2):
        result = payload()
        assert let_through(hooks, result) == (answer is None)
        assert result["title"] == "t, without the card's number"
    assert len(told) == 1


def test_one_that_leaves_what_is_no_json_lets_nothing_through_that_another_keeps_back(hooks, plugin):
    plugin("p", "pytest_famacase_result", lambda result: result.update(fields=object()))
    plugin("q", "pytest_famacase_result", lambda result: False)
    assert not let_through(hooks, payload())


def test_where_nobody_is_known_to_have_failed_the_result_is_as_it_was(hooks, plugin, told):
    # pluggy's own refusal: a wrapper has to yield once.
    def twice(result):
        result["title"] = "half"
        yield
        yield

    plugin("p", "pytest_famacase_result", twice, wrapper=True)
    result = payload()
    assert let_through(hooks, result)
    assert result == payload()
    assert len(told) == 1


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan")], ids=["object", "set", "nan"])
def test_what_is_no_json_is_undone(hooks, plugin, told, value):
    plugin("p", "pytest_famacase_result", lambda result: result.update(title="half", fields={"a": value}))
    result = payload()
    assert let_through(hooks, result)
    assert result == payload()
    assert "left what is no JSON" in told[0]


def test_a_result_without_an_end_is_undone(hooks, plugin, told):
    plugin("p", "pytest_famacase_result", lambda result: result.update(fields=result))
    result = payload()
    assert let_through(hooks, result)
    assert result == payload()
    assert len(told) == 1


def test_tuples_and_odd_keys_are_as_the_back_end_will_have_them(hooks, plugin):
    plugin("p", "pytest_famacase_result", lambda result: result.update(tags=("a",), fields={1: True}))
    result = payload()
    let_through(hooks, result)
    assert (result["tags"], result["fields"]) == (["a"], {"1": True})
    assert json.loads(json.dumps(result)) == result


# What hooks raise


@pytest.mark.parametrize("error", [SystemExit(3), pytest.fail.Exception("no"), RuntimeError("x")], ids=repr)
def test_what_a_hook_raises_ends_nothing_and_is_said_once(hooks, plugin, told, error):
    def fails(run):
        raise error

    plugin("p", "pytest_famacase_run_started", fails)
    assert [hooks.call("pytest_famacase_run_started", run=None) for _ in range(3)] == [None] * 3
    (line,) = told
    assert f"of p raised {type(error).__name__}" in line
    assert line.endswith("this is said once; correct the hook.")


def test_ctrl_c_in_a_hook_is_the_users(hooks, plugin):
    def interrupted(run):
        raise KeyboardInterrupt

    plugin("p", "pytest_famacase_run_started", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hooks.call("pytest_famacase_run_started", run=None)


def test_each_plugin_is_named_for_what_it_raised_itself(hooks, plugin, told):
    def around(run):
        return (yield)

    def fails(run):
        raise ValueError("inside")

    plugin("outer", "pytest_famacase_run_started", around, wrapper=True)
    plugin("inner", "pytest_famacase_run_started", fails)
    hooks.call("pytest_famacase_run_started", run=None)
    assert "pytest_famacase_run_started of inner raised" in told[0]


def test_a_wrapper_is_named_for_its_own(hooks, plugin, told):
    def around(run):
        yield
        raise ValueError("after the others")

    plugin("outer", "pytest_famacase_run_started", around, wrapper=True)
    plugin("inner", "pytest_famacase_run_started", lambda run: None)
    hooks.call("pytest_famacase_run_started", run=None)
    assert "pytest_famacase_run_started of outer raised" in told[0]


def test_whether_anybody_listens(hooks, plugin):
    assert not hooks.are_implemented("pytest_famacase_run_finished")
    plugin("p", "pytest_famacase_run_finished", lambda run: None)
    assert hooks.are_implemented("pytest_famacase_run_finished")


def test_config_is_handed_to_who_asks_for_it(hooks, plugin, pluginmanager):
    seen = []
    plugin("p", "pytest_famacase_run_started", lambda config, run: seen.append((config.hook, run)))
    hooks.call("pytest_famacase_run_started", run="the run")
    assert seen == [(pluginmanager.hook, "the run")]


# Defaults


def test_without_a_hook_there_are_no_defaults(hooks, plugin):
    assert hooks.defaults() == Defaults()
    plugin("p", "pytest_famacase_defaults", lambda: None)
    assert hooks.defaults() == Defaults()


def test_defaults_name_the_plugin_that_gave_them(hooks, plugin):
    plugin("first", "pytest_famacase_defaults", lambda: {"mode": "off"})
    plugin("silent", "pytest_famacase_defaults", lambda: None)
    assert hooks.defaults() == Defaults({"mode": "off"}, "pytest_famacase_defaults of first")


def test_looking_who_gave_them_leaves_no_trace(hooks, plugin, pluginmanager):
    def give():
        return {"mode": "off"}

    plugin("p", "pytest_famacase_defaults", give)
    hooks.defaults()
    (impl,) = pluginmanager.hook.pytest_famacase_defaults.get_hookimpls()
    assert impl.function is give


def test_a_wrapper_may_give_them(hooks, plugin):
    def around():
        yield
        return {"mode": "off"}

    plugin("p", "pytest_famacase_defaults", around, wrapper=True)
    assert hooks.defaults() == Defaults({"mode": "off"}, "pytest_famacase_defaults of a wrapper")


def test_what_is_no_document_is_an_error_of_the_settings(hooks, plugin):
    plugin("p", "pytest_famacase_defaults", lambda: ["mode"])
    with pytest.raises(SettingsError, match="pytest_famacase_defaults of p gave list, not a document"):
        hooks.defaults()


def test_defaults_that_cannot_be_made_are_none(hooks, plugin, told):
    def fails():
        raise OSError("no such file")

    plugin("p", "pytest_famacase_defaults", fails)
    assert hooks.defaults() == Defaults()
    assert "of p raised OSError: no such file" in told[0]
