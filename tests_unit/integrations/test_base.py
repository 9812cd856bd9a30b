from __future__ import annotations

import pytest

from famacase_pytest.integrations.base import Integration, Registry, TestCase, TestResult, totals


def result(status: str) -> TestResult:
    return TestResult(TestCase("test_a.py::test_a", "test_a"), status, 0.1)


def test_totals_have_every_status():
    assert totals([]) == dict.fromkeys(
        ["total_testcases", "passed", "failed", "error", "skipped", "xfailed", "xpassed"], 0
    )
    counts = totals([result("passed"), result("passed"), result("error")])
    assert (counts["total_testcases"], counts["passed"], counts["error"]) == (3, 2, 1)


def test_the_values_of_markers_are_taken_apart():
    markers = {"testrail": [(["C1", [2, 3]], {"more": ("C4",)}), ([5], {})]}
    case = TestCase("test_a.py::test_a", "test_a", markers)
    assert case.marked("testrail") == ["C1", 2, 3, "C4", 5]
    assert case.marked("another") == []


def test_the_registry_holds_each_instance_once_and_nothing_else():
    registry, first, second = Registry(), Integration(), Integration()
    for integration in (first, second, first):
        registry.register(integration)
    assert list(registry) == [first, second]
    registry.deregister(first)
    registry.deregister(first)
    assert list(registry) == [second]
    with pytest.raises(TypeError, match="no instance of a subclass"):
        registry.register(Integration)
