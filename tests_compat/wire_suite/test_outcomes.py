import sys

import pytest
from qase.pytest import qase

from conftest import COMMONS


def test_passed():
    pass


def test_failed():
    print("something on standard output")
    print("something on standard error", file=sys.stderr)
    assert 1 + 1 == 3, "arithmetic"


def test_broken():
    raise ValueError("ümläut 漢字")


@pytest.fixture
def broken():
    print("before it broke")
    raise RuntimeError("the fixture broke")


def test_error_in_setup(broken):
    pass


@pytest.fixture
def broken_later():
    yield
    raise RuntimeError("the end broke")


def test_error_in_teardown(broken_later):
    pass


def test_failed_and_error_in_teardown(broken_later):
    raise AssertionError("first")


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


def test_skipped_in_call():
    pytest.skip("later")


@pytest.mark.xfail(reason="known defect")
def test_expected_failure():
    raise AssertionError


@pytest.mark.xfail(reason="known defect")
def test_unexpected_pass():
    pass


if COMMONS >= (4, 1, 6):
    # Before that it ends upstream's own session.
    @pytest.mark.xfail(reason="known defect", strict=True)
    def test_strictly_unexpected_pass():
        pass


@qase.ignore()
def test_ignored():
    pass


def test_logs(caplog):
    import logging

    logging.getLogger("wire").warning("a warning of the log")
