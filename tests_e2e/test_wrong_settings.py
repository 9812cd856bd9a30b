"""Bad settings end a session before its first test; likely mistakes are only said."""

from __future__ import annotations

import pytest


@pytest.fixture
def suite(project):
    """Its one test must not run where the settings are wrong."""
    project.write(test_one='def test_one():\n    print("it ran")\n')
    return project


def refused(outcome, layer):
    """The lines of the error of a session that refused to start."""
    assert outcome.code == 4, outcome.output
    assert "it ran" not in outcome.output
    assert "Traceback" not in outcome.output
    assert "INTERNALERROR" not in outcome.output
    assert layer.exchanges() == []
    return outcome.output


def test_files_that_are_no_json(suite, layer):
    suite.write_json("famacase.config.json", '{\n  "mode": "testops",\n  "debug": yes\n}')
    suite.write_json("qase.config.json", '{"mode": "testops",}')
    said = refused(suite.run("-s"), layer)
    assert "famacase.config.json, line 3, column 12: invalid JSON" in said
    assert "qase.config.json, line 1, column" in said


def test_values_of_the_wrong_kind_are_named_all_at_once_with_their_sources(suite, layer):
    suite.write_json(
        "famacase.config.json",
        {"testops": {"plan": {"id": "seven"}}, "famacase": {"timeout": "soon"}, "rootSuite": ["a"]},
    )
    suite.write_json("qase.config.json", {"testops": {"run": {"complete": "maybe"}}, "report": 3})
    said = refused(
        suite.run(
            "-s",
            "--famacase-testops-run-id=last",
            "--qase-testops-defect=perhaps",
            FAMACASE_TESTOPS_BATCH_SIZE="201",
            QASE_DEBUG="loud",
            FAMACASE_RETRY_ATTEMPTS="-1",
            QASE_MODE="everything",
            FAMACASE_MODE=None,
        ),
        layer,
    )
    for source, value, must in (
        ("testops.plan.id in famacase.config.json", '"seven"', "a whole number"),
        ("famacase.timeout in famacase.config.json", '"soon"', "a number of seconds"),
        ("rootSuite in famacase.config.json", '["a"]', "text"),
        ("testops.run.complete in qase.config.json", '"maybe"', "one of true, false"),
        ("--famacase-testops-run-id on the command line", '"last"', "a whole number"),
        ("--qase-testops-defect on the command line", '"perhaps"', "one of true, false"),
        ("FAMACASE_TESTOPS_BATCH_SIZE in the environment", '"201"', "from 1 to 200"),
        ("QASE_DEBUG in the environment", '"loud"', "one of true, false"),
        ("FAMACASE_RETRY_ATTEMPTS in the environment", '"-1"', "a whole number from 0"),
        ("QASE_MODE in the environment", '"everything"', "off, report, testops"),
    ):
        (line,) = [line for line in said.splitlines() if source in line]
        assert value in line
        assert must in line
    assert "report in qase.config.json must be an object" in said


def test_what_is_wrong_in_settings_of_qase_is_passed_over(suite, runs):
    """qase-pytest itself runs the session, with what it can use."""
    suite.write_json(
        "qase.config.json",
        {
            "fallback": "local",
            "testops": {"batch": {"size": 2000}, "run": {"title": "as given"}, "plan": 7},
            "executionPlan": "x",
        },
    )
    outcome = suite.run(QASE_DEBUG="loud")
    assert outcome.code == 0, outcome.output
    run = runs.only()
    assert (run["title"], run["stats"]) == ("as given", {"passed": 1})
    for start in (
        'fallback in qase.config.json is "local": it must be one of off, report',
        "testops.batch.size in qase.config.json is 2000: it must be a whole number from 1 to 200. It is ",
        "testops.plan in qase.config.json must be an object, not a number. It is passed over",
        "executionPlan in qase.config.json must be an object, not text. It is passed over",
        'QASE_DEBUG in the environment is "loud": it must be one of true, false',
    ):
        assert len(outcome.lines(f"famacase: {start}")) == 1


