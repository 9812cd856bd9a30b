"""Stands in for pytest-django: settings are imported before any conftest, cases of unittest come last.

Each test runs in what it takes for a transaction, and the database of the tests is made once.
"""

import importlib
import os
import sys

import pytest


def pytest_addoption(parser):
    parser.addini("DJANGO_SETTINGS_MODULE", "the settings")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    sys.path.insert(0, str(early_config.rootpath))
    os.environ["DJANGO_SETTINGS_MODULE"] = early_config.getini("DJANGO_SETTINGS_MODULE")
    importlib.import_module(os.environ["DJANGO_SETTINGS_MODULE"])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: isinstance(item, pytest.Function) and item.cls is not None)


@pytest.fixture(scope="session")
def django_db_setup():
    return ["a row"]


@pytest.fixture(autouse=True)
def _transaction(request, django_db_setup):
    before = list(django_db_setup)
    yield
    django_db_setup[:] = before


@pytest.fixture
def db(django_db_setup):
    return django_db_setup
