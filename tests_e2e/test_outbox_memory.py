"""However much is attached, neither pytest nor the relay holds it in memory; equal content is sent once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watched import Watched

MIB = 1024 * 1024

# MiB that attachments may add: far less than what is attached, and enough for the buffers of all uploads.
LIMIT = 40

SUITE = """
    import os
    import pathlib
    import pytest
    from qase.pytest import qase

    @pytest.mark.parametrize("number", range(int(os.environ["TESTS"])))
    def test_files(number):
        for name in (f"{2 * number}.bin", f"{2 * number + 1}.bin"):
            qase.attach(str(pathlib.Path(os.environ["FILES"], name)))

    @pytest.mark.parametrize("number", range(int(os.environ["TESTS"])))
    def test_bytes(number):
        for index in range(75):
            qase.attach((os.urandom(200_000), "application/octet-stream", f"{index}.bin"))
            # The same content as all others of this kind.
            qase.attach((b"e" * 200_000, "application/octet-stream", "equal.bin"))

    def test_gate(gate):
        gate("end")
"""


@pytest.fixture
def files(tmp_path):
    """Eight files of 8 MiB."""
    directory = tmp_path / "files"
    directory.mkdir()
    for number in range(8):
        (directory / f"{number}.bin").write_bytes(os.urandom(8 * MIB))
    return directory


def high_water(pid):
    """The peak of a process's resident memory so far, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"the kernel keeps no peak of {pid}")


def test_memory_does_not_grow_with_what_is_attached(project, layer, runs, files):
    project.write(test_one=SUITE)
    watched = Watched(project)
    peaks = []
    for tests in (0, 4):
        session = project.start(TESTS=str(tests), FILES=str(files), FAMACASE_FLUSH_INTERVAL="0.1")
        pytest_process, relay = watched.wait_at("end"), watched.relay()
        # All but the last result has arrived, so that the relay's work is done.
        posts = layer.exchanges("createResults")
        while sum(len(post.results) for post in posts) < 2 * tests:
            posts = layer.wait_for("createResults", len(posts) + 1, answered=True)
        peaks.append((high_water(pytest_process), high_water(relay)))
        watched.open("end")
        outcome = project.finish(session, timeout=120)
        assert (outcome.code, outcome.notices) == (0, []), outcome.output
        for name in ("at-end", "open-end"):
            (watched.signals / name).unlink()
    without, attaching = peaks
    assert attaching[0] - without[0] < LIMIT, peaks
    assert attaching[1] - without[1] < LIMIT, peaks
    uploaded = [file for post in layer.exchanges("uploadAttachments") for file in post.files]
    assert len(uploaded) == 8 + 300 + 1
    assert [file.file_name for file in uploaded].count("equal.bin") == 1
    assert sum(file.size for file in uploaded) == 64 * MIB + 301 * 200_000
    assert sorted(run["stats"].get("passed", 0) for run in runs.new()) == [1, 9]
