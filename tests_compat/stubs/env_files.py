"""Stands in for pytest-env and pytest-dotenv: the environment is filled from pytest.ini and from a file."""

import os
import pathlib

import pytest


def pytest_addoption(parser):
    parser.addini("env", "variables", type="linelist", default=[])
    parser.addini("env_files", "files with variables", type="linelist", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    lines = list(early_config.getini("env"))
    for name in early_config.getini("env_files"):
        lines += pathlib.Path(name).read_text(encoding="utf-8").splitlines()
    for line in lines:
        name, _, value = line.partition("=")
        os.environ[name.strip()] = value.strip()
