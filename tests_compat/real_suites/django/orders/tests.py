import unittest

from qase.pytest import qase


class OrderTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.orders = ["first"]

    def setUp(self):
        self.order = self.orders[0]

    @qase.id(11)
    @qase.title("An order is placed")
    def test_place(self):
        """Places an order."""
        with qase.step("place"):
            self.assertEqual(self.order, "first")  # noqa: PT009

    def test_cancel(self):
        self.assertEqual(self.order, "second", "cannot be cancelled")  # noqa: PT009


def test_with_database(db):
    db.append("another")
    assert len(db) == 2


def test_each_in_a_transaction(db):
    assert db == ["a row"]
