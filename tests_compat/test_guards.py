"""Upstream's defects, each with what the session does without our guard, and with it."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from conftest import addopts, run_without, without
from fault_layer import answer

NEVER = (10**6,)


def by_status(results):
    return {result["title"]: result["execution"]["status"] for result in results}


# Tests that upstream does not expect. They are in one suite, since each session costs a second.

AWKWARD = {
    "documented": '''
        def double(number):
            """
            >>> double(2)
            4
            """
            return 2 * number

        def wrong():
            """
            >>> 1 + 1
            3
            """
    ''',
    "conftest": """
        import pytest

        class Line(pytest.Item):
            def runtest(self):
                assert "wrong" not in self.name

            def reportinfo(self):
                return self.path, None, self.name

        class Lines(pytest.File):
            def collect(self):
                for line in self.path.read_text().split():
                    yield Line.from_parent(self, name=line)

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".lines":
                return Lines.from_parent(parent, path=file_path)
    """,
    "test_keywords": """
        import pytest

        @pytest.mark.parametrize("number", argvalues=[1, 2])
        def test_values_by_keyword(number): pass

        @pytest.mark.parametrize(argvalues=[(1, 2)], argnames=["left", "right"])
        def test_names_as_list(left, right): pass

        @pytest.fixture
        def number(request):
            return request.param

        if pytest.version_tuple < (9,):
            # Later ones do not take it.
            @pytest.mark.parametrize("number", [3], ["number"])
            def test_three_arguments(number): assert number == 3

        @pytest.mark.parametrize("a,b", argvalues=[(1, 2)])
        def test_a_group(a, b): pass
    """,
    "test_strict": """
        import pytest

        @pytest.mark.xfail(strict=True, reason="known")
        def test_strict(): pass
    """,
    "test_skips": """
        import pytest

        @pytest.fixture
        def without_reason(): pytest.skip()

        @pytest.fixture
        def expected(): pytest.xfail("known")

        def test_skipped_in_fixture(without_reason): pass

        def test_expected_in_fixture(expected): pass
    """,
    "test_apart": """
        import os
        import pytest

        pytestmark = pytest.mark.forked

        def test_apart_passed(): pass

        def test_apart_failed(): assert 1 == 2, "in the child"

        @pytest.fixture
        def broken(): raise RuntimeError("in the fixture")

        def test_apart_broken(broken): pass

        def test_apart_skipped(): pytest.skip("in the child")

        @pytest.mark.xfail(reason="known")
        def test_apart_expected(): assert False

        def test_apart_crashed(): os.abort()
    """,
}


@pytest.fixture
def awkward(project, pair):
    project.write(**AWKWARD)
    if pair.pytest >= (9,):
        # No release of pytest-forked works with it yet.
        ini = "[pytest]\naddopts = -p no:pytest_forked -p forking\n"
        (project.directory / "pytest.ini").write_text(ini, encoding="utf-8")
    (project.directory / "some.lines").write_text("right wrong\n", encoding="utf-8")
    return project


def test_awkward_tests_are_reported(awkward, runs, pair):
    outcome = awkward.run("--doctest-modules", QASE_PYTEST_XFAIL_STATUS_XFAIL="blocked")
    assert outcome.code == 1, outcome.output
    assert "INTERNALERROR" not in outcome.output
    run = runs.only()
    assert run["status"] == "completed"
    results = {}
    for result in runs.results(run):
        results.setdefault(result["title"], result)
    found = by_status(results.values())
    # Before 9.0 a failure counts as one only if it is an AssertionError.
    otherwise = "failed" if pair.qase >= (9,) else "invalid"
    assert found == {
        "documented.double": "passed",
        "documented.wrong": otherwise,
        "right": "passed",
        "wrong": "failed",
        "test_values_by_keyword": "passed",
        "test_names_as_list": "passed",
        **({"test_three_arguments": "passed"} if pair.pytest < (9,) else {}),
        "test_a_group": "passed",
        "test_strict": otherwise,
        "test_skipped_in_fixture": "skipped",
        "test_expected_in_fixture": "skipped",
        "test_apart_passed": "passed",
        "test_apart_failed": "failed",
        "test_apart_broken": "invalid",
        "test_apart_skipped": "skipped",
        "test_apart_expected": "blocked",
        "test_apart_crashed": "failed",
    }
    assert results["test_a_group"]["param_groups"] == [["a", "b"]]
    assert results["test_values_by_keyword"]["params"] in ({"number": "1"}, {"number": "2"})
    assert results["test_strict"]["message"] == "Test failed"
    assert results["test_apart_failed"]["message"].startswith("AssertionError: in the child")
    assert 'assert 1 == 2, "in the child"' in results["test_apart_failed"]["execution"]["stacktrace"]
    assert results["test_apart_broken"]["message"] == "RuntimeError: in the fixture"
    assert results["test_apart_skipped"]["message"] == "in the child"
    assert results["test_apart_expected"]["message"] == "known"
    assert "CRASHED" in results["test_apart_crashed"]["message"]


@pytest.mark.parametrize(
    ("row", "arguments", "before"),
    [
        ("title of a test", ("--doctest-modules", "documented.py"), NEVER),
        ("title of a test", ("some.lines",), NEVER),
        ("marks of a test", ("test_keywords.py",), NEVER),
        ("failure without an exception", ("test_strict.py",), (4, 1, 6)),
        ("skip in the set-up", ("test_skips.py",), (3, 5)),
    ],
    ids=["doctest", "item", "parametrize", "strict", "skip"],
)
def test_without_the_guard_the_session_ends(awkward, pair, row, arguments, before):
    if pair.commons >= before:
        pytest.skip("this release of upstream does not have the defect")
    outcome = run_without(awkward, row, *arguments)
    assert "INTERNALERROR" in outcome.output


@pytest.mark.parametrize("row", ["report of a test", "end of a test"])
def test_without_the_guard_the_outcome_of_a_child_is_lost(awkward, runs, row):
    run_without(awkward, row, "test_apart.py")
    assert set(by_status(runs.results(runs.only())).values()) == {None}


def test_a_status_that_the_contract_does_not_know(project, runs):
    """It does not spoil its batch, and its text is kept."""
    project.write(
        test_statuses="""
            import pytest
            from qase.pytest.plugin import QasePytestPluginSingleton

            @pytest.mark.xfail(reason="known")
            def test_odd(): assert False

            def test_fine(): pass
        """
    )
    assert project.run(QASE_PYTEST_XFAIL_STATUS_XFAIL="flaky").code == 0
    results = runs.by_title(runs.only())
    assert by_status(results.values()) == {"test_odd": "invalid", "test_fine": "passed"}
    assert "known" in results["test_odd"]["message"]
    assert "'flaky'" in results["test_odd"]["message"]


def test_a_step_status_that_upstream_does_not_send(project, runs):
    """A step of pytest-bdd that nobody has written costs upstream the whole batch."""
    (project.directory / "one.feature").write_text(
        "Feature: One\n  Scenario: Unwritten\n    Given nobody has written this\n", encoding="utf-8"
    )
    project.write(
        test_bdd="""
            from pytest_bdd import scenarios

            scenarios("one.feature")

            def test_fine(): pass
        """
    )
    project.run()
    found = by_status(runs.results(runs.only()))
    assert len(found) == 2
    assert found["test_fine"] == "passed"


# One session and another


ONE = "def test_one(): pass"


def leave_run_file(project, run_id):
    (project.directory / "src.run").write_text(str(run_id), encoding="utf-8")


def test_a_file_left_by_a_killed_session_is_not_adopted(project, runs, api):
    """Without -n a session without xdist's controller would take the run of the file for its own."""
    stale = api.create_run("SMOKE", {"title": "stale", "is_autotest": True}, str(uuid.uuid4()))
    runs.new()
    leave_run_file(project, stale)
    project.write(test_one=ONE)
    assert project.run().code == 0
    run = runs.only()
    assert run["id"] != stale
    assert run["status"] == "completed"
    assert (project.directory / "src.run").exists()
    leave_run_file(project, stale)
    run_without(project, "run file|controller check", "test_one.py")
    assert [result["title"] for result in api.list_results("SMOKE", stale)] == ["test_one"]


