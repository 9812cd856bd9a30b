"""Decorators of qase-pytest as a suite uses them; nothing here knows of Famacase."""

import pytest
from qase.pytest import qase


def test_without_decorators():
    assert True


@qase.id(101)
@qase.title("A title with ümlauts and 漢字")
@qase.suite("Shop.Cart")
@qase.fields(
    ("severity", "critical"),
    ("priority", "high"),
    ("layer", "e2e"),
    ("description", "Adds **one** item"),
)
def test_everything_named():
    assert True


@qase.id([102, 103])
@qase.author("jane")
@qase.muted()
def test_two_cases():
    assert True


@qase.title("Expected to be wrong")
def test_failure():
    total = 2 + 2
    assert total == 5, "arithmetic still works"


def test_error_in_setup(broken_fixture):
    assert True


@pytest.fixture
def broken_fixture():
    raise RuntimeError("the fixture broke")


@pytest.mark.skip(reason="not today")
def test_skipped():
    raise AssertionError


@pytest.mark.xfail(reason="known defect")
def test_expected_failure():
    raise AssertionError("as known")


@pytest.mark.xfail(reason="mended by now")
def test_unexpected_pass():
    assert True


@qase.ignore()
def test_ignored():
    assert True


@pytest.mark.parametrize("browser", ["firefox", "chromium"])
@pytest.mark.parametrize(("user", "role"), [("ann", "admin"), ("bob", "")])
def test_parameters(browser, user, role):
    assert browser


class TestGroup:
    """Tests in a class have it among their suites."""

    @qase.id(110)
    def test_in_a_class(self):
        assert True

    def test_another(self):
        assert True
