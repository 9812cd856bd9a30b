"""No room for results: they take another way, and where there is none the summary says so."""

from __future__ import annotations

import os

import pytest

from fault_layer import FOREVER, reset

SUITE = """
    import pytest
    from qase.pytest import qase

    @pytest.mark.parametrize("number", range(10))
    def test_one(number, shrinking):
        qase.attach((f"of {number}".encode(), "text/plain", "number.txt"))
"""

# From the fifth test of a process on its files cannot grow: what a full disk is to SQLite.
FULL_FOR_THE_PROCESS = """
    import itertools, resource
    import pytest

    count = itertools.count()

    @pytest.fixture
    def shrinking():
        if next(count) == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
"""

NEVER_FULL = """
    import pytest

    @pytest.fixture
    def shrinking():
        pass
"""


def test_files_of_pytest_cannot_grow_any_more(project, runs):
    """What is stored takes the usual way; the rest is held in memory and sent from there."""
    project.write(test_one=SUITE, conftest=FULL_FOR_THE_PROCESS)
    outcome = project.run(leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (0, "10 passed"), outcome.output
    assert outcome.lines("Results are held in memory and sent after the last test.")
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 10})
    results = runs.results(run)
    assert len({result["id"] for result in results}) == 10
    assert "defect" not in outcome.output


def test_the_disk_is_full(project, mounted, runs, tmp_path):
    """In mid-session. What could not be noted as delivered is sent again later, which changes nothing."""
    disk = mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=2m", "tmpfs")
    project.write(
        test_one=SUITE,
        conftest=f"""
        import itertools, os
        import pytest

        count = itertools.count()

        @pytest.fixture
        def shrinking():
            if next(count) == 4:
                with open("{disk}/filler", "wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(bytes(4096))
                    except OSError:
                        pass
        """,
    )
    # Nothing is delivered before the end.
    place = {"FAMACASE_OUTBOX_DIR": str(disk / "outbox"), "FAMACASE_FLUSH_INTERVAL": "60"}
    outcome = project.run(**place)
    assert (outcome.code, outcome.counts) == (0, "10 passed"), outcome.output
    assert "Free disk space" in outcome.output
    assert "defect" not in outcome.output
    assert "lost" not in outcome.output
    assert outcome.lines("results wait in ")
    run = runs.only()
    (disk / "filler").unlink()
    script = "import sys; from famacase_pytest.cli.main import main; sys.exit(main(['resend']))"
    assert project.run_script(script, **place).code == 0
    assert [path.name for path in disk.iterdir()] == []
    results = runs.results(run)
    assert len(results) == len({result["id"] for result in results}) == 10


@pytest.mark.parametrize("free", [16, 96, 176, 400])
def test_the_disk_is_full_from_the_start(free, project, mounted, runs, tmp_path):
    """Or would be before the first result; all figures in KiB."""
    disk = mounted(tmp_path / "disk", "-t", "tmpfs", "-o", f"size={free + 48}k", "tmpfs")
    (disk / "filler").write_bytes(bytes(48 * 1024))
    project.write(test_one=SUITE, conftest=NEVER_FULL)
    outcome = project.run(FAMACASE_OUTBOX_DIR=str(disk / "outbox"))
    assert (outcome.code, outcome.counts) == (0, "10 passed"), outcome.output
    (line,) = outcome.notices
    assert "No space left on device" in line or "disk is full" in line
    assert f"Results of this session go to {project.temporary}/famacase-outbox instead." in line
    assert runs.only()["stats"] == {"passed": 10}


@pytest.mark.parametrize(
    ("spare", "arguments"),
    [
        pytest.param(True, (), id="another directory"),
        pytest.param(False, (), id="direct"),
        pytest.param(False, ("-n2",), id="direct, workers"),
    ],
)
def test_no_directory_can_be_made(project, runs, spare, arguments):
    project.write(test_one=SUITE, conftest=NEVER_FULL)
    (project.directory / ".famacase").write_text("a file of this name")
    if not spare:
        for name in ("famacase-outbox", f"famacase-outbox-{os.getuid()}"):
            (project.temporary / name).write_text("a file of this name")
    outcome = project.run(*arguments)
    assert (outcome.code, outcome.counts) == (0, "10 passed"), outcome.output
    (line,) = outcome.notices
    assert "The outbox cannot be made in" in line
    assert ("instead" if spare else "are held in memory") in line
    assert outcome.lines("famacase: 10 results delivered to ")
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 10})
    assert all(len(result["attachments"]) == 1 for result in runs.results(run))


