"""Sessions that run no test, and what a session finds and leaves around it."""

from __future__ import annotations

import os
import subprocess

import pytest

# How pytest loads the plugins by itself is what it is about.
AS_FOUND = True

PLAIN = """
    from qase.pytest import qase

    def test_one():
        qase.attach((b"bytes", "text/plain", "a.txt"))

    def test_two():
        assert False
"""


# Nothing runs

TESTLESS = (
    "--help", "--version", "--markers", "--fixtures", "--collect-only", "--setup-only", "--setup-plan",
)  # fmt: skip


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan"])
def test_no_lock_file_stays_where_workers_run_no_test(project, layer, option):
    project.write(test_one="def test_one(): pass")
    assert project.run("-n", "1", option).code in (0, 5)
    assert layer.exchanges() == []


@pytest.mark.parametrize("wrong", [False, True], ids=["complete", "wrong settings"])
def test_options_under_which_no_test_runs(project, layer, wrong):
    """They work whatever the settings say, ask nothing of anybody and leave nothing."""
    project.write(test_one="def test_one(): pass")
    if wrong:
        project.write_json("famacase.config.json", "{")
    script = """
        import pytest, sys
        for option in OPTIONS:
            print(option, int(pytest.main([option])))
        """.replace("OPTIONS", repr(TESTLESS))
    broken = {"FAMACASE_TESTOPS_BATCH_SIZE": "many", "FAMACASE_TESTOPS_PROJECT": None} if wrong else {}
    outcome = project.run_script(script, **broken)
    for option in TESTLESS:
        assert outcome.lines(f"{option} 0"), outcome.output
    assert outcome.notices == []
    assert layer.exchanges() == []
    assert "--famacase-testops-run-title" in outcome.output
    assert "--famacase-api-url" in outcome.output


# What others switch off


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("-p", "no:xdist", "-W", "error"), id="no xdist, warnings are errors"),
        pytest.param(("-p", "no:terminal"), id="no terminal"),
        pytest.param(("--capture=no", "-vv", "--tb=long", "--showlocals"), id="talkative"),
    ],
)
def test_reports_all_the_same(project, runs, arguments):
    project.write(test_one=PLAIN)
    # Said by pytest 9.2 of any qase-pytest, before a filter of a file is read.
    outcome = project.run(
        *arguments, "-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
    )
    assert outcome.code == 1, outcome.output
    assert outcome.notices == []
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 1, "failed": 1})


@pytest.mark.parametrize("plugin", ["qase_pytest", "famacase"])
def test_without_one_of_the_two_plugins_nothing_is_reported(project, layer, plugin):
    project.write(test_one="def test_one(): pass")
    outcome = project.run("-p", f"no:{plugin}", QASE_MODE="off")
    assert outcome.code == 0, outcome.output
    if plugin == "famacase":
        assert outcome.notices == []
    else:
        (notice,) = outcome.notices
        assert "qase-pytest takes no part in this session" in notice
        strict = project.run("-p", f"no:{plugin}", "--famacase-strict=true", QASE_MODE="off")
        assert strict.code == 4
        assert strict.lines("--famacase-strict on the command line is true: no test has been run.")
    assert layer.exchanges() == []
    assert "INTERNALERROR" not in outcome.output


# Around the session


# To the superuser no mode forbids anything, but a mount does; this one is seen by the session alone.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'


@pytest.fixture
def read_only(project):
    """The project, in a directory that its sessions cannot write to."""
    project.write(test_one=PLAIN)
    if os.geteuid():
        project.directory.chmod(0o555)
        yield project
        project.directory.chmod(0o755)
        return
    mounted = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(project.directory)]
    try:
        subprocess.run([*mounted, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the superuser needs a read-only mount, which is not to be had here: {error}")
    command = project.command
    project.command = lambda arguments: [*mounted, *command(arguments)]
    yield project


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_a_working_directory_that_cannot_be_written_to(read_only, runs, arguments):
    outcome = read_only.run(*arguments)
    assert outcome.code == 1, outcome.output
    assert "INTERNALERROR" not in outcome.output
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 1, "failed": 1})


def test_no_token_in_the_most_talkative_of_outputs(project, layer):
    """`Project.run` scans each output; this one has everything in it that can be made to speak."""
    project.write(
        test_one="""
        import os
        import pytest

        def test_fails():
            raise RuntimeError("no")

        @pytest.fixture
        def broken(request):
            raise ValueError(sorted(vars(request.config.option)))

        def test_errors(broken): pass
        """
    )
    project.secrets.add("rep_wrong_77aa")
    talkative = ("--famacase-debug=true", "-vv", "--tb=long", "-rA", "--trace-config")
    for extra, environ in (
        (("--famacase-testops-api-token", project.environ["FAMACASE_REPORTER_TOKEN"]), {}),
        ((), {"FAMACASE_REPORTER_TOKEN": None, "QASE_TESTOPS_API_TOKEN": "rep_wrong_77aa"}),
    ):
        outcome = project.run(*talkative, *extra, leaves=None, **environ)
        assert outcome.code == 1, outcome.output
    written = b"".join(path.read_bytes() for path in project.directory.rglob("*") if path.is_file())
    assert not [secret for secret in project.secrets if secret.encode() in written]


def test_the_environment_of_the_process_stays_as_it_was(project, runs):
    project.write(
        test_one="""
        import json, os, pathlib

        def test_one():
            kept = {name: os.environ[name] for name in os.environ if name.startswith(("FAMACASE_", "QASE_"))}
            assert "QASE_MODE" not in kept
            assert kept["FAMACASE_MODE"] == "testops"
            assert kept["FAMACASE_TESTOPS_RUN_TITLE"] == "A title"
        """
    )
    assert project.run(FAMACASE_TESTOPS_RUN_TITLE="A title").code == 0
    assert runs.only()["title"] == "A title"
