"""Runs with everything that the pages show, for tests in a browser and for the screenshots."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

from live_api import Backend, new_result, new_step

SUITES = {
    "Shop": ("Basket", "Checkout", "Search"),
    "Account": ("Sign in", "Profile"),
    "API": ("Orders", "Payments", "Webhooks"),
}

TRACE = """\
    def test_total_of_the_basket(basket):
        basket.add("tea", 3)
>       assert basket.total() == 1290

tests/shop/test_basket.py:41:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

    def send(self, request, **kwargs):
        kwargs.setdefault("stream", self.stream)
>       adapter.send(request, **kwargs)

/usr/lib/python3/site-packages/requests/sessions.py:703:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

    def total(self):
>       raise PriceMismatch(self.order)
E       shop.PriceMismatch: order 7312 costs 1190, expected 1290

shop/basket.py:88: PriceMismatch
"""


def picture(width: int, height: int, colour: tuple[int, int, int], box: int = 0) -> bytes:
    """A PNG of one colour with a white box in it, `box` pixels from the left."""
    lines = bytearray()
    for y in range(height):
        lines.append(0)
        for x in range(width):
            is_box = box and box <= x < box + 60 and height // 3 <= y < height * 2 // 3
            lines += bytes((255, 255, 255) if is_box else colour)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(lines))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def rich_result(backend: Backend, **members: object) -> dict[str, Any]:
    """A failed result with steps, pictures to compare, and files of every kind."""
    files = backend.upload(
        ("basket-expected.png", picture(320, 200, (56, 86, 214), 40), "image/png"),
        ("basket-actual.png", picture(320, 200, (56, 86, 214), 120), "image/png"),
        ("browser.log", b"12:00:01 GET /basket 200\n12:00:02 POST /order 409\n", "text/plain"),
        (
            "order.json",
            b'{"id": 7312, "items": [{"name": "tea", "count": 3}], "paid": false}',
            "application/json",
        ),
        ("prices.csv", b'article,price\n"tea, green",430\ncoffee,690\n', "text/csv"),
        ("page.html", b"<h1>Basket</h1><p>3 articles</p>", "text/html"),
        ("a.zip", b"PK\x03\x04 and so on", "application/zip"),
    ).json()["attachments"]
    mentions = [{"id": one["id"], "file_name": one["file_name"]} for one in files]
    pay = new_step("Pay with the card", status="failed", duration=1480, attachments=mentions[2:3])
    pay["data"].update(expected_result="The order is confirmed", input_data="card 4111")
    return new_result(
        **{
            "title": "The total of the basket is right",
            "signature": "shop::basket::total",
            "execution": {
                "status": "failed",
                "duration": 2310,
                "start_time": 1_790_000_000.0,
                "stacktrace": TRACE,
                "thread": "gw0",
            },
            "message": "shop.PriceMismatch: order 7312 costs 1190, expected 1290",
            "testops_ids": [4711],
            "params": {"browser": "chromium", "currency": "EUR"},
            "fields": {"severity": "critical", "layer": "e2e"},
            "tags": ["smoke", "payments"],
            "attachments": mentions,
            "steps": [
                new_step("Open the shop", new_step("Sign in", duration=210), duration=450),
                new_step("Put three teas into the basket", pay, status="failed", duration=1710),
            ],
            "relations": {"suite": {"data": [{"title": "Shop"}, {"title": "Basket"}]}},
            **members,
        }
    )


def rerun_result(backend: Backend) -> dict[str, Any]:
    """A test that passed at the second attempt."""
    failed = new_step(
        "Attempt 1 of 2", new_step("Call the webhook", status="failed"), status="failed", duration=900
    )
    failed["data"]["input_data"] = "TimeoutError: no answer within 900 ms"
    passed = new_step("Attempt 2 of 2", new_step("Call the webhook"), duration=120)
    return new_result(
        title="A webhook is delivered",
        signature="api::webhooks::delivered",
        execution={"status": "passed", "duration": 1020},
        fields={"attempts": "2", "flaky": "true"},
        steps=[failed, passed],
        relations={"suite": {"data": [{"title": "API"}, {"title": "Webhooks"}]}},
    )


def many_results(seed: int, count: int = 120, broken: float = 0.12) -> list[dict[str, Any]]:
    """Plain results in several suites; the failures have three causes."""
    chance = random.Random(seed)
    causes = (
        "TimeoutError: the page did not load within {} ms",
        "AssertionError: expected status 200, got {}",
        "shop.errors.OutOfStock: article {} is sold out",
    )
    results = []
    for number in range(count):
        outer = list(SUITES)[number % len(SUITES)]
        inner = SUITES[outer][number // len(SUITES) % len(SUITES[outer])]
        lucky = random.Random(f"{seed} {number}").random()
        status = "failed" if lucky < broken else "skipped" if lucky > 0.95 else "passed"
        cause = causes[number % 3].format(chance.randrange(400, 600))
        results.append(
            new_result(
                title=f"{inner} works for customer {number}",
                signature=f"{outer}::{inner}::{number}",
                execution={"status": status, "duration": chance.randrange(5, 3000)},
                message=cause if status == "failed" else None,
                tags=["slow"] if number % 7 == 0 else [],
                muted=number % 17 == 0,
                relations={"suite": {"data": [{"title": outer}, {"title": inner}]}},
            )
        )
    return results


def nightly(backend: Backend, runs: int = 8) -> list[int]:
    """Several runs of one suite, the last one with the rich results; returns their ids, oldest first."""
    ids = []
    for number in range(runs):
        run_id = backend.new_run(
            title=f"Nightly 2026-11-{number + 10}",
            environment_id=1,
            tags=["nightly"],
            configurations=[{"name": "browser", "value": "chromium"}],
        )
        is_last = number == runs - 1
        results = many_results(number)
        results.append(rerun_result(backend))
        if is_last:
            results.append(rich_result(backend))
        else:
            passed = {"status": "passed", "duration": 1800 + 60 * number}
            results.append(
                new_result(
                    title="The total of the basket is right",
                    signature="shop::basket::total",
                    execution=passed,
                )
            )
        assert backend.send(run_id, *results).status_code == 201
        assert backend.post(f"/runs/{run_id}/complete").status_code == 200
        ids.append(run_id)
    return ids