def test_two_sessions_in_one_directory(project, runs):
    project.write(
        test_first="""
            import pathlib, time

            def test_meet():
                pathlib.Path(__file__).with_name("here." + __name__).touch()
                until = time.monotonic() + 60
                while len(list(pathlib.Path(__file__).parent.glob("here.*"))) < 2:
                    assert time.monotonic() < until, "the other session did not come"
                    time.sleep(0.02)
        """
    )
    source = (project.directory / "test_first.py").read_text(encoding="utf-8")
    (project.directory / "test_second.py").write_text(source, encoding="utf-8")
    sessions = [project.start("-n", "1", f"test_{name}.py") for name in ("first", "second")]
    outcomes = [project.finish(session, leaves=None) for session in sessions]
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes
    created = runs.new()
    assert [run["status"] for run in created] == ["completed", "completed"]
    suites = {
        result["relations"]["suite"]["data"][0]["title"]
        for run in created
        for (result,) in [runs.results(run)]
    }
    assert suites == {"test_first", "test_second"}


def test_without_the_guard_several_projects_do_not_reach_the_workers(several, runs, pair):
    """The releases that came with several projects write their runs as text and read them as one run."""
    if pair.commons >= (5, 1):
        pytest.skip("this release of upstream does not have the defect")
    several.write(test_one=ONE)
    run_without(several, "runs of several projects in a worker", "-n", "1")
    assert not [result for run in runs.new() for result in runs.results(run)]


