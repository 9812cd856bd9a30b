"""The conformance suite: one and the same for each supported release of upstream.

The suite runs in this environment, the pytest sessions under test in another one, whose interpreter
COMPAT_PYTHON names (``noxfile.py`` sets it). Without it they run in this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from qase_recorder import QaseRecorder, RecordedRun, recorder
from two_ways import ours_of

from famacase_pytest.delivery.api.client import ReporterApi
from famacase_pytest.server.process import ServerProcess

HERE = Path(__file__).parent
# The end-to-end tests' way to run sessions is ours too.
sys.path.insert(0, str(HERE.parent / "tests_e2e"))

from fault_layer import FaultLayer  # noqa: E402
from sessions import TOKENS, Outcome, Project, Runs, copy_sample, new_project, recording  # noqa: E402

PYTHON = os.environ.get("COMPAT_PYTHON", sys.executable)
RUN_BY_NOX = "COMPAT_PYTHON" in os.environ
# Suites of their own, which only sessions under test run.
collect_ignore = [str(HERE / "wire_suite"), str(HERE / "real_suites")]
# Plugins that sessions under test load with -p.
STUBS = HERE / "stubs"


@dataclass(frozen=True)
class Pair:
    """What is installed where the sessions under test run.

    Attributes:
        qase, commons: releases of qase-pytest and qase-python-commons, as tuples.
        pytest, python: the same of pytest and Python.
        packages: where upstream's package ``qase`` is.
        plugins: the pytest plugins that are installed, by the names of their entry points.
    """

    qase: tuple[int, ...]
    commons: tuple[int, ...]
    pytest: tuple[int, ...]
    python: tuple[int, ...]
    packages: Path
    plugins: frozenset[str]

    @property
    def has_several_projects(self) -> bool:
        """Whether upstream knows the mode testops_multi."""
        return self.commons >= (5,)


def _ask_pair() -> Pair:
    script = """
        import importlib.metadata, importlib.util, json, platform
        names = "qase-pytest", "qase-python-commons", "pytest"
        versions = [importlib.metadata.version(name) for name in names]
        place = importlib.util.find_spec("qase").submodule_search_locations[0]
        offered = [point for found in importlib.metadata.distributions() for point in found.entry_points]
        plugins = [point.name for point in offered if point.group == "pytest11"]
        print(json.dumps([*versions, platform.python_version(), place, plugins]))
    """
    answer = subprocess.run(
        [PYTHON, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, cwd=HERE
    )
    *versions, place, plugins = json.loads(answer.stdout)
    qase, commons, pytest_, python = (tuple(map(int, version.split("."))) for version in versions)
    return Pair(qase, commons, pytest_, python, Path(place).parent, frozenset(plugins))


PAIR = _ask_pair()
# Loaded into each session. The others do something unasked, such as shuffling, or cost start-up time.
ALWAYS = {"famacase", "qase_pytest", "xdist", "pytest-bdd", "pytest_forked", "subtests"}


def addopts(*wanted: str) -> str:
    """PYTEST_ADDOPTS for a session that loads no plugins but these and those that every session loads."""
    unwanted = PAIR.plugins.difference(ALWAYS, wanted)
    return " ".join(f"-pno:{name}" for name in (*sorted(unwanted), "cacheprovider"))


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> Iterator[None]:
    """Loopback is reached directly, whatever proxy the machine is told to use."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A local back end with the projects SMOKE and SHOP, and in SMOKE plan 7 with the cases 101 and 201."""
    data = tmp_path_factory.mktemp("server")
    with ServerProcess.start(data, projects=TOKENS, plans=[("SMOKE", 7, [101, 201])]) as process:
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
def runs(api: ReporterApi) -> Runs:
    """The runs that come to be during the test."""
    return Runs(api)


@pytest.fixture(scope="session")
def pair() -> Pair:
    """The releases under test."""
    return PAIR


def pytest_report_header() -> str:
    """Name the pair, so that a failure is attributed."""
    shown = {
        name: ".".join(map(str, getattr(PAIR, name))) for name in ("qase", "commons", "pytest", "python")
    }
    return "sessions under test: " + ", ".join(f"{name} {version}" for name, version in shown.items())


