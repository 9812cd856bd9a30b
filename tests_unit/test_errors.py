"""The kinds of errors that callers treat differently, and the name that was probably meant."""

from __future__ import annotations

import pytest

from famacase_pytest import errors
from famacase_pytest.errors import ApiError, FamacaseError, Refused, Rejected, Unreachable, closest


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("titel", ["title", "tags"], "title"),
        ("TITEL", ["title"], "title"),
        ("apiurl", ["apiUrl"], "apiUrl"),
        # Of those that are equally near always the same.
        ("timeouts", ["attempts", "timeout", "mode"], "timeout"),
        ("mod", ["modf", "mode"], "modf"),
        ("mod", ["mode", "modf"], "modf"),
        ("run", ["reruns", "run-file"], ""),
        ("xyz", ["title"], ""),
        ("", ["title"], ""),
        ("title", [], ""),
    ],
)
def test_the_name_that_was_probably_meant(name, known, meant):
    assert closest(name, known) == meant


def test_what_nobody_may_catch_is_no_error_of_ours():
    assert [issubclass(kind, Exception) for kind in errors.PASSING] == [False] * 3
    # A test that fails is no reason to end; a suite's guards may raise what pytest.fail does.
    assert not issubclass(pytest.fail.Exception, errors.PASSING)


@pytest.mark.parametrize("kind", [Unreachable, Refused, Rejected])
def test_an_error_of_the_back_end_says_what_was_answered(kind):
    error = kind("It did not work.", status=418, detail="a teapot")
    assert isinstance(error, ApiError)
    assert (str(error), error.status, error.detail) == ("It did not work.", 418, "a teapot")
    assert (kind("no answer").status, kind("no answer").detail) == (None, "")


def test_each_kind_is_caught_for_itself():
    """Delivery tries one again, keeps all for the next and halves the batch for the third."""
    kinds = (Unreachable, Refused, Rejected)
    assert [[issubclass(one, other) for other in kinds] for one in kinds] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]


def test_only_who_is_away_asks_to_be_left_alone():
    assert Unreachable("later", status=429, retry_after=7.5).retry_after == 7.5
    assert Unreachable("away").retry_after is None


def test_all_of_them_are_one_family_and_say_what_to_do():
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    family = [kind for kind in found if issubclass(kind, FamacaseError)]
    assert len(family) == 7
    assert all(kind.__doc__ for kind in family)
