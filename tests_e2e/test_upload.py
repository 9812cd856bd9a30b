"""``famacase upload``: a report becomes a run, once, however often it is sent."""

from __future__ import annotations

import json
import uuid

import pytest

from fault_layer import FOREVER, answer, delay

JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites xmlns="http://example.com/junit" name="All of them">
  <testsuite name="outer" timestamp="2026-03-01T10:00:00Z">
    <testsuite name="inner" timestamp="2026-03-01T10:00:00+00:00">
      <testcase classname="shop.cart.TestCart" name="adds" time="1,234.5">
        <properties><property name="qase_id" value="7"/><property name="owner" value="me"/></properties>
        <system-out>said\n[[ATTACHMENT|shot.txt]]</system-out>
      </testcase>
      <testcase classname="shop.cart.TestCart" name="fails" time="0.25">
        <failure message="1 is not 2">Traceback\n  the place</failure>
      </testcase>
      <testcase name="breaks"><error>It broke\nhere</error></testcase>
      <testcase name="is left out"><skipped message="no time"/></testcase>
      <testcase name="twice"/><testcase name="twice"/>
    </testsuite>
  </testsuite>
</testsuites>
"""


@pytest.fixture
def upload(project):
    def run(*arguments, **environ):
        call = f"main({['upload', *map(str, arguments)]!r})"
        script = f"import sys; from famacase_pytest.cli.main import main; sys.exit({call})"
        return project.run_script(script, leaves=None, **environ)

    return run


@pytest.mark.parametrize("form", ["json", "jsonp"])
def test_a_local_report_arrives_as_the_session_would_have(form, sample, upload, layer, runs):
    sample.run("-k", "not expected")
    reported = runs.results(runs.only())
    sample.run(
        "-k", "not expected", FAMACASE_MODE="report", FAMACASE_REPORT_CONNECTION_FORMAT=form, leaves=None
    )
    before = len(layer.exchanges("uploadAttachments"))
    sent = upload("build/qase-report", "--title", "From a file")
    assert sent.code == 0, sent.output
    run = runs.only()
    assert (run["title"], run["status"]) == ("From a file", "completed")
    results = runs.results(run)

    def outline(found):
        return sorted(
            (
                result["title"],
                result["execution"]["status"],
                json.dumps(result.get("params"), sort_keys=True),
                [attachment["file_name"] for attachment in result.get("attachments", ())],
                [step["data"]["action"] for step in result.get("steps", ())],
            )
            for result in found
        )

    def without_steps(found):
        # A local report has the texts of steps in words of its own.
        return [entry[:4] for entry in outline(found)]

    assert without_steps(results) == without_steps(reported)
    assert any(entry[4] for entry in outline(results))
    files = layer.exchanges("uploadAttachments")
    assert len(files) > before

    again = upload("build/qase-report", "--title", "From a file")
    assert again.code == 0, again.output
    assert f"The run has all of it already: {layer.url}/runs/{run['id']}" in again.output
    assert runs.new() == []
    assert len(layer.exchanges("uploadAttachments")) == len(files)
    assert not (sample.directory / ".famacase").exists()


def test_the_junit_xml_of_pytest(sample, upload, runs):
    sample.run("--junitxml=report.xml", FAMACASE_MODE="off", leaves=None)
    sent = upload("--json", "report.xml")
    assert sent.code == 0, sent.output
    document = json.loads(sent.output[sent.output.index("{") :])
    run = runs.only()
    assert document == {**document, "run": run["id"], "results": 23, "complete": True}
    assert document["url"].endswith(f"/runs/{run['id']}")
    assert run["title"] == "pytest tests"
    assert sum(run["stats"].values()) == 23
    assert run["stats"]["failed"] == 3


def test_other_dialects_of_junit(project, upload, runs):
    reports = project.directory / "reports"
    reports.mkdir()
    (reports / "a.xml").write_text(JUNIT, encoding="utf-8")
    (reports / "shot.txt").write_text("a picture", encoding="utf-8")
    sent = upload("reports")
    assert sent.code == 0, sent.output
    run = runs.only()
    assert run["title"] == "All of them"
    assert run["stats"] == {"passed": 3, "failed": 1, "invalid": 1, "skipped": 1}
    found = {result["title"]: result for result in runs.results(run)}
    adds = found["adds"]
    assert adds["testops_ids"] == [7]
    assert adds["fields"] == {"owner": "me"}
    assert adds["execution"]["duration"] == 1234500
    assert adds["execution"]["start_time"] == 1772359200.0
    assert [entry["file_name"] for entry in adds["attachments"]] == ["shot.txt", "system-out.txt"]
    assert [entry["title"] for entry in adds["relations"]["suite"]["data"]] == ["shop", "cart", "TestCart"]
    assert found["fails"]["message"] == "1 is not 2"
    assert found["fails"]["execution"]["stacktrace"] == "Traceback\n  the place"
    assert found["breaks"]["message"] == "It broke"
    assert found["is left out"]["message"] == "no time"


def test_into_a_run_that_is_there(project, upload, api, runs):
    (project.directory / "a.xml").write_text(JUNIT, encoding="utf-8")
    run = api.create_run("SMOKE", {"title": "Of all", "is_autotest": True}, str(uuid.uuid4()))
    for _ in range(2):
        assert upload("a.xml", "--run", run).code == 0
        held = api.get_run("SMOKE", run)
        assert (held["status"], sum(held["stats"].values())) == ("in_progress", 6)
    api.complete_run("SMOKE", run)
    refused = upload("a.xml", "--run", run)
    assert refused.code == 1
    assert f"Run {run} of SMOKE is completed: nothing is sent." in refused.output


def test_what_the_back_end_does_not_take_waits_and_is_sent_once(project, upload, layer, runs):
    (project.directory / "a.xml").write_text(JUNIT, encoding="utf-8")
    layer.faults.add("createResults", answer(401), times=FOREVER)
    left = upload("a.xml", "--title", "Delayed")
    assert left.code == 1
    assert "6 results still wait" in left.output
    layer.faults.clear()
    script = "import sys; from famacase_pytest.cli.main import main; sys.exit(main(['resend']))"
    assert project.run_script(script, leaves=None).code == 0
    assert "The run has all of it already" in upload("a.xml", "--title", "Delayed").output
    run = runs.only()
    assert (run["status"], sum(run["stats"].values())) == ("completed", 6)


def test_a_terminal_shows_what_is_waited_for(project, layer, runs):
    (project.directory / "a.xml").write_text(JUNIT, encoding="utf-8")
    layer.faults.add("createRun", delay(600))
    command = [*project.command([])[:1], "-m", "famacase_pytest.cli", "upload", "a.xml"]
    # The same report under the same title would be the run of another test.
    command += ["--title", "On a terminal"]
    waiting = f"famacase: waiting for {layer.url}, "
    outcome = project.run_on_terminal(command, waiting, layer.release)
    assert (outcome.code, waiting in outcome.output) == (0, True), outcome.output
    # The line is gone before another one comes.
    *_, last = outcome.output.rstrip("\n").split("\r")
    assert last.endswith(f" 6 results delivered to {layer.url}/runs/{runs.only()['id']}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>', "it has a document type"),
        ("<html/>", "is no JUnit XML (its root is html)"),
        ("no XML", "cannot be read"),
        ("<testsuite/>", "hold no results"),
    ],
)
def test_what_is_no_report_is_refused(content, said, project, upload, layer):
    (project.directory / "a.xml").write_text(content, encoding="utf-8")
    refused = upload("a.xml")
    assert refused.code == 1
    assert said in refused.output
    assert layer.exchanges() == []
    assert upload("nowhere").code == 1
