"""Whole pytest sessions in subprocesses, against a real back end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from famacase_pytest.delivery.api import ReporterApi
from famacase_pytest.server.process import ServerProcess

SAMPLE = Path(__file__).parent / "sample_project"
# Long enough that neither occurs in an output by chance.
TOKENS = {"SMOKE": "rep_smoke_7d41", "SHOP": "rep_shop_c09e"}

# A project of its own, which only sessions in subprocesses run.
collect_ignore = [str(SAMPLE)]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A local back end with the projects SMOKE and SHOP; SMOKE has environment `staging` and two plans."""
    with ServerProcess.start(
        tmp_path_factory.mktemp("server"),
        projects=TOKENS,
        plans=[("SMOKE", 7, [101, 201])],
    ) as process:
        yield process


@pytest.fixture
def api(server: ServerProcess) -> Iterator[ReporterApi]:
    """Reads back what the back end holds."""
    with ReporterApi(server.url, TOKENS) as api:
        yield api


@dataclass(frozen=True)
class Outcome:
    """How a session in a subprocess ended.

    Args:
        code: pytest's exit code.
        output: what it printed, errors included.
        runs: ids of the runs that it linked to, in order of first mention.
    """

    code: int
    output: str

    def lines(self, text: str) -> list[str]:
        """The lines of output that hold a text."""
        return [line for line in self.output.splitlines() if text in line]


class Project:
    """A directory with a suite, in which pytest can be run.

    Args:
        directory: where it is.
        environ: the variables of each session, beside those a process needs.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self.environ = dict(environ)

    def write(self, **files: str) -> None:
        """Write files: ``test_x="..."`` becomes ``test_x.py``."""
        for name, text in files.items():
            (self.directory / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")

    def write_json(self, name: str, content: Any) -> None:
        """Write a configuration file."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.directory / name).write_text(text, encoding="utf-8")

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line of a session."""
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]

    def environment(self, environ: Mapping[str, str | None]) -> dict[str, str]:
        """The variables of a session; None removes one."""
        base = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FAMACASE_", "QASE_", "PYTEST_", "COV_"))
        }
        merged: dict[str, str | None] = {**base, **self.environ, **environ}
        return {name: value for name, value in merged.items() if value is not None}

    def run(self, *arguments: str, timeout: float = 120, **environ: str | None) -> Outcome:
        """Run pytest to its end.

        Args:
            arguments: of the command line.
            timeout: seconds after which it is killed and the test fails.
            environ: variables of this session; None removes one of the project's.
        """
        process = subprocess.run(
            self.command(arguments),
            cwd=self.directory,
            env=self.environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        return Outcome(process.returncode, process.stdout.decode("utf-8", "replace"))

    def run_script(self, script: str, timeout: float = 120, **environ: str | None) -> Outcome:
        """Run a Python script in the project, for what a command line cannot show."""
        process = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            cwd=self.directory,
            env=self.environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        return Outcome(process.returncode, process.stdout.decode("utf-8", "replace"))


@pytest.fixture
def project(tmp_path: Path, server: ServerProcess) -> Project:
    """An empty project that reports to SMOKE at the local back end."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return Project(
        directory,
        {
            "FAMACASE_MODE": "testops",
            "FAMACASE_API_URL": server.url,
            "FAMACASE_REPORTER_TOKEN": TOKENS["SMOKE"],
            "FAMACASE_TESTOPS_PROJECT": "SMOKE",
        },
    )


@pytest.fixture
def sample(project: Project) -> Project:
    """The sample project, reporting to SMOKE at the local back end."""
    shutil.copytree(
        SAMPLE, project.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "build")
    )
    return project


class Runs:
    """The runs that come to be at the back end from here on.

    Args:
        api: reads them.
        url: of the back end.
    """

    def __init__(self, api: ReporterApi, project: str = "SMOKE") -> None:
        self._api = api
        self._project = project
        self._known = self._last()

    def _last(self) -> int:
        # Run ids count up over all projects; a run of our own tells where the count stands.
        return self._api.create_run(self._project, {"title": "mark", "is_autotest": True}, _uuid())

    def new(self) -> list[dict[str, Any]]:
        """The runs that were created since, oldest first, of any project."""
        found = []
        end = self._last()
        for run_id in range(self._known + 1, end):
            for code in TOKENS:
                run = _run_or_none(self._api, code, run_id)
                if run is not None:
                    found.append({**run, "project": code})
        self._known = end
        return found

    def only(self) -> dict[str, Any]:
        """The one run that was created since."""
        found = self.new()
        assert len(found) == 1, f"{len(found)} runs were created: {found}"
        return found[0]

    def results(self, run: int | Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the back end holds of a run."""
        if isinstance(run, int):
            return list(self._api.list_results(self._project, run))
        return list(self._api.list_results(run["project"], run["id"]))

    def by_title(self, run: int | Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The results of a run, by title; titles must be distinct."""
        results = self.results(run)
        named = {result["title"]: result for result in results}
        assert len(named) == len(results), [result["title"] for result in results]
        return named


def _uuid() -> str:
    import uuid

    return str(uuid.uuid4())


def _run_or_none(api: ReporterApi, code: str, run_id: int) -> dict[str, Any] | None:
    from famacase_pytest.errors import Refused

    try:
        return api.get_run(code, run_id)
    except Refused as error:
        if error.status == 404:
            return None
        raise


@pytest.fixture
def runs(api: ReporterApi) -> Runs:
    """The runs that come to be during the test. Tests that run side by side need a server each."""
    return Runs(api)