def test_rootdir_is_read_only(project, mounted, runs):
    project.write(test_one=SUITE, conftest=NEVER_FULL)
    mounted(project.directory, "--bind", "-o", "ro", str(project.directory))
    outcome = project.run()
    assert (outcome.code, outcome.counts) == (0, "10 passed"), outcome.output
    (line,) = outcome.notices
    assert "Read-only file system" in line
    assert f"Results of this session go to {project.temporary}/famacase-outbox instead." in line
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 10})


# Workers

TWO_WORKERS = """
    import os
    import pytest

    @pytest.mark.parametrize("number", range(10))
    def test_one(number, shrinking):
        raise AssertionError("on " + os.environ["PYTEST_XDIST_WORKER"])
"""
NO_FILES_FOR_ONE_WORKER = """
    import os, resource
    import pytest

    def shrink():
        if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure():
        if os.environ["WHEN"] == "start":
            shrink()

    @pytest.fixture
    def shrinking():
        shrink()
"""


@pytest.mark.parametrize("when", ["start", "later"])
def test_one_worker_cannot_deliver(project, layer, runs, when):
    """It can neither store its results nor send them; the controller hears of it."""
    project.write(test_one=TWO_WORKERS, conftest=NO_FILES_FOR_ONE_WORKER)
    layer.faults.add(lambda exchange: b"on gw0" in exchange.body, reset(), times=FOREVER)
    outcome = project.run("-n2", WHEN=when, FAMACASE_RETRY_ATTEMPTS="1", leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (1, "10 failed"), outcome.output
    assert "defect" not in outcome.output
    run = runs.only()
    assert run["status"] == "in_progress", outcome.output
    messages = [result["message"] for result in runs.results(run)]
    assert messages
    assert not any("on gw0" in message for message in messages)
    (line,) = outcome.lines("are lost; the run stays open")
    assert line == f"famacase: {10 - len(messages)} results are lost; the run stays open."
    assert outcome.lines(f"famacase: {len(messages)} results delivered to ")
    assert not (project.directory / ".famacase").exists()


def test_one_worker_cannot_store(project, runs):
    """It sends its results itself."""
    project.write(test_one=TWO_WORKERS, conftest=NO_FILES_FOR_ONE_WORKER)
    outcome = project.run("-n2", WHEN="start")
    assert (outcome.code, outcome.counts) == (1, "10 failed"), outcome.output
    assert outcome.lines("Free disk space"), outcome.output
    assert outcome.lines("famacase: 10 results delivered to ")
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"failed": 10})
    messages = [result["message"] for result in runs.results(run)]
    assert {"on gw0" in message for message in messages} == {True, False}


# How a writer's database is lost in the middle of a session.
LOSSES = {
    "overwritten": "path.write_bytes(b'x' * path.stat().st_size)",
    "zeroed": "path.write_bytes(bytes(path.stat().st_size))",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_stored_results_are_lost(loss, project, runs):
    """A run is completed only if all that was stored is accounted for; what is missing is said."""
    project.write(
        test_one="""
        import pathlib
        import pytest

        @pytest.mark.parametrize("number", range(10))
        def test_one(number):
            if number == 5:
                for path in pathlib.Path(".famacase/outbox").glob("*/main-*.db*"):
                    LOSS
        """.replace("LOSS", LOSSES[loss])
    )
    # Nothing is delivered before the end.
    outcome = project.run(FAMACASE_FLUSH_INTERVAL="60", leaves=[".famacase"])
    assert (outcome.code, outcome.counts) == (0, "10 passed"), outcome.output
    assert "defect" not in outcome.output
    (said,) = outcome.lines("a run waits to be completed in ")
    assert "main-" in said
    assert [run["status"] for run in runs.new()] in ([], ["in_progress"])
