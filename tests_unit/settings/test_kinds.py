from __future__ import annotations

from typing import Any

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.resolve import ELSEWHERE
from famacase_pytest.settings.table import BY_NAME, ROWS

from .resolving import Resolve, delivered, given, nested

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
    "TESTOPS_RUN_ID": ["latest", "12 13", "-1", str(2**63)],
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
    "RETRY_ATTEMPTS": ["-1", "101", "x", "1.5"],
    "ATTACHMENT_WORKERS": ["0", "257"],
    "DRAIN_TIMEOUT": ["-1", "forever"],
    "START_TIMEOUT": ["0", "soon"],
    "CI": ["github"],
    "STRICT": ["x"],
    "FLUSH_INTERVAL": ["-1", "61"],
    "OUTBOX_MAX_MB": ["0", "1.5"],
    "SPEEDUPS": ["x"],
    "RERUNS": ["none", "true", "first"],
    "ATTACHMENTS": ["x", "some"],
    "MUTED_STATUS": ["x", "muted"],
    "DEFECTS_CLOSE": ["x"],
}
BAD_JSON: dict[str, list[Any]] = {
    "CLIENT_CONFIG": ["{", "5", [1], 5],
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
    "RETRY_ATTEMPTS": [-1, 1.5, True],
    "OUTBOX_DIR": [True, ["a"], "a\0b", "~nobody-of-this-name/x"],
    "RUN_FILE": [True, ["a"], "a\0b", "~nobody-of-this-name/x"],
    "DEFECTS_CLIENT_CONFIG": [[], 5, True],
    "DEFECTS_CONFIG": [True, ["a"], "a\0b", "~nobody-of-this-name/x"],
    "JOB_SUMMARY": [True, ["a"], "a\0b", "~nobody-of-this-name/x"],
}


def said(resolved: Resolve, product: str, environ: dict[str, str], **files: Any) -> str:
    """What is said of a wrong value: that of Famacase's stops the session, that of Qase's is passed over."""
    if product == "qase":
        (line,) = [line for line in resolved(environ, **files).warnings if " it must be " in line]
        assert line.endswith(" It is passed over, as if it were not set.")
        return line
    with pytest.raises(SettingsError) as raised:
        resolved(environ, **files)
    (line,) = str(raised.value).splitlines()
    assert line.endswith(" Correct or remove it.")
    return line


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BAD_TEXTS.items() for text in texts]
)
def test_a_bad_text_is_refused_wherever_it_stands(resolved: Resolve, name: str, text: str) -> None:
    row = BY_NAME[name]
    prefixes = ["famacase"] if row.own else ["qase", "famacase"]
    for prefix in prefixes:
        environ = {"FAMACASE_API_URL": "h.example", f"{prefix.upper()}_{name}": f" {text}"}
        line = said(resolved, prefix, environ)
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
        line = said(resolved, file, {"FAMACASE_API_URL": "h.example"}, **empty)
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


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_value_that_loses_is_no_matter(resolved: Resolve, name: str) -> None:
    row = BY_NAME[name]
    good = {"MODE": "off", "FALLBACK": "off", "STATUS_MAPPING": "invalid=failed", "RERUNS": "all"}.get(name)
    good = good or {
        "TESTOPS_RUN_EXTERNAL_LINK_TYPE": "jiraCloud",
        "TESTOPS_CONFIGURATIONS_VALUES": "a=b",
        "CI": "off",
        "REPORT_DRIVER": "local",
        "REPORT_CONNECTION_FORMAT": "json",
        "ATTACHMENTS": "all",
        "MUTED_STATUS": "blocked",
        "DEFECTS_CLIENT_CONFIG": "{}",
    }.get(name, "1")
    environ = {"FAMACASE_API_URL": "h.example", f"FAMACASE_{name}": BAD_TEXTS[name][0]}
    arguments = given(row, {"--famacase-": good})
    settings = resolved(
        environ, arguments["options"], qase=None if row.own else nested(row.path, [[]])
    ).settings
    if not row.own:
        (value,) = delivered(row, settings)
        assert row.kind.parse(value) == row.kind.parse(good)


def test_every_row_that_can_be_wrong_is_tried_here() -> None:
    free = {
        row.name for row in ROWS if row.kind.must == "text" or row.kind.must.startswith("a list of names")
    }
    assert {row.name for row in ROWS} - free - ELSEWHERE - set(BAD_TEXTS) - set(BAD_JSON) == set()
