"""The hooks that a conftest.py or a plugin implements; the examples are those of the documentation."""

from __future__ import annotations

import subprocess
import sys

import pytest

from documented import write_examples

PLAIN = """
    def test_one(): pass
    def test_two(): assert False
"""


@pytest.fixture
def shown(project):
    """Puts the examples of a section of docs/hooks.md into the project."""
    return lambda heading: write_examples(project.directory, "hooks.md", heading)


# Examples


def test_defaults_hold_where_nothing_else_is_given(project, shown, runs):
    shown("Defaults")
    project.write(test_one=PLAIN)
    outcome = project.run(FAMACASE_MODE=None, FAMACASE_TESTOPS_PROJECT=None)
    assert (outcome.code, outcome.notices) == (1, [])
    run = runs.only()
    assert (run["title"], run["tags"], run["stats"]) == ("Nightly", ["nightly"], {"passed": 1, "failed": 1})
    # Any other source is stronger, the weakest too.
    project.write_json("qase.config.json", {"testops": {"run": {"title": "Of the file"}}})
    project.run(FAMACASE_MODE=None, FAMACASE_TESTOPS_PROJECT=None)
    run = runs.only()
    assert (run["title"], run["tags"]) == ("Of the file", ["nightly"])


def test_the_run_is_known_before_the_first_test(project, shown, runs):
    shown("The run")
    project.write(
        test_one="""
        def test_one(run_of_session):
            assert (run_of_session.project, run_of_session.id) == ("SMOKE", None)
            assert run_of_session.url.endswith("/runs")
        """
    )
    assert project.run().code == 0
    assert runs.only()["stats"] == {"passed": 1}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_results_are_changed_and_kept_back(project, shown, runs, workers):
    shown("Results")
    project.write(
        test_one="""
        import pytest

        OWNER = "ada"

        @pytest.mark.draft
        def test_draft(): pass
        def test_ready(): pass
        """,
        test_two="def test_other(): pass",
    )
    outcome = project.run(f"-n{workers}")
    assert (outcome.code, outcome.notices) == (0, [])
    run = runs.only()
    # A result that is kept back does not keep the run open.
    assert run["status"] == "completed"
    owners = {title: result["fields"]["owner"] for title, result in runs.by_title(run).items()}
    assert owners == {"test_ready": "ada", "test_other": "nobody"}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_end_is_told_once(project, shown, runs, workers):
    shown("The end")
    (project.directory / "pytest.ini").write_text("[pytest]\naddopts = -s\n", encoding="utf-8")
    project.write(
        test_one="def test_one(): pass\ndef test_two(): pass",
        keeping="""
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_famacase_result(result):
            return result["title"] != "test_two"
        """,
    )
    outcome = project.run(f"-n{workers}", "-p", "keeping", PYTHONPATH=str(project.directory))
    run = runs.only()
    (line,) = outcome.lines("kept back")
    assert line.startswith(f"Run {run['id']} at http")
    assert line.endswith(": 1 delivered, 1 kept back")


def test_a_plugin_of_a_company(project, shown, runs):
    shown("In a plugin")
    project.write(test_one=PLAIN)
    outcome = project.run("-p", "company", PYTHONPATH=str(project.directory), leaves=["run.txt"])
    assert (outcome.code, outcome.notices) == (1, [])
    run = runs.only()
    assert {result["fields"]["team"] for result in runs.results(run)} == {"payments"}
    assert (project.directory / "run.txt").read_text(encoding="utf-8") == f"SMOKE {run['id']} 2"


# The order, and how they are called


def test_order_and_wrappers_are_kept_and_the_nearest_conftest_takes_part(project, runs):
    project.write(
        conftest="""
        import pytest

        def pytest_configure(config):
            config.pluginmanager.register(First())
            config.pluginmanager.register(Last())
            config.pluginmanager.register(Around())

        class First:
            @pytest.hookimpl(tryfirst=True)
            def pytest_famacase_result(self, result):
                result["message"] += " first"

        class Last:
            @pytest.hookimpl(trylast=True)
            def pytest_famacase_result(self, config, item, result):
                result["message"] += f" last of {item.name}"
                return False

        class Around:
            @pytest.hookimpl(wrapper=True)
            def pytest_famacase_result(self, result):
                result["message"] = "before"
                answers = yield
                result["message"] += " after"
                # A wrapper has the last word.
                return [answer for answer in answers if answer is not False]
        """,
        test_above="def test_above(): pass",
    )
    below = project.directory / "below"
    below.mkdir()
    (below / "conftest.py").write_text(
        "def pytest_famacase_result(result):\n    result['message'] += ' below'\n", encoding="utf-8"
    )
    (below / "test_below.py").write_text("def test_below(): pass\n", encoding="utf-8")
    assert project.run().notices == []
    messages = {title: result["message"] for title, result in runs.by_title(runs.only()).items()}
    assert messages == {
        "test_above": "before first last of test_above after",
        "test_below": "before first below last of test_below after",
    }


@pytest.mark.parametrize("active", [True, False])
def test_fixtures_call_them_by_keyword_in_any_session(project, active):
    project.write(
        conftest="""
        import pytest

        class Listening:
            def __init__(self):
                self.heard = []

            def pytest_famacase_run_started(self, run):
                self.heard.append(run)

            def pytest_famacase_result(self, result):
                self.heard.append(result)
                return False

            def pytest_famacase_run_finished(self, summary):
                self.heard.append(summary)

        @pytest.fixture
        def heard(pytestconfig):
            listening = Listening()
            pytestconfig.pluginmanager.register(listening)
            hook = pytestconfig.hook
            hook.pytest_famacase_run_started(config=pytestconfig, run="run")
            answers = hook.pytest_famacase_result(config=pytestconfig, item=None, result={"title": "t"})
            hook.pytest_famacase_run_finished(config=pytestconfig, run="run", summary="summary")
            pytestconfig.pluginmanager.unregister(listening)
            return listening.heard, answers, hook.pytest_famacase_defaults()
        """,
        test_one="""
        def test_one(heard):
            assert heard == (["run", {"title": "t"}, "summary"], [False], None)
        """,
    )
    environ = {} if active else {name: None for name in project.environ}
    outcome = project.run(**environ)
    assert (outcome.code, outcome.notices) == (0, []), outcome.output


