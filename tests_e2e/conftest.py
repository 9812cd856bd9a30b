"""Whole pytest sessions in subprocesses, against a real back end.

Between the two stands a `FaultLayer`, which records every request; what a session has sent is held against
the contract when its test ends. Sessions run in a directory and with a temporary directory of their own, so
that what they leave behind shows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from famacase_pytest.delivery.api.client import ReporterApi
from famacase_pytest.server.process import ServerProcess
from fault_layer import FaultLayer
from sessions import SAMPLE, TOKENS, Project, Runs, copy_sample, new_project, recording

# A project of its own, which only sessions in subprocesses run.
collect_ignore = [str(SAMPLE)]
if sys.version_info < (3, 10):
    # The package of the tracker's clients needs Python 3.10.
    collect_ignore.append("test_defects.py")


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> Iterator[None]:
    """Loopback is reached directly, whatever proxy the machine is told to use."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Ctrl-C reaches the sessions: a shell that puts a command into the background has it ignore that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A local back end with the projects SMOKE and SHOP.

    Each has the environment ``staging``; SMOKE has ``env-0`` to ``env-5`` too, and plan 7 with the cases
    101 and 201.
    """
    with ServerProcess.start(
        tmp_path_factory.mktemp("server"),
        projects=TOKENS,
        environments=[("SMOKE", f"env-{number}") for number in range(6)],
        plans=[("SMOKE", 7, [101, 201])],
    ) as process:
        yield process


@pytest.fixture(scope="session")
def api(server: ServerProcess) -> Iterator[ReporterApi]:
    """Reads back what the back end holds; not through the fault layer."""
    with ReporterApi(server.url, TOKENS) as api:
        yield api


@pytest.fixture
def layer(server: ServerProcess) -> Iterator[FaultLayer]:
    """What the sessions of the test talk to: it records, and fails on demand."""
    with recording(server) as layer:
        yield layer


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path, layer: FaultLayer) -> Project:
    """An empty project that reports to SMOKE at the local back end; see `Project.as_found` for AS_FOUND."""
    project = new_project(tmp_path / "project", layer.url)
    project.as_found = getattr(request.module, "AS_FOUND", False)
    return project


@pytest.fixture
def sample(project: Project) -> Project:
    """The sample project, reporting to SMOKE at the local back end."""
    return copy_sample(project)


@pytest.fixture
def runs(api: ReporterApi) -> Runs:
    """The runs that come to be during the test. Tests that run side by side need a server each."""
    return Runs(api)


@pytest.fixture
def mounted() -> Iterator[Callable[..., Path]]:
    """Mounts a file system for the length of a test: ``mounted(where, *arguments)``, those of mount."""
    mounts = []

    def mount(where: Path, *arguments: str) -> Path:
        where.mkdir(exist_ok=True)
        done = subprocess.run(["mount", *arguments, str(where)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")
        mounts.append(where)
        return where

    yield mount
    for where in mounts:
        subprocess.run(["umount", "--lazy", str(where)], check=True)
