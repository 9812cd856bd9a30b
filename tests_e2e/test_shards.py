"""Several jobs of a pipeline and one run: created first, completed last, and its id handed on in files."""

from __future__ import annotations

import json

import pytest

from sessions import TOKENS
from watched import Watched

SUITE = """
    import pytest
    from qase.pytest import qase

    @pytest.mark.parametrize("number", range(6))
    def test_shard(number):
        qase.attach((f"of {number}".encode(), "text/plain", f"{number}.txt"))
"""


@pytest.fixture
def command(project):
    """Runs the ``famacase`` command in the project; gives its outcome."""

    def run(*arguments, **environ):
        script = f"import sys; from famacase_pytest.cli.main import main; sys.exit(main({list(arguments)!r}))"
        return project.run_script(script, leaves=None, **environ)

    return run


def test_a_run_is_created_with_the_settings_of_a_session(project, layer, command):
    project.write_json("qase.config.json", {"testops": {"run": {"title": "From a file", "tags": ["a", "b"]}}})
    described = {"QASE_TESTOPS_RUN_DESCRIPTION": "From Qase's variable", "FAMACASE_ENVIRONMENT": "staging"}
    assert command("create", **described).code == 0
    body = layer.exchanges("createRun")[0].json()
    assert isinstance(body.pop("environment_id"), int)
    assert body == {
        "title": "From a file",
        "description": "From Qase's variable",
        "is_autotest": True,
        "tags": ["a", "b"],
    }
    wrong = command("create", FAMACASE_ENVIRONMENT="moon")
    assert wrong.code == 1
    assert "FAMACASE_ENVIRONMENT" in wrong.output
    assert "'moon'" in wrong.output


def test_shards(project, layer, api, runs, command):
    created = command(
        "create",
        "--title=Nightly",
        "--description=All of it",
        "--tag=a",
        "--tag=b",
        "--environment=staging",
    )
    (number, link) = created.output.split()
    assert created.code == 0
    assert link == f"{layer.url}/runs/{number}"
    body = layer.exchanges("createRun")[0].json()
    assert isinstance(body.pop("environment_id"), int)
    assert body == {
        "title": "Nightly",
        "description": "All of it",
        "is_autotest": True,
        "tags": ["a", "b"],
    }

    project.write(test_one=SUITE)
    shared = {"FAMACASE_TESTOPS_RUN_ID": number, "FAMACASE_TESTOPS_RUN_COMPLETE": "false"}
    halves = ("0 or 1 or 2", "3 or 4 or 5")
    # Side by side, as jobs on several machines are.
    jobs = [project.start("-k", half, **shared) for half in halves]
    for job in jobs:
        outcome = project.finish(job, leaves=None)
        assert (outcome.code, outcome.counts) == (0, "3 passed"), outcome.output
        assert outcome.notices == []
        assert outcome.lines(f"famacase: 3 results delivered to {link}")
    run = runs.only()
    assert run["id"] == int(number)
    assert (run["status"], run["stats"]) == ("in_progress", {"passed": 6})

    completed = command("complete", number)
    assert (completed.code, completed.output) == (0, f"{link}\n")
    assert api.get_run("SMOKE", int(number))["status"] == "completed"
    assert command("complete", number).code == 0, "twice does no harm"
    assert not (project.directory / ".famacase").exists()

    # One job that comes too late, or a run that an earlier one has completed by accident.
    late = project.run("-k", "0", **shared, leaves=None)
    (waiting,) = late.lines("famacase: 1 result waits in ")
    assert "was answered with 409" in waiting
    assert "FAMACASE_TESTOPS_RUN_COMPLETE=false" in waiting
    assert Watched(project).resend("--to-run", "new", leaves=None).code == 0


def test_commands_say_what_is_wrong(command, layer):
    for arguments, environ, status, said in (
        (("create",), {"FAMACASE_TESTOPS_PROJECT": None}, 1, "Set FAMACASE_TESTOPS_PROJECT or --project"),
        (("create", "--project=NONE"), {"FAMACASE_TESTOPS_PROJECT": None}, 1, "no project NONE"),
        (("create", "--environment=moon"), {}, 1, "no environment with the slug 'moon'"),
        (("create",), {"FAMACASE_REPORTER_TOKEN": "rep_wrong_2b6e"}, 1, "was answered with 401"),
        (("create",), {"FAMACASE_API_URL": None}, 1, "Set FAMACASE_API_URL"),
        (("create",), {"FAMACASE_ENABLED": "false"}, 1, "FAMACASE_ENABLED"),
        (("complete", "999999"), {}, 1, "was answered with 404"),
        (("complete", "many"), {}, 2, "invalid int value: 'many'"),
        (("complete",), {}, 2, "RUN_ID"),
    ):
        outcome = command(*arguments, **environ)
        assert (outcome.code, said in outcome.output) == (status, True), outcome.output
        assert "rep_wrong_2b6e" not in outcome.output
        assert "Traceback" not in outcome.output
    assert {exchange.status for exchange in layer.exchanges("createRun")} == {401, 404}


def test_the_run_of_a_session_is_handed_on(project, layer, runs):
    project.write(test_one="def test_one(): pass")
    outcome = project.run("--famacase-run-file=run.json", leaves=["run.json"])
    run = runs.only()
    expected = {"project": "SMOKE", "id": run["id"], "url": f"{layer.url}/runs/{run['id']}"}
    assert json.loads((project.directory / "run.json").read_text()) == expected
    outcome = project.run("--famacase-run-file=nowhere/run.json")
    assert outcome.code == 0
    (notice,) = outcome.notices
    assert notice.startswith("famacase: --famacase-run-file on the command line names ")


def test_the_runs_of_several_projects_are_handed_on(project, layer, runs):
    """One of them is created by the relay, while tests run: it is known at the end."""
    project.write(
        test_one="""
        from qase.pytest import qase

        @qase.project_id("SMOKE", 1)
        @qase.project_id("SHOP", 2)
        def test_both(gate):
            gate("middle")
        """
    )
    project.write_json(
        "famacase.config.json", {"testops_multi": {"projects": [{"code": "SMOKE"}, {"code": "SHOP"}]}}
    )
    watched = Watched(project)
    layer.down()
    session = project.start(
        "--famacase-run-file=run.json",
        FAMACASE_MODE="testops_multi",
        FAMACASE_TESTOPS_PROJECT=None,
        FAMACASE_REPORTER_TOKEN=None,
        FAMACASE_REPORTER_TOKENS=",".join(f"{code}={token}" for code, token in TOKENS.items()),
        FAMACASE_RETRY_ATTEMPTS="1",
    )
    watched.wait_at("middle")
    file = project.directory / "run.json"
    waiting = json.loads(file.read_text())
    assert [(run["project"], run["id"]) for run in waiting["runs"]] == [("SMOKE", None), ("SHOP", None)]
    layer.up()
    watched.open("middle")
    outcome = project.finish(session, leaves=None)
    assert outcome.code == 0, outcome.output
    made = {run["project"]: run for run in runs.new()}
    assert json.loads(file.read_text()) == {
        "runs": [
            {"project": code, "id": made[code]["id"], "url": f"{layer.url}/runs/{made[code]['id']}"}
            for code in ("SMOKE", "SHOP")
        ]
    }
    assert {run["status"] for run in made.values()} == {"completed"}
    assert not (project.directory / ".famacase").exists()
