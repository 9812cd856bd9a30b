"""Whole pytest sessions in subprocesses, and what comes of them at the back end."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import requests

from contract import violations
from famacase_pytest.delivery.api.client import API_ROOT, ReporterApi
from famacase_pytest.errors import Refused
from famacase_pytest.server.process import ServerProcess
from famacase_pytest.settings.ci import MARKS
from fault_layer import FaultLayer

SAMPLE = Path(__file__).parent / "sample_project"
# Long enough that neither occurs in an output by chance.
TOKENS = {"SMOKE": "rep_smoke_7d41", "SHOP": "rep_shop_c09e"}

# Plugins that the sessions use. Others that are installed here take longer to load than a session lasts.
_PLUGINS = ("famacase", "qase_pytest", "xdist", "pytest-bdd", "pytest_forked")

# Stands in for pip, which upstream asks for versions in ten processes of a second each.
_PIP = "#!/bin/sh\necho 'pip 0.0.0 from nowhere'\necho 'Version: 0.0.0'\n"


@contextlib.contextmanager
def recording(server: ServerProcess) -> Iterator[FaultLayer]:
    """A fault layer whose record is held against the contract at the end."""
    with FaultLayer(server.url, tokens=TOKENS) as layer:
        yield layer
    problems = violations(layer.exchanges())
    assert not problems, "The client broke the contract:\n" + "\n".join(problems)


@dataclass(frozen=True)
class Outcome:
    """How a session in a subprocess ended.

    Attributes:
        code: pytest's exit code.
        output: what it printed, errors included.
        left: what is there since, relative to the project, and below ``TMP/`` in the temporary directory.
    """

    code: int
    output: str
    left: tuple[str, ...] = ()

    def lines(self, text: str) -> list[str]:
        """The lines of output that hold a text."""
        return [line for line in self.output.splitlines() if text in line]

    @property
    def notices(self) -> list[str]:
        """What this package has to say, but for what was delivered, requested, or said of a slow start."""
        said = [line for line in self.output.splitlines() if line.startswith("famacase: ")]
        others = r"famacase: (\d+ results? delivered|waiting for |(GET|POST) /.*, \d+ ms)"
        return [line for line in said if not re.match(others, line)]

    @property
    def requests(self) -> list[str]:
        """The requests to the back end, as FAMACASE_DEBUG tells them, without the milliseconds."""
        pattern = r"(?:famacase: )?((?:GET|POST) /.*), \d+ ms(.*)"
        said = [re.match(pattern, line) for line in self.output.splitlines()]
        return [found[1] + found[2] for found in said if found]

    @property
    def counts(self) -> str:
        """How the tests ended, from the last line of pytest's output: "1 failed, 2 passed"."""
        kinds = r"\d+ (?:failed|passed|skipped|xfailed|xpassed|errors?)\b"
        return ", ".join(re.findall(kinds, self.output.splitlines()[-1]))


