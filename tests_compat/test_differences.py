"""What is reported otherwise than by upstream, case by case: ``docs/differences.md`` tells why.

Each case is run over all supported releases. What an old release of pytest or Python cannot do is left out.
"""

from __future__ import annotations

import pytest

from conftest import run_without
from sessions import stored_content
from watched import check, eventually


def texts(result):
    return result["execution"]["status"], result["message"]


# What cannot be collected


BROKEN = {"test_broken": "import nothing_of_this_name\n", "test_fine": "def test_fine(): pass"}


@pytest.mark.parametrize(
    ("arguments", "goes_on"),
    [((), False), (("-n", "2"), False), (("-n", "2"), True)],
    ids=["stops", "workers-stop", "workers-go-on"],
)
def test_a_file_that_cannot_be_collected(project, runs, arguments, goes_on):
    project.write(**BROKEN)
    package = project.directory / "package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('in the package')\n", encoding="utf-8")
    (package / "test_inside.py").write_text("def test_inside(): pass\n", encoding="utf-8")
    flags = ("--continue-on-collection-errors",) if goes_on else ()
    outcome = project.run(*arguments, *flags, leaves=None)
    assert outcome.code in (1, 2), outcome.output
    assert not outcome.notices
    run = runs.only()
    assert run["status"] == "completed"
    results = runs.by_title(run)
    broken = {title: result for title, result in results.items() if title != "test_fine"}
    # xdist's workers may have begun before their controller stops them.
    assert ("test_fine" in results) is goes_on or (arguments and not goes_on)
    assert {result["execution"]["status"] for result in broken.values()} == {"invalid"}
    found = broken.pop("test_broken.py")
    assert found["message"].startswith("ModuleNotFoundError: No module named 'nothing_of_this_name'")
    assert "import nothing_of_this_name" in found["execution"]["stacktrace"]
    assert found["signature"] == "test_broken.py"
    assert found["relations"]["suite"]["data"] == [{"title": "test_broken"}]
    # pytest names the package, its __init__.py or the file in it.
    assert broken
    assert all(title.startswith("package") for title in broken)
    assert all("in the package" in result["message"] for result in broken.values())


def test_a_conftest_that_cannot_be_imported(project, runs, pair):
    directory = project.directory / "area"
    directory.mkdir()
    (directory / "conftest.py").write_text("raise RuntimeError('in the conftest')\n", encoding="utf-8")
    (directory / "test_inside.py").write_text("def test_inside(): pass\n", encoding="utf-8")
    assert project.run(leaves=None).code == 2
    result = runs.only_result()
    place = "area" if pair.pytest >= (8,) else "."
    assert (result["title"], result["signature"]) == (place, place)
    assert texts(result) == ("invalid", "RuntimeError: in the conftest")
    assert ("relations" in result) is (place == "area")


def test_a_file_that_cannot_be_collected_goes_to_the_default_project(several, runs):
    several.write(**BROKEN)
    several.run()
    (run,) = runs.new()
    assert run["project"] == "SMOKE"
    assert list(runs.by_title(run)) == ["test_broken.py"]


# A test in which pytest ends


@pytest.mark.parametrize(
    ("hook", "arguments", "found"),
    [
        ("makereport(item)", (), ("invalid", "pytest was ended by an internal error in this test")),
        ("logreport(report)", ("-n", "1"), ("failed", "AssertionError: mine")),
    ],
    ids=["before-its-status", "after-it-in-a-worker"],
)
def test_the_test_in_which_an_internal_error_ends_pytest(project, runs, hook, arguments, found):
    item = hook.partition("(")[2][:-1]
    project.write(
        conftest=f"""
            def pytest_runtest_{hook}:
                if "test_second" in {item}.nodeid and getattr({item}, "when", "call") == "call":
                    raise LookupError("of a hook")
        """,
        test_broken="""
            def test_first(): pass
            def test_second(): assert False, "mine"
            def test_third(): pass
        """,
    )
    outcome = project.run("-p", "no:randomly", *arguments)
    assert outcome.code == 3, outcome.output
    results = runs.by_title(runs.only())
    assert results["test_first"]["execution"]["status"] == "passed"
    status, message = texts(results["test_second"])
    assert (status, message.partition("\n")[0]) == found