TWICE = """
    import pytest
    for name in ("one", "two"):
        assert pytest.main(["-q", "-p", "no:cacheprovider", f"test_{name}.py"]) == 0
"""


@pytest.fixture
def twice(project):
    """Runs pytest twice in one process; the second session has a profiled step."""
    project.write(
        test_one=ONE,
        test_two="""
            import sqlite3

            def test_two():
                sqlite3.connect(":memory:").cursor().execute("select 1")
        """,
    )

    def run(**environ):
        return project.run_script(TWICE, leaves=None, **environ)

    return run


def test_two_sessions_in_one_process(twice, runs):
    assert twice().code == 0
    created = runs.new()
    assert [list(runs.by_title(run)) for run in created] == [["test_one"], ["test_two"]]
    assert {run["status"] for run in created} == {"completed"}


def test_without_the_guard_the_second_session_reports_to_the_first_run(twice, project, runs):
    twice(**without(project, "plugin instance"))
    created = runs.new()
    found = [title for run in created for title in runs.by_title(run)]
    assert len(created) < 2 or found != ["test_one", "test_two"]


@pytest.mark.parametrize("guarded", [True, False])
def test_profilers_of_a_second_session(twice, project, runs, pair, guarded):
    """They keep the runtime of the first, whose results are sent."""
    if pair.commons < (4, 1):
        pytest.skip("this release of upstream does not profile sqlite3")
    left_out = {} if guarded else without(project, "network profiler|database profiler")
    twice(QASE_PROFILERS="db,network", **left_out)
    second = runs.by_title(runs.new()[1])["test_two"]
    assert len(second["steps"]) == (1 if guarded else 0)


