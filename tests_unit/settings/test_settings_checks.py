from __future__ import annotations

from typing import Any

import pytest
from resolving import Resolve, delivered, given, nested

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.checking import ELSEWHERE, shown
from famacase_pytest.settings.table import BY_NAME, ROWS, UPSTREAM

# Texts that a variable or flag must not have.
BAD_TEXTS: dict[str, list[str]] = {
    "MODE": ["testrail", "on", "true"],
    "FALLBACK": ["none"],
    "DEBUG": ["maybe", "2", "-1"],
    "STATUS_MAPPING": ["invalid", "invalid=red", "green=passed", "=passed", "passed="],
    "TESTOPS_API_TIMEOUT": ["soon", "0", "-5", "nan", "inf", "99999", "1e999"],
    "TESTOPS_API_RETRIES": ["many", "-1", "1.5"],
    "TESTOPS_API_RETRY_BACKOFF": ["-1", "x"],
    "TESTOPS_DEFECT": ["defect"],
    "TESTOPS_PLAN_ID": ["x", "-1", "1.5", "0x10"],
    "TESTOPS_RUN_ID": ["latest", "12 13", "-1"],
    "TESTOPS_RUN_COMPLETE": ["later"],
    "TESTOPS_RUN_EXTERNAL_LINK_TYPE": ["jira"],
    "TESTOPS_BATCH_SIZE": ["0", "201", "2000", "-1", "all", "1.5"],
    "TESTOPS_CONFIGURATIONS_VALUES": ["browser", "browser=", "=chrome"],
    "TESTOPS_CONFIGURATIONS_CREATE_IF_NOT_EXISTS": ["x"],
    "TESTOPS_SHOW_PUBLIC_REPORT_LINK": ["x"],
    "REPORT_DRIVER": ["remote"],
    "REPORT_CONNECTION_FORMAT": ["xml"],
    "PYTEST_CAPTURE_LOGS": ["x"],
    "LOGGING_CONSOLE": ["x"],
    "LOGGING_FILE": ["./log"],
    "TIMEOUT": ["soon", "0", "-1", "nan", "inf"],
    "RETRY_ATTEMPTS": ["0", "21", "x", "1.5"],
    "ATTACHMENT_WORKERS": ["0", "33"],
    "DRAIN_TIMEOUT": ["-1", "forever"],
    "FLUSH_INTERVAL": ["-1", "61"],
    "OUTBOX_MAX_MB": ["0", "1.5"],
    "SPEEDUPS": ["x"],
}
BAD_JSON: dict[str, list[Any]] = {
    "MODE": [False, 1, ["testops"], {"a": 1}],
    "ENVIRONMENT": [True, ["stage"], {"a": 1}],
    "ROOT_SUITE": [["a"]],
    "DEBUG": [2, [], {}, 1.0, "x"],
    "PROFILERS": [{"network": True}, [["network"]], [{"excludeHosts": []}], 5],
    "EXCLUDE_PARAMS": [{"a": 1}, [True], [{"name": "a"}], 5],
    "STATUS_MAPPING": [["invalid=failed"], {"invalid": "red"}, {"invalid": 5}, {"invalid": None}],
    "TESTOPS_API_TIMEOUT": [True, [30], "soon", -1],
    "TESTOPS_PROJECT": [["A"], {"code": "A"}, True],
    "TESTOPS_RUN_ID": [True, 1.5, [1], {"id": 1}, float("inf")],
    "TESTOPS_RUN_TAGS": [{"a": 1}, [["a"]], 5],
    "TESTOPS_BATCH_SIZE": [0, 201, True, [100], "all"],
    "TESTOPS_CONFIGURATIONS_VALUES": [{"a": "b"}, ["a=b"], [{"name": "a", "value": ["b"]}]],
    "TESTOPS_STATUS_FILTER": [{"a": 1}, 5],
    "REPORT_CONNECTION_FORMAT": ["xml", 5],
    "projects": ["A", {"code": "A"}, ["A"], [{}], [{"code": ""}], [{"code": "A", "run": []}, 5]],
    "default_project": [["A"]],
    "TIMEOUT": [True, [1], 0],
    "RETRY_ATTEMPTS": [0, 1.5, True],
    "OUTBOX_DIR": [True, ["a"]],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BAD_TEXTS.items() for text in texts]
)
def test_a_bad_text_is_refused_wherever_it_stands(resolved: Resolve, name: str, text: str) -> None:
    row = BY_NAME[name]
    prefixes = ["famacase"] if row.own else ["qase", "famacase"]
    for prefix in prefixes:
        with pytest.raises(SettingsError) as raised:
            resolved({"FAMACASE_API_URL": "h.example", f"{prefix.upper()}_{name}": f" {text}"})
        (line,) = str(raised.value).splitlines()
        assert line.startswith(
            f'{prefix.upper()}_{name} in the environment is " {text}": it must be {row.kind.must}'
        )
        with pytest.raises(SettingsError) as raised:
            resolved({"FAMACASE_API_URL": "h.example"}, {f"{prefix}_{row.destination}": text})
        flag = row.flag or row.destination.replace("_", "-")
        assert str(raised.value).startswith(f'--{prefix}-{flag} on the command line is "{text}"')


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_JSON.items() for value in values]
)
def test_a_bad_value_is_refused_in_either_file(resolved: Resolve, name: str, value: Any) -> None:
    row = BY_NAME[name]
    document = nested(row.path, value)
    for file in ["famacase"] if row.own else ["famacase", "qase"]:
        empty: dict[str, Any] = {"famacase": {}, "qase": {}, file: document}
        with pytest.raises(SettingsError) as raised:
            resolved({"FAMACASE_API_URL": "h.example"}, famacase=empty["famacase"], qase=empty["qase"])
        (line,) = str(raised.value).splitlines()
        assert line.startswith(f"{row.path} in {file}.config.json is ")
        assert f"it must be {row.kind.must}" in line


