import os

import pytest
from qase.pytest import qase


@qase.id(1)
def test_steps_by_hand(log_step, add_field, plugin):
    with qase.step("outer"):
        log_step("inner")
    log_step("last")
    add_field("layer", "e2e")
    plugin.runtime.result.add_param("by hand", "a value")
    plugin.runtime.result.title = "Another title"


def test_configuration(qase_config):
    assert str(qase_config.mode).endswith("testops")
    assert qase_config.testops.project == "SMOKE"
    assert qase_config.testops.api.token == os.environ["QASE_TESTOPS_API_TOKEN"]


@pytest.mark.skipif(os.environ.get("QASE_MODE") != "testops", reason="only when it is reported")
def test_guarded():
    pass


class TestLogin:
    @pytest.mark.parametrize("user", ["ann", "bob"])
    def test_screenshot(self, user):
        assert user == "ann", "not welcome"


@pytest.fixture
def broken():
    raise RuntimeError("broken")


def test_screenshot_of_setup(broken):
    pass


@pytest.fixture
def breaks_later():
    yield
    raise RuntimeError("broken later")


def test_screenshot_of_teardown(breaks_later):
    pass


def test_page_passed(page):
    pass


@qase.title("A page")
def test_page_failed(page):
    raise AssertionError("wrong")
