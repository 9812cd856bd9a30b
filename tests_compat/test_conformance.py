"""What has to hold with each supported release of upstream."""

from __future__ import annotations

import json

import pytest

from conftest import AS_FOUND
from fault_layer import answer, delay


def outline(steps):
    """What the steps say and how they ended, children below."""
    return [(step["data"]["action"], step["execution"]["status"], outline(step["steps"])) for step in steps]


def statuses(results):
    return {result["title"]: result["execution"]["status"] for result in results}


def test_the_sample_suite_arrives(sample, runs, pair):
    outcome = sample.run("-p", "no:xdist", **AS_FOUND)
    assert outcome.code == 1, outcome.output
    run = runs.only()
    assert run["status"] == "completed"
    results = runs.results(run)
    assert len({result["id"] for result in results}) == len(results) == 22
    found = statuses(results)
    assert found["test_without_decorators"] == "passed"
    assert found["Expected to be wrong"] == "failed"
    assert found["test_error_in_setup"] == "invalid"
    assert found["test_skipped"] == found["test_expected_failure"] == "skipped"
    assert found["test_unexpected_pass"] == "passed"
    assert "test_ignored" not in found
    by_title = {result["title"]: result for result in results}
    number = ("Check the number", "passed", [])
    assert outline(by_title["test_nested_steps"]["steps"]) == [
        ("Open the shop", "passed", []),
        ("Pay", "passed", [("Enter the card", "passed", [number]), ("Confirm", "passed", [])]),
    ]
    files = [entry["file_name"] for entry in by_title["test_attachments"]["attachments"]]
    assert files == ["report.html", "report.html", "pixel.png", "data.json"]
    assert by_title["A title with ümlauts and 漢字"]["testops_ids"] == [101]
    parameters = [result["params"] for result in results if result["title"] == "test_parameters"]
    assert len(parameters) == 4
    assert {"user": "bob", "role": "empty", "browser": "firefox"} in parameters
    link = f"/runs/{run['id']}"
    assert not outcome.lines("See why this test failed:")
    assert outcome.lines("results delivered to ")[0].endswith(link)
    assert "qase.io" not in outcome.output


def test_the_sample_suite_arrives_from_two_workers(sample, runs):
    outcome = sample.run("-n", "2")
    assert outcome.code == 1, outcome.output
    run = runs.only()
    assert run["status"] == "completed"
    results = runs.results(run)
    assert len({result["id"] for result in results}) == len(results) == 22


def test_a_plan_restricts_the_run(project, runs):
    project.write(
        test_plan="""
            from qase.pytest import qase

            @qase.id(101)
            def test_planned(): pass

            @qase.id(102)
            def test_not_planned(): pass

            def test_without_id(): pass
        """
    )
    outcome = project.run(FAMACASE_TESTOPS_PLAN_ID="7")
    assert outcome.code == 0, outcome.output
    assert outcome.counts.startswith("1 passed")
    assert list(runs.by_title(runs.only())) == ["test_planned"]