# What upstream takes today must not become an error.
@pytest.mark.parametrize(
    ("name", "text", "parsed"),
    [
        ("MODE", " TestOps\n", "testops"),
        ("TESTOPS_RUN_ID", " 12\n", 12),
        ("TESTOPS_RUN_ID", "0012", 12),
        ("TESTOPS_BATCH_SIZE", "200", 200),
        ("TESTOPS_API_TIMEOUT", "30", 30),
        ("TESTOPS_API_RETRIES", "0", 0),
        ("DEBUG", "y", True),
        ("DEBUG", "TRUE", True),
        ("DEBUG", "n", False),
        ("EXCLUDE_PARAMS", " a , b c,", ["a", "b c"]),
        ("PROFILERS", "network, db", ["network", "db"]),
        ("STATUS_MAPPING", "invalid=failed, skipped = passed,", {"invalid": "failed", "skipped": "passed"}),
        ("TESTOPS_CONFIGURATIONS_VALUES", "a=b=c, d = e", [("a", "b=c"), ("d", "e")]),
        ("PYTEST_XFAIL_STATUS_XFAIL", "anything", "anything"),
        ("ENVIRONMENT", "12", "12"),
        ("REPORT_CONNECTION_FORMAT", "JSONP", "jsonp"),
    ],
)
def test_a_good_text_is_read(name: str, text: str, parsed: Any) -> None:
    assert BY_NAME[name].kind.parse(text) == parsed


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("DEBUG", True, True),
        ("DEBUG", 0, False),
        ("DEBUG", "yes", True),
        ("ENVIRONMENT", 12, "12"),
        ("TESTOPS_PROJECT", 5, "5"),
        ("TESTOPS_RUN_ID", "12", 12),
        ("TESTOPS_RUN_ID", 12.0, 12),
        ("TESTOPS_API_TIMEOUT", 30.5, 30.5),
        ("TESTOPS_API_RETRY_BACKOFF", 0.5, 0.5),
        ("TESTOPS_RUN_TAGS", ["a", 5], ["a", "5"]),
        ("TESTOPS_RUN_TAGS", "a,b", ["a", "b"]),
        ("TESTOPS_RUN_TAGS", [], []),
        ("TESTOPS_STATUS_FILTER", "passed, failed", ["passed", "failed"]),
        ("STATUS_MAPPING", {"invalid": "failed"}, {"invalid": "failed"}),
        (
            "PROFILERS",
            ["db", {"name": "network", "excludeHosts": ["a"]}],
            ["db", {"name": "network", "excludeHosts": ["a"]}],
        ),
        (
            "TESTOPS_CONFIGURATIONS_VALUES",
            [{"name": "a", "value": "b"}, {"name": "c"}, {"name": "d", "value": 5}],
            [("a", "b"), ("d", "5")],
        ),
    ],
)
def test_a_good_value_is_read(name: str, value: Any, parsed: Any) -> None:
    assert BY_NAME[name].kind.parse(value) == parsed


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_kind_survives_a_value_of_any_kind(row: Any) -> None:
    for value in (
        True,
        0,
        -1,
        1.5,
        float("nan"),
        10**400,
        "",
        "x" * 5000,
        "9" * 5000,
        [],
        [None],
        {},
        {"a": None},
        object(),
    ):
        try:
            row.kind.parse(value)
        except (ValueError, OverflowError):
            continue


