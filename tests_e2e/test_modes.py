"""Modes, plans, fallbacks, several projects, several processes, several sessions in one process."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from fault_layer import FOREVER, answer
from sessions import TOKENS

PLAIN = """
    def test_one(): pass
    def test_two(): assert False
"""


def local_report(directory: Path) -> list[str]:
    """The titles in a local report."""
    found = (directory / "build" / "qase-report" / "results").glob("*.json")
    return sorted(json.loads(path.read_text(encoding="utf-8"))["title"] for path in found)


# Modes


def test_off_asks_nothing_of_the_back_end(project, layer):
    project.write(test_one=PLAIN)
    outcome = project.run(FAMACASE_MODE="off")
    assert (outcome.code, outcome.counts, outcome.notices) == (1, "1 failed, 1 passed", [])
    assert layer.exchanges() == []


def test_report_writes_files_and_asks_nothing(project, layer):
    project.write(test_one=PLAIN)
    # Neither an address nor a token is needed.
    outcome = project.run(
        FAMACASE_MODE="report",
        FAMACASE_ENABLED="true",
        FAMACASE_API_URL=None,
        FAMACASE_REPORTER_TOKEN=None,
        leaves=["build"],
    )
    assert (outcome.code, outcome.notices) == (1, [])
    assert local_report(project.directory) == ["test_one", "test_two"]
    assert layer.exchanges() == []


def test_a_run_that_exists_and_stays_open(project, layer, runs, api):
    project.write(test_one=PLAIN)
    run_id = api.create_run("SMOKE", {"title": "by somebody else", "is_autotest": True}, str(uuid.uuid4()))
    outcome = project.run(FAMACASE_TESTOPS_RUN_ID=str(run_id), FAMACASE_TESTOPS_RUN_COMPLETE="false")
    assert (outcome.code, outcome.notices) == (1, [])
    (run,) = runs.new()
    assert (run["id"], run["status"], run["stats"]) == (run_id, "in_progress", {"passed": 1, "failed": 1})
    assert layer.exchanges(["createRun", "completeRun"]) == []


def test_the_public_link_is_shown(project, layer):
    project.write(test_one=PLAIN)
    outcome = project.run("--famacase-testops-show-public-report-link=true")
    (published,) = layer.exchanges("publishRun")
    assert json.loads(published.answer)["url"] in outcome.output


def test_statuses_filtered_by_upstream_do_not_arrive(project, runs):
    project.write(test_one=PLAIN)
    assert project.run(FAMACASE_TESTOPS_STATUS_FILTER="passed").code == 1
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"failed": 1})


# What the decorators do not show


def test_details_of_a_result(project, runs):
    project.write(
        test_one="""
        import pytest
        from qase.pytest import qase

        @qase.tags("fast", "nightly")
        @qase.suite("Above", "described")
        @qase.description("What it is for")
        def test_named(): pass

        @qase.ignore_parameters("b")
        @pytest.mark.parametrize("a", [None])
        @pytest.mark.parametrize("b", [1])
        def test_ignoring(a, b): pass

        @pytest.mark.parametrize("x, y", [(1, 2.5)])
        def test_group(x, y): pass

        def test_deep():
            from contextlib import ExitStack
            with ExitStack() as stack:
                for depth in range(150):
                    stack.enter_context(qase.step(f"step {depth}"))
        """
    )
    outcome = project.run(FAMACASE_TESTOPS_DEFECT="true")
    assert outcome.code == 0, outcome.output
    found = runs.by_title(runs.only())
    assert found["test_named"]["tags"] == ["fast", "nightly"]
    assert found["test_named"]["fields"]["description"] == "What it is for"
    assert found["test_ignoring"]["params"] == {"a": "None"}
    assert found["test_group"]["params"] == {"x": "1", "y": "2.5"}
    assert found["test_group"]["param_groups"] == [["x", "y"]]
    assert {result["defect"] for result in found.values()} == {True}
    said = json.dumps(found["test_deep"]["steps"])
    assert all(f'"step {depth}"' in said for depth in range(150))


# Plans


def test_a_plan_restricts_the_run(sample, layer, runs):
    outcome = sample.run("test_plain.py", "test_steps.py", FAMACASE_TESTOPS_PLAN_ID="7")
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    run = runs.only()
    assert sorted(result["testops_ids"] for result in runs.results(run)) == [[101], [201]]
    assert run["status"] == "completed"
    (created,) = layer.exchanges("createRun")
    assert created.json()["plan_id"] == 7
    assert len(layer.exchanges("listPlanCases")) == 1


def test_a_plan_that_is_not_there_is_said_and_runs_everything(project, layer):
    project.write(test_one=PLAIN)
    # The back end makes no run of a plan that it does not have, so the results may wait.
    outcome = project.run(FAMACASE_TESTOPS_PLAN_ID="99", leaves=None)
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed")
    assert outcome.output.count("plan 99 could not be read, so all tests run") == 1
    assert outcome.output.count("/plans/99/cases") == 1


# A back end that is not there, or refuses


WRONG_TOKEN = {"FAMACASE_REPORTER_TOKEN": "rep_wrong_77aa"}


@pytest.mark.parametrize(
    ("environ", "status", "check", "fallback"),
    [
        pytest.param({}, "down", "Check the network, the server and the address", True, id="not there"),
        pytest.param(WRONG_TOKEN, "401", "token", True, id="wrong token"),
        pytest.param({"FAMACASE_TESTOPS_PROJECT": "NOWHERE"}, "404", "project", True, id="wrong project"),
        pytest.param(WRONG_TOKEN, "401", "token", False, id="no fallback"),
    ],
)
def test_the_suite_runs_all_the_same(project, layer, environ, status, check, fallback):
    project.write(test_one=PLAIN)
    project.secrets.add("rep_wrong_77aa")
    if status == "down":
        layer.down()
    extra = {"FAMACASE_FALLBACK": "report"} if fallback else {}
    outcome = project.run(
        **environ, **extra, FAMACASE_RETRY_ATTEMPTS="1", leaves=["build"] if fallback else None
    )
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed"), outcome.output
    # What is said beside it concerns what waits to be sent later.
    notice = outcome.notices[0]
    assert layer.url.partition("://")[2] in notice
    assert f"/projects/{environ.get('FAMACASE_TESTOPS_PROJECT', 'SMOKE')}" in notice
    assert check in notice
    if status != "down":
        assert status in notice
    assert len(outcome.notices) == 1 or not fallback
    assert local_report(project.directory) == (["test_one", "test_two"] if fallback else [])
    assert layer.exchanges("createResults") == []
    assert "Traceback" not in outcome.output


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "worker"])
def test_a_local_report_that_was_fallen_back_to_has_its_attachments(project, arguments):
    project.write(
        test_one="""
        from qase.pytest import qase

        def test_one():
            qase.attach((b"of bytes", "application/octet-stream", "a.bin"))
            with qase.step("a step"):
                qase.attach(("of text", "text/plain", "b.txt"))
        """
    )
    project.secrets.add("rep_wrong_77aa")
    outcome = project.run(*arguments, **WRONG_TOKEN, FAMACASE_FALLBACK="report", leaves=["build"])
    assert outcome.code == 0, outcome.output
    stored = project.directory / "build" / "qase-report" / "attachments"
    assert sorted(path.read_bytes() for path in stored.iterdir()) == [b"of bytes", b"of text"]


def test_a_run_that_is_refused_waits_with_a_fallback_too(project, layer, runs):
    """Upstream uses its fallback only for what fails before that."""
    project.write(test_one=PLAIN)
    layer.faults.add("createRun", answer(403), times=FOREVER)
    outcome = project.run(FAMACASE_FALLBACK="report", leaves=None)
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed"), outcome.output
    assert outcome.lines("famacase: 2 results wait in ")
    layer.faults.clear()
    script = "import sys; from famacase_pytest.cli.main import main; sys.exit(main(['resend']))"
    assert project.run_script(script).code == 0
    assert runs.only()["stats"] == {"passed": 1, "failed": 1}


def test_an_environment_that_could_not_be_looked_up_is_not_called_missing(project, layer):
    project.write(test_one="def test_one(): pass")
    layer.down()
    outcome = project.run(FAMACASE_ENVIRONMENT="staging", FAMACASE_RETRY_ATTEMPTS="1", leaves=None)
    assert outcome.code == 0
    assert "no environment" not in outcome.output


def test_xdist_under_another_name(project, runs):
    project.write(test_one=PLAIN)
    loaded = ("-p", "xdist.plugin", "-p", "pytest_bdd.plugin", "-p", "qase_pytest", "-p", "famacase")
    project.as_found = True
    outcome = project.run("-n", "2", *loaded, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed"), outcome.output
    assert runs.only()["stats"] == {"passed": 1, "failed": 1}


def test_refused_in_the_middle_the_suite_keeps_its_exit_code(project, layer):
    project.write(test_one="def test_one(): pass")
    layer.faults.add("createResults", answer(403), times=FOREVER)
    outcome = project.run(leaves=None)
    assert (outcome.code, outcome.counts) == (0, "1 passed"), outcome.output
    assert any("403" in notice for notice in outcome.notices)
    assert "Traceback" not in outcome.output


# Several projects


def test_several_projects_each_with_its_token(project, layer, runs):
    project.write(
        test_one="""
        import pytest
        from qase.pytest import qase

        @qase.project_id("SMOKE", 1)
        @qase.project_id("SHOP", [21, 22])
        def test_both():
            qase.attach((b"for both", "text/plain", "both.txt"))

        @qase.project_id("SHOP", 23)
        def test_shop():
            assert False
        """
    )
    project.write_json(
        "famacase.config.json",
        {
            "testops_multi": {
                "projects": [
                    {"code": "SMOKE", "run": {"title": "Smoke run"}},
                    {"code": "SHOP", "run": {"title": "Shop run"}, "environment": "staging"},
                ]
            }
        },
    )
    outcome = project.run(
        FAMACASE_MODE="testops_multi",
        FAMACASE_TESTOPS_PROJECT=None,
        FAMACASE_REPORTER_TOKEN=None,
        FAMACASE_REPORTER_TOKENS=",".join(f"{code}={token}" for code, token in TOKENS.items()),
    )
    assert (outcome.code, outcome.notices) == (1, []), outcome.output
    found = {run["project"]: run for run in runs.new()}
    assert {code: run["title"] for code, run in found.items()} == {"SMOKE": "Smoke run", "SHOP": "Shop run"}
    assert {run["status"] for run in found.values()} == {"completed"}
    smoke, shop = runs.by_title(found["SMOKE"]), runs.by_title(found["SHOP"])
    assert {title: result["testops_ids"] for title, result in smoke.items()} == {"test_both": [1]}
    assert {title: result["testops_ids"] for title, result in shop.items()} == {
        "test_both": [21, 22],
        "test_shop": [23],
    }
    assert all(
        exchange.headers["authorization"] == f"Token <{exchange.project}>" for exchange in layer.exchanges()
    )
    for code in TOKENS:
        assert f"{layer.url}/runs/{found[code]['id']}" in outcome.output
    uploads = layer.exchanges("uploadAttachments")
    assert sorted(exchange.project for exchange in uploads) == ["SHOP", "SMOKE"]


# Several processes


def test_xdist_makes_one_run_of_all_workers(sample, layer, runs):
    outcome = sample.run("-n", "2", FAMACASE_TESTOPS_BATCH_SIZE="4", FAMACASE_ENVIRONMENT="staging")
    assert outcome.code == 1, outcome.output
    assert outcome.notices == []
    run = runs.only()
    assert run["status"] == "completed"
    assert run["stats"] == {"passed": 16, "failed": 3, "skipped": 2, "invalid": 1}
    results = runs.results(run)
    assert len({result["id"] for result in results}) == len(results) == 22
    for operation in ("getProject", "createRun", "listEnvironments", "completeRun"):
        assert len(layer.exchanges(operation)) == 1, operation
    assert layer.exchanges()[-1].operation == "completeRun"
    assert max(len(exchange.results) for exchange in layer.exchanges("createResults")) <= 4
    assert len(outcome.lines(" delivered to ")) == 1


def test_xdist_with_a_plan(sample, layer, runs):
    """Workers know the plan from the controller."""
    outcome = sample.run("-n", "2", "test_plain.py", "test_steps.py", FAMACASE_TESTOPS_PLAN_ID="7")
    assert outcome.code == 0, outcome.output
    assert sorted(result["testops_ids"] for result in runs.results(runs.only())) == [[101], [201]]
    assert len(layer.exchanges("listPlanCases")) == 1


def test_xdist_where_the_back_end_refuses(project, layer, runs):
    """No worker creates a run of its own when the controller could not."""
    project.write(test_one=PLAIN)
    layer.faults.add("createRun", answer(403), times=FOREVER)
    outcome = project.run("-n", "2", leaves=None)
    assert (outcome.code, outcome.counts) == (1, "1 failed, 1 passed"), outcome.output
    assert runs.new() == []
    # It may be asked for again, always as the same run.
    assert len({exchange.headers["idempotency-key"] for exchange in layer.exchanges("createRun")}) == 1


# Several sessions in one process


def test_two_sessions_one_after_the_other_make_two_runs(project, runs):
    project.write(test_one="def test_one(): pass", test_two="def test_two(): pass")
    outcome = project.run_script(
        """
        import pytest
        for name in ("test_one.py", "test_two.py"):
            print("code", int(pytest.main(["-q", name])))
        """
    )
    assert len(outcome.lines("code 0")) == 2, outcome.output
    assert [list(runs.by_title(run)) for run in runs.new()] == [["test_one"], ["test_two"]]


def test_a_session_inside_a_test_leaves_the_outer_one_alone(project, layer, runs):
    project.write(
        conftest='pytest_plugins = ["pytester"]',
        test_one="""
        from qase.pytest import qase

        def test_before(): pass

        def test_inside(pytester):
            pytester.makepyfile("def test_inner(): pass")
            result = pytester.runpytest_inprocess("-q")
            result.assert_outcomes(passed=1)
            qase.attach((b"still there", "text/plain", "after.txt"))

        def test_after():
            with qase.step("a step"):
                pass
        """,
    )
    outcome = project.run()
    assert (outcome.code, outcome.counts) == (0, "3 passed"), outcome.output
    found = runs.by_title(runs.only())
    assert sorted(found) == ["test_after", "test_before", "test_inside"]
    assert found["test_inside"]["attachments"][0]["file_name"] == "after.txt"
    assert found["test_after"]["steps"][0]["data"]["action"] == "a step"