SEVERAL = """
    import pytest
    from qase.pytest import qase

    @qase.project_id("SMOKE", 1)
    @qase.project_id("SHOP", [2, 3])
    def test_both(): pass

    @qase.project_id("SHOP", 4)
    def test_shop(): assert False

    def test_default(): pass
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "workers"])
def test_several_projects(several, runs, arguments):
    several.write(test_several=SEVERAL)
    outcome = several.run(*arguments)
    assert outcome.code == 1, outcome.output
    assert not outcome.lines("See why this test failed")
    created = {run["project"]: run for run in runs.new()}
    assert {code: run["title"] for code, run in created.items()} == {
        "SMOKE": "Several: SMOKE",
        "SHOP": "Several: SHOP",
    }
    assert {run["status"] for run in created.values()} == {"completed"}
    smoke, shop = runs.by_title(created["SMOKE"]), runs.by_title(created["SHOP"])
    assert {title: result["testops_ids"] for title, result in smoke.items()} == {
        "test_both": [1],
        "test_default": None,
    }
    assert {title: result["testops_ids"] for title, result in shop.items()} == {
        "test_both": [2, 3],
        "test_shop": [4],
    }


def test_a_server_that_refuses_leads_to_the_fallback(project, runs):
    project.write(test_one="def test_one(): pass")
    outcome = project.run(
        leaves=("build", "logs"), FAMACASE_REPORTER_TOKEN="rep_wrong", FAMACASE_FALLBACK="report"
    )
    assert outcome.code == 0, outcome.output
    assert outcome.notices
    assert runs.new() == []
    reports = list(project.directory.glob("build/qase-report/results/*.json"))
    assert [json.loads(report.read_text(encoding="utf-8"))["title"] for report in reports] == ["test_one"]


def test_switched_off_nothing_is_rebound(project, runs, layer):
    project.write(
        test_names="""
            import inspect, importlib
            from famacase_pytest.upstream.patches import TABLE, upstream_version, version_tuple

            def test_names():
                installed = version_tuple(upstream_version())
                for row in TABLE:
                    if row.since <= installed < row.before and not row.adds:
                        owner = importlib.import_module(row.module)
                        for name in row.attribute.split("."):
                            owner = inspect.getattr_static(owner, name, None)
                        assert "famacase" not in (getattr(owner, "__module__", None) or ""), row
        """
    )
    outcome = project.run(FAMACASE_ENABLED="false")
    assert outcome.code == 0, outcome.output
    assert runs.new() == []
    assert layer.exchanges() == []


PATCHES = """
    import importlib, inspect
    import pytest
    from famacase_pytest.upstream.patches import TABLE, upstream_version, version_tuple

    INSTALLED = version_tuple(upstream_version())

    def bound():
        found = {}
        for row in TABLE:
            if row.since <= INSTALLED < row.before:
                owner = importlib.import_module(row.module)
                *classes, attribute = row.attribute.split(".")
                for name in classes:
                    owner = getattr(owner, name)
                found[row.name, row.path] = inspect.getattr_static(owner, attribute, "nothing")
        return found
"""


def test_each_row_is_installed_and_undone(project, runs):
    """Each row of the table fits this release, required or not, and each name comes back."""
    project.write(
        bindings=PATCHES,
        test_one="""
            import bindings

            def test_one():
                during = bindings.bound()
                for row in bindings.TABLE:
                    key = row.name, row.path
                    # Instances were missing before; the names of the configuration are back already.
                    if key in during and row.scope == "session" and not row.path.endswith("._instance"):
                        assert during[key] is not before[key], key

            before = None
        """,
    )
    outcome = project.run_script(
        """
        import sys
        sys.path.insert(0, "")
        import qase.pytest.conftest
        import bindings, test_one, pytest
        from famacase_pytest.upstream import client, plan_loader
        from famacase_pytest.upstream.config_reader import ConfigReader
        from famacase_pytest.upstream.patches import Bindings, Installation, mismatch

        # Rows that the session can do without are left out silently: here none may be.
        parts = Bindings(client.bound_to(None), plan_loader.bound_to(None), lambda: None,
                         ConfigReader({}, {}, None, None), str, "run")
        rows = Installation(parts).rows
        assert len(rows) > 15
        for row in rows:
            assert mismatch(row, parts) is None, (row.name, row.path, mismatch(row, parts))
        test_one.before = bindings.bound()
        code = pytest.main(["-q", "-p", "no:cacheprovider", "test_one.py"])
        after = bindings.bound()
        assert after == test_one.before, {k: v for k, v in after.items() if v is not test_one.before[k]}
        raise SystemExit(int(code))
        """,
        leaves=None,
    )
    assert outcome.code == 0, outcome.output
    assert list(runs.by_title(runs.only())) == ["test_one"]


def test_refusals_that_pass_and_slow_answers(project, layer, runs):
    """Calls are repeated, and a worker waits for its sends."""
    layer.faults.add("createRun", answer(502))
    layer.faults.add("createResults", answer(503))
    layer.faults.add("createResults", delay(1.0), times=2)
    project.write(
        test_many="""
            import pytest

            @pytest.mark.parametrize("number", range(8))
            def test_many(number): pass
        """
    )
    outcome = project.run("-n", "2")
    assert outcome.code == 0, outcome.output
    run = runs.only()
    assert run["status"] == "completed"
    assert len(runs.results(run)) == 8
