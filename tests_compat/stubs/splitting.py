"""Stands in for pytest-split: runs one part of the suite."""

import pytest


def pytest_addoption(parser):
    group = parser.getgroup("splitting")
    group.addoption("--splits", type=int)
    group.addoption("--group", type=int)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    splits, group = config.getoption("--splits"), config.getoption("--group")
    if splits:
        chosen = items[group - 1 :: splits]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
