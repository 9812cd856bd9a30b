"""``famacase demo``: a sample suite, reported to a local back end, and what arrived there."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import FamacaseError
from .process import ServerProcess

PROJECT = "SMOKE"
TOKEN = "rep_local"

_PACKAGED = Path(__file__).parent.parent / "sample_project"
_CHECKOUT = Path(__file__).parents[3] / "tests_e2e" / "sample_project"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `run` understands."""
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the back end up, so that the link can be opened, until Ctrl-C",
    )


def run(arguments: argparse.Namespace) -> int:
    """Reports the sample suite and prints the link of its run and what the back end holds of it.

    Returns:
        0 if the run arrived complete, 1 if not. The sample has failing tests, so pytest's own exit code is 1.
    """
    # No proxy leads to a back end of this machine.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="famacase-demo-") as directory:
        suite = Path(directory) / "sample_project"
        shutil.copytree(sample_project(), suite, ignore=shutil.ignore_patterns("__pycache__"))
        with ServerProcess.start(Path(directory) / "server") as server:
            environment = demo_environment(os.environ, server.url)
            print(f"Local back end: {server.url}", flush=True)
            for name in sorted(environment):
                if name.startswith("FAMACASE_"):
                    print(f"  {name}={environment[name]}")
            sys.stdout.flush()
            session = subprocess.run(
                [sys.executable, "-m", "pytest", "--tb=no", "-q"], cwd=suite, env=environment
            )
            arrived = _show(server.url, session.returncode)
            if arrived and arguments.keep:
                _wait(server.url)
            return 0 if arrived else 1


def sample_project() -> Path:
    """The directory of the sample suite: in the installed package, or in the source tree."""
    for candidate in (_PACKAGED, _CHECKOUT):
        if candidate.is_dir():
            return candidate
    raise FamacaseError(
        f"The sample suite is neither at {_PACKAGED} nor at {_CHECKOUT}; there is nothing to show. "
        "Install the package again."
    )


def demo_environment(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """An environment in which nothing but four ``FAMACASE_*`` variables says where results go."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("FAMACASE_", "QASE_", "PYTEST_"))
    }
    return {
        **kept,
        "FAMACASE_MODE": "testops",
        "FAMACASE_API_URL": url,
        "FAMACASE_REPORTER_TOKEN": TOKEN,
        "FAMACASE_TESTOPS_PROJECT": PROJECT,
    }


def _show(url: str, exit_code: int) -> bool:
    from ..delivery.api.client import ReporterApi

    with ReporterApi(url, {PROJECT: TOKEN}) as api:
        run_id = 1  # of a new back end, the first
        run = api.get_run(PROJECT, run_id)
        results = list(api.list_results(PROJECT, run_id))
    print(f"\npytest ended with exit code {exit_code}; the sample has tests that fail.")
    print(f"Run {run_id}, {run['status']}: {url}/runs/{run_id}\n")
    for result in results:
        steps = sum(1 for _ in _steps(result))
        files = [ref["file_name"] for ref in _attachments(result)]
        extras = [f"{steps} steps"] if steps else []
        extras += [", ".join(files)] if files else []
        parameters = ", ".join(f"{name}={value}" for name, value in (result.get("params") or {}).items())
        title = f"{result['title']} [{parameters}]" if parameters else result["title"]
        print(
            f"  {result['execution']['status']:<8} {title}" + (f"  ({'; '.join(extras)})" if extras else "")
        )
    counts = Counter(result["execution"]["status"] for result in results)
    print(
        f"\n{len(results)} results arrived: "
        + ", ".join(f"{n} {status}" for status, n in counts.most_common())
    )
    return bool(results) and run["status"] == "completed"


def _steps(owner: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for step in owner.get("steps") or ():
        yield step
        yield from _steps(step)


def _attachments(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from result.get("attachments") or ()
    for step in _steps(result):
        yield from step["execution"].get("attachments") or ()


def _wait(url: str) -> None:
    # Whoever stops it from outside leaves no directory behind either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"\nThe back end stays up at {url} until Ctrl-C.", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()
