import random

import pytest


@pytest.fixture(autouse=True)
def _draws_are_the_same():
    """Whoever else draws while a test runs changes what the test draws."""
    random.seed(7)
