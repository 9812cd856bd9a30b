from __future__ import annotations

from typing import Any

import pytest

from famacase_pytest.errors import SettingsError

from .resolving import Resolve


class TestSeveralProjects:
    def resolve_one(self, resolved: Resolve, project: dict[str, Any]) -> Any:
        document = {"testops_multi": {"projects": [{"code": "A", **project}]}}
        environ = {
            "FAMACASE_API_URL": "h.example",
            "FAMACASE_REPORTER_TOKEN": "t",
            "FAMACASE_MODE": "testops_multi",
        }
        return resolved(environ, qase=document).settings.overlay.file["testops_multi"]["projects"][0]

    def test_values_are_made_fit_for_upstream(self, resolved: Resolve) -> None:
        run = {
            "title": 5,
            "complete": False,
            "id": "12",
            "tags": "a, b",
            "externalLink": {"type": "JiraCloud", "link": "A-1"},
            "description": None,
            "unknown": [1],
        }
        project = self.resolve_one(
            resolved, {"run": run, "plan": {"id": "7"}, "environment": 3, "other": "kept"}
        )
        assert project == {
            "code": "A",
            "environment": "3",
            "other": "kept",
            "plan": {"id": 7},
            "run": {
                "title": "5",
                "complete": "false",
                "id": 12,
                "tags": ["a", "b"],
                "externalLink": {"type": "jiraCloud", "link": "A-1"},
                "unknown": [1],
            },
        }

    @pytest.mark.parametrize(
        ("project", "said"),
        [
            ({"run": {"id": "x"}}, "projects[0].run.id must be a whole number"),
            ({"run": {"complete": "later"}}, "projects[0].run.complete must be one of true"),
            ({"run": "x"}, "projects[0].run must be an object"),
            (
                {"run": {"externalLink": {"type": "jira"}}},
                "projects[0].run.externalLink.type must be one of jira",
            ),
            ({"plan": {"id": [1]}}, "projects[0].plan.id must be a whole number"),
            ({"code": ["A"]}, "projects[0].code must be text"),
            ({"code": None}, "projects[0].code is missing"),
        ],
    )
    def test_what_is_wrong_is_named(self, resolved: Resolve, project: dict[str, Any], said: str) -> None:
        with pytest.raises(SettingsError) as raised:
            self.resolve_one(resolved, project)
        assert said in str(raised.value)

    def test_codes_count_once_and_testops_as_fallback_joins_them(
        self, resolved: Resolve, complete: dict[str, str]
    ) -> None:
        complete.update(FAMACASE_MODE="testops_multi", FAMACASE_FALLBACK="testops")
        projects = [{"code": "B"}, {"code": "A"}, {"code": "B"}, {"code": "SMOKE"}]
        settings = resolved(complete, famacase={"testops_multi": {"projects": projects}}).settings
        assert settings.projects == ("SMOKE", "B", "A")
        assert settings.project.value == "SMOKE"
