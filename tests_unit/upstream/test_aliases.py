"""The names of the vendor's client, where it is not installed and where it is."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest
import qase.pytest

from famacase_pytest.upstream import PLUGIN_ENTRY, aliases


@pytest.fixture(autouse=True)
def _names_as_they_were(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "famacase":
            del sys.modules[name]


@pytest.fixture
def manager():
    return pytest.PytestPluginManager()


@pytest.fixture
def vendor(tmp_path, monkeypatch):
    """The vendor's package, on the import path."""
    package = tmp_path / "famacase" / "pytest"
    package.mkdir(parents=True)
    for directory in (package.parent, package):
        (directory / "__init__.py").write_text("")
    (package / "plugin.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()


def test_the_names_lead_to_qase_pytest(manager):
    assert not aliases.provide(manager)
    assert importlib.import_module("famacase.pytest").qase is qase.pytest.qase
    assert importlib.import_module("famacase").famacase is qase.pytest.qase


def test_a_module_of_the_suite_with_that_name_comes_first(manager, tmp_path, monkeypatch):
    (tmp_path / "famacase.py").write_text("mine = True")
    monkeypatch.syspath_prepend(tmp_path)
    aliases.provide(manager)
    assert importlib.import_module("famacase").mine


def test_the_vendors_plugin_is_taken_out_and_kept_out(manager, vendor):
    plugin = ModuleType("famacase.pytest.plugin")
    manager.register(plugin, "famacase_pytest")
    assert aliases.of_vendor(manager) is plugin
    assert aliases.provide(manager)
    assert aliases.of_vendor(manager) is None
    assert manager.is_blocked("famacase_pytest")
    assert importlib.import_module("famacase.pytest").qase is qase.pytest.qase


def test_modules_of_the_vendor_are_not_used_any_more(manager, vendor):
    theirs = importlib.import_module("famacase.pytest")
    assert not hasattr(theirs, "qase")
    aliases.provide(manager)
    assert importlib.import_module("famacase.pytest").qase is qase.pytest.qase


def test_whoever_blocks_qase_pytest_has_chosen_the_vendor(manager, vendor):
    manager.set_blocked(PLUGIN_ENTRY)
    assert not aliases.provide(manager)
    assert not manager.is_blocked("famacase_pytest")
    assert not hasattr(importlib.import_module("famacase.pytest"), "qase")