def test_a_file_of_qase_that_is_no_json(suite, runs):
    suite.write_json("qase.config.json", '{"mode": "testops",}')
    outcome = suite.run()
    assert outcome.code == 0, outcome.output
    (line,) = outcome.notices
    assert line.startswith("famacase: qase.config.json, line 1, column")
    assert runs.only()["stats"] == {"passed": 1}


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        pytest.param(
            {"FAMACASE_REPORTER_TOKEN": None, "FAMACASE_TESTOPS_PROJECT": None},
            ("FAMACASE_REPORTER_TOKEN", "FAMACASE_TESTOPS_PROJECT", "--famacase-testops-project"),
            id="token and project",
        ),
        pytest.param(
            {"FAMACASE_API_URL": None},
            ("FAMACASE_MODE in the environment is testops", "Set FAMACASE_API_URL", "FAMACASE_ENABLED=false"),
            id="address",
        ),
        pytest.param(
            {"FAMACASE_API_URL": None, "FAMACASE_ENABLED": "true", "QASE_TESTOPS_API_HOST": "qase.io"},
            ("FAMACASE_ENABLED", "belongs to Qase", "Set FAMACASE_API_URL"),
            id="an address of Qase alone",
        ),
    ],
)
def test_what_is_missing(suite, layer, environ, said):
    output = refused(suite.run("-s", **environ), layer)
    for text in said:
        assert text in output


def test_a_token_that_cannot_be_sent_is_not_shown(suite, layer):
    suite.secrets |= {"two words 9f1", "9f1"}
    said = refused(suite.run("-s", FAMACASE_REPORTER_TOKEN="two words 9f1"), layer)
    assert "FAMACASE_REPORTER_TOKEN in the environment" in said


@pytest.mark.parametrize(
    ("flag", "meant", "in_file"),
    [
        ("--famacase-mod=testops", "--famacase-mode", False),
        ("--qase-testops-projet=X", "--qase-testops-project", True),
        ("--famacase-projet=X", "--famacase-testops-project", False),
    ],
)
def test_a_mistyped_flag_is_answered_with_the_one_that_was_meant(suite, layer, flag, meant, in_file):
    if in_file:
        (suite.directory / "pytest.ini").write_text(f"[pytest]\naddopts = {flag}\n", encoding="utf-8")
    said = refused(suite.run("-s", *() if in_file else [flag]), layer)
    assert f"unrecognized arguments: {flag}" in said
    assert f"did you mean: {meant}\n" in said


def test_what_an_address_or_a_token_should_not_have(suite, layer, server):
    suite.secrets |= {"rep_quoted_91f"}
    said = refused(suite.run("-s", FAMACASE_REPORTER_TOKEN='"rep_quoted_91f"'), layer)
    assert "holds a token with quotation marks around it" in said
    said = refused(suite.run("-s", FAMACASE_API_URL="http//famacase.example.com"), layer)
    assert "it must begin with http://, of which a colon or a slash is missing" in said
    outcome = suite.run(FAMACASE_API_URL=f"{server.url}/api", leaves=[".famacase"])
    assert outcome.lines("ends in /api, and /api/v1/reporter/v1 is added to it")


def test_unknown_names_are_warned_about_with_the_nearest_known_one(suite, layer):
    suite.write_json("famacase.config.json", {"testops": {"run": {"titel": "x"}}, "modus": "off"})
    outcome = suite.run("-s", FAMACASE_TESTOPS_RUN_TITEL="x", FAMACASE_TIMEOUTS="3", FAMACASE_XYZZY="1")
    assert outcome.code == 0
    assert "it ran" in outcome.output
    for name, nearest in (
        ("FAMACASE_TESTOPS_RUN_TITEL", "FAMACASE_TESTOPS_RUN_TITLE"),
        ("FAMACASE_TIMEOUTS", "FAMACASE_TIMEOUT"),
        ("testops.run.titel in famacase.config.json", "testops.run.title"),
    ):
        (notice,) = [notice for notice in outcome.notices if name in notice]
        assert notice.endswith(f"Did you mean {nearest}?")
    for name in ("FAMACASE_XYZZY", "modus in famacase.config.json"):
        (notice,) = [notice for notice in outcome.notices if name in notice]
        assert notice.endswith("is not a known setting.")
    assert len(outcome.notices) == 5
    assert layer.exchanges("completeRun")
