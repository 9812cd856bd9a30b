"""A changed upstream is seen, not suffered: each row of the table in turn has moved or changed.

The session runs with a copy of upstream in which the name bears another one throughout, as after a release
that has renamed it: upstream itself works.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from conftest import PAIR
from famacase_pytest.upstream.patches import TABLE, Patch

ROWS = [row for row in TABLE if row.since <= PAIR.commons < row.before]
REQUIRED = [row for row in ROWS if row.required]
OPTIONAL = [row for row in ROWS if not row.required]

SUITE = """
    import pytest

    @pytest.mark.parametrize("number", [1, 2])
    def test_numbers(number): pass

    def test_fails(): assert False
"""


def source_name(row: Patch) -> str:
    """The name as upstream's source has it."""
    return re.sub(r"^_[A-Z]\w*?__", "__", row.attribute.rpartition(".")[2])


def modules(place: Path) -> list[Path]:
    return [path for part in ("commons", "pytest") for path in (place / "qase" / part).rglob("*.py")]


def module_file(place: Path, row: Patch) -> Path:
    path = place.joinpath(*row.module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def move(place: Path, row: Patch) -> None:
    """Give a row's name another one in all of upstream; a module that upstream imports, only there."""
    name = source_name(row)
    if row.adds:
        path = module_file(place, row)
        owner = row.attribute.rpartition(".")[0]
        text = path.read_text(encoding="utf-8")
        if owner:
            added = f"\n\n{row.attribute} = lambda self, report: None\n"
        else:
            added = f"\n\nfrom builtins import {name}\n"
        path.write_text(text + added, encoding="utf-8")
        return
    importing = name in ("os", "threading")
    for path in [module_file(place, row)] if importing else modules(place):
        text = path.read_text(encoding="utf-8")
        if importing:
            text = re.sub(rf"^import {name}$", f"import {name} as {name}_moved", text, flags=re.M)
            text = re.sub(rf"\b{name}\.", f"{name}_moved.", text)
        else:
            text = re.sub(rf"(?<!\w){name}(?!\w)", f"{name}_moved", text)
            # Others' names have not moved with it.
            text = re.sub(
                rf"^( *from (?:filelock|xdist) import) {name}_moved",
                rf"\1 {name} as {name}_moved",
                text,
                flags=re.M,
            )
        path.write_text(text, encoding="utf-8")


def change_parameters(place: Path, row: Patch) -> None:
    """Let a row's function, or its class when it is made, take one more parameter."""
    name = source_name(row)
    changed = 0
    for path in modules(place):
        text = path.read_text(encoding="utf-8")
        if name[:1].isupper():
            form = rf"(class {name}\b.*?def __init__\((?:[^()]|\([^()]*\))*?)(\))"
        else:
            form = rf"(def {name}\((?:[^()]|\([^()]*\))*?)(\))"
        text, count = re.subn(form, r"\1, one_more=None\2", text, count=1, flags=re.S)
        changed += count
        path.write_text(text.replace("(, one_more", "(one_more"), encoding="utf-8")
    assert changed, f"{name} was not found"


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """The place of a copy of upstream: one for all tests, so that it is compiled once."""
    place = tmp_path_factory.mktemp("upstream")
    (place / "qase").mkdir()
    for part in (PAIR.packages / "qase").iterdir():
        if part.name in ("commons", "pytest"):
            shutil.copytree(part, place / "qase" / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif part.name != "__pycache__":
            (place / "qase" / part.name).symlink_to(part)
    return place


@pytest.fixture
def doctored(project, copied, tmp_path):
    """A project whose sessions find the copy of upstream first, and its place; it is put back at the end."""
    project.write(test_suite=SUITE)
    project.environ["PYTHONPATH"] = os.pathsep.join([str(copied), os.environ.get("PYTHONPATH", "")])
    project.environ["COMPAT_CONNECTIONS"] = str(tmp_path / "connections")
    yield project, copied
    for path in modules(copied):
        as_it_was = PAIR.packages / path.relative_to(copied)
        if path.read_bytes() != as_it_was.read_bytes():
            shutil.copy2(as_it_was, path)


def refused(project, layer, row: Patch) -> str:
    """Run the suite; assert that it ran, that nobody was reported to, and that one line says why."""
    # What upstream leaves of its lock is upstream's: nothing of it is rebound.
    outcome = project.run("-p", "watching_connections", leaves=("qase.lock",))
    assert outcome.code == 1, outcome.output
    assert outcome.counts.startswith("1 failed, 2 passed"), outcome.output
    connections = Path(project.environ["COMPAT_CONNECTIONS"]).read_text(encoding="utf-8")
    assert connections == ""
    assert layer.exchanges() == []
    (said,) = outcome.notices
    assert f"qase-pytest {'.'.join(map(str, PAIR.qase))} with" in said
    assert f"qase-python-commons {'.'.join(map(str, PAIR.commons))}" in said
    assert f"{row.name} ({row.path}): " in said
    assert "No result of this session is reported, neither to Famacase nor to Qase" in said
    return said


def test_the_copy_as_it_is_reports(doctored, runs):
    project, _ = doctored
    outcome = project.run("-p", "watching_connections")
    assert outcome.code == 1, outcome.output
    assert len(runs.results(runs.only())) == 3
    # The relay alone uses the network.
    assert Path(project.environ["COMPAT_CONNECTIONS"]).read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("row", REQUIRED, ids=lambda row: f"{row.name}-{row.path}")
def test_a_name_that_has_moved(doctored, layer, row):
    project, place = doctored
    move(place, row)
    said = refused(project, layer, row)
    assert ("it is there by now" if row.adds else "it is not there") in said


@pytest.mark.parametrize(
    "row", [row for row in REQUIRED if row.parameters is not None], ids=lambda row: row.name
)
def test_other_parameters(doctored, layer, row):
    project, place = doctored
    change_parameters(place, row)
    assert "one_more" in refused(project, layer, row)


def test_a_method_that_our_client_does_not_have(doctored, layer):
    project, place = doctored
    path = place / "qase" / "commons" / "client" / "base_api_client.py"
    text = path.read_text(encoding="utf-8")
    grown = "\n    @abc.abstractmethod\n    def archive_run(self, project_code):\n        pass\n"
    path.write_text(re.sub(r"^(class BaseApiClient.*)$", rf"\1{grown}", text, flags=re.M), encoding="utf-8")
    row = next(row for row in REQUIRED if row.name == "API client")
    assert "our client lacks archive_run" in refused(project, layer, row)


def test_without_the_rows_that_a_session_can_do_without(doctored, runs):
    """They are left out, all at once, and the session reports."""
    project, place = doctored
    for row in OPTIONAL:
        # pytest calls hooks by their names, so these stay; their parameters tell pytest what to pass.
        # And some names are those of much else in their file, or of a module.
        is_common = source_name(row) in ("__init__", "log", "uuid")
        if (
            not source_name(row).startswith("pytest_")
            and not row.path.endswith("._instance")
            and not is_common
        ):
            move(place, row)
    outcome = project.run()
    assert outcome.code == 1, outcome.output
    assert len(runs.results(runs.only())) == 3
