"""``famacase demo``: a sample suite, reported to a local back end, and what arrived there."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FamacaseError
from ..server import check_extra
from ..server.process import ServerProcess
from ..summary import telling

PROJECT, TOKEN = "SMOKE", "rep_local"

# In the installed package, and in the source tree.
_SAMPLES = (
    Path(__file__).parents[1] / "sample_project",
    Path(__file__).parents[3] / "tests_e2e" / "sample_project",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `run` understands."""
    text = "leave the back end up, so that the link can be opened, until Ctrl-C"
    parser.add_argument("--keep", action="store_true", help=text)


def run(arguments: argparse.Namespace) -> int:
    """Reports the sample suite and prints the link of its run and what the back end holds of it.

    Returns:
        0 if the run arrived complete, 1 if not. The sample has failing tests, so pytest's own exit code is 1.
    """
    check_extra()
    # No proxy leads to a back end of this machine.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="famacase-demo-") as directory:
        suite = Path(directory) / "sample_project"
        shutil.copytree(sample_project(), suite, ignore=shutil.ignore_patterns("__pycache__"))
        with telling("starting the local back end"):
            started = ServerProcess.start(Path(directory) / "server")
        with started as server:
            environment = demo_environment(os.environ, server.url)
            print(f"Local back end: {server.url}")
            for name in sorted(environment):
                if name.startswith("FAMACASE_"):
                    print(f"  {name}={environment[name]}")
            sys.stdout.flush()
            pytest = [sys.executable, "-m", "pytest", "--tb=no", "-q"]
            session = subprocess.run(pytest, cwd=suite, env=environment)
            print(f"\npytest ended with exit code {session.returncode}; the sample has tests that fail.")
            arrived = _show(server.url)
            if arrived and arguments.keep:
                _wait(server.url)
            return 0 if arrived else 1


def sample_project() -> Path:
    """The directory of the sample suite."""
    for candidate in _SAMPLES:
        if candidate.is_dir():
            return candidate
    raise FamacaseError(
        f"The sample suite is neither at {_SAMPLES[0]} nor at {_SAMPLES[1]}; there is nothing to show. "
        "Install the package again."
    )


def demo_environment(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """An environment in which nothing but four ``FAMACASE_*`` variables says where results go."""
    foreign = ("FAMACASE_", "QASE_", "PYTEST_")
    return {
        **{name: value for name, value in environ.items() if not name.startswith(foreign)},
        "FAMACASE_MODE": "testops",
        "FAMACASE_API_URL": url,
        "FAMACASE_REPORTER_TOKEN": TOKEN,
        "FAMACASE_TESTOPS_PROJECT": PROJECT,
    }


def _show(url: str) -> bool:
    address = f"{url}/api/v1/reporter/v1/projects/{PROJECT}/runs/1"  # of a new back end, the first
    run, results = _read(address), _read(f"{address}/results?limit=1000")["results"]
    print(f"Run 1, {run['status']}: {url}/runs/1\n")
    for result in results:
        parameters = ", ".join(f"{name}={value}" for name, value in result.get("params", {}).items())
        title = f"{result['title']} [{parameters}]" if parameters else result["title"]
        print(f"  {result['execution']['status']:<8} {title}")
    counts = ", ".join(f"{count} {status}" for status, count in run["stats"].items())
    print(f"\n{len(results)} results arrived: {counts}")
    return bool(results) and run["status"] == "completed"


def _read(address: str) -> Any:
    request = urllib.request.Request(address, headers={"Authorization": f"Token {TOKEN}"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def _wait(url: str) -> None:
    # Whoever stops it from outside leaves no directory behind either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"\nThe back end stays up at {url} until Ctrl-C.", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()
