from __future__ import annotations

from typing import Any

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.table import OWN, UPSTREAM

from .resolving import Resolve
from .test_sources import VALUES

KNOWN = frozenset(f"QASE_{row.name}" for row in UPSTREAM if row.in_environment)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FAMACASE_TESTOPS_RUN_TITEL", "FAMACASE_TESTOPS_RUN_TITLE"),
        ("FAMACASE_API_URI", "FAMACASE_API_URL"),
        ("FAMACASE_REPORTER_TOKNE", "FAMACASE_REPORTER_TOKEN"),
        ("FAMACASE_TIMEOUTS", "FAMACASE_TIMEOUT"),
        ("FAMACASE_XYZ", None),
    ],
)
@pytest.mark.parametrize("known", [(), KNOWN])
def test_an_unknown_variable(
    resolved: Resolve, complete: dict[str, str], name: str, meant: Any, known: Any
) -> None:
    (warning,) = resolved({**complete, name: "x"}, known_upstream=known).warnings
    hint = f" Did you mean {meant}?" if meant else ""
    assert warning == f"{name} in the environment is not a known setting.{hint}"


def test_all_that_is_known_is_silent(resolved: Resolve, complete: dict[str, str]) -> None:
    for row in (*UPSTREAM, *OWN):
        if row.in_environment and f"FAMACASE_{row.name}" not in complete and row.name in VALUES:
            complete[f"FAMACASE_{row.name}"] = VALUES[row.name][0]
    assert resolved({**complete, "FAMACASE_UNSET": ""}, known_upstream=KNOWN).warnings == ()


def test_a_name_of_qase_is_not_ours_to_judge(resolved: Resolve, complete: dict[str, str]) -> None:
    assert (
        resolved({**complete, "QASE_UNKNOWN": "x"}, qase={"unknown": 1, "testops": {"x": 1}}).warnings == ()
    )


def test_a_variable_of_next_year_is_known(resolved: Resolve, complete: dict[str, str]) -> None:
    known = KNOWN | {"QASE_NEXT_YEAR"}
    assert resolved({**complete, "FAMACASE_NEXT_YEAR": "x"}, known_upstream=known).warnings == ()
    (warning,) = resolved({**complete, "FAMACASE_NEXT_YAER": "x"}, known_upstream=known).warnings
    assert warning.endswith("Did you mean FAMACASE_NEXT_YEAR?")


def test_a_variable_that_the_installed_upstream_does_not_read(
    resolved: Resolve, complete: dict[str, str]
) -> None:
    environ = {
        **complete,
        "FAMACASE_LOGGING_FILE": "true",
        "FAMACASE_TESTOPS_API_TIMEOUT": "5",
        "FAMACASE_TIMEOUT": "5",
    }
    known = KNOWN - {"QASE_LOGGING_FILE", "QASE_TESTOPS_API_TIMEOUT"}
    (warning,) = resolved(environ, known_upstream=known).warnings
    assert warning.startswith("FAMACASE_LOGGING_FILE in the environment has no effect")


@pytest.mark.parametrize(
    ("document", "path", "meant"),
    [
        ({"famacase": {"apiURL": "x"}}, "famacase.apiURL", "famacase.apiUrl"),
        ({"famacase": {"time_out": 5}}, "famacase.time_out", "famacase.timeout"),
        ({"rootSiute": "x"}, "rootSiute", "rootSuite"),
        ({"testops": {"run": {"titel": "x"}}}, "testops.run.titel", "testops.run.title"),
        ({"testop": {"project": "x"}}, "testop", "testops"),
        ({"xyz": {"a": 1}}, "xyz", None),
    ],
)
def test_an_unknown_key(
    resolved: Resolve, complete: dict[str, str], document: dict[str, Any], path: str, meant: Any
) -> None:
    (warning,) = resolved(complete, famacase=document).warnings
    hint = f" Did you mean {meant}?" if meant else ""
    assert warning == f"{path} in famacase.config.json is not a known setting.{hint}"


def test_keys_of_editors_and_other_frameworks_are_silent(resolved: Resolve, complete: dict[str, str]) -> None:
    document = {
        "$schema": "./schema.json",
        "framework": {"playwright": {"video": "on"}, "pytest": {"captureLogs": True}},
        "statusMapping": {"invalid": "failed"},
        "testops_multi": {"projects": [{"code": "A", "whatever": 1}]},
    }
    assert resolved(complete, famacase=document).warnings == ()


@pytest.mark.parametrize(
    ("variable", "text", "strange", "hint"),
    [
        ("FAMACASE_TESTOPS_STATUS_FILTER", "passed,faild", "faild", " Did you mean failed?"),
        ("QASE_PROFILERS", "network,databse", "databse", ""),
        ("QASE_TESTOPS_STATUS_FILTER", "custom", "custom", ""),
    ],
)
def test_an_unfamiliar_name_in_a_list_is_allowed_with_a_warning(
    resolved: Resolve, complete: dict[str, str], variable: str, text: str, strange: str, hint: str
) -> None:
    (warning,) = resolved({**complete, variable: text}).warnings
    assert warning.startswith(f'{variable} in the environment names "{strange}", which is not among')
    assert warning.endswith(f"; qase-pytest gets it as it is.{hint}")


def test_what_is_missing_is_said_with_what_was_misspelt(resolved: Resolve, complete: dict[str, str]) -> None:
    del complete["FAMACASE_TESTOPS_PROJECT"]
    with pytest.raises(SettingsError) as caught:
        resolved({**complete, "FAMACASE_TESTOPS_PROJET": "SHOP"}, known_upstream=KNOWN)
    missing, misspelt = str(caught.value).splitlines()
    assert "FAMACASE_TESTOPS_PROJECT" in missing
    assert misspelt.endswith("Did you mean FAMACASE_TESTOPS_PROJECT?")
