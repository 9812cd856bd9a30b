"""The conformance suite: one and the same for each supported release of upstream.

The suite runs in this environment, the pytest sessions under test in another one, whose interpreter
COMPAT_PYTHON names (``noxfile.py`` sets it). Without it they run in this one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
END_TO_END = HERE.parent / "tests_e2e"


def _end_to_end() -> Any:
    """The fixtures and helpers of the end-to-end tests; both places have a ``conftest``, so by its path."""
    sys.path.insert(0, str(END_TO_END))
    specification = importlib.util.spec_from_file_location("end_to_end", END_TO_END / "conftest.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["end_to_end"] = module
    specification.loader.exec_module(module)
    return module


end_to_end = _end_to_end()
# Fixtures are found by name among the attributes of this module.
_no_proxy = end_to_end._no_proxy
server = end_to_end.server
api = end_to_end.api
layer = end_to_end.layer
runs = end_to_end.runs

PYTHON = os.environ.get("COMPAT_PYTHON", sys.executable)
# Plugins that sessions under test load with -p.
STUBS = HERE / "stubs"


@dataclass(frozen=True)
class Pair:
    """What is installed where the sessions under test run.

    Attributes:
        qase, commons: releases of qase-pytest and qase-python-commons, as tuples.
        pytest, python: the same of pytest and Python.
        packages: where upstream's package ``qase`` is.
    """

    qase: tuple[int, ...]
    commons: tuple[int, ...]
    pytest: tuple[int, ...]
    python: tuple[int, ...]
    packages: Path

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
        print(json.dumps([*versions, platform.python_version(), place]))
    """
    answer = subprocess.run(
        [PYTHON, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, cwd=HERE
    )
    *versions, place = json.loads(answer.stdout)
    return Pair(*(tuple(map(int, version.split("."))) for version in versions), packages=Path(place).parent)


PAIR = _ask_pair()


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


class PairProject(end_to_end.Project):
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


def make_project(directory: Path, url: str) -> PairProject:
    """An empty project that reports to SMOKE at the given address, in the pair's environment."""
    project = PairProject.__new__(PairProject)
    vars(project).update(vars(end_to_end.new_project(directory, url)))
    return project


@pytest.fixture
def project(tmp_path: Path, layer: Any) -> PairProject:
    """An empty project that reports to SMOKE at the local back end."""
    return make_project(tmp_path / "project", layer.url)


@pytest.fixture
def sample(project: PairProject) -> PairProject:
    """The sample project, reporting to SMOKE at the local back end."""
    end_to_end.copy_sample(project)
    return project


@pytest.fixture
def several(project: PairProject) -> Iterator[PairProject]:
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
                    for code in end_to_end.TOKENS
                ],
            },
        },
    )
    tokens = ",".join(f"{code}={token}" for code, token in end_to_end.TOKENS.items())
    project.environ.update(
        {
            "FAMACASE_MODE": "testops_multi",
            "FAMACASE_REPORTER_TOKENS": tokens,
            "FAMACASE_REPORTER_TOKEN": None,
        }
    )
    return project
