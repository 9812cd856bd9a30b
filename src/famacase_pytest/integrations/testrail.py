"""Adds a run with its results to TestRail."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from .base import Integration, TestResult
from .http import Failed, post

# TestRail's own numbers of statuses; a test that was skipped is to be tested again.
_STATUS = {"passed": 1, "xfailed": 1, "skipped": 4, "xpassed": 5, "failed": 5, "error": 5}
_COMMENT = 2000  # characters


class TestRail(Integration):
    """Adds a run through TestRail's API v2, with a result for each case that a test names.

    A test names its cases by the marker ``testrail``: ``@pytest.mark.testrail("C12", 13)``. Of several
    results for one case the worst counts. The run's id is left in the context as ``testrail_run_id``, its
    address as ``testrail_run_url``. What is not given is taken from the variable that is named.

    Args:
        url: of the installation, such as ``https://company.testrail.io`` (TESTRAIL_URL).
        user: the user's e-mail address (TESTRAIL_USER).
        api_key: the user's API key (TESTRAIL_API_KEY).
        project_id: number of the project (TESTRAIL_PROJECT_ID).
        suite_id: number of the suite, for projects with several (TESTRAIL_SUITE_ID).
        name: of the run (TESTRAIL_RUN_NAME).
    """

    __test__ = False  # pytest would otherwise collect a class of this name

    def __init__(
        self,
        url: str | None = None,
        user: str | None = None,
        api_key: str | None = None,
        project_id: int | str | None = None,
        suite_id: int | str | None = None,
        name: str | None = None,
    ) -> None:
        self._url = (url or os.environ.get("TESTRAIL_URL") or "").rstrip("/")
        self._user = user or os.environ.get("TESTRAIL_USER") or ""
        self._api_key = api_key or os.environ.get("TESTRAIL_API_KEY") or ""
        self._project_id = project_id or os.environ.get("TESTRAIL_PROJECT_ID")
        self._suite_id = suite_id or os.environ.get("TESTRAIL_SUITE_ID")
        self._name = name or os.environ.get("TESTRAIL_RUN_NAME") or "Automated run"

    def on_run_start(self) -> None:
        """Check that all is there that TestRail asks for."""
        given = {
            "TESTRAIL_URL": self._url,
            "TESTRAIL_USER": self._user,
            "TESTRAIL_API_KEY": self._api_key,
            "TESTRAIL_PROJECT_ID": self._project_id,
        }
        missing = [name for name, value in given.items() if not value]
        if missing:
            raise ValueError(f"set {', '.join(missing)}")

    def on_run_end(
        self,
        test_results: list[TestResult],
        test_run_id: int | None,
        elapsed_time: float,
        log_path: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        """Add the run and its results; without a case there is none."""
        by_case: dict[int, TestResult] = {}
        for result in test_results:
            for case in _cases(result):
                known = by_case.get(case)
                if known is None or _STATUS[result.status] > _STATUS[known.status]:
                    by_case[case] = result
        if not by_case:
            return
        context = {} if context is None else context
        run: dict[str, Any] = {"name": self._name, "include_all": False, "case_ids": list(by_case)}
        if self._suite_id:
            run["suite_id"] = int(self._suite_id)
        if context.get("famacase_run_url"):
            run["description"] = context["famacase_run_url"]
        added = self._call(f"add_run/{self._project_id}", run)
        context["testrail_run_id"] = added["id"]
        context["testrail_run_url"] = added.get("url")
        results = [_result(case, result) for case, result in by_case.items()]
        self._call(f"add_results_for_cases/{added['id']}", {"results": results})

    def _call(self, path: str, content: dict[str, Any]) -> Any:
        answer = post(
            f"{self._url}/index.php?/api/v2/{path}",
            body=json.dumps(content).encode(),
            auth=(self._user, self._api_key),
        )
        if answer is None:
            raise Failed(f"TestRail answered {path} without JSON")
        return answer


def _cases(result: TestResult) -> list[int]:
    """The cases that a test names; "C12" is 12."""
    numbers = (re.fullmatch(r"[Cc]?(\d+)", str(value)) for value in result.test_case.marked("testrail"))
    return [int(number[1]) for number in numbers if number]


def _result(case: int, result: TestResult) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "case_id": case,
        "status_id": _STATUS[result.status],
        # TestRail knows no fractions, and refuses 0.
        "elapsed": f"{max(1, round(result.duration))}s",
    }
    comment = result.details or result.message
    if comment:
        wire["comment"] = comment[:_COMMENT]
    return wire
