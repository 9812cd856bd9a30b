"""The live API regression: every call of the contract, over HTTP, against a real back end.

Without settings it is the local back end, started here on a free port. With `FAMACASE_API_URL` set it is that
stack, with `FAMACASE_REPORTER_TOKEN` and `FAMACASE_TESTOPS_PROJECT` (SMOKE if it is not set); tests of what
only the local back end promises are skipped then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser import NO_BROWSER, Watched, open_browser
from famacase_pytest.server.process import ServerProcess
from live_api import Backend

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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


_PLUGINS = ("famacase", "qase_pytest", "xdist", "xdist.looponfail", "pytest-bdd", "no:cacheprovider")


@pytest.fixture
def session_environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a pytest session that is over soon, and that no setting from outside reaches.

    It loads the plugins that it is about, and those that upstream takes for loaded if they are installed. The
    versions for which upstream asks ten processes of pip, a second each, come from a stand-in.
    """
    programs = tmp_path_factory.mktemp("programs")
    pip = programs / "pip"
    pip.write_text("#!/bin/sh\necho 'Version: 0.0.0'\n", encoding="utf-8")
    pip.chmod(0o755)
    foreign = ("FAMACASE_", "QASE_", "PYTEST_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **environ,
        "PATH": f"{programs}{os.pathsep}{environ['PATH']}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": " ".join(f"-p {name}" for name in _PLUGINS),
    }


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser for all tests of this process."""
    with open_browser() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own for a test, which fails if the page has errors or asks other hosts for anything."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        watched = Watched(page)
        yield page
    assert watched.faults == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says aloud that tests in a browser were skipped."""
    skipped = [one for one in terminalreporter.stats.get("skipped", []) if NO_BROWSER in str(one.longrepr)]
    if skipped:
        terminalreporter.write_sep(
            "!", f"{len(skipped)} tests in a browser were skipped: {NO_BROWSER}", yellow=True
        )
