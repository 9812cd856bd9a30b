import pytest
from qase.pytest import qase


def optional(name, *args, **kwargs):
    """A decorator of upstream's that older releases do not have."""
    decorator = getattr(qase, name, None)
    return decorator(*args, **kwargs) if decorator else lambda function: function


@qase.id(101)
@qase.title("A title with ümlauts 漢字 \U0001f600")
@qase.suite("Shop.Cart")
@qase.description("A **description**")
@qase.preconditions("before")
@qase.postconditions("after")
@qase.layer("e2e")
@qase.severity("critical")
@qase.priority("high")
@qase.author("jane")
@qase.muted()
@qase.fields(("custom", "value"), ("other", "another value"))
def test_decorated():
    pass


@qase.id([102, 103])
@optional("tags", "one", "two")
def test_tags():
    pass


@pytest.mark.parametrize(("user", "role"), [("ann", "admin"), ("bob", "")])
@pytest.mark.parametrize("secret", ["x"])
@pytest.mark.parametrize("number", [1, 2.5, None])
def test_parameters(user, role, secret, number):
    pass


@pytest.mark.parametrize(argnames=("left", "right"), argvalues=[(1, 2)])
def test_parameters_by_keyword(left, right):
    pass


hiding = qase.parametrize_ignore if hasattr(qase, "parametrize_ignore") else pytest.mark.parametrize


@hiding("hidden", ["h"])
@pytest.mark.parametrize("shown", ["s"])
def test_hidden_parameter(hidden, shown):
    pass


@optional("ignore_parameters", "b")
@pytest.mark.parametrize("a", [1])
@pytest.mark.parametrize("b", [2])
def test_ignored_parameters(a, b):
    pass


def test_added_parameter():
    if hasattr(qase, "add_param"):
        qase.add_param("added", "in the test")
