"""The live API regression: every call of the contract, over HTTP, against a real back end.

Without settings it is the local back end, started here on a free port. With `FAMACASE_API_URL` set it is that
stack, with `FAMACASE_REPORTER_TOKEN` and `FAMACASE_TESTOPS_PROJECT` (SMOKE if it is not set); tests of what
only the local back end promises are skipped then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from famacase_pytest.server.process import ServerProcess
from live_api import Backend


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """The back end that all tests share. The local one has a second project, OTHER, with token rep_other."""
    project = os.environ.get("FAMACASE_TESTOPS_PROJECT", "SMOKE")
    if "FAMACASE_API_URL" in os.environ:
        url = os.environ["FAMACASE_API_URL"].rstrip("/")
        yield Backend(url, os.environ.get("FAMACASE_REPORTER_TOKEN", "rep_local"), project, is_local=False)
        return
    data = tmp_path_factory.mktemp("backend")
    with ServerProcess.start(
        data,
        projects={"OTHER": "rep_other"},
        environments=[("SMOKE", "prod"), ("OTHER", "far")],
        plans=[("SMOKE", 5, [11, 12, 13]), ("SMOKE", 6, [])],
    ) as process:
        yield Backend(process.url, "rep_local", "SMOKE", is_local=True)
    assert process.log == "", "the back end complained"


@pytest.fixture
def local_backend(backend: Backend) -> Backend:
    """The shared back end, for tests of what only the local one promises."""
    if not backend.is_local:
        pytest.skip("only the local back end promises this")
    return backend


@pytest.fixture
def other(local_backend: Backend) -> Backend:
    """The second project of the local back end."""
    return Backend(local_backend.url, "rep_other", "OTHER", is_local=True)


@pytest.fixture
def own_process(tmp_path: Path, local_backend: Backend) -> Iterator[ServerProcess]:
    """A local back end of one test, to be killed and restarted."""
    with ServerProcess.start(tmp_path / "data") as process:
        yield process
