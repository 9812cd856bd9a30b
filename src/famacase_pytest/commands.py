"""``famacase create`` and ``famacase complete``: one run for several jobs of a CI pipeline."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import wiring
from .errors import SettingsError
from .settings.model import Settings, resolve
from .settings.sources import Value

if TYPE_CHECKING:
    from .delivery.api.client import ReporterApi


def command_settings() -> Settings:
    """The settings of a command, from the environment and the files of the current directory.

    Raises:
        SettingsError: a value is wrong, or there is no address.
    """
    # What the tests of the directory are to report, and to which project, is no matter of a command.
    no_tests = {"qase_mode": "off", "qase_fallback": "off"}
    resolution = resolve(os.environ, no_tests, Path.cwd())
    for warning in resolution.warnings:
        print(f"famacase: {warning}", file=sys.stderr)
    if resolution.settings is None or resolution.settings.api_url is None:
        reason = f" ({resolution.reason})" if resolution.reason else ""
        raise SettingsError(
            f"No Famacase address is set{reason}: there is no back end to talk to. "
            "Set FAMACASE_API_URL, and FAMACASE_REPORTER_TOKEN with the project's token."
        )
    return resolution.settings


def add_create_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `create` understands."""
    parser.add_argument("--title", default=None, help="of the run (default: FAMACASE_TESTOPS_RUN_TITLE)")
    parser.add_argument(
        "--description", default=None, help="of the run (default: FAMACASE_TESTOPS_RUN_DESCRIPTION)"
    )
    parser.add_argument(
        "--environment",
        default=None,
        metavar="SLUG",
        help="that the run is for (default: FAMACASE_ENVIRONMENT)",
    )
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        dest="tags",
        help="of the run; may be repeated (default: FAMACASE_TESTOPS_RUN_TAGS)",
    )
    _add_project(parser)


def add_complete_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `complete` understands."""
    parser.add_argument("run_id", type=int, metavar="RUN_ID", help="as printed by 'famacase create'")
    _add_project(parser)


def create(arguments: argparse.Namespace) -> int:
    """Create a run and print its id, alone on standard output, so that a script can take it."""
    settings = command_settings()
    project = _project(arguments, settings)
    title = arguments.title or _value(settings.run_title) or "Automated run"
    body: dict[str, Any] = {"title": title, "is_autotest": True}
    description = arguments.description or _value(settings.run_description)
    if description:
        body["description"] = description
    tags = arguments.tags or _value(settings.run_tags)
    if tags:
        body["tags"] = [str(tag) for tag in tags]
    with wiring.open_api(settings) as api:
        environment = _environment(arguments, settings, api, project)
        if environment is not None:
            body["environment_id"] = environment
        run_id = api.create_run(project, body, str(uuid.uuid4()))
    print(run_id)
    print(f"{settings.base_url}/runs/{run_id}", file=sys.stderr)
    return 0


def complete(arguments: argparse.Namespace) -> int:
    """Complete a run."""
    settings = command_settings()
    with wiring.open_api(settings) as api:
        api.complete_run(_project(arguments, settings), arguments.run_id)
    print(f"{settings.base_url}/runs/{arguments.run_id}")
    return 0


def _environment(
    arguments: argparse.Namespace, settings: Settings, api: ReporterApi, project: str
) -> int | None:
    """The id of the environment, which settings give as slug or number, as for a session."""
    source: object
    if arguments.environment:
        given, source = arguments.environment, "--environment"
    elif settings.environment is not None and settings.environment.value:
        given, source = settings.environment.value, settings.environment.source
    else:
        return None
    if given.isdecimal():
        return int(given)
    found = api.environment_id(project, given)
    if found is None:
        raise SettingsError(
            f"Project {project} has no environment with the slug {given!r}: no run was created. "
            f"Check {source}."
        )
    return found


def _value(value: Value[Any] | None) -> Any:
    return value.value if value is not None and value.value else None


def _add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", default=None, metavar="CODE", help="(default: FAMACASE_TESTOPS_PROJECT)")


def _project(arguments: argparse.Namespace, settings: Settings) -> str:
    code = arguments.project or (settings.project.value if settings.project else None)
    if not code:
        raise SettingsError(
            "No project is set: a run belongs to one. Set FAMACASE_TESTOPS_PROJECT or --project."
        )
    return str(code)
