"""A feature told with pytest-bdd."""

import pytest

pytest.importorskip("pytest_bdd")

from pytest_bdd import given, parsers, scenarios, then, when

scenarios("features/basket.feature")


@pytest.fixture
def basket():
    return []


@given("an empty basket")
def empty(basket):
    basket.clear()


@when(parsers.parse("I put in {count:d} articles"))
def put(basket, count):
    basket.extend(range(count))


@then(parsers.parse("the basket holds {count:d} articles"))
def holds(basket, count):
    assert len(basket) == count