class Project:
    """A directory with a suite, in which pytest can be run.

    Args:
        directory: where it is.
        environ: the variables of each session, beside those that a process needs.
        secrets: texts that no output may show.

    Attributes:
        as_found: whether pytest finds the plugins by itself; else it loads ours first, as the docs advise:
            a session is over in half the time then.
    """

    as_found = False

    def __init__(
        self, directory: Path, environ: Mapping[str, str], secrets: Collection[str] = tuple(TOKENS.values())
    ) -> None:
        self.directory = directory
        self.environ = dict(environ)
        self.secrets = set(secrets)
        self.temporary = directory.parent / f"{directory.name}-tmp"
        self.temporary.mkdir()
        self._programs = directory.parent / f"{directory.name}-bin"
        self._programs.mkdir()
        pip = self._programs / "pip"
        pip.write_text(_PIP, encoding="utf-8")
        pip.chmod(0o755)

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
        return [sys.executable, "-m", "pytest", *arguments]

    def environment(self, environ: Mapping[str, str | None]) -> dict[str, str]:
        """The variables of a session; None removes one."""
        base = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FAMACASE_", "QASE_", "PYTEST_", "COV_")) and name not in MARKS
        }
        own = {
            "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}",
            "PYTEST_ADDOPTS": " ".join(
                [*([] if self.as_found else ["-p famacase"]), *(f"-pno:{name}" for name in _unwanted())]
            ),
            "TMPDIR": str(self.temporary),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        merged: dict[str, str | None] = {**base, **own, **self.environ, **environ}
        return {name: value for name, value in merged.items() if value is not None}

    def start(self, *arguments: str, **environ: str | None) -> subprocess.Popen[bytes]:
        """Start pytest and return at once; `finish` waits for it."""
        return self._start(self.command(arguments), environ)

    def start_command(self, command: Sequence[str], **environ: str | None) -> subprocess.Popen[bytes]:
        """Start another command line than pytest's; see `start`."""
        return self._start(command, environ)

    def finish(
        self,
        process: subprocess.Popen[bytes],
        *,
        timeout: float = 120,
        leaves: Collection[str] | None = (),
        before: Collection[str] | None = None,
    ) -> Outcome:
        """Wait for a session.

        Args:
            process: as `start` returned it.
            timeout: seconds after which it is killed and the test fails.
            leaves: what may be there afterwards that was not there before; None: anything.
            before: what was there before; None: what is there now.
        """
        known = self._there() if before is None else before
        try:
            output = process.communicate(timeout=timeout)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            process.kill()
            try:
                said = process.communicate(timeout=10)[0]
            except subprocess.TimeoutExpired as error:  # what it has started keeps the pipe
                said = error.output or b""
            output = said.decode("utf-8", "replace")
            pytest.fail(f"The session did not end within {timeout:g} s:\n{output}")
        left = tuple(sorted(set(self._there()) - set(known)))
        shown = [secret for secret in self.secrets if secret in output]
        assert not shown, f"A token shows in the output:\n{output}"
        stray = [name for name in left if leaves is not None and not _is_below(name, leaves)]
        assert not stray, f"The session left {stray} behind:\n{output}"
        return Outcome(process.returncode, output, left)

    def run(
        self,
        *arguments: str,
        timeout: float = 120,
        leaves: Collection[str] | None = (),
        **environ: str | None,
    ) -> Outcome:
        """Run pytest to its end. No output may show a token.

        Args:
            arguments: of the command line.
            timeout, leaves: see `finish`.
            environ: variables of this session; None removes one of the project's.
        """
        return self._finished(self.command(arguments), environ, timeout, leaves)

    def run_script(
        self, script: str, *, timeout: float = 120, leaves: Collection[str] | None = (), **environ: str | None
    ) -> Outcome:
        """Run a Python script in the project, for what a command line cannot show."""
        return self._finished([sys.executable, "-c", textwrap.dedent(script)], environ, timeout, leaves)

    def run_on_terminal(
        self,
        command: Sequence[str],
        awaited: str = "",
        act: Callable[[], None] = lambda: None,
        **environ: str | None,
    ) -> Outcome:
        """Run a command to its end on a terminal, to which the output goes as it is.

        Args:
            command: what to run.
            awaited: a text that it shows.
            act: called when that is there, perhaps again.
            environ: variables of this session; None removes one of the project's.
        """
        main, terminal = os.openpty()
        with self._start(command, {"TERM": "xterm", **environ}, terminal) as process:
            os.close(terminal)
            shown = b""
            with contextlib.suppress(OSError):  # the other side is closed
                while True:
                    shown += os.read(main, 4096)
                    if awaited.encode() in shown:
                        act()
            process.wait(60)
        os.close(main)
        return Outcome(process.returncode, shown.decode().replace("\r\n", "\n"))

    def _finished(
        self,
        command: Sequence[str],
        environ: Mapping[str, str | None],
        timeout: float,
        leaves: Collection[str] | None,
    ) -> Outcome:
        before = self._there()
        return self.finish(self._start(command, environ), timeout=timeout, leaves=leaves, before=before)

    def _start(
        self, command: Sequence[str], environ: Mapping[str, str | None], output: int | None = None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=output or subprocess.STDOUT,
        )

    def _there(self) -> list[str]:
        """All files and directories of the project, and what stands in its temporary directory."""
        found = [path.relative_to(self.directory).as_posix() for path in self.directory.rglob("*")]
        # pytest keeps the temporary directories of its last sessions, with or without this package.
        found += [f"TMP/{path.name}" for path in self.temporary.glob("*") if not path.match("pytest-of-*")]
        return found


@functools.cache
def _unwanted() -> list[str]:
    """The pytest plugins that are installed here and that no session uses."""
    # In this way the names are had from Python 3.9 on.
    installed = {
        entry_point.name
        for distribution in distributions()
        for entry_point in distribution.entry_points
        if entry_point.group == "pytest11"
    }
    return [*sorted(installed.difference(_PLUGINS)), "cacheprovider"]


def _is_below(name: str, places: Collection[str]) -> bool:
    return any(name == place or f"{name}/".startswith(f"{place}/") for place in places)


def new_project(directory: Path, url: str) -> Project:
    """An empty project that reports to SMOKE at the given address.

    Args:
        directory: where it is made.
        url: of the back end.
    """
    directory.mkdir()
    (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return Project(
        directory,
        {
            "FAMACASE_MODE": "testops",
            "FAMACASE_API_URL": url,
            "FAMACASE_REPORTER_TOKEN": TOKENS["SMOKE"],
            "FAMACASE_TESTOPS_PROJECT": "SMOKE",
        },
    )


def copy_sample(project: Project) -> Project:
    """Put the sample suite into a project."""
    unwanted = shutil.ignore_patterns("__pycache__", "build")
    shutil.copytree(SAMPLE, project.directory, dirs_exist_ok=True, ignore=unwanted)
    return project


class Runs:
    """The runs that come to be at the back end from here on.

    Args:
        api: reads them.
    """

    def __init__(self, api: ReporterApi) -> None:
        self._api = api
        self._known = self._last()

    def _last(self) -> int:
        # Run ids count up over all projects; a run of our own tells where the count stands.
        return self._api.create_run("SMOKE", {"title": "mark", "is_autotest": True}, str(uuid.uuid4()))

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

    def only_result(self) -> dict[str, Any]:
        """The one result of the one run that was created since."""
        (result,) = self.results(self.only())
        return result

    def results(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the back end holds of a run."""
        return list(self._api.list_results(run["project"], run["id"]))

    def by_title(self, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The results of a run, by title; titles must be distinct."""
        results = self.results(run)
        named = {result["title"]: result for result in results}
        assert len(named) == len(results), [result["title"] for result in results]
        return named


def stored_content(url: str, project: str, file_id: str) -> bytes:
    """What the back end gives for a file that it holds.

    Args:
        url: the back end's.
        project: the project's code.
        file_id: the back end's id of the file.
    """
    answer = requests.get(
        f"{url}{API_ROOT}/projects/{project}/attachments/{file_id}",
        headers={"Authorization": f"Token {TOKENS[project]}"},
        timeout=60,
    )
    answer.raise_for_status()
    return answer.content


def _run_or_none(api: ReporterApi, code: str, run_id: int) -> dict[str, Any] | None:
    try:
        return api.get_run(code, run_id)
    except Refused as error:
        if error.status == 404:
            return None
        raise
