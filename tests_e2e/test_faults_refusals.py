"""A back end that refuses: nothing is dropped, and the summary names the status and what to do."""

from __future__ import annotations

import uuid

import pytest

from fault_layer import FOREVER, answer
from sessions import TOKENS
from watched import Watched

SUITE = """
    import pytest

    def test_before():
        pass

    def test_gate(gate):
        gate("middle")

    @pytest.mark.parametrize("number", range(10))
    def test_after(number):
        pass
"""


@pytest.fixture
def watched(project):
    project.write(test_one=SUITE)
    return Watched(project)


def refused_in_the_middle(watched, layer, refuse):
    """A session of which the back end has taken one result when it begins to refuse; gives its summary."""
    session = watched.project.start(FAMACASE_FLUSH_INTERVAL="0.1")
    watched.wait_at("middle")
    layer.wait_for("createResults", answered=True)
    refuse()
    watched.open("middle")
    outcome = watched.project.finish(session, leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (0, "12 passed")
    (line,) = outcome.notices
    assert line.startswith("famacase: 11 results wait in ")
    assert " with: famacase resend" in line
    watched.alone()
    return line


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "FAMACASE_REPORTER_TOKEN"),
        (403, "that may report"),
    ],
)
def test_the_token_is_not_taken_any_more(watched, layer, runs, status, remedy):
    refusal = answer(status, body={"detail": "the token has expired"})
    line = refused_in_the_middle(
        watched, layer, lambda: layer.faults.add("createResults", refusal, times=FOREVER)
    )
    assert f"was answered with {status} (the token has expired)" in line
    assert remedy in line
    assert len(layer.exchanges("completeRun")) == 0
    still = watched.resend(leaves=None)
    assert still.code == 1
    assert f"was answered with {status}" in still.output
    layer.faults.clear()
    assert watched.resend().code == 0
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 12})
    assert not (watched.project.directory / ".famacase").exists()


def test_somebody_completes_the_run(watched, layer, api, runs):
    found = []

    def complete():
        found.extend(runs.new())
        api.complete_run("SMOKE", found[0]["id"])

    line = refused_in_the_middle(watched, layer, complete)
    assert "was answered with 409" in line
    assert "FAMACASE_TESTOPS_RUN_COMPLETE=false" in line
    other = api.create_run("SMOKE", {"title": "another", "is_autotest": True}, str(uuid.uuid4()))
    sent = watched.resend("--to-run", str(other))
    assert sent.code == 0, sent.output
    assert api.get_run("SMOKE", found[0]["id"])["stats"] == {"passed": 1}
    assert api.get_run("SMOKE", other)["stats"] == {"passed": 11}
    assert not (watched.project.directory / ".famacase").exists()


def test_the_run_is_gone(watched, layer, runs):
    gone = answer(404, body={"detail": "no such run"})
    line = refused_in_the_middle(
        watched, layer, lambda: layer.faults.add("createResults", gone, times=FOREVER)
    )
    assert "was answered with 404 (no such run)" in line
    assert "FAMACASE_TESTOPS_RUN_ID" in line
    layer.faults.clear()
    sent = watched.resend("--to-run", "new")
    assert sent.code == 0, sent.output
    first, second = runs.new()
    assert (first["status"], first["stats"]) == ("in_progress", {"passed": 1})
    assert (second["status"], second["stats"]) == ("completed", {"passed": 11})
    assert second["title"] == first["title"]


def test_the_token_of_one_of_two_projects(project, layer, runs):
    """What one project does not take stands in the way of no other, however much it is."""
    project.write(
        test_one="""
        import pytest
        from qase.pytest import qase

        @qase.project_id("SHOP", 1)
        @pytest.mark.parametrize("number", range(12))
        def test_shop(number):
            pass

        @qase.project_id("SMOKE", 2)
        def test_smoke():
            pass
        """
    )
    project.write_json(
        "famacase.config.json", {"testops_multi": {"projects": [{"code": "SMOKE"}, {"code": "SHOP"}]}}
    )
    layer.faults.add(
        lambda exchange: exchange.operation == "createResults" and exchange.project == "SHOP",
        answer(401),
        times=FOREVER,
    )
    outcome = project.run(
        FAMACASE_MODE="testops_multi",
        FAMACASE_TESTOPS_PROJECT=None,
        FAMACASE_REPORTER_TOKEN=None,
        FAMACASE_REPORTER_TOKENS=",".join(f"{code}={token}" for code, token in TOKENS.items()),
        # Twelve results are more than are looked at in one go.
        FAMACASE_TESTOPS_BATCH_SIZE="2",
        FAMACASE_FLUSH_INTERVAL="60",
        leaves=[".famacase"],
    )
    assert outcome.lines("famacase: 12 results wait in ")
    found = {run["project"]: run for run in runs.new()}
    assert (found["SMOKE"]["status"], found["SMOKE"]["stats"]) == ("completed", {"passed": 1})
    assert (found["SHOP"]["status"], found["SHOP"]["stats"]) == ("in_progress", {})


def test_one_result_of_200_is_refused(project, layer, runs):
    project.write(
        test_one="""
        import pytest

        @pytest.mark.parametrize("number", range(199))
        def test_good(number):
            pass

        def test_refused():
            pass
        """
    )
    watched = Watched(project)
    reason = {"detail": [{"loc": ["body", "results", 0, "title"], "msg": "not a title", "type": "value"}]}
    rule = layer.faults.add(
        lambda exchange: b"test_refused" in exchange.body, answer(422, body=reason), times=FOREVER
    )
    # Sent at the end, all in one batch.
    outcome = project.run(
        FAMACASE_FLUSH_INTERVAL="60", FAMACASE_TESTOPS_BATCH_SIZE="200", leaves=[".famacase"]
    )
    assert (outcome.code, outcome.counts) == (0, "200 passed")
    assert outcome.lines("famacase: 199 results delivered to ")
    (line,) = outcome.lines("a result was refused by the back end and is kept")
    assert "422 body.results.0.title: not a title" in line
    assert len(rule.hits[0].results) == 200
    assert len(rule.hits[-1].results) == 1
    assert len(layer.exchanges("createResults")) < 20
    still = watched.resend(leaves=None)
    assert still.code == 1
    assert "422 body.results.0.title: not a title" in still.output
    layer.faults.clear()
    sent = watched.resend()
    assert sent.code == 0, sent.output
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 200})
    titles = [result["title"] for result in runs.results(run)]
    assert (len(titles), titles.count("test_refused")) == (200, 1)
    assert not (project.directory / ".famacase").exists()
