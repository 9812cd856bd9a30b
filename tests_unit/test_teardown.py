"""When attached files are looked at again: which node's fixtures end, and in which hook."""

from __future__ import annotations

import contextlib

import pytest

from famacase_pytest.teardown import TeardownHooks

pytest_plugins = "pytester"


class Transport:
    """Notes which node's fixtures are about to end, and when they have."""

    def __init__(self):
        self.noted = []

    def teardown_starts(self, node):
        self.noted.append(node())

    def teardown_ended(self):
        self.noted.append("ended")


@pytest.fixture
def transport():
    return Transport()


@pytest.fixture
def hooks(transport):
    return TeardownHooks(contextlib.nullcontext(), lambda: transport)


@pytest.fixture
def items(pytester, monkeypatch):
    """The tests of a module by name, collected and not run."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return lambda source: {item.name: item for item in pytester.getitems(source)}


def set_up(hooks, item, *, fixtures=0):
    """Set a test up, in which some fixtures give way; what was told after each step."""
    return _told(hooks, hooks.pytest_runtest_setup(item), fixtures)


def tear_down(hooks, item, nextitem):
    # Fixtures that end with a test are no matter of a set-up.
    return _told(hooks, hooks.pytest_runtest_teardown(item, nextitem), 1)


def _told(hooks, wrapper, fixtures):
    noted = hooks._transport().noted
    next(wrapper)
    for _ in range(fixtures):
        hooks.pytest_fixture_post_finalizer()
    with pytest.raises(StopIteration):
        wrapper.send(None)
    found = list(noted)
    noted.clear()
    return found


def test_the_outermost_node_that_ends_with_a_test(hooks, items):
    found = list(
        items("""
            class TestA:
                def test_1(self): pass
                def test_2(self): pass
            class TestB:
                def test_3(self): pass
            def test_4(): pass
        """).values()
    )
    module = found[-1].nodeid.partition("::")[0]
    ends = [tear_down(hooks, item, after) for item, after in zip(found, [*found[1:], None])]
    assert ends == [
        [f"{module}::TestA::test_1", "ended"],
        [f"{module}::TestA", "ended"],
        [f"{module}::TestB", "ended"],
        # After the last test the session ends too.
        ["", "ended"],
    ]


WIDE = """
    import pytest
    @pytest.fixture(scope="{}", params=["a", "b"])
    def wide(request): pass
    @pytest.fixture(params=["x", "y"])
    def narrow(request): pass
    class TestIt:
        def test_1(self, wide, narrow): pass
        def test_2(self): pass
"""


@pytest.mark.parametrize("scope", ["module", "class", "session", "package"])
def test_fixtures_give_way_in_the_set_up_of_a_test_with_another_parameter(hooks, items, scope):
    found = items(WIDE.format(scope))
    module = found["test_2"].nodeid.partition("::")[0]
    node = "" if scope in ("session", "package") else module
    # The first parameter is another one than none.
    assert set_up(hooks, found["test_1[a-x]"]) == [node]
    # What each test has of its own gives way to nothing.
    assert set_up(hooks, found["test_1[a-y]"], fixtures=1) == []
    # Looked at once a fixture has ended, and again: what takes its place may have files of the same names.
    assert set_up(hooks, found["test_1[b-x]"], fixtures=2) == [node, "ended", node, "ended", node]
    assert set_up(hooks, found["test_2"], fixtures=1) == []
    # It goes on as it was, for a test that does without it in between.
    assert set_up(hooks, found["test_1[b-y]"], fixtures=1) == []
    assert set_up(hooks, found["test_1[a-x]"]) == [node]


def test_a_set_up_that_fails_is_over(hooks, items, transport):
    found = items(WIDE.format("module"))
    wrapper = hooks.pytest_runtest_setup(found["test_1[a-x]"])
    next(wrapper)
    with pytest.raises(RuntimeError, match="a fixture"):
        wrapper.throw(RuntimeError("a fixture cannot be made"))
    transport.noted.clear()
    # It ends with its test, and not in a set-up.
    hooks.pytest_fixture_post_finalizer()
    assert transport.noted == []


def test_a_teardown_that_fails_is_over_too(hooks, items, transport):
    (item,) = items("def test_1(): pass").values()
    wrapper = hooks.pytest_runtest_teardown(item, None)
    next(wrapper)
    with pytest.raises(RuntimeError, match="a fixture"):
        wrapper.throw(RuntimeError("a fixture has failed"))
    assert transport.noted == ["", "ended"]


def test_nothing_is_done_where_nothing_is_stored(items):
    hooks = TeardownHooks(contextlib.nullcontext(), lambda: None)
    for item in items(WIDE.format("module")).values():
        for wrapper in (hooks.pytest_runtest_setup(item), hooks.pytest_runtest_teardown(item, None)):
            next(wrapper)
            hooks.pytest_fixture_post_finalizer()
            with pytest.raises(StopIteration):
                wrapper.send(None)


def test_the_transport_is_the_sessions_of_that_moment(items):
    """In a child that a test has forked another one takes its place."""
    first, second = Transport(), Transport()
    current = [first]
    hooks = TeardownHooks(contextlib.nullcontext(), lambda: current[0])
    (item,) = items("def test_1(): pass").values()
    wrapper = hooks.pytest_runtest_teardown(item, None)
    next(wrapper)
    current[0] = second
    with pytest.raises(StopIteration):
        wrapper.send(None)
    assert (first.noted, second.noted) == ([""], ["ended"])


def test_an_internal_error_leaves_fixtures_alone(items):
    told = []

    class Guard:
        def __enter__(self):
            pass

        def __exit__(self, kind, error, trace):
            told.append(error)
            return True

    def fails():
        raise RuntimeError("internal")

    hooks = TeardownHooks(Guard(), fails)
    (item,) = items("def test_1(): pass").values()
    wrapper = hooks.pytest_runtest_teardown(item, None)
    next(wrapper)
    with pytest.raises(StopIteration) as ended:
        wrapper.send("as pytest has it")
    assert ended.value.value == "as pytest has it"
    assert [str(error) for error in told] == ["internal", "internal"]
