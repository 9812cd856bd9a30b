from qase.pytest import qase


def test_hidden():
    pass


def test_shown():
    with qase.step("a step"):
        qase.attach(("content", "text/plain", "note.txt"))
    qase.attach(__file__)
    raise AssertionError("wrong")
