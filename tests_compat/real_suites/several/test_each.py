from qase.pytest import qase


@qase.project_id("SMOKE", 1)
@qase.project_id("SHOP", [2, 3])
def test_both():
    with qase.step("a step"):
        qase.attach(("content", "text/plain", "note.txt"))


@qase.project_id("SHOP", 4)
def test_shop():
    raise AssertionError("wrong")


def test_default():
    pass