class PairProject(Project):
    """A project whose sessions run in the pair's environment."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [PYTHON, *super().command(arguments)[1:]]

    def environment(self, environ: Mapping[str, str | None]) -> dict[str, str]:
        found = super().environment(environ)
        # Compiled once for all sessions, in a place that no test looks at.
        found.pop("PYTHONDONTWRITEBYTECODE", None)
        found["PYTHONPYCACHEPREFIX"] = str(HERE.parent / ".nox" / "compiled")
        places = [str(STUBS), *filter(None, [found.get("PYTHONPATH")])]
        found["PYTHONPATH"] = os.pathsep.join(places)
        return found

    def run_script(
        self, script: str, *, timeout: float = 120, leaves: Collection[str] | None = (), **environ: str | None
    ) -> Any:
        return self._finished([PYTHON, "-c", textwrap.dedent(script)], environ, timeout, leaves)


# Variables of a session that is not told to load anything first.
AS_FOUND = {"PYTEST_ADDOPTS": addopts()}


def make_project(directory: Path, url: str) -> PairProject:
    """An empty project that reports to SMOKE at the given address, in the pair's environment."""
    project = PairProject.__new__(PairProject)
    vars(project).update(vars(new_project(directory, url)))
    # As the documentation advises, and three times as quick; `AS_FOUND` is without.
    project.environ["PYTEST_ADDOPTS"] = f"-p famacase {addopts()}"
    return project


def without(project: Project, row: str) -> dict[str, Any]:
    """The variables of a session that a row of the table is left out of."""
    return {"COMPAT_WITHOUT": row, "PYTEST_ADDOPTS": f"-p without_row {project.environ['PYTEST_ADDOPTS']}"}


def run_without(project: Project, row: str, *arguments: str, **environ: str | None) -> Outcome:
    """Run pytest with a row of the table left out."""
    variables: dict[str, Any] = {**without(project, row), **environ}
    return project.run(*arguments, leaves=None, **variables)


@pytest.fixture
def project(tmp_path: Path, layer: FaultLayer) -> PairProject:
    """An empty project that reports to SMOKE at the local back end."""
    return make_project(tmp_path / "project", layer.url)


@pytest.fixture
def sample(project: PairProject) -> PairProject:
    """The sample project, reporting to SMOKE at the local back end."""
    copy_sample(project)
    return project


@pytest.fixture
def several(project: PairProject) -> PairProject:
    """An empty project that reports to SMOKE and SHOP in one session."""
    if not PAIR.has_several_projects:
        pytest.skip("this release of upstream does not know several projects")
    project.write_json(
        "qase.config.json",
        {
            "mode": "testops_multi",
            "testops_multi": {
                "default_project": "SMOKE",
                "projects": [
                    {"code": code, "run": {"title": f"Several: {code}", "description": "-", "complete": True}}
                    for code in TOKENS
                ],
            },
        },
    )
    tokens = ",".join(f"{code}={token}" for code, token in TOKENS.items())
    project.environ.update({"FAMACASE_MODE": "testops_multi", "FAMACASE_REPORTER_TOKENS": tokens})
    del project.environ["FAMACASE_REPORTER_TOKEN"]
    return project


# One suite over upstream's own transport and over ours

# Without them upstream puts the time there.
NAMED_RUN = {"QASE_TESTOPS_RUN_TITLE": "A run", "QASE_TESTOPS_RUN_DESCRIPTION": "Its description"}
PLAN = [101, 201]


@pytest.fixture(name="recording")
def _recording(api: ReporterApi) -> Iterator[QaseRecorder]:
    """Stands in for Qase, for sessions over upstream's own transport."""
    staging = api.environment_id("SMOKE", "staging")
    assert staging is not None
    with recorder(staging, PLAN) as found:
        yield found


@pytest.fixture
def over_upstream(project: PairProject, recording: QaseRecorder) -> Callable[..., Outcome]:
    """Runs the suite over upstream's own transport, with none of our settings."""
    settings = {
        **{name: None for name in project.environ if name.startswith("FAMACASE_")},
        "QASE_MODE": "testops",
        "QASE_TESTOPS_PROJECT": "SMOKE",
        "QASE_TESTOPS_API_TOKEN": "qase_token_51ce",
        "QASE_TESTOPS_API_HOST": recording.url.partition("//")[2],
        "COMPAT_RECORDER": recording.url,
        **AS_FOUND,
    }

    def run(*arguments: str, **environ: Any) -> Outcome:
        return project.run(
            "-p", "towards_recorder", *arguments, leaves=None, **{**settings, **NAMED_RUN, **environ}
        )

    return run


@pytest.fixture
def both(
    project: PairProject, over_upstream: Callable[..., Outcome], recording: QaseRecorder, layer: FaultLayer
) -> Callable[..., tuple[list[RecordedRun], list[RecordedRun]]]:
    """Runs the suite both ways and gives the runs of each, upstream's and ours."""

    def run(*arguments: str, **environ: Any) -> tuple[list[RecordedRun], list[RecordedRun]]:
        reference = over_upstream("-p", "no:famacase", *arguments, **environ)
        outcome = project.run(*arguments, leaves=None, **{**NAMED_RUN, **AS_FOUND, **environ})
        assert outcome.counts == reference.counts, f"{reference.output}\n{outcome.output}"
        assert outcome.code == reference.code
        return list(recording.runs.values()), ours_of(layer)

    return run
