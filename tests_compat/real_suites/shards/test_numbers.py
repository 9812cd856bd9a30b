import random

import pytest
from qase.pytest import qase


@pytest.mark.parametrize("number", range(4))
def test_number(number):
    qase.attach((f"{random.random()}", "text/plain", "number.txt"))


@qase.id([1, 2])
@qase.suite("Odd")
def test_other():
    first, second = random.random(), random.random()
    with qase.step(f"draw {first}"):
        assert first == second
