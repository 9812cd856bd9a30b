from pytest_bdd import scenario, scenarios
from qase.pytest import qase


@qase.id(7)
@scenario("features/shop.feature", "Buys something")
def test_buys():
    pass


scenarios("features/shop.feature")
