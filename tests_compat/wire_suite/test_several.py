import pytest
from qase.pytest import qase

if not hasattr(qase, "project_id"):
    pytest.skip("this release does not know several projects", allow_module_level=True)


@qase.project_id("SMOKE", 1)
@qase.project_id("SHOP", [2, 3])
def test_both():
    with qase.step("A step"):
        qase.attach((b"content", "text/plain", "file.txt"))


@qase.project_id("SHOP", 4)
@qase.suite("Shop")
def test_shop():
    raise AssertionError("wrong")


def test_default():
    pass