# Nothing to run


@pytest.mark.parametrize(
    "arguments", [("-k", "nothing"), ("test_missing.py", "-n", "1")], ids=["alone", "worker"]
)
def test_nothing_collected(project, runs, layer, arguments):
    project.write(test_one="def test_one(): pass")
    outcome = project.run(*arguments)
    assert outcome.code in (4, 5), outcome.output
    assert not outcome.notices
    assert runs.new() == []
    assert not layer.exchanges("createRun")


# Reasons of skips


SKIPS = """
    import unittest
    import pytest

    def test_in_the_body(): pytest.skip("why: a=b: c")

    def test_import(): pytest.importorskip("nothing_of_this_name")

    def test_without(): pytest.skip()

    class TestOfUnittest(unittest.TestCase):
        def test_in_a_method(self): self.skipTest("in a method")

        @unittest.skip("decorated")
        def test_decorated(self): pass

        def test_raised(self): raise unittest.SkipTest("raised")

    @unittest.skip("the class")
    class TestAll(unittest.TestCase):
        def test_of_a_class(self): pass

    @pytest.mark.xfail(reason="known")
    def test_expected(): assert False
"""


def test_the_reason_of_a_skip_is_the_message(project, runs):
    project.write(test_skips=SKIPS)
    assert project.run().code == 0
    found = {title: texts(result) for title, result in runs.by_title(runs.only()).items()}
    status, message = found.pop("test_import")
    assert status == "skipped"
    assert message.startswith("could not import 'nothing_of_this_name'")
    found = {title: (status, message and message.strip()) for title, (status, message) in found.items()}
    assert found == {
        "test_in_the_body": ("skipped", "why: a=b: c"),
        "test_without": ("skipped", None),
        "test_in_a_method": ("skipped", "in a method"),
        "test_decorated": ("skipped", "decorated"),
        "test_raised": ("skipped", "raised"),
        "test_of_a_class": ("skipped", "the class"),
        "test_expected": ("skipped", "known"),
    }


def test_without_the_guard_the_reason_is_lost(project, runs):
    project.write(test_skips=SKIPS)
    run_without(project, "reason of a skip", "-k", "test_in_the_body")
    assert texts(runs.only_result()) == ("skipped", None)


# The terminal


# What it is with the guard, the conformance suite shows.


def test_without_the_guard_a_link_stands_between_the_dots(project):
    project.write(test_one="def test_one(): assert False")
    outcome = run_without(project, "link to a test")
    assert outcome.lines("See why this test failed")


def test_without_the_guard_a_link_stands_between_the_dots_of_several_projects(several):
    several.write(
        test_one="""
            from qase.pytest import qase

            @qase.project_id("SHOP", 4)
            def test_one(): assert False
        """
    )
    outcome = run_without(several, "link to a test of several projects")
    assert outcome.lines("See why this test failed")


# Tests that are repeated

# How each of the plugins is told to try a test at most three times.
REPEATING = {
    "rerunfailures": ("-p", "rerunfailures", "--reruns", "2"),
    "retry": ("-p", "pytest-retry", "--retries", "2"),
    "flaky": ("-p", "flaky", "--force-flaky", "--max-runs", "3", "--min-passes", "1"),
    "conftest": (),
}
OTHERS = {"rerunfailures", "pytest-retry", "flaky"}

# What a suite may have of its own: it neither ends the first attempt nor starts the second one.
CONFTEST = """
    import pytest
    from _pytest.runner import runtestprotocol

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for attempt in range(3):
            if hasattr(item, "_initrequest"):
                item._initrequest()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            if not any(report.failed for report in reports):
                break
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
"""

