"""`famacase create` and `famacase complete`: one run for several CI jobs."""

from __future__ import annotations

import argparse
import sys
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from .. import wiring
from ..errors import SettingsError
from ..settings.model import Settings
from ..settings.sources import Value
from .settings import asking, command_settings

if TYPE_CHECKING:
    from ..delivery.api.base import ReportingClient

T = TypeVar("T")


def add_create_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `create`."""
    parser.add_argument("--title", help="title of the run (default: FAMACASE_TESTOPS_RUN_TITLE)")
    parser.add_argument(
        "--description", help="description of the run (default: FAMACASE_TESTOPS_RUN_DESCRIPTION)"
    )
    parser.add_argument(
        "--environment", metavar="SLUG", help="environment of the run (default: FAMACASE_ENVIRONMENT)"
    )
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        dest="tags",
        help="tag of the run; may be repeated (default: FAMACASE_TESTOPS_RUN_TAGS)",
    )
    _add_project(parser)


def add_complete_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `complete`."""
    parser.add_argument("run_id", type=int, metavar="RUN_ID", help="as printed by 'famacase create'")
    _add_project(parser)


def create(arguments: argparse.Namespace) -> int:
    """Create a run and print only its id on standard output, for scripts.

    Raises:
        FamacaseError: a setting is wrong, or the back end refuses the run or cannot be reached.
    """
    settings = command_settings()
    project = project_of(arguments, settings)
    title = arguments.title or _value(settings.run_title) or "Automated run"
    body: dict[str, Any] = {"title": title, "is_autotest": True}
    description = arguments.description or _value(settings.run_description)
    if description:
        body["description"] = description
    tags = arguments.tags or _value(settings.run_tags)
    if tags:
        body["tags"] = [str(tag) for tag in tags]
    with asking(settings) as api:
        environment = _environment(arguments, settings, api, project)
        if environment is not None:
            body["environment_id"] = environment
        run_id = api.create_run(project, body, str(uuid.uuid4()))
    print(run_id)
    print(wiring.run_url(settings, project, run_id), file=sys.stderr)
    return 0


def complete(arguments: argparse.Namespace) -> int:
    """Complete a run and print its address.

    Raises:
        FamacaseError: a setting is wrong, or the back end refuses or cannot be reached.
    """
    settings = command_settings()
    project = project_of(arguments, settings)
    with asking(settings) as api:
        api.complete_run(project, arguments.run_id)
    print(wiring.run_url(settings, project, arguments.run_id))
    return 0


def _environment(
    arguments: argparse.Namespace, settings: Settings, api: ReportingClient, project: str
) -> int | None:
    """The id of the environment, which is given as a slug or as an id."""
    given, source = arguments.environment, "--environment"
    if not given and settings.environment is not None:
        given, source = settings.environment.value, str(settings.environment.source)
    if not given:
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


def _value(value: Value[T] | None) -> T | None:
    return value.value if value is not None else None


def _add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--project", metavar="CODE", help="code of the project (default: FAMACASE_TESTOPS_PROJECT)"
    )


def project_of(arguments: argparse.Namespace, settings: Settings) -> str:
    """The project that the arguments or the settings name. Raises SettingsError if neither does."""
    code = arguments.project or _value(settings.project)
    if not code:
        raise SettingsError(
            "No project is set, and each run belongs to one: nothing is done. "
            "Set FAMACASE_TESTOPS_PROJECT or --project."
        )
    return str(code)
