import pytest
from qase.pytest import qase


@qase.id(101)
def test_recorded_and_passed(page):
    pass


@qase.id(201)
def test_recorded_and_failed(page):
    raise AssertionError("wrong")


@qase.id(101)
def test_skipped():
    pytest.skip("not today")


@qase.id(101)
@pytest.mark.xfail(reason="known")
def test_expected_failure():
    raise AssertionError


@qase.id(101)
@pytest.mark.xfail(reason="known")
def test_unexpected_pass():
    pass


@pytest.fixture
def broken():
    raise RuntimeError("broken")


@qase.id(201)
def test_invalid(broken):
    pass


@qase.id(999)
def test_not_planned():
    pass
