"""``famacase doctor``: what is right, what is wrong, and what to do about it."""

from __future__ import annotations

import json
import uuid

import pytest

from fault_layer import FOREVER, answer

# How pytest loads the plugins by itself is what it is about.
AS_FOUND = True

PROXIES = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")


@pytest.fixture
def doctor(project):
    def run(*arguments, **environ):
        call = f"main({['doctor', *arguments]!r})"
        script = f"import sys; from famacase_pytest.cli.main import main; sys.exit({call})"
        return project.run_script(script, **environ)

    return run


@pytest.fixture
def examine(doctor):
    """Run it and give its document, with the checks by name."""

    def run(*arguments, **environ):
        outcome = doctor("--json", *arguments, **environ)
        # On a slow machine standard error tells before it what it waits for.
        document = json.loads(outcome.output[outcome.output.index("{") :])
        assert outcome.code == (0 if document["ok"] else 1)
        document["named"] = {check["name"]: check for check in document["checks"]}
        return document

    return run


def failed(document):
    return {name: check["text"] for name, check in document["named"].items() if check["status"] == "FAILED"}


def test_all_is_well(doctor, project, layer, runs):
    project.write_json("famacase.config.json", {"testops": {"project": "SHOP"}, "rootSuite": "All"})
    outcome = doctor(FAMACASE_ENVIRONMENT="staging", FAMACASE_TESTOPS_PLAN_ID="7", QASE_MODE="off")
    assert outcome.code == 0, outcome.output
    for line in (
        '  FAMACASE_TESTOPS_PROJECT = "SMOKE"  from FAMACASE_TESTOPS_PROJECT in the environment '
        "(over testops.project in famacase.config.json)",
        "  FAMACASE_REPORTER_TOKEN = ***  from FAMACASE_REPORTER_TOKEN in the environment",
        '  FAMACASE_ROOT_SUITE = "All"  from rootSuite in famacase.config.json',
        f"  ok       address: {layer.url} (FAMACASE_API_URL in the environment)",
        "  ok       token of SMOKE: *** (FAMACASE_REPORTER_TOKEN in the environment)",
        "  ok       token and project SMOKE: accepted",
        "  ok       plan 7: 2 cases",
        "  ok       clock: agrees with this machine's",
    ):
        assert line in outcome.output.splitlines(), line
    assert outcome.lines("  ok       environment staging: number ")
    assert outcome.lines("  ok       rows: ")[0].endswith(" fit")
    assert outcome.lines("it is left out") == []
    assert outcome.lines(" others have their defaults, or are not set (--all shows them)")
    assert outcome.lines("Put -p famacase into addopts to save the time that takes")
    assert outcome.output.endswith("A run can be reported.\n")
    assert runs.new() == []


def test_what_only_the_suite_says_counts_too(examine, project):
    project.write(
        conftest="""
        def pytest_famacase_defaults():
            return {"testops": {"project": "SMOKE"}}
        """
    )
    ini = "[pytest]\naddopts = -p famacase --famacase-root-suite=Flagged\n"
    (project.directory / "pytest.ini").write_text(ini, encoding="utf-8")
    build = {"GITHUB_ACTIONS": "true", "GITHUB_WORKFLOW": "Nightly"}
    document = examine(FAMACASE_TESTOPS_PROJECT=None, **build)
    assert document["ok"], document
    given = {entry["name"]: entry for entry in document["settings"]}
    assert given["FAMACASE_ROOT_SUITE"]["source"] == "--famacase-root-suite on the command line"
    assert "pytest_famacase_defaults" in given["FAMACASE_TESTOPS_PROJECT"]["source"]
    of_build = {"value": '"Nightly"', "source": "GITHUB_ACTIONS in the environment", "over": []}
    assert given["FAMACASE_TESTOPS_RUN_TITLE"] == {"name": "FAMACASE_TESTOPS_RUN_TITLE", **of_build}
    default = {"value": "30", "source": "default", "over": []}
    assert given["FAMACASE_TIMEOUT"] == {"name": "FAMACASE_TIMEOUT", **default}
    assert document["named"]["plugins"]["text"] == "famacase is loaded before qase_pytest"


@pytest.mark.parametrize(
    ("environ", "name", "text"),
    [
        ({"FAMACASE_REPORTER_TOKEN": "rep_wrong_77aa"}, "token of SMOKE", "FAMACASE_REPORTER_TOKEN"),
        ({"FAMACASE_TESTOPS_PROJECT": "SMOKEY"}, "SMOKEY", "SMOKEY"),
        ({"FAMACASE_ENVIRONMENT": "nowhere"}, "environment nowhere", "Correct FAMACASE_ENVIRONMENT."),
        ({"FAMACASE_TESTOPS_PLAN_ID": "99"}, "plan 99", "FAMACASE_TESTOPS_PLAN_ID"),
        ({"FAMACASE_TESTOPS_RUN_ID": "999999"}, "run 999999", "FAMACASE_TESTOPS_RUN_ID"),
        ({"FAMACASE_API_URL": "http://famacase.invalid"}, "name", "cannot be resolved"),
        ({"FAMACASE_API_URL": "http://127.0.0.1:1"}, "connection", "refused"),
        ({"FAMACASE_API_URL": None, "FAMACASE_MODE": None}, "address", "Set FAMACASE_API_URL"),
        ({"FAMACASE_MODE": None}, "mode", "Set FAMACASE_MODE=testops"),
        ({"FAMACASE_TIMEOUT": "soon"}, "values", "FAMACASE_TIMEOUT"),
        ({"PYTEST_ADDOPTS": "-p no:qase_pytest"}, "plugins", "Remove -p no:qase_pytest"),
        ({"PYTEST_ADDOPTS": "--nonsense"}, "plugins", "pytest does not start here"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(environ, name, text, examine):
    document = examine(**PROXIES, **environ)
    found = failed(document)
    (said,) = [said for failing, said in found.items() if name in failing]
    assert text in said
    assert not document["ok"]


def test_a_run_that_is_completed_takes_nothing(examine, api):
    run = api.create_run("SMOKE", {"title": "over", "is_autotest": True}, str(uuid.uuid4()))
    assert examine(FAMACASE_TESTOPS_RUN_ID=str(run))["named"][f"run {run}"]["text"] == "over"
    api.complete_run("SMOKE", run)
    assert "It is completed" in failed(examine(FAMACASE_TESTOPS_RUN_ID=str(run)))[f"run {run}"]


def test_the_clock_of_the_server_is_an_hour_behind(examine, layer):
    past = {"Date": "Sat, 01 Nov 2025 10:00:00 GMT"}
    layer.faults.add("getProject", answer(200, past, body={"code": "SMOKE", "title": "x"}), times=FOREVER)
    document = examine()
    assert document["named"]["clock"]["status"] == "warning"
    assert "s ahead of the server's" in document["named"]["clock"]["text"]
    assert document["ok"]


def test_offline_it_asks_nobody(doctor, layer):
    outcome = doctor("--offline")
    assert outcome.code == 0
    assert outcome.output.endswith("As far as can be told offline, a run can be reported.\n")
    assert layer.exchanges() == []


def test_sessions_that_wait_are_counted(examine, project, layer):
    project.write(test_one="def test_one():\n    pass\n")
    layer.faults.add("createResults", answer(401), times=FOREVER)
    project.run(leaves=[".famacase"])
    layer.faults.clear()
    document = examine()
    assert document["named"]["waiting"]["text"].startswith("1 result of 1 session in ")
    assert "famacase resend" in document["named"]["waiting"]["text"]
    assert document["ok"]
