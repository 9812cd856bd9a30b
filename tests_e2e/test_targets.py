"""A wrong target: nothing is dropped, a strict session stops, and the start waits for nobody long."""

from __future__ import annotations

import uuid

import pytest

from fault_layer import FOREVER, answer, hang
from sessions import TOKENS
from watched import Watched

OUTBOX = [".famacase"]


@pytest.fixture
def watched(project):
    project.write(
        test_one="""
        from qase.pytest import qase

        def test_one():
            qase.attach((b"a file", "text/plain", "a.txt"))

        def test_two():
            pass
        """
    )
    return Watched(project)


@pytest.fixture
def completed(api):
    """The id of a run that takes nothing more."""
    run = api.create_run("SMOKE", {"title": "over", "is_autotest": True}, str(uuid.uuid4()))
    api.complete_run("SMOKE", run)
    return str(run)


def is_clean(watched):
    return not (watched.project.directory / ".famacase").exists()


def test_results_for_a_run_that_is_not_there_wait(watched, runs):
    watched.project.write_json("qase.config.json", {"testops": {"run": {"id": 999999}}})
    outcome = watched.project.run(leaves=OUTBOX)
    assert (outcome.code, outcome.counts) == (0, "2 passed"), outcome.output
    said, waiting = outcome.notices
    assert "Project SMOKE has no run 999999. Correct testops.run.id in qase.config.json" in said
    assert waiting.startswith("famacase: 2 results wait in ")
    assert waiting.endswith(" with: famacase resend --project CODE or --to-run ID or --to-run new).")
    assert watched.resend(leaves=None).code == 1
    sent = watched.resend("--to-run", "new")
    assert sent.code == 0, sent.output
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 2})
    assert is_clean(watched)


def test_results_for_a_run_that_is_completed_wait(watched, completed, runs):
    outcome = watched.project.run(f"--qase-testops-run-id={completed}", leaves=OUTBOX)
    assert (outcome.code, outcome.counts) == (0, "2 passed"), outcome.output
    said, waiting = outcome.notices
    assert f"Run {completed} of project SMOKE is completed already" in said
    assert "Correct --qase-testops-run-id on the command line" in said
    assert waiting.startswith("famacase: 2 results wait in ")
    # Once, and not as if the same command would do.
    assert waiting.endswith(" They go elsewhere with: famacase resend --to-run ID or --to-run new).")
    assert watched.resend("--to-run", "new").code == 0
    assert runs.only()["stats"] == {"passed": 2}


def test_results_for_a_project_that_is_not_there_go_to_another_one(watched, runs):
    outcome = watched.project.run(FAMACASE_TESTOPS_PROJECT="SMOKEY", leaves=OUTBOX)
    assert outcome.code == 0, outcome.output
    assert outcome.lines("famacase: 2 results wait in ")
    nowhere = watched.resend("--project", "NOWHERE", leaves=None)
    assert nowhere.code == 1
    assert "NOWHERE" in nowhere.output
    sent = watched.resend("--project", "SMOKE")
    assert sent.code == 0, sent.output
    run = runs.only()
    assert (run["project"], run["status"], run["stats"]) == ("SMOKE", "completed", {"passed": 2})
    assert runs.by_title(run)["test_one"]["attachments"][0]["file_name"] == "a.txt"
    assert is_clean(watched)


def test_one_of_two_projects_is_named(watched, runs):
    watched.project.write(
        test_one="""
        from qase.pytest import qase

        @qase.project_id("WRONG", 1)
        def test_shop():
            pass

        @qase.project_id("SMOKE", 2)
        def test_smoke():
            pass
        """
    )
    projects = [{"code": "SMOKE"}, {"code": "WRONG"}]
    watched.project.write_json("famacase.config.json", {"testops_multi": {"projects": projects}})
    watched.project.environ.update(
        FAMACASE_MODE="testops_multi",
        FAMACASE_REPORTER_TOKENS=f"SMOKE={TOKENS['SMOKE']},WRONG={TOKENS['SHOP']},SHOP={TOKENS['SHOP']}",
    )
    del (
        watched.project.environ["FAMACASE_REPORTER_TOKEN"],
        watched.project.environ["FAMACASE_TESTOPS_PROJECT"],
    )
    outcome = watched.project.run(leaves=OUTBOX)
    assert outcome.lines("famacase: 1 result waits in "), outcome.output
    sent = watched.resend("--project", "WRONG=SHOP")
    assert sent.code == 0, sent.output
    found = {run["project"]: run for run in runs.new()}
    assert {code: run["stats"] for code, run in found.items()} == {
        "SMOKE": {"passed": 1},
        "SHOP": {"passed": 1},
    }
    assert {run["status"] for run in found.values()} == {"completed"}


