"""What conftests of real suites import from upstream, and what they do with it."""

import os
import pathlib
import uuid

import pytest
from qase.commons.config import ConfigManager
from qase.commons.models.result import Field
from qase.commons.models.step import Step, StepTextData, StepType
from qase.commons.utils import QaseUtils
from qase.pytest import qase
from qase.pytest.conftest import QasePytestPluginSingleton as FromConftest
from qase.pytest.plugin import QasePytestPlugin, QasePytestPluginSingleton

# A suite that is never run without: KeyError otherwise.
REPORTING = os.environ["QASE_MODE"] == "testops"

if REPORTING:

    def pytest_collection_modifyitems(items):
        for item in items:
            if "area" in item.nodeid:
                item.add_marker(qase.suite("By the conftest"))


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"rep_{report.when}", report)
    if REPORTING and report.failed:
        qase.attach((f"screen of {item.name}".encode(), "image/png", f"{report.when}.png"))
        path = pathlib.Path("screenshots", f"{item.name}.png")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"page of {item.name}".encode())
        qase.attach(str(path))


@pytest.fixture(autouse=True)
def _source_of_the_page(request):
    yield
    if request.node.rep_setup.passed and request.node.rep_call.failed:
        qase.attach((f"<html>{request.node.name}</html>", "text/html", "source.html"))


@pytest.fixture
def plugin(request):
    found = QasePytestPluginSingleton.get_instance()
    assert isinstance(found, QasePytestPlugin)
    assert FromConftest is QasePytestPluginSingleton
    assert request.config.qase is found
    assert request.config.pluginmanager.get_plugin("qase-pytest") is found
    return found


@pytest.fixture
def log_step(plugin):
    def add(action):
        step = Step(step_type=StepType.TEXT, id=str(uuid.uuid4()), data=StepTextData(action=action))
        plugin.start_step(step)
        plugin.finish_step(step.id)

    return add


@pytest.fixture
def add_field(plugin):
    return lambda name, value: plugin.runtime.result.add_field(Field(name, value))


@pytest.fixture(scope="session")
def qase_config():
    found = ConfigManager().config
    assert QaseUtils.get_real_time() > 0
    return found