def test_all_problems_are_told_at_once(resolved: Resolve) -> None:
    environ = {
        "FAMACASE_API_URL": "https://h.example/?x",
        "FAMACASE_MODE": "testops",
        "FAMACASE_TIMEOUT": "soon",
        "QASE_TESTOPS_RUN_ID": "x",
    }
    with pytest.raises(SettingsError) as raised:
        resolved(
            environ,
            {"famacase_debug": "x"},
            famacase={"testops": {"batch": {"size": 0}}},
            qase={"report": "x"},
        )
    lines = str(raised.value).splitlines()
    assert [line.split()[0] for line in lines] == [
        "FAMACASE_API_URL",
        "report",
        "--famacase-debug",
        "QASE_TESTOPS_RUN_ID",
        "testops.batch.size",
        "FAMACASE_TIMEOUT",
        "FAMACASE_MODE",
        "No",
    ]
    assert "no project is set" in lines[-2]
    assert "No token" in lines[-1]


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_value_that_loses_is_no_matter(resolved: Resolve, name: str) -> None:
    row = BY_NAME[name]
    good = {"MODE": "off", "FALLBACK": "off", "STATUS_MAPPING": "invalid=failed"}.get(name)
    good = good or {
        "TESTOPS_RUN_EXTERNAL_LINK_TYPE": "jiraCloud",
        "TESTOPS_CONFIGURATIONS_VALUES": "a=b",
        "REPORT_DRIVER": "local",
        "REPORT_CONNECTION_FORMAT": "json",
    }.get(name, "1")
    environ = {"FAMACASE_API_URL": "h.example", f"FAMACASE_{name}": BAD_TEXTS[name][0]}
    arguments = given(row, {"--famacase-": good})
    settings = resolved(
        environ, arguments["options"], qase=None if row.own else nested(row.path, [[]])
    ).settings
    if not row.own:
        (value,) = delivered(row, settings)
        assert row.kind.parse(value) == row.kind.parse(good)


def test_nothing_is_checked_where_famacase_is_not_used(resolved: Resolve) -> None:
    environ = {f"QASE_{row.name}": "\x00 nonsense" for row in UPSTREAM if row.in_environment}
    resolution = resolved(environ, {"qase_testops_run_id": "x"}, qase={"testops": "x"})
    assert not resolution.active
    assert resolution.warnings == ()