# A session inside a test does not have the variable.
INI = f"INI = '[pytest]\\naddopts = {addopts()}'"
INNER = f"""
    pytest_plugins = ["pytester"]
    {INI}

    def test_outer(pytester, monkeypatch):
        import os
        from qase.pytest.plugin import QasePytestPlugin, QasePytestPluginSingleton

        outer = QasePytestPluginSingleton.get_instance()
        run_file = QasePytestPlugin.meta_run_file
        there = os.path.exists(run_file)
        pytester.makepyfile(test_inner=\"\"\"
            def test_inner(request):
                from qase.pytest.plugin import QasePytestPluginSingleton
                assert request.config.qase is QasePytestPluginSingleton.get_instance()
                assert request.config.qase.reporter.reporter is None
                assert request.config.option.qase_mode == "off"
        \"\"\")
        pytester.makeini(INI)
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(passed=1)
        assert QasePytestPluginSingleton.get_instance() is outer
        assert QasePytestPlugin.meta_run_file == run_file
        assert os.path.exists(run_file) == there

    def test_workers_of_its_own(pytester):
        pytester.makeini(INI)
        pytester.makepyfile(test_inner="def test_inner(): pass")
        pytester.runpytest_inprocess("-n", "1").assert_outcomes(passed=1)

    def test_after(): pass
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "worker"])
def test_a_session_inside_a_test_leaves_the_outer_one_alone(project, runs, arguments):
    project.write(test_outer=INNER)
    outcome = project.run(*arguments, leaves=None)
    assert outcome.code == 0, outcome.output
    run = runs.only()
    assert run["status"] == "completed"
    assert set(runs.by_title(run)) == {"test_outer", "test_workers_of_its_own", "test_after"}


# Sessions that cannot report


def test_workers_of_a_controller_that_could_not_start_its_run(project, layer, runs):
    layer.faults.add("createRun", answer(403), times=None)
    project.write(test_one=ONE, test_two=ONE.replace("one", "two"))
    outcome = project.run("-n", "2", leaves=None)
    assert outcome.code == 0, outcome.output
    assert runs.new() == []
    # The courier may ask once more; workers would ask with keys of their own.
    assert len({exchange.headers["idempotency-key"] for exchange in layer.exchanges("createRun")}) == 1
    assert len(outcome.notices) >= 1


@pytest.mark.parametrize("arguments", [("--collect-only",), ("--setup-plan",)], ids=["collect", "setup"])
def test_sessions_without_tests_create_no_run(project, layer, arguments):
    project.write(test_one=ONE)
    assert project.run(*arguments).code == 0
    assert layer.exchanges() == []


def test_without_the_guard_a_session_without_xdist_ends(project):
    """What it is with the guard, the conformance suite shows."""
    project.write(test_one=ONE)
    assert "INTERNALERROR" in run_without(project, "controller check", "-p", "no:xdist").output


# A directory in which nobody can make a file, whoever runs the tests.
UNWRITABLE = Path("/sys")

READ_ONLY = """
    import os, sys, pytest
    os.chdir({place!r})
    arguments = ["-q", "-p", "no:cacheprovider", "--rootdir", {place!r}, "-c", {ini!r}]
    raise SystemExit(int(pytest.main([*arguments, {test!r}])))
"""


@pytest.mark.skipif(not UNWRITABLE.is_dir(), reason="no directory is read-only to everybody on this system")
@pytest.mark.parametrize("guarded", [True, False])
def test_a_read_only_working_directory(project, runs, guarded):
    project.write(test_one=ONE)
    script = READ_ONLY.format(
        place=str(UNWRITABLE),
        ini=str(project.directory / "pytest.ini"),
        test=str(project.directory / "test_one.py"),
    )
    left_out = {} if guarded else without(project, "lock file|run file")
    outcome = project.run_script(script, leaves=None, **left_out)
    if guarded:
        assert outcome.code == 0, outcome.output
        assert list(runs.by_title(runs.only())) == ["test_one"]
    else:
        assert "INTERNALERROR" in outcome.output


SAME_IDS = """
    from unittest import mock
    import uuid
    import pytest
    from qase.pytest import qase

    @pytest.fixture(scope="session", autouse=True)
    def same_ids():
        with mock.patch("uuid.uuid4", return_value=uuid.UUID(int=7, version=4)):
            yield

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_numbered(number):
        for name in ("a", "b"):
            with qase.step(name):
                pass
            qase.attach((f"{name}{number}", "text/plain", name))
"""


def test_a_suite_that_gives_all_ids_one_value(project, runs):
    project.write(test_same=SAME_IDS)
    outcome = project.run()
    assert outcome.code == 0, outcome.output
    results = runs.results(runs.only())
    assert sorted(result["params"]["number"] for result in results) == ["1", "2", "3"]
    for result in results:
        assert [step["data"]["action"] for step in result["steps"]] == ["a", "b"]
        assert len(result["attachments"]) == 2


def test_without_the_guard_results_of_one_id_replace_each_other(project, runs):
    project.write(test_same=SAME_IDS)
    run_without(project, "id of a result")
    assert len(runs.results(runs.only())) < 3
