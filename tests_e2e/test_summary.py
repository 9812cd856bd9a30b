"""What a session says of itself: the line at its head, and the section at its end."""

from __future__ import annotations

import re

import pytest

from famacase_pytest import __version__
from fault_layer import FOREVER, answer

SUITE = """
    import pytest
    from qase.pytest import qase

    def test_passes():
        qase.attach((b"a" * 2_000_000, "text/plain", "a.txt"))

    def test_passes_too():
        qase.attach((b"a" * 2_000_000, "text/plain", "a.txt"))

    @qase.title("A title of its own")
    def test_fails():
        assert 0

    @pytest.mark.skip
    def test_is_skipped():
        pass
"""


@pytest.fixture
def suite(project):
    project.write(test_one=SUITE)
    return project


def section(outcome):
    """The lines of our section."""
    lines = outcome.output.splitlines()
    (head,) = [at for at, line in enumerate(lines) if re.fullmatch("=+ famacase =+", line)]
    return [line for line in lines[head + 1 :] if line.startswith(("famacase: ", "  "))]


def test_the_head_says_where_results_go(suite, layer):
    outcome = suite.run("-k", "passes_too")
    (line,) = outcome.lines(f"famacase {__version__}: ")
    said = rf"famacase {__version__}: {layer.url}, project SMOKE, mode testops, qase-pytest \d+\.\d+\.\d+"
    assert re.fullmatch(said, line)
    off = suite.run("-k", "passes_too", FAMACASE_MODE="off")
    (line,) = off.lines(f"famacase {__version__}: ")
    assert ": mode off (nothing is reported), qase-pytest " in line
    inert = suite.run("-k", "passes_too", **dict.fromkeys(suite.environ))
    assert not inert.lines("famacase:")
    assert not inert.lines(f"famacase {__version__}")


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "with workers"])
def test_the_summary_is_said_once_over_all_processes(arguments, suite, layer, runs):
    outcome = suite.run(*arguments, FAMACASE_TESTOPS_RUN_TITLE="Nightly")
    run = runs.only()
    url = f"{layer.url}/runs/{run['id']}"
    failed = runs.by_title(run)["A title of its own"]["id"]
    first, second, third = section(outcome)
    assert first == f"famacase: 4 results delivered to {url}"
    said = r"  Nightly: 1 failed, 2 passed, 1 skipped; 1 file sent \(1\.9 MiB\); 1 not sent again; .*"
    assert re.fullmatch(said, second), second
    assert third == f"  failed: A title of its own  {url}/results/{failed}"
    assert outcome.output.count(f"{url}\n") == 1, "the link is there once"


def test_a_given_run_has_its_own_title(suite, layer, api):
    run = api.create_run(
        "SMOKE", {"title": "Of all jobs", "is_autotest": True}, "5f3c3e0a-0000-4000-8000-000000000001"
    )
    outcome = suite.run("-k", "passes_too", FAMACASE_TESTOPS_RUN_ID=str(run))
    assert section(outcome)[1].startswith("  Of all jobs: 1 passed; 1 file sent")


def test_ten_results_that_did_not_pass_are_named(suite, layer):
    suite.write(
        test_one="""
        import pytest

        @pytest.mark.parametrize("number", range(13))
        def test_fails(number):
            assert 0
        """
    )
    lines = section(suite.run())
    assert len([line for line in lines if line.startswith("  failed: ")]) == 10
    assert lines[-1] == "  and 3 more that did not pass"


def test_quiet_sessions_say_less(suite, layer):
    quiet = suite.run("-q")
    assert quiet.lines("famacase") == [line for line in quiet.lines("famacase: 4 results delivered to ")]
    assert len(quiet.lines("famacase")) == 1
    assert "/results/" not in quiet.output
    assert suite.run("-qq").lines("famacase") == []


@pytest.mark.parametrize("arguments", [(), ("-q",), ("-qq",)])
def test_what_is_wrong_is_said_whatever_the_verbosity(arguments, suite, layer):
    layer.faults.add(lambda exchange: b"test_passes_too" in exchange.body, answer(422), times=FOREVER)
    outcome = suite.run(*arguments, leaves=[".famacase"], FAMACASE_TESTOPS_BATCH_SIZE="1")
    refused, left = outcome.notices
    assert refused.startswith("famacase: a result was refused by the back end and is kept: 422")
    assert left.startswith("famacase: a run waits to be completed in ")
    assert left.endswith("Send them with: famacase resend")


def test_it_is_there_where_pytest_has_no_summary(suite, layer):
    outcome = suite.run("--no-summary")
    assert len(outcome.lines("famacase: 4 results delivered to ")) == 1


def test_requests_are_told_outside_of_tests(suite, layer):
    layer.faults.add("createResults", answer(503))
    quiet = {"FAMACASE_LOGGING_CONSOLE": "false", "FAMACASE_LOGGING_FILE": "false"}
    outcome = suite.run("-v", "-s", FAMACASE_DEBUG="true", **quiet)
    told = outcome.requests
    assert told[0] == "GET /projects/SMOKE: 200"
    assert "POST /projects/SMOKE/attachments: 201" in told
    run = re.search(r"/runs/\d+", outcome.lines(" delivered to ")[0])[0]
    results = f"POST /projects/SMOKE{run}/results"
    stored = [line for line in told if line.startswith(results)]
    assert stored == [f"{results}: 503", f"{results}: 201, attempt 2"]
    assert told[-1] == f"POST /projects/SMOKE{run}/complete: 200"
    lines = outcome.output.splitlines()
    (head,) = [at for at, line in enumerate(lines) if re.fullmatch("=+ famacase =+", line)]
    assert lines[head + 1].startswith("famacase: POST "), "no empty line, with -s either"
    tests = [at for at, line in enumerate(lines) if line.startswith("test_one.py::")]
    assert not [line for line in lines[tests[0] : tests[-1]] if "famacase" in line]
