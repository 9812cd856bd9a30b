"""`famacase upload`: local reports and JUnit XML become a run, by way of the outbox."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import wiring
from ..delivery.models import MIB, CapturedResult, Run
from ..delivery.outbox.store import Outbox
from ..delivery.system import System
from ..errors import SettingsError
from ..settings.model import Settings
from ..summary import counted, telling
from .reports import IDS, read
from .resend import Target, send
from .runs import project_of
from .settings import asking, command_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `upload`."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="directory of a local report (build/qase-report), a JUnit XML file, or a directory of those",
    )
    parser.add_argument(
        "--project", metavar="CODE", help="code of the project (default: FAMACASE_TESTOPS_PROJECT)"
    )
    parser.add_argument("--title", help="title of the run (default: what the report says)")
    parser.add_argument(
        "--run",
        type=int,
        dest="run_id",
        metavar="ID",
        help="add to this run, which stays open, instead of a new one",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Send the reports as one run; sending them again adds nothing.

    Returns:
        0 if the back end has everything, 1 if something waits in the outbox.

    Raises:
        FamacaseError: a report cannot be read, a setting is wrong, or the back end refuses the run.
    """
    settings = command_settings()
    project = project_of(arguments, settings)
    with telling("reading the reports"):
        reports = [read(path) for path in arguments.paths]
    # The same file given twice is one.
    results = {result.payload["id"]: result for report in reports for result in report.results}
    if not results:
        raise SettingsError("The reports hold no results: nothing is sent. Check the paths.")
    title = arguments.title or (settings.run_title.value if settings.run_title else "")
    title = title or next((report.title for report in reports if report.title), "Uploaded run")
    key = str(uuid.uuid5(IDS, json.dumps([project, title, *sorted(results)])))
    with contextlib.redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        run_id, is_complete = _open_run(settings, project, arguments.run_id, title, key)
        url = wiring.run_url(settings, project, run_id)
        is_left = False
        if is_complete:
            print(f"The run has all of it already: {url}")
        else:
            scope = f"{key} {run_id}"
            stored = list(results.values())
            with telling(f"storing {counted(len(stored), 'result')}"):
                directory = _store(settings, project, run_id, stored, scope, not arguments.run_id)
            is_left = send(directory, settings, Target())
    if arguments.json:
        files = sum(len(result.files) for result in results.values())
        document = {
            "run": run_id,
            "url": url,
            "results": len(results),
            "files": files,
            "complete": not is_left,
        }
        print(json.dumps(document))
    return int(is_left)


def _open_run(settings: Settings, project: str, given: int | None, title: str, key: str) -> tuple[int, bool]:
    """The run to send to, and whether an earlier upload has completed it.

    Args:
        settings: with the address and the token.
        project: code of the project.
        given: the run that the user has named.
        title: of a new one.
        key: of a new one: the same reports make the same run.
    """
    with asking(settings) as api:
        if given is None:
            body: dict[str, Any] = {"title": title, "is_autotest": True}
            given = api.create_run(project, body, key)
            return given, api.get_run(project, given).get("status") == "completed"
        if api.get_run(project, given).get("status") == "completed":
            raise SettingsError(f"Run {given} of {project} is completed: nothing is sent. Name another one.")
        return given, False


def _store(
    settings: Settings,
    project: str,
    run_id: int,
    results: Sequence[CapturedResult],
    scope: str,
    completes: bool,
) -> Path:
    """Store the results in an outbox of their own; returns its directory."""
    meta = {
        "api_url": settings.base_url,
        "projects": [project],
        "created": time.time(),
        "ended": "normal",
        # Equal files of the same upload have equal keys, whoever sends them.
        "scope": hashlib.sha256(scope.encode()).hexdigest(),
    }
    with Outbox.create(wiring.outbox_base(settings, Path.cwd()), meta) as outbox:
        outbox.add_run(Run(project, run_id))
        writer = outbox.writer("upload", max_bytes=settings.outbox_max_mb.value * MIB)
        for result in results:
            files = [writer.store(source) for source in result.files]
            payload = System.dumps(result.payload, ensure_ascii=False)
            writer.put(project, run_id, result.payload["id"], payload, files)
        if completes:
            outbox.request_completion(project, run_id)
        return outbox.directory
