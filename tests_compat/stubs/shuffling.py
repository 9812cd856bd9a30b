"""Stands in for pytest-randomly: shuffles the tests, and seeds ``random`` anew before each phase of each."""

import random

import pytest

_SEED = 1234


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    random.seed(_SEED)
    random.shuffle(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    random.seed(_SEED)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    random.seed(_SEED)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown():
    random.seed(_SEED)
