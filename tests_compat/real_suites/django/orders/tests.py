import pytest
from django.test import TestCase
from qase.pytest import qase

from orders.models import Order


class OrderTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.order = Order.objects.create(article="pear")

    @qase.id(11)
    @qase.title("An order is placed")
    def test_place(self):
        """Places an order."""
        with qase.step("place"):
            self.assertEqual(Order.objects.get().article, "pear")  # noqa: PT009

    def test_cancel(self):
        self.order.delete()
        self.assertTrue(Order.objects.exists(), "cannot be cancelled")  # noqa: PT009


@pytest.mark.django_db
def test_with_database(client):
    Order.objects.create(article="apple")
    answer = client.get("/orders")
    qase.attach((answer.content, "text/plain", "orders.txt"))
    assert answer.content == b"1"


def test_each_in_a_transaction(db):
    assert not Order.objects.exists()


def test_without_database():
    Order.objects.exists()
