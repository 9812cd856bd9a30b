"""Suites that were written for the vendor's client, in its place and beside it."""

from __future__ import annotations

import pytest

import vendor_client

# How pytest loads the plugins by itself is what it is about.
AS_FOUND = True

SUITE = """
    import pytest
    from famacase import famacase, qase as same
    from famacase.pytest import qase

    @famacase.id(101)
    @pytest.mark.famacase
    @famacase.title("A title")
    def test_named():
        with famacase.step("a step"):
            famacase.attach(("content", "text/plain", "note.txt"))

    @qase.suite("A suite")
    def test_of_the_module(): pass

    def test_all_is_one(): assert famacase is qase is same
"""
TITLES = {"A title", "test_of_the_module", "test_all_is_one"}
# Both orders in which the plugins may be loaded.
ORDERS = pytest.mark.parametrize("arguments", [(), ("-p", "famacase")], ids=["first", "last"])


@pytest.fixture
def suite(project):
    project.write(test_suite=SUITE)
    return project


@pytest.fixture
def beside(suite):
    """The suite, with the vendor's client installed."""
    vendor_client.install(suite)
    return suite


def arrived_whole(run, runs):
    assert run["status"] == "completed"
    found = runs.by_title(run)
    assert set(found) == TITLES
    named = found["A title"]
    assert named["testops_ids"] == [101]
    (step,) = named["steps"]
    assert step["data"]["action"] == "a step"
    assert found["test_of_the_module"]["relations"]["suite"]["data"][0]["title"] == "A suite"
    return True


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_suite_of_the_vendors_client_runs_as_it_is(workers, suite, runs):
    outcome = suite.run("--strict-markers", *workers)
    assert (outcome.code, outcome.counts, outcome.notices) == (0, "3 passed", []), outcome.output
    assert arrived_whole(runs.only(), runs)


def test_its_plugin_may_be_asked_for_by_name(suite, runs):
    suite.write(conftest='pytest_plugins = ["famacase.pytest.plugin"]')
    outcome = suite.run()
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    assert arrived_whole(runs.only(), runs)


def test_it_runs_in_a_session_that_reports_nowhere(suite, layer):
    outcome = suite.run("--strict-markers", **dict.fromkeys(suite.environ))
    assert (outcome.code, outcome.counts, outcome.notices) == (0, "3 passed", []), outcome.output
    assert layer.exchanges() == []


def test_nothing_is_imported_for_the_names_before_somebody_asks(project):
    project.write(
        test_one="""
            import sys

            def test_one():
                assert not [name for name in sys.modules if name.partition(".")[0] == "famacase"]
                import famacase.pytest
                assert famacase.pytest.qase is sys.modules["qase.pytest"].qase
        """
    )
    outcome = project.run(FAMACASE_MODE="off")
    assert outcome.counts == "1 passed", outcome.output


def test_a_module_of_the_team_that_bears_the_name_is_left_to_it(project):
    project.write(
        famacase="OWN = 1",
        test_one="""
            import pytest

            def test_one():
                import famacase
                assert famacase.OWN == 1
                with pytest.raises(ModuleNotFoundError):
                    import famacase.pytest
        """,
    )
    outcome = project.run(FAMACASE_MODE="off")
    assert (outcome.counts, outcome.notices) == ("1 passed", []), outcome.output


def test_the_stand_in_reports_where_it_is_alone(beside, layer):
    outcome = beside.run("-p", "no:famacase", "-p", "no:qase_pytest")
    assert outcome.code == 0, outcome.output
    assert set(vendor_client.reported(beside)) == TITLES
    assert layer.exchanges() == []


@ORDERS
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_beside_it_ours_alone_reports_and_one_line_says_so(arguments, workers, beside, runs):
    outcome = beside.run("--strict-markers", *arguments, *workers)
    assert (outcome.code, outcome.counts) == (0, "3 passed"), outcome.output
    (notice,) = outcome.notices
    assert "FamacasePytest" in notice
    assert "pip uninstall FamacasePytest" in notice
    assert arrived_whole(runs.only(), runs)
    assert vendor_client.reported(beside) == []


def test_one_session_after_the_other(beside, runs):
    outcome = beside.run_script(
        """
        import pytest
        print("codes", *(int(pytest.main(["-q", "-k", "named"])) for _ in range(2)))
        """
    )
    assert "codes 0 0" in outcome.output
    assert len(outcome.notices) == 2
    assert [len(runs.results(run)) for run in runs.new()] == [1, 1]
    assert vendor_client.reported(beside) == []


@ORDERS
def test_without_an_address_neither_reports(arguments, beside, layer):
    outcome = beside.run(*arguments, FAMACASE_ENABLED="false")
    assert (outcome.code, outcome.counts) == (0, "3 passed"), outcome.output
    assert len(outcome.notices) == 1
    assert layer.exchanges() == []
    assert vendor_client.reported(beside) == []


@ORDERS
def test_it_is_left_alone_where_it_was_chosen(arguments, beside, layer):
    outcome = beside.run(*arguments, "-p", "no:qase_pytest")
    assert (outcome.code, outcome.counts, outcome.notices) == (0, "3 passed", []), outcome.output
    assert set(vendor_client.reported(beside)) == TITLES
    assert layer.exchanges() == []


def test_nothing_is_said_where_it_was_left_out(beside, runs):
    outcome = beside.run("-p", "no:famacase_pytest")
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    assert arrived_whole(runs.only(), runs)


def test_nothing_is_said_where_no_test_runs(beside, layer):
    outcome = beside.run("--collect-only", "-q")
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    assert "test_suite.py::test_named" in outcome.output