def test_results_for_a_mistyped_address_go_to_the_right_one(watched, layer, runs):
    right = watched.project.environ["FAMACASE_API_URL"]
    outcome = watched.project.run(
        FAMACASE_API_URL="http://famacase.invalid", FAMACASE_RETRY_ATTEMPTS="1", leaves=OUTBOX
    )
    assert outcome.code == 0, outcome.output
    assert outcome.lines("famacase: 2 results wait in ")
    refused = watched.resend(leaves=None)
    assert refused.code == 1
    assert f"send them with: famacase resend --to-address {right}" in refused.output
    assert layer.exchanges() == []
    sent = watched.resend("--to-address", right, FAMACASE_API_URL="http://famacase.invalid")
    assert sent.code == 0, sent.output
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 2})
    assert is_clean(watched)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"FAMACASE_REPORTER_TOKEN": "rep_wrong_77aa"}, "401"),
        ({"FAMACASE_TESTOPS_PROJECT": "SMOKEY"}, "SMOKEY"),
        ({"FAMACASE_TESTOPS_RUN_ID": "999999"}, "Project SMOKE has no run 999999"),
        ({"FAMACASE_TESTOPS_PLAN_ID": "99"}, "/plans/99/cases"),
        ({"FAMACASE_ENVIRONMENT": "nowhere"}, "no environment with the slug 'nowhere'"),
    ],
    ids=["token", "project", "run", "plan", "environment"],
)
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "with workers"])
def test_a_strict_session_stops_before_the_first_test(arguments, environ, reason, watched, runs):
    outcome = watched.project.run(*arguments, FAMACASE_STRICT="true", **environ, leaves=None)
    assert outcome.code == 4, outcome.output
    assert watched.finished() == []
    (line,) = outcome.lines("ERROR: ")
    assert reason in line
    assert line.endswith("FAMACASE_STRICT in the environment is true: no test has been run.")
    said = line[len("ERROR: ") :].partition(" FAMACASE_STRICT")[0]
    assert outcome.output.count(said) == 1, "it is said once"
    assert "INTERNALERROR" not in outcome.output
    assert runs.new() == []
    assert is_clean(watched)


def test_a_strict_session_stops_for_a_run_that_is_completed(watched, completed):
    outcome = watched.project.run("--famacase-strict=true", FAMACASE_TESTOPS_RUN_ID=completed)
    assert outcome.code == 4, outcome.output
    assert f"Run {completed} of project SMOKE is completed already" in outcome.output
    assert watched.finished() == []


@pytest.mark.parametrize(("strict", "code"), [("false", 0), ("true", 1)])
@pytest.mark.parametrize("status", [401, 422], ids=["undelivered", "rejected"])
def test_a_strict_session_fails_if_something_is_left(status, strict, code, watched, layer):
    layer.faults.add("createResults", answer(status), times=FOREVER)
    outcome = watched.project.run(FAMACASE_STRICT=strict, leaves=OUTBOX)
    assert (outcome.code, outcome.counts) == (code, "2 passed"), outcome.output


def test_a_strict_session_that_delivers_everything_ends_as_its_tests_do(watched, runs):
    watched.project.write_json("famacase.config.json", {"famacase": {"strict": True}})
    assert watched.project.run().code == 0
    assert watched.project.run("-k", "nothing").code == 5
    assert runs.only()["stats"] == {"passed": 2}


@pytest.mark.parametrize("arguments", [(), ("-q",)])
def test_an_address_without_a_mode_is_said(arguments, watched, layer):
    outcome = watched.project.run(*arguments, FAMACASE_MODE=None)
    (line,) = outcome.notices
    assert "FAMACASE_API_URL in the environment is set, but no mode is, so nothing is reported." in line
    assert "FAMACASE_MODE=testops" in line
    assert watched.project.run(FAMACASE_MODE="off").notices == []
    assert layer.exchanges() == []


def test_a_back_end_that_never_answers_is_named_and_not_waited_for_long(watched, layer):
    layer.faults.add("*", hang(), times=FOREVER)
    outcome = watched.project.run(
        FAMACASE_START_TIMEOUT="2", FAMACASE_TESTOPS_PLAN_ID="7", FAMACASE_DRAIN_TIMEOUT="1", leaves=OUTBOX
    )
    assert (outcome.code, outcome.counts) == (0, "2 passed"), outcome.output
    (waiting,) = outcome.lines("famacase: waiting for ")
    assert waiting.startswith(f"famacase: waiting for {layer.url} (plan 7), for ")
    plan, target, left = outcome.notices
    assert "plan 7 could not be read, so all tests run" in plan
    assert "has not answered within 2 s" in plan
    assert target.startswith("famacase: Until then results wait in ")
    assert left.startswith("famacase: 2 results wait in ")
    layer.faults.clear()
    layer.release()
    assert watched.resend().code == 0