REPEATED = """
    import pathlib
    import pytest
    from qase.pytest import qase

    ATTEMPTS = []

    @pytest.fixture(scope="module")
    def wide():
        ATTEMPTS.append("wide")
        yield
        ATTEMPTS.append("narrow")

    @pytest.fixture(scope="class")
    def of_class(wide):
        return {"attempts": 0}

    class TestClass:
        @qase.id(7)
        @qase.title("Flaky")
        def test_flaky(self, request, of_class, tmp_path_factory):
            # The request is another one each time, and so may be the fixtures.
            count = request.config.stash_of_suite = getattr(request.config, "stash_of_suite", 0) + 1
            with qase.step(f"step {count}"):
                pathlib.Path("log.txt").write_text(f"log of {count}")
                qase.attach("log.txt")
            if count == 1:
                raise AssertionError("the first")
            if count == 2:
                raise AssertionError("the second")

    def test_steady(): pass

    def test_broken():
        with qase.step("always"):
            pass
        assert False, "always"

    def test_skipped(): pytest.skip("why")
"""


def repeated(project, plugin, *arguments, **environ):
    """Run pytest with one of the plugins, and none of the others."""
    if plugin == "conftest":
        project.write(conftest=CONFTEST)
    ours = REPEATING.get(plugin, ())
    without = [f"-pno:{name}" for name in sorted(OTHERS) if name not in ours]
    return project.run(*without, *ours, *arguments, leaves=None, **environ)


def outline(steps):
    """What the steps say and how they ended, children below."""
    return [(step["data"]["action"], step["execution"]["status"], outline(step["steps"])) for step in steps]


def notes(result):
    return [step["data"].get("expected_result") for step in result["steps"]]


@pytest.mark.parametrize(
    ("plugin", "arguments"),
    [("rerunfailures", ("-n", "2")), ("retry", ("-n", "2")), ("flaky", ()), ("conftest", ())],
    ids=["rerunfailures-workers", "retry-workers", "flaky", "conftest"],
)
def test_attempts_are_one_result(project, runs, server, plugin, arguments):
    project.write(test_repeated=REPEATED)
    outcome = repeated(project, plugin, *arguments)
    assert "1 failed, 2 passed" in outcome.counts, outcome.output
    assert not outcome.notices
    run = runs.only()
    assert run["status"] == "completed"
    assert outcome.lines("famacase: 4 results delivered")
    results = runs.by_title(run)
    assert set(results) == {"Flaky", "test_steady", "test_broken", "test_skipped"}
    flaky = results["Flaky"]
    assert flaky["execution"]["status"] == "passed"
    assert flaky["fields"] == {"attempts": "3", "flaky": "true"}
    assert flaky["testops_ids"] == [7]
    assert outline(flaky["steps"]) == [
        ("Attempt 1 of 3", "failed", [("step 1", "passed", [])]),
        ("Attempt 2 of 3", "failed", [("step 2", "passed", [])]),
        ("Attempt 3 of 3", "passed", [("step 3", "passed", [])]),
    ]
    assert flaky["message"].startswith("AssertionError: the first")
    first, second, third = notes(flaky)
    assert first.startswith("AssertionError: the first")
    assert "the second" in second
    assert third is None
    assert "the first" in flaky["execution"]["stacktrace"]
    times = [step["execution"]["start_time"] for step in flaky["steps"]]
    assert times == sorted(times)
    assert times[0] == flaky["execution"]["start_time"]
    assert flaky["execution"]["duration"] == sum(step["execution"]["duration"] for step in flaky["steps"])
    files = [step["steps"][0]["execution"]["attachments"][0]["id"] for step in flaky["steps"]]
    contents = [stored_content(server.url, run["project"], file) for file in files]
    assert contents == [b"log of 1", b"log of 2", b"log of 3"]
    assert results["test_steady"]["fields"] == {}
    assert results["test_steady"]["steps"] == []
    broken = results["test_broken"]
    assert broken["execution"]["status"] == "failed"
    assert broken["fields"] == {"attempts": "3"}
    assert [action for action, _, _ in outline(broken["steps"])] == [f"Attempt {n} of 3" for n in (1, 2, 3)]
    assert broken["message"].startswith("AssertionError: always")
    assert texts(results["test_skipped"]) == ("skipped", "why")
    assert results["test_skipped"]["fields"] == {}


