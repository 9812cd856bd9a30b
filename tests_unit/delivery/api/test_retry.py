"""How long to wait: by our own choice, or as the server asks."""

from __future__ import annotations

import random

import pytest

from famacase_pytest.delivery.api.retry import Clock, RetryPolicy, parse_retry_after

NOON = "Wed, 01 Jan 2025 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 0 "}, 0),
        # The server's clock decides, not ours, which is years ahead of these dates.
        ({"Retry-After": "Wed, 01 Jan 2025 12:00:09 GMT", "Date": NOON}, 9),
        ({"Retry-After": "Wed, 01 Jan 2025 11:59:00 GMT", "Date": NOON}, 0),
        ({}, None),
    ],
)
def test_retry_after_in_both_forms(headers, expected):
    assert parse_retry_after(headers) == expected


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "1.5", "9" * 5000, "Wed, 99 Foo 2025", "Mon, 32 Jan 2025 1"]
)
def test_an_unreadable_retry_after_is_as_none(value):
    assert parse_retry_after({"Retry-After": value}) is None


def test_a_date_without_a_server_clock_is_taken_by_ours(monkeypatch):
    monkeypatch.setattr(Clock, "time", lambda: 1_735_732_800.0)  # noon of that day
    assert parse_retry_after({"Retry-After": "Wed, 01 Jan 2025 12:00:50 GMT"}) == 50


@pytest.mark.parametrize(("asked", "expected"), [(7.0, 7.0), (0.0, 0.0), (100_000.0, 120.0)])
def test_what_the_server_asks_for_is_done_up_to_a_cap(asked, expected):
    assert RetryPolicy().wait(1, asked) == expected


def test_backoff_doubles_up_to_its_cap_with_full_jitter():
    policy = RetryPolicy(attempts=100, base=0.5, cap=30)
    for failures, bound in [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (5000, 30)]:
        waits = [policy.wait(failures) for _ in range(200)]
        assert 0 <= min(waits) < bound * 0.2
        assert bound * 0.8 < max(waits) <= bound


def test_a_policy_without_attempts_is_an_error():
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(attempts=0)


def test_a_suite_that_seeds_random_is_left_alone():
    random.seed(1)
    expected = random.random()
    random.seed(1)
    RetryPolicy().wait(1)
    assert random.random() == expected
