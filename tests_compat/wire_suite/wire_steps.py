from pytest_bdd import given, parsers, then


@given("an empty basket", target_fixture="basket")
def _basket():
    return []


@given("these articles:", target_fixture="basket")
def _articles():
    return ["apple", "pear"]


@then(parsers.parse("it holds {count:d} articles"))
def _count(basket, count):
    assert len(basket) == count