@pytest.mark.parametrize("plugin", ["rerunfailures", "retry"])
def test_attempts_as_upstream_has_them(project, runs, plugin):
    project.write(test_repeated=REPEATED)
    repeated(project, plugin, "-k", "test_flaky", FAMACASE_RERUNS="all")
    results = runs.results(runs.only())
    found = sorted(result["execution"]["status"] for result in results)
    # Of pytest-retry upstream sees the first attempt alone.
    assert found == (["failed", "failed", "passed"] if plugin == "rerunfailures" else ["failed"])
    assert all(result["fields"] == {} for result in results)


DYING = """
    import os
    import pathlib
    import pytest
    from qase.pytest import qase

    COUNT = pathlib.Path("count.txt")

    def test_dying():
        count = COUNT.read_text() + "I" if COUNT.exists() else "I"
        COUNT.write_text(count)
        with qase.step("step " + count):
            qase.attach((f"file of {count}", "text/plain", "file.txt"))
        if count == "I":
            raise AssertionError("the first")
        if count == "II" or "DIES_ONCE" not in os.environ:
            os._exit(3)
"""


@pytest.mark.parametrize("plugin", ["rerunfailures", "retry"])
def test_the_process_dies_in_the_second_attempt(project, runs, server, plugin):
    project.write(test_dying=DYING)
    outcome = repeated(project, plugin)
    assert outcome.code == 3, outcome.output
    # The relay delivers, and takes the outbox away.
    eventually(lambda: check(not (project.directory / ".famacase").exists()), outcome.output)
    result = runs.only_result()
    assert result["execution"]["status"] == "invalid"
    assert result["message"].startswith("AssertionError: the first")
    assert "ended" in result["message"].splitlines()[-1]
    assert result["fields"] == {"attempts": "2"}
    assert [(action, status) for action, status, _ in outline(result["steps"])] == [
        ("Attempt 1 of 2", "failed"),
        ("Attempt 2 of 2", "invalid"),
    ]
    (file,) = result["steps"][0]["steps"][0]["execution"]["attachments"]
    assert stored_content(server.url, "SMOKE", file["id"]) == b"file of I"


# Subtests

SUBTESTS = """
    import unittest
    import pytest
    from qase.pytest import qase

    @qase.title("Mixed")
    def test_mixed(subtests):
        with qase.step("before"):
            pass
        for number in range(3):
            with subtests.test("even", number=number):
                with qase.step(f"look at {number}"):
                    qase.attach((f"file {number}", "text/plain", "number.txt"))
                    print("printed")
                assert number % 2 == 0, f"odd: {number}"
        with subtests.test():
            pytest.skip("not now")
        with subtests.test(word="a"):
            raise ValueError("wrong word")
        with qase.step("around"):
            with subtests.test("inside"):
                pass
        with qase.step("after"):
            pass

    def test_all_passed(subtests):
        with subtests.test("one"):
            pass
        with subtests.test("two"):
            pytest.skip("why")

    def test_nested(subtests):
        with subtests.test("outer"):
            with subtests.test("inner"):
                with qase.step("deep"):
                    pass
                assert False, "deep down"
            with subtests.test("second"):
                pass

    def test_own_failure_too(subtests):
        with subtests.test("one"):
            assert False, "in the subtest"
        raise RuntimeError("in the test")

    def test_without(subtests):
        pass
"""


@pytest.fixture
def with_subtests(project):
    """Runs pytest with subtests: pytest's own, or the plugin where it has none."""

    def run(*arguments, **environ):
        return repeated(project, "none", "-p", "subtests", *arguments, **environ)

    return run


