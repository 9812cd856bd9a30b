"""In a CI build: what a run is called there, and what the job gets back."""

from __future__ import annotations

import pytest

from fault_layer import FOREVER, answer

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_WORKFLOW": "Nightly tests",
    "GITHUB_REF": "refs/pull/12/merge",
    "GITHUB_REF_NAME": "12/merge",
    "GITHUB_HEAD_REF": "cart",
    "GITHUB_RUN_NUMBER": "42",
    "GITHUB_RUN_ID": "900",
    "GITHUB_REPOSITORY": "shop/tests",
    "GITHUB_SHA": "0f3c",
    "GITHUB_ACTOR": "ann",
    "GITHUB_SERVER_URL": "https://github.example.com",
    "GITHUB_TOKEN": "ghs_never_to_be_read",
}
JENKINS = {
    "JENKINS_URL": "https://ci.example.com",
    "JOB_NAME": "shop",
    "BRANCH_NAME": "main",
    "BUILD_NUMBER": "7",
    "GIT_URL": "https://bot:secret_of_git@git.example.com/shop.git",
    "BUILD_URL": "https://ci.example.com/job/shop/7/",
}


@pytest.fixture
def suite(project):
    project.write(
        test_one="""
        from qase.pytest import qase

        def test_passes():
            pass

        @qase.title("A | [strange] title")
        def test_fails():
            assert 0
        """
    )
    project.secrets |= {"ghs_never_to_be_read", "secret_of_git"}
    return project


def body(layer):
    (created,) = layer.exchanges("createRun")
    return created.json()


def test_a_run_is_called_as_its_build(suite, layer):
    suite.run(**GITHUB)
    sent = body(layer)
    assert sent["title"] == "Nightly tests cart #42"
    assert sent["description"].splitlines() == [
        "Repository: shop/tests",
        "Branch: cart",
        "Commit: 0f3c",
        "Pull request: 12",
        "Author: ann",
        "Build: https://github.example.com/shop/tests/actions/runs/900",
    ]


def test_an_address_with_a_password_is_told_without_it(suite, layer):
    suite.run(**JENKINS)
    sent = body(layer)
    assert sent["title"] == "shop main #7"
    assert "Repository: https://git.example.com/shop.git" in sent["description"]
    assert "secret_of_git" not in str(sent)


@pytest.mark.parametrize(
    ("environ", "title"),
    [
        ({"FAMACASE_TESTOPS_RUN_TITLE": "Mine"}, "Mine"),
        ({"FAMACASE_CI": "off"}, "Automated Run "),
        ({"GITHUB_ACTIONS": None}, "Automated Run "),
    ],
)
def test_a_title_of_its_own_or_none(environ, title, suite, layer):
    suite.run(**{**GITHUB, **environ})
    assert body(layer)["title"].startswith(title)


def test_the_job_gets_a_table_and_the_run(suite, layer, runs, tmp_path):
    summary, output = tmp_path / "summary.md", tmp_path / "output"
    summary.write_text("before\n", encoding="utf-8")
    places = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
    outcome = suite.run(FAMACASE_JOB_SUMMARY="mine.md", leaves=["mine.md"], **GITHUB, **places)
    assert outcome.code == 1, outcome.output
    run = runs.only()
    url = f"{layer.url}/runs/{run['id']}"
    failed = runs.by_title(run)["A | [strange] title"]["id"]
    text = summary.read_text(encoding="utf-8")
    assert text == f"before\n{(suite.directory / 'mine.md').read_text(encoding='utf-8')}"
    assert text.splitlines()[1:] == [
        f"### Famacase: [Nightly tests cart \\#42]({url})",
        "",
        "| status | results |",
        "|---|---:|",
        "| failed | 1 |",
        "| passed | 1 |",
        "",
        "Did not pass:",
        "",
        f"- [A \\| \\[strange\\] title]({url}/results/{failed})",
    ]
    assert output.read_text(encoding="utf-8") == f"run-id={run['id']}\nrun-url={url}\n"


def test_what_is_wrong_stands_in_the_summary_of_the_job(suite, layer):
    layer.faults.add("createResults", answer(401), times=FOREVER)
    suite.run(FAMACASE_JOB_SUMMARY="mine.md", leaves=["mine.md", ".famacase"])
    assert "> 2 results wait in " in (suite.directory / "mine.md").read_text(encoding="utf-8")


def test_a_summary_that_cannot_be_written_is_said(suite, layer):
    outcome = suite.run(FAMACASE_JOB_SUMMARY="nowhere/mine.md")
    assert outcome.lines("which cannot be written (No such file or directory)")
    assert outcome.lines("2 results delivered")