@pytest.mark.parametrize(
    ("famacase", "qase", "said"),
    [
        ({"testops": "x"}, None, "testops in famacase.config.json must be an object, not text"),
        (None, {"testops": {"run": [1]}}, "testops.run in qase.config.json must be an object, not a list"),
        ({"testops": {"run": 5}}, {"testops": {"run": {}}}, "testops.run in famacase.config.json"),
        ({"famacase": ["x"]}, None, "famacase in famacase.config.json must be an object"),
        ({"framework": {"pytest": True}}, None, "framework.pytest in famacase.config.json"),
        ({"testops_multi": [1]}, None, "testops_multi in famacase.config.json"),
    ],
)
def test_a_block_that_is_none(
    resolved: Resolve, complete: dict[str, str], famacase: Any, qase: Any, said: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        resolved(complete, famacase=famacase, qase=qase)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(said)


@pytest.mark.parametrize("empty", [None, {}, [], "", False, 0])
def test_an_empty_block_of_any_kind_is_passed_over_as_upstream_does(
    resolved: Resolve, complete: dict[str, str], empty: Any
) -> None:
    environ = {**complete, "FAMACASE_TESTOPS_RUN_TITLE": "T"}
    settings = resolved(environ, famacase={"testops": empty}, qase={"report": empty}).settings
    assert settings.overlay_file["testops"]["run"] == {"title": "T"}


def test_a_broken_block_that_is_replaced_is_no_matter(resolved: Resolve, complete: dict[str, str]) -> None:
    settings = resolved(complete, famacase={"report": {"driver": "local"}}, qase={"report": "x"}).settings
    assert settings.overlay_file["report"] == {"driver": "local"}


class TestMissing:
    def test_a_project(self, resolved: Resolve, complete: dict[str, str]) -> None:
        del complete["FAMACASE_TESTOPS_PROJECT"]
        with pytest.raises(SettingsError) as raised:
            resolved(complete)
        (line,) = str(raised.value).splitlines()
        assert line.startswith("FAMACASE_MODE in the environment is testops, but no project is set")
        for place in ("FAMACASE_TESTOPS_PROJECT", "--famacase-testops-project", "famacase.config.json"):
            assert place in line

    @pytest.mark.parametrize(
        "block", [None, {}, {"projects": []}, {"projects": None, "default_project": "A"}]
    )
    def test_projects(self, resolved: Resolve, complete: dict[str, str], block: Any) -> None:
        complete["FAMACASE_MODE"] = "testops_multi"
        with pytest.raises(SettingsError) as raised:
            resolved(complete, qase={"testops_multi": block})
        (line,) = str(raised.value).splitlines()
        assert line.startswith("FAMACASE_MODE in the environment is testops_multi, but no projects are set")

    def test_nothing_in_a_mode_that_sends_nothing(self, resolved: Resolve) -> None:
        for mode in ("off", "report"):
            assert resolved({"FAMACASE_API_URL": "h.example", "FAMACASE_MODE": mode}).active

    def test_one_line_for_a_value_that_is_there_and_wrong(
        self, resolved: Resolve, complete: dict[str, str]
    ) -> None:
        del complete["FAMACASE_TESTOPS_PROJECT"]
        with pytest.raises(SettingsError) as raised:
            resolved(complete, famacase={"testops": {"project": ["A"]}})
        (line,) = str(raised.value).splitlines()
        assert line.startswith('testops.project in famacase.config.json is ["A"]')

    def test_a_mode_that_the_installed_upstream_has_not(
        self, resolved: Resolve, complete: dict[str, str]
    ) -> None:
        complete["FAMACASE_MODE"] = "testops_multi"
        with pytest.raises(SettingsError) as raised:
            resolved(complete, modes=("off", "report", "testops"))
        assert "a mode that the installed qase-pytest does not have" in str(raised.value)


class TestSeveralProjects:
    def resolve_one(self, resolved: Resolve, project: dict[str, Any]) -> Any:
        document = {"testops_multi": {"projects": [{"code": "A", **project}]}}
        environ = {
            "FAMACASE_API_URL": "h.example",
            "FAMACASE_REPORTER_TOKEN": "t",
            "FAMACASE_MODE": "testops_multi",
        }
        return resolved(environ, qase=document).settings.overlay_file["testops_multi"]["projects"][0]

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


def test_values_are_shown_short_and_without_passwords() -> None:
    assert shown("x" * 200) == '"' + "x" * 78 + "…"
    assert shown("https://a:b@h") == '"https://***@h"'
    assert shown(["é"]) == '["é"]'


def test_every_row_that_can_be_wrong_is_tried_here() -> None:
    free = {
        row.name for row in ROWS if row.kind.must == "text" or row.kind.must.startswith("a list of names")
    }
    assert {row.name for row in ROWS} - free - ELSEWHERE - set(BAD_TEXTS) - set(BAD_JSON) == set()
