"""One variable moves a suite from Qase to Famacase and back."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import qase_double
from qase_double import QaseDouble
from sessions import TOKENS

# How pytest loads the plugins by itself is what it is about.
AS_FOUND = True

QASE_TOKEN = "qase_token_e36a"
QASE = {
    "QASE_MODE": "testops",
    "QASE_TESTOPS_PROJECT": "DEMO",
    "QASE_TESTOPS_API_TOKEN": QASE_TOKEN,
    "QASE_TESTOPS_RUN_TITLE": "For Qase",
}

SUITE = """
    import sitecustomize
    from qase.pytest import qase

    @qase.id(1)
    def test_one():
        print("rebound:", sitecustomize.rebound())
"""
# A plugin of the command line is imported before any plugin is configured.
EARLY = "import sitecustomize\nsitecustomize.remember()\n"
ARGUMENTS = ("-s", "-p", "early")
HOOK = {"PYTHONPATH", "TEST_DOUBLE_OF_QASE"}


@pytest.fixture(scope="module")
def _double() -> Iterator[QaseDouble]:
    with qase_double.running() as double:
        yield double


@pytest.fixture
def double(_double: QaseDouble) -> QaseDouble:
    _double.calls.clear()
    return _double


@pytest.fixture
def moved(project, double, tmp_path):
    """A suite for Qase that also has the settings for Famacase, the address included."""
    project.write(test_one=SUITE, early=EARLY)
    project.environ.update(QASE)
    project.environ.update(double.environment(tmp_path / "hook"))
    project.environ["PYTHONPATH"] += f"{os.pathsep}{project.directory}"
    project.secrets.add(QASE_TOKEN)
    return project


def went_to_qase(outcome, double, layer):
    assert outcome.code == 0, outcome.output
    assert "rebound: []" in outcome.output
    assert [result["title"] for result in double.results] == ["test_one"]
    assert {call.token for call in double.calls} == {QASE_TOKEN}
    assert b"For Qase" in next(call.body for call in double.calls if call.path == "/v1/run/DEMO")
    assert "rep_smoke" not in repr(double.calls)
    assert layer.exchanges() == []


def test_with_the_address_nothing_goes_to_qase(moved, double, layer, runs):
    outcome = moved.run(*ARGUMENTS)
    assert outcome.code == 0, outcome.output
    assert double.calls == []
    run = runs.only()
    assert (run["status"], run["title"]) == ("completed", "For Qase")
    assert list(runs.by_title(run)) == ["test_one"]
    assert {exchange.headers["authorization"] for exchange in layer.exchanges()} == {"Token <SMOKE>"}
    assert QASE_TOKEN not in repr(layer.exchanges())
    rebound = outcome.lines("rebound:")[0]
    assert "qase.commons.client.api_v2_client.ApiV2Client" in rebound
    assert "qase.commons.TestOpsPlanLoader" in rebound


def test_without_it_everything_goes_to_qase_and_one_line_says_so(moved, double, layer):
    outcome = moved.run(*ARGUMENTS, FAMACASE_API_URL=None)
    went_to_qase(outcome, double, layer)
    (notice,) = outcome.notices
    for name in ("FAMACASE_MODE", "FAMACASE_REPORTER_TOKEN", "FAMACASE_TESTOPS_PROJECT", "FAMACASE_API_URL"):
        assert name in notice
    assert "the results go to Qase" in notice


def test_a_suite_that_never_heard_of_famacase(moved, double, layer):
    outcome = moved.run(*ARGUMENTS, **dict.fromkeys(moved.environ.keys() - QASE.keys() - HOOK))
    went_to_qase(outcome, double, layer)
    assert outcome.notices == []
    assert "FAMACASE" not in outcome.output


def test_switched_off_by_a_setting_of_its_own(moved, double, layer):
    outcome = moved.run(*ARGUMENTS, FAMACASE_ENABLED="false", FAMACASE_TIMEOUT="nonsense")
    went_to_qase(outcome, double, layer)
    assert outcome.notices == []


def test_an_address_of_qase_refuses_to_start(moved, double, layer):
    outcome = moved.run("--qase-testops-api-host", "qase.io")
    assert outcome.code == 4
    assert "--qase-testops-api-host on the command line is 'qase.io', which belongs to Qase" in outcome.output
    assert "FAMACASE_ENABLED=false" in outcome.output
    assert (double.calls, layer.exchanges()) == ([], [])


def test_an_upstream_that_is_not_as_we_know_it_reports_to_nobody(moved, double, layer):
    moved.write(doctored="import qase.commons\ndel qase.commons.TestOpsPlanLoader\n")
    outcome = moved.run(*ARGUMENTS, "-p", "doctored")
    assert (outcome.code, outcome.counts) == (0, "1 passed"), outcome.output
    (notice,) = outcome.notices
    assert "plan loader (qase.commons.TestOpsPlanLoader): it is not there" in notice
    assert "neither to Famacase nor to Qase" in notice
    # Nothing but what the suite took away.
    assert "rebound: ['qase.commons.TestOpsPlanLoader']" in outcome.output
    assert (double.calls, layer.exchanges()) == ([], [])


def test_every_name_is_put_back(moved, double, runs):
    outcome = moved.run_script(
        """
        import early
        import pytest, sitecustomize
        from qase.pytest.plugin import QasePytestPluginSingleton

        print("code", pytest.main(["-q", "test_one.py"]))
        print("after the session", sitecustomize.rebound(), QasePytestPluginSingleton._instance)
        """
    )
    assert "after the session [] None" in outcome.output
    assert runs.only()["status"] == "completed"
    assert double.calls == []


# Never silent where something was meant


def test_a_famacase_host_in_qases_settings_alone_is_said(moved, double, layer):
    qase = dict.fromkeys(moved.environ.keys() - QASE.keys() - HOOK)
    meant = {**qase, "QASE_TESTOPS_API_HOST": "famacase.example.com"}
    outcome = moved.run(*ARGUMENTS, **meant)
    went_to_qase(outcome, double, layer)
    (notice,) = outcome.notices
    assert "QASE_TESTOPS_API_HOST in the environment is 'famacase.example.com'" in notice
    assert "FAMACASE_ENABLED=true" in notice
    assert moved.run(*ARGUMENTS, **meant, FAMACASE_ENABLED="false").notices == []


def test_what_the_line_says_to_do_works(moved, double, layer, runs):
    qase = dict.fromkeys(moved.environ.keys() - QASE.keys() - HOOK)
    mended = {"QASE_TESTOPS_API_HOST": moved.environ["FAMACASE_API_URL"], "FAMACASE_ENABLED": "true"}
    token = {"QASE_TESTOPS_API_TOKEN": TOKENS["SMOKE"], "QASE_TESTOPS_PROJECT": "SMOKE"}
    outcome = moved.run(*ARGUMENTS, **{**qase, **mended, **token})
    assert outcome.code == 0, outcome.output
    assert list(runs.by_title(runs.only())) == ["test_one"]
    assert double.calls == []


def test_settings_that_are_made_too_late_are_said(project, layer):
    """In a plugin given by -p: qase-pytest, which is loaded after it, is configured before it."""
    made = {name: value for name, value in project.environ.items() if name.startswith("FAMACASE_")}
    project.write(
        test_one="def test_one(): pass",
        late=f"def pytest_configure(): __import__('os').environ.update({made})",
    )
    outcome = project.run("-p", "late", PYTHONPATH=str(project.directory), **dict.fromkeys(made))
    assert (outcome.code, outcome.counts) == (0, "1 passed"), outcome.output
    (notice,) = outcome.notices
    assert "were made after qase-pytest had read its configuration" in notice
    assert layer.exchanges() == []


@pytest.mark.parametrize(
    ("arguments", "environ", "remedy"),
    [
        (("-p", "no:qase_pytest"), {}, "Remove that option"),
        (("-p", "famacase"), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, "Load it with -p qase_pytest"),
        (("-p", "no:qase_pytest"), {"FAMACASE_API_URL": None}, "Remove that option"),
    ],
    ids=["left out", "autoload off", "no address"],
)
def test_a_session_without_qase_pytest_is_said(arguments, environ, remedy, project, layer):
    project.write(test_one="def test_one(): pass")
    outcome = project.run(*arguments, **environ)
    assert (outcome.code, outcome.counts) == (0, "1 passed"), outcome.output
    (notice,) = outcome.notices
    assert "FAMACASE_MODE in the environment is testops, but qase-pytest takes no part" in notice
    assert remedy in notice
    assert layer.exchanges() == []


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        ((), {"FAMACASE_MODE": "off"}),
        ((), {"FAMACASE_MODE": None}),
        ((), {"FAMACASE_ENABLED": "false"}),
        (("--collect-only",), {}),
    ],
    ids=["mode off", "no mode", "switched off", "no tests run"],
)
def test_nothing_is_said_of_it_where_nothing_was_meant(arguments, environ, project, layer):
    project.write(test_one="def test_one(): pass")
    outcome = project.run("-p", "no:qase_pytest", *arguments, **environ)
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    assert layer.exchanges() == []
