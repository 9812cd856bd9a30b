"""Steps at several depths, and attachments of bytes, text and files."""

import base64

import pytest
from qase.pytest import qase

# A picture of one red pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
)


@qase.step("Open the shop", expected="The shop is open")
def open_shop():
    qase.attach((b"GET /shop", "text/plain", "request.txt"))


@qase.step("Pay")
def pay():
    with qase.step("Enter the card"), qase.step("Check the number"):
        qase.attach(("number is fine", "text/plain", "check.txt"))
    with qase.step("Confirm"):
        pass


@qase.id(201)
def test_nested_steps():
    open_shop()
    pay()


def test_failing_step():
    with qase.step("A step that works"):
        pass
    with qase.step("A step that does not"):
        raise ValueError("no such article")


def test_attachments(tmp_path):
    report = tmp_path / "report.html"
    report.write_text("<h1>Report</h1>", encoding="utf-8")
    qase.attach(str(report))
    qase.attach((str(report), "text/html"))
    qase.attach((PIXEL, "image/png", "pixel.png"))
    qase.attach(('{"a": 1}', "application/json", "data.json"))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_same_picture(n):
    """Equal content is uploaded once."""
    qase.attach((PIXEL, "image/png", "pixel.png"))
