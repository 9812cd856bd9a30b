"""What is reported otherwise than by upstream, case by case: ``docs/differences.md`` tells why.

Each case is run over all supported releases. What an old release of pytest or Python cannot do is left out.
"""

from __future__ import annotations

import pytest

from conftest import run_without


def texts(result):
    return result["execution"]["status"], result["message"]


# What cannot be collected


BROKEN = {"test_broken": "import nothing_of_this_name\n", "test_fine": "def test_fine(): pass"}


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize("goes_on", [False, True], ids=["stops", "goes-on"])
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


def test_a_file_that_cannot_be_collected_goes_to_the_default_project(several, runs):
    several.write(**BROKEN)
    several.run()
    (run,) = runs.new()
    assert run["project"] == "SMOKE"
    assert list(runs.by_title(run)) == ["test_broken.py"]


# Nothing to run


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["alone", "worker"])
@pytest.mark.parametrize("selection", ["-k=nothing", "test_missing.py"])
def test_nothing_collected(project, runs, layer, arguments, selection):
    project.write(test_one="def test_one(): pass")
    outcome = project.run(*arguments, selection)
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


@pytest.mark.parametrize("guarded", [True, False])
def test_nothing_stands_between_the_dots(project, guarded):
    project.write(test_one="def test_one(): assert False")
    outcome = project.run() if guarded else run_without(project, "link to a test")
    assert bool(outcome.lines("See why this test failed")) is not guarded
    assert "qase.io" not in outcome.output or not guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_nothing_stands_between_the_dots_of_several_projects(several, guarded):
    several.write(
        test_one="""
            from qase.pytest import qase

            @qase.project_id("SHOP", 4)
            def test_one(): assert False
        """
    )
    row = "link to a test of several projects"
    outcome = several.run() if guarded else run_without(several, row)
    assert bool(outcome.lines("See why this test failed")) is not guarded