def test_subtests_are_steps(project, runs, with_subtests):
    project.write(test_subtests=SUBTESTS)
    outcome = with_subtests("-n", "1", QASE_PYTEST_CAPTURE_LOGS="true")
    assert outcome.code == 1, outcome.output
    assert not outcome.notices
    results = runs.by_title(runs.only())
    mixed = results["Mixed"]
    assert outline(mixed["steps"]) == [
        ("before", "passed", []),
        ("even (number=0)", "passed", [("look at 0", "passed", [])]),
        ("even (number=1)", "failed", [("look at 1", "passed", [])]),
        ("even (number=2)", "passed", [("look at 2", "passed", [])]),
        ("subtest", "skipped", []),
        ("(word='a')", "failed", []),
        ("around", "passed", [("inside", "passed", [])]),
        ("after", "passed", []),
    ]
    assert texts(mixed) == (
        "failed",
        "2 of 6 subtests failed\neven (number=1): AssertionError: odd: 1\n(word='a'): ValueError: wrong word",
    )
    assert "odd: 1" in mixed["execution"]["stacktrace"]
    assert [step["data"].get("input_data") for step in mixed["steps"]] == [
        None, "number=0", "number=1", "number=2", None, "word='a'", None, None,
    ]  # fmt: skip
    said = notes(mixed)
    assert said[2].startswith("AssertionError: odd: 1")
    assert said[4] == "not now"
    assert said[5] == "ValueError: wrong word"
    look = mixed["steps"][2]["steps"][0]["execution"]
    assert [file["file_name"] for file in look["attachments"]] == ["number.txt"]
    execution = mixed["steps"][2]["execution"]
    assert [file["file_name"] for file in execution["attachments"]] == ["stdout.txt"]
    assert execution["start_time"] <= look["start_time"]
    assert results["test_all_passed"]["execution"]["status"] == "passed"
    assert results["test_all_passed"]["message"] is None
    assert outline(results["test_all_passed"]["steps"]) == [("one", "passed", []), ("two", "skipped", [])]
    nested = results["test_nested"]
    assert outline(nested["steps"]) == [
        ("outer", "passed", [("inner", "failed", [("deep", "passed", [])]), ("second", "passed", [])]),
    ]
    assert nested["message"].startswith("1 of 3 subtests failed\ninner: AssertionError: deep down")
    own = results["test_own_failure_too"]
    assert own["message"].startswith(
        "RuntimeError: in the test\n\n1 of 1 subtests failed\none: AssertionError"
    )
    assert "in the test" in own["execution"]["stacktrace"]
    assert texts(results["test_without"]) == ("passed", None)
    assert results["test_without"]["steps"] == []


def test_subtests_of_unittest(project, runs, with_subtests):
    project.write(
        test_cases="""
            import unittest

            class TestCase(unittest.TestCase):
                def test_numbers(self):
                    for number in range(3):
                        with self.subTest("odd", number=number):
                            with self.subTest(inner="x"):
                                self.assertEqual(number, 1)

                def test_fine(self):
                    with self.subTest("fine"):
                        pass
        """
    )
    assert with_subtests().code == 1
    results = runs.by_title(runs.only())
    numbers = results["test_numbers"]
    assert numbers["execution"]["status"] == "failed"
    failed = [step for step in numbers["steps"] if step["execution"]["status"] == "failed"]
    # Releases of Python differ in their order.
    inputs = [sorted(step["data"]["input_data"].split(", ")) for step in failed]
    assert inputs == [["inner='x'", "number=0"], ["inner='x'", "number=2"]]
    assert all("AssertionError: " in step["data"]["expected_result"] for step in failed)
    assert numbers["message"].startswith(f"2 of {len(numbers['steps'])} subtests failed")
    assert results["test_fine"]["execution"]["status"] == "passed"


def test_subtests_in_an_attempt(project, runs):
    project.write(
        test_repeated="""
            ATTEMPTS = []

            def test_repeated(subtests):
                ATTEMPTS.append(1)
                with subtests.test("first", attempt=len(ATTEMPTS)):
                    assert len(ATTEMPTS) == 2, "too early"
                assert len(ATTEMPTS) == 2
        """
    )
    outcome = repeated(project, "rerunfailures", "-p", "subtests")
    result = runs.only_result()
    assert result["execution"]["status"] == "passed", outcome.output
    assert outline(result["steps"]) == [
        ("Attempt 1 of 2", "failed", [("first (attempt=1)", "failed", [])]),
        ("Attempt 2 of 2", "passed", [("first (attempt=2)", "passed", [])]),
    ]
    assert "1 of 1 subtests failed" in result["message"]


