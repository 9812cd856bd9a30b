from pytest_bdd import given, parsers, then, when
from qase.pytest import qase


def pytest_configure(config):
    for tag in ("shop", "smoke"):
        config.addinivalue_line("markers", tag)


@given("a customer", target_fixture="basket")
def _customer():
    return []


@when(parsers.parse("the customer buys an {article}"))
def _buys(basket, article):
    with qase.step("to the till"):
        basket.append(article)


@when(parsers.parse("the customer buys {number:d} pears"))
def _buys_pears(basket, number):
    basket.extend(["pear"] * number)
    qase.attach((f"{number} pears", "text/plain", "bill.txt"))


@when("the shop breaks")
def _breaks():
    raise RuntimeError("broken")


@then(parsers.parse("the basket holds {count:d} articles"))
def _holds(basket, count):
    assert len(basket) == count
