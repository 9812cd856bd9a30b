"""What is concluded from several settings together."""

from __future__ import annotations

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.model import Resolution


@pytest.fixture
def settings(resolved, complete):
    """The settings of a complete session, with some variables besides; None takes one away."""

    def settings(**environ):
        given = {name: value for name, value in {**complete, **environ}.items() if value is not None}
        return resolved(given).settings

    return settings


@pytest.mark.parametrize(
    ("mode", "fallback", "needs"),
    [
        ("testops", "off", True),
        ("report", "off", False),
        ("off", "report", False),
        ("off", "testops", True),
        ("report", "testops", True),
    ],
)
def test_a_fallback_needs_a_back_end_as_a_mode_does(settings, mode, fallback, needs):
    found = settings(FAMACASE_MODE=mode, FAMACASE_FALLBACK=fallback)
    assert found.needs_backend == needs


@pytest.mark.parametrize(
    ("environ", "masks", "screens"),
    [
        ({}, False, False),
        ({"FAMACASE_MASK": "password"}, True, True),
        ({"FAMACASE_MASK_ENV": "DB_PASSWORD"}, True, True),
        ({"FAMACASE_ATTACHMENTS": "failed"}, False, True),
        ({"FAMACASE_ATTACHMENTS": "all"}, False, False),
        ({"FAMACASE_MUTED_STATUS": "skipped"}, False, True),
    ],
)
def test_results_are_screened_only_where_a_setting_changes_them(settings, environ, masks, screens):
    found = settings(**environ)
    assert (found.masks, found.screens) == (masks, screens)


def test_an_address_is_not_needed_by_a_local_report(settings):
    found = settings(
        FAMACASE_API_URL=None,
        FAMACASE_ENABLED="true",
        FAMACASE_MODE="report",
    )
    assert (found.api_url, found.needs_backend) == (None, False)
    with pytest.raises(SettingsError, match=r"No Famacase address is set.*FAMACASE_API_URL"):
        _ = found.base_url
    assert settings().base_url == "https://famacase.example.com"


def test_whether_a_session_reports(settings):
    assert Resolution(settings=settings()).active
    assert not Resolution("no address", warnings=("one",), is_switched_off=True).active
