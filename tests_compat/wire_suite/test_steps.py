import pathlib

from qase.pytest import qase

from conftest import COMMONS

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@qase.step("Open the shop", expected="The shop is open")
def open_shop():
    qase.attach((b"GET /shop", "text/plain", "request.txt"))


@qase.step("Pay")
def pay():
    with qase.step("Enter the card"), qase.step("Check the number", expected="It is fine"):
        qase.attach(("number is fine", "text/plain", "check.txt"))
    with qase.step("Confirm"):
        pass


def test_nested():
    open_shop()
    pay()


def test_step_that_fails():
    with qase.step("Works"):
        pass
    with qase.step("Outer"), qase.step("Inner"):
        raise ValueError("no such article")


def test_attachments(tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes(b"<h1>\xc3\xbc</h1>")
    qase.attach(str(page))
    qase.attach((str(page), "text/plain"))
    qase.attach((PNG, "image/png", "picture.png"))
    qase.attach(("plain text \u00fc", "text/plain", "text.txt"))
    qase.attach(({"a": 1}, "application/json", "data.json"))
    qase.attach((b"unknown", "application/x-unknown", "file.unknown"))


def test_attached_twice():
    qase.attach((PNG, "image/png", "picture.png"))
    qase.attach((PNG, "image/png", "picture.png"))


def test_file_that_grows():
    path = pathlib.Path("growing.log")
    path.write_text("one\n", encoding="utf-8")
    qase.attach(str(path))
    path.write_text("one\ntwo\n", encoding="utf-8")


if COMMONS >= (3, 4, 4):
    # Before that it costs upstream the whole batch.
    def test_step_that_never_ends():
        from qase.commons.models.step import Step, StepTextData, StepType
        from qase.pytest.plugin import QasePytestPluginSingleton

        step = Step(step_type=StepType.TEXT, id=None, data=StepTextData(action="Begun"))
        QasePytestPluginSingleton.get_instance().start_step(step)