@pytest.mark.parametrize("row", ["state before a subtest", "report of a test", "subtests of a test"])
def test_without_the_guard_subtests_are_lost(project, runs, row):
    project.write(test_subtests=SUBTESTS)
    run_without(project, row, "-p", "subtests", "-k", "test_mixed or test_all_passed")
    results = runs.by_title(runs.only())
    mixed, passed = results["Mixed"], results["test_all_passed"]
    is_right = (
        passed["execution"]["status"] == "passed"
        and len(mixed["steps"]) == 8
        and str(mixed["message"]).startswith("2 of 6 subtests failed\n")
    )
    assert not is_right


@pytest.mark.parametrize("plugin", ["rerunfailures", "retry"])
def test_a_worker_dies_in_the_second_attempt(project, runs, server, plugin):
    """Only pytest-rerunfailures has another worker repeat the test."""
    project.write(test_dying=DYING)
    repeats = plugin == "rerunfailures"
    outcome = repeated(project, plugin, "-n", "1", DIES_ONCE="1")
    result = runs.only_result()
    assert result["execution"]["status"] == ("passed" if repeats else "failed"), outcome.output
    assert result["message"].startswith("AssertionError: the first")
    died = [("Attempt 1 of 2", "failed"), ("Attempt 2 of 2", "invalid")]
    three = [("Attempt 1 of 3", "failed"), ("Attempt 2 of 3", "invalid"), ("Attempt 3 of 3", "passed")]
    found = [(action, status) for action, status, _ in outline(result["steps"])]
    assert found == (three if repeats else died)
    assert result["fields"] == ({"attempts": "3", "flaky": "true"} if repeats else {"attempts": "2"})
    files = [step["steps"][0]["execution"]["attachments"][0] for step in result["steps"] if step["steps"]]
    contents = [stored_content(server.url, "SMOKE", file["id"]) for file in files]
    assert contents == ([b"file of I", b"file of III"] if repeats else [b"file of I"])
    assert outcome.lines("famacase: 1 result delivered")


FLAKY = """
    from qase.pytest import qase

    ATTEMPTS = []

    @MARK
    def test_flaky():
        ATTEMPTS.append(1)
        assert len(ATTEMPTS) > 1, "the first"

    def test_between(): pass
"""


def test_an_attempt_that_replaces_another_is_not_filtered(project, runs, pair):
    if pair.commons < (3, 5):
        pytest.skip("this release of upstream has no filter")
    project.write(test_flaky=FLAKY.replace("MARK", "qase.id(1)"))
    outcome = repeated(project, "rerunfailures", QASE_TESTOPS_STATUS_FILTER="passed")
    assert outcome.code == 0, outcome.output
    results = runs.by_title(runs.only())
    assert list(results) == ["test_flaky"]
    assert results["test_flaky"]["execution"]["status"] == "passed"


def test_attempts_in_several_projects(several, runs):
    marks = '@qase.project_id("SMOKE", 1)\n    @qase.project_id("SHOP", 2)'
    several.write(test_flaky=FLAKY.replace("@MARK", marks))
    outcome = repeated(several, "rerunfailures")
    assert outcome.code == 0, outcome.output
    for run in runs.new():
        result = runs.by_title(run)["test_flaky"]
        assert result["fields"] == {"attempts": "2", "flaky": "true"}
        assert result["testops_ids"] == [1 if run["project"] == "SMOKE" else 2]


def test_a_test_that_is_repeated_after_all_others(project, runs):
    project.write(
        test_flaky=FLAKY.replace("MARK", "qase.id(1)"),
        conftest="""
            import pytest

            @pytest.hookimpl(trylast=True, wrapper=True)
            def pytest_runtestloop(session):
                answer = yield
                for item in session.items:
                    if item.name == "test_flaky":
                        item._initrequest()
                        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                return answer
        """,
    )
    project.run(leaves=None)
    results = runs.by_title(runs.only())
    assert set(results) == {"test_flaky", "test_between"}
    assert results["test_flaky"]["fields"] == {"attempts": "2", "flaky": "true"}
    assert results["test_flaky"]["execution"]["status"] == "passed"
