"""Builds an environment for each supported release of qase-pytest and runs the conformance suite over it.

    nox -s compat                    all pairs of compat/matrix.toml
    nox -t first                     those that each change is run on
    nox -s "compat(6.3.0)"           one
    nox -s table                     print what the last runs gave
    nox -s absent                    say which interpreters are missing
    nox -s lock                      make constraints.txt anew

The suite (``tests_compat``) runs in the environment that runs nox; the pytest sessions under test run in the
pair's. So a pair needs neither the local back end nor anything else of the test tools.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import nox

HERE = Path(__file__).parent
PAIRS: list[dict[str, Any]] = nox.project.load_toml(HERE / "compat" / "matrix.toml")["pair"]
RESULTS = HERE / ".nox" / "results"
# What `make matrix` printed last, for the README; a table with gaps is not kept.
TABLE = HERE / "compat" / "last-run.md"
# What the sessions under test use beside pytest and the pair.
COMPANIONS = (
    "anyio",
    "django",
    "flaky",
    "pytest-asyncio",
    "pytest-bdd",
    "pytest-django",
    "pytest-dotenv",
    # Later ones claim an option of pytest-dotenv's.
    "pytest-env<1.4",
    "pytest-forked",
    "pytest-randomly",
    "pytest-rerunfailures",
    "pytest-retry",
    "pytest-split",
    "pytest-subtests",
    "pytest-xdist",
    "requests",
    "trio",
)

nox.options.sessions = ["compat", "table"]
nox.options.reuse_venv = "yes"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False


@functools.cache
def _python(version: str) -> str:
    """An interpreter of the given minor release: one on PATH that runs (pyenv's may not), or one of pyenv's.

    Without either it is the bare name, which nox reports as missing.
    """
    candidates = [shutil.which(f"python{version}")]
    if shutil.which("pyenv"):
        answer = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
        found = Path(answer.stdout.strip()).glob(f"versions/{version}.*/bin/python")
        candidates += sorted(map(str, found), reverse=True)
    for candidate in candidates:
        if candidate:
            asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            answer = subprocess.run(asked, capture_output=True, text=True, check=False)
            if answer.stdout.strip() == version:
                return candidate
    return f"python{version}"


@nox.session
@nox.parametrize(
    ("python", "pair"),
    [
        nox.param(
            _python(pair["python"]),
            pair,
            id=pair["qase-pytest"],
            tags=["first"] if pair.get("first") else [],
        )
        for pair in PAIRS
    ],
)
def compat(session: nox.Session, pair: dict[str, Any]) -> None:
    """Run the conformance suite over one pair; further arguments are pytest's."""
    _install(session, pair)
    python = Path(session.virtualenv.location, "bin", "python")
    suite = [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests_compat", *session.posargs]
    environ = {"COMPAT_PYTHON": str(python)}
    if session.posargs:
        # This may not be the whole suite, so it is not recorded.
        session.run(*suite, env=environ, external=True)
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"{pair['qase-pytest']}.xml"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    try:
        session.run(*suite, f"--junitxml={report}", env=environ, external=True)
    finally:
        record = {
            "date": datetime.date.today().isoformat(),
            "versions": _versions(python),
            "outcome": _outcome(report),
            "seconds": round(time.monotonic() - began),
        }
        _kept(pair).write_text(json.dumps(record), encoding="utf-8")


@nox.session(venv_backend="none", tags=["first"])
def table(session: nox.Session) -> None:
    """Print what the last run of each pair gave, and keep it for the README."""
    lines = [
        "| qase-pytest | qase-python-commons | Python | pytest | tests | seconds | date |",
        "|---|---|---|---|---|---|---|",
    ]
    for pair in PAIRS:
        if _kept(pair).exists():
            record = json.loads(_kept(pair).read_text(encoding="utf-8"))
            cells = [*record["versions"], record["outcome"], str(record["seconds"]), record["date"]]
        else:
            why = "not run yet" if _is_here(pair) else f"not run: no Python {pair['python']} here"
            cells = [pair["python"], pair["pytest"], why, "", ""]
        lines.append(f"| {' | '.join([pair['qase-pytest'], pair['commons'], *cells])} |")
    print("\n".join(lines))
    if all(_kept(pair).exists() for pair in PAIRS):
        TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


@nox.session(venv_backend="none")
def absent(session: nox.Session) -> None:
    """Say which interpreters are missing, and what is left out for the lack of them."""
    missing = [pair for pair in PAIRS if not _is_here(pair)]
    for version in sorted({pair["python"] for pair in missing}):
        left_out = [pair["qase-pytest"] for pair in missing if pair["python"] == version]
        session.warn(
            f"No Python {version} on PATH or in pyenv: qase-pytest {', '.join(left_out)} is left out."
        )


@nox.session
def lock(session: nox.Session) -> None:
    """Make constraints.txt anew: for each Python, one version of all that is installed for development."""
    session.install("uv")
    described = nox.project.load_toml(HERE / "pyproject.toml")
    oldest = described["project"]["requires-python"].removeprefix(">=")
    command = ["uv", "pip", "compile", "--quiet", "--universal", f"--python-version={oldest}"]
    command += ["--all-extras", "--upgrade", "--system-certs", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--no-annotate", "--custom-compile-command=make lock", "--output-file=constraints.txt"]
    session.run(*command, "pyproject.toml")


def _is_here(pair: dict[str, Any]) -> bool:
    """Whether there is an interpreter for a pair."""
    return Path(_python(pair["python"])).is_absolute()


def _install(session: nox.Session, pair: dict[str, Any]) -> None:
    """Fill the pair's environment, unless it has what the pair wants already."""
    wanted = [
        f"qase-pytest=={pair['qase-pytest']}",
        f"qase-python-commons=={pair['commons']}",
        f"pytest=={pair['pytest']}",
        *COMPANIONS,
        *pair.get("also", ()),
    ]
    described = json.dumps([wanted, nox.project.load_toml(HERE / "pyproject.toml")["project"]])
    digest = hashlib.sha256(described.encode()).hexdigest()
    stamp = Path(session.virtualenv.location, ".installed")
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == digest):
        session.install("-e", str(HERE), *wanted)
        stamp.write_text(digest, encoding="utf-8")


def _outcome(report: Path) -> str:
    """ "61 passed", as the report of the suite has it."""
    if not report.exists():
        return "did not run"
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    counts = {kind: int(suite.get(kind, 0)) for kind in ("tests", "failures", "errors", "skipped")}
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    parts = [f"{failed} failed"] if failed else []
    parts.append(f"{passed} passed")
    parts += [f"{counts['skipped']} not in this release"] if counts["skipped"] else []
    return ", ".join(parts)


def _versions(python: Path) -> tuple[str, str]:
    script = "import platform, pytest; print(platform.python_version(), pytest.__version__)"
    answer = subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=True)
    release, pytest_release = answer.stdout.split()
    return release, pytest_release


def _kept(pair: dict[str, Any]) -> Path:
    """Where the outcome of a pair's last run is kept."""
    return RESULTS / f"{pair['qase-pytest']}.json"
