"""Which cases a run of TestRail gets, and what is said of each."""

from __future__ import annotations

import pytest

from famacase_pytest.integrations import testrail
from famacase_pytest.integrations.http import Failed
from famacase_pytest.integrations.testrail import TestRail

from .played import Service, result

GIVEN = {"url": "https://t.example/", "user": "u", "api_key": "k", "project_id": 3}


@pytest.fixture
def service(monkeypatch):
    service = Service({"id": 9, "url": "https://t.example/runs/9"}, [])
    monkeypatch.setattr(testrail, "post", service.post)
    return service


def ended(*results, context=None, **options):
    TestRail(**{**GIVEN, **options}).on_run_end(list(results), 1, 1.0, context=context)


def test_all_that_testrail_asks_for_has_to_be_there(monkeypatch):
    with pytest.raises(
        ValueError, match=r"^set TESTRAIL_URL, TESTRAIL_USER, TESTRAIL_API_KEY, TESTRAIL_PROJECT_ID$"
    ):
        TestRail().on_run_start()
    with pytest.raises(ValueError, match=r"^set TESTRAIL_API_KEY$"):
        TestRail(**{**GIVEN, "api_key": ""}).on_run_start()
    for name, value in GIVEN.items():
        monkeypatch.setenv(f"TESTRAIL_{name.upper()}", str(value))
    TestRail().on_run_start()


def test_a_run_has_the_cases_that_tests_name_and_the_worst_result_of_each(service):
    context = {"famacase_run_url": "https://f/runs/1"}
    ended(
        result(cases=["C12", 13], duration=2.6),
        result(status="failed", cases=["c12"], message="short", details="all of it"),
        result(status="skipped", cases=["13"], message="later"),
        result(status="xfailed", cases=[12]),
        result(),
        context=context,
    )
    run, results = service.posted
    assert run.url == "https://t.example/index.php?/api/v2/add_run/3"
    assert run.auth == ("u", "k")
    assert run.json() == {
        "name": "Automated run",
        "include_all": False,
        "case_ids": [12, 13],
        "description": "https://f/runs/1",
    }
    assert results.url.endswith("/add_results_for_cases/9")
    assert results.json()["results"] == [
        {"case_id": 12, "status_id": 5, "elapsed": "1s", "comment": "all of it"},
        {"case_id": 13, "status_id": 4, "elapsed": "1s", "comment": "later"},
    ]
    assert (context["testrail_run_id"], context["testrail_run_url"]) == (9, "https://t.example/runs/9")


@pytest.mark.parametrize(
    ("status", "number"),
    [("passed", 1), ("xfailed", 1), ("skipped", 4), ("xpassed", 5), ("failed", 5), ("error", 5)],
)
def test_each_status_has_one_of_testrail(service, status, number):
    ended(result(status=status, cases=[1], duration=61.4, details="x" * 5000))
    [one] = service.posted[1].json()["results"]
    assert (one["status_id"], one["elapsed"], len(one["comment"])) == (number, "61s", 2000)


def test_without_a_case_there_is_no_run(service):
    context = {}
    ended(result(), result(cases=["X12", "C", "C1.5", None, ""]), context=context)
    assert (service.posted, context) == ([], {})


def test_suite_and_name_are_those_that_are_given(service, monkeypatch):
    monkeypatch.setenv("TESTRAIL_RUN_NAME", "Nightly")
    ended(result(cases=[1]), suite_id="7")
    assert service.posted[0].json() == {
        "name": "Nightly",
        "include_all": False,
        "case_ids": [1],
        "suite_id": 7,
    }


def test_an_answer_without_json_is_no_success(monkeypatch):
    service = Service(None)
    monkeypatch.setattr(testrail, "post", service.post)
    with pytest.raises(Failed, match="add_run/3 without JSON"):
        ended(result(cases=[1]))
    assert len(service.posted) == 1