def test_an_unknown_argument_is_pytests_own_error(project):
    project.write(conftest="def pytest_famacase_result(outcome): pass", test_one=PLAIN)
    outcome = project.run(leaves=None)
    assert outcome.code != 0
    assert outcome.lines("definition: pytest_famacase_result(outcome)")
    assert outcome.lines("{'outcome'} are declared in the hookimpl but can not be found in the hookspec")


def test_without_the_package_an_optional_hook_does_no_harm(project, shown):
    shown("Results")
    project.write(test_one="def test_one(): pass")
    project.as_found = True
    outcome = project.run("-p", "no:famacase", "-p", "no:qase_pytest")
    assert outcome.counts == "1 passed"


# What is wrong with them


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_hook_that_raises_is_named_once_and_reporting_goes_on(project, runs, workers):
    project.write(
        broken="""
        def pytest_famacase_integrations():
            raise RuntimeError("when asked")

        def pytest_famacase_run_started(run):
            raise RuntimeError("at the start")

        def pytest_famacase_result(result):
            result["title"] = "half a change"
            raise RuntimeError("at each result")

        def pytest_famacase_run_finished(run):
            raise SystemExit("at the end")  # as sys.exit() does
        """,
        test_one="def test_one(): pass\ndef test_two(): pass\ndef test_three(): pass",
    )
    outcome = project.run(f"-n{workers}", "-p", "broken", PYTHONPATH=str(project.directory))
    assert outcome.code == 0
    told = [
        ("pytest_famacase_run_started", "RuntimeError: at the start"),
        ("pytest_famacase_integrations", "RuntimeError: when asked"),
        ("pytest_famacase_result", "RuntimeError: at each result"),
        ("pytest_famacase_run_finished", "SystemExit: at the end"),
    ]
    assert len(outcome.notices) == len(told), outcome.notices
    for (hook, text), line in zip(told, outcome.notices):
        assert line.startswith(f"famacase: the hook {hook} of broken raised {text}. ")
    run = runs.only()
    assert run["status"] == "completed"
    assert sorted(runs.by_title(run)) == ["test_one", "test_three", "test_two"]


def test_what_cannot_be_sent_is_not_taken_over(project, runs):
    project.write(
        conftest="""
        def pytest_famacase_result(result):
            result["id"] = "another"
            if result["title"] == "test_two":
                result["fields"]["when"] = object()
        """,
        test_one=PLAIN,
    )
    outcome = project.run()
    (line,) = outcome.notices
    assert "left what is no JSON (Object of type object is not JSON serializable)" in line
    found = runs.by_title(runs.only())
    assert sorted(found) == ["test_one", "test_two"]
    assert "when" not in found["test_two"]["fields"]
    assert "another" not in {result["id"] for result in found.values()}


def test_defaults_that_raise_leave_the_other_sources(project, runs):
    project.write(
        conftest="def pytest_famacase_defaults():\n    raise RuntimeError('no defaults today')",
        test_one=PLAIN,
    )
    outcome = project.run()
    (line,) = outcome.notices
    assert "the hook pytest_famacase_defaults of " in line
    assert "conftest.py raised RuntimeError: no defaults today" in line
    assert runs.only()["stats"] == {"passed": 1, "failed": 1}


def test_wrong_defaults_end_the_session_and_name_the_plugin(project, layer):
    project.write(
        company="""
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_famacase_defaults():
            return None
        """,
        other="""
        def pytest_famacase_defaults():
            return {"testops": {"batch": {"size": 0}}, "famacase": {"drainTimout": 3}}
        """,
        third="def pytest_famacase_defaults():\n    return 17",
        test_one=PLAIN,
    )
    outcome = project.run("-p", "company", "-p", "other", PYTHONPATH=str(project.directory))
    assert outcome.code == 4
    assert outcome.lines("testops.batch.size in pytest_famacase_defaults of other is 0")
    assert outcome.lines(
        "famacase.drainTimout in pytest_famacase_defaults of other is not a known setting. Did you mean"
    )
    outcome = project.run("-p", "third", PYTHONPATH=str(project.directory))
    assert outcome.code == 4
    assert outcome.lines("pytest_famacase_defaults of third gave int, not a document")
    assert layer.exchanges() == []


def test_an_address_in_the_defaults_switches_on(project, runs):
    url = project.environ.pop("FAMACASE_API_URL")
    project.write(
        conftest=f"""
        def pytest_famacase_defaults():
            return {{"famacase": {{"apiUrl": {url!r}}}}}
        """,
        test_one=PLAIN,
    )
    assert project.run().notices == []
    assert runs.only()["stats"] == {"passed": 1, "failed": 1}


def test_the_doctor_names_the_plugin_that_gives_defaults(project, shown):
    shown("Defaults")
    environ = project.environment({"FAMACASE_MODE": None, "FAMACASE_TESTOPS_PROJECT": None})
    done = subprocess.run(
        [sys.executable, "-m", "famacase_pytest.cli", "doctor", "--offline"],
        cwd=project.directory,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    source = f"testops.project in pytest_famacase_defaults of {project.directory / 'conftest.py'}"
    assert source in done.stdout
