"""Imports run downward only, and a session that does not use Famacase pays for nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import famacase_pytest

PACKAGE = Path(famacase_pytest.__file__).parent
ROOMS = (
    "settings",
    "upstream",
    "delivery",
    "orchestration",
    "defects",
    "integrations",
    "clients",
    "server",
    "cli",
)

# What a room, or a module of it, may import of this package beside itself; "" is its version. Modules above
# the rooms are not listed: they may import any room but the command line, and the server, which it starts.
ALLOWED = {
    "errors": set(),
    "resolver": {"errors"},
    "__init__": {"integrations"},
    "integrations": {"errors", "resolver", "delivery"},
    "clients": {"errors", "delivery"},
    "settings": {"errors"},
    "delivery": {"errors", "resolver", ""},
    "upstream": {"errors", "delivery"},
    "defects": {"errors", "resolver", "settings", "delivery"},
    "orchestration": {"errors", "settings", "upstream", "delivery"},
    "server": {"errors", "summary"},
    "cli": {"errors", "settings", "delivery", "defects", "server", "wiring", "summary", ""},
}
ABOVE = {"errors", "settings", "upstream", "delivery", "orchestration", "defects", "integrations", ""}

ABOVE_ROOMS = ("testing", "plugin", "activation", "hooks", "hookspecs", "session", "summary", "teardown")

# Who may import a package of others; modules and rooms as above.
FOREIGN = {
    "qase": {"upstream"},
    "pytest": {*ABOVE_ROOMS, "upstream", "orchestration", "integrations"},
    "_pytest": {"upstream"},
    "xdist": {"upstream"},
    "requests": {"delivery", "integrations"},
    "requests_toolbelt": {"delivery"},
    "urllib3": {"delivery"},
    "sqlite3": {"delivery", "server"},
    "testbench_defect_service": {"defects"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "sqlalchemy": {"server"},
    "uvicorn": {"server"},
}


@dataclass(frozen=True)
class Import:
    """One import statement.

    Attributes:
        importer: dotted name of the module, below the package.
        imported: dotted name of what it imports; of this package, it begins with a dot.
        line: number of the line.
        at_once: whether it happens when the module is imported, not when a function is called.
        for_types: whether only a type checker sees it.
    """

    importer: str
    imported: str
    line: int
    at_once: bool
    for_types: bool

    @property
    def room(self) -> str:
        return self.importer.partition(".")[0]

    @property
    def target(self) -> str:
        """The room or module of this package that is imported; "" for the package itself."""
        return self.imported.split(".")[1]

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def imports() -> Iterator[Import]:
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE).with_suffix("")
        name = ".".join(relative.parts).removesuffix(".__init__")
        yield from _imports_of(ast.parse(path.read_text(encoding="utf-8")), path, name)


def _imports_of(tree: ast.Module, path: Path, importer: str) -> Iterator[Import]:
    waiting: list[tuple[ast.AST, bool, bool]] = [(tree, True, False)]
    while waiting:
        node, at_once, for_types = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            at_once = False
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in _names(node, path):
                yield Import(importer, name, node.lineno, at_once, for_types)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += [(child, at_once, True) for child in node.body]
            waiting += [(child, at_once, for_types) for child in node.orelse]
        else:
            waiting += [(child, at_once, for_types) for child in ast.iter_child_nodes(node)]


def _names(node: ast.Import | ast.ImportFrom, path: Path) -> list[str]:
    """What a statement imports; of this package, below a dot."""
    if isinstance(node, ast.Import):
        return [_relative(alias.name) for alias in node.names]
    if not node.level:
        module = _relative(node.module or "")
        return _members(module, node) if module == "." else [module]
    package = [".", *path.relative_to(PACKAGE).parts[:-1]]
    base = package[: len(package) - node.level + 1]
    module = ".".join(["", *base[1:], *(node.module.split(".") if node.module else [])]) or "."
    return _members(module, node) if module == "." else [module]


def _members(module: str, node: ast.ImportFrom) -> list[str]:
    """``from . import x``: a module, or a name of the package itself."""
    return [f".{alias.name}" if _is_module(alias.name) else module for alias in node.names]


def _is_module(name: str) -> bool:
    return (PACKAGE / f"{name}.py").exists() or (PACKAGE / name / "__init__.py").exists()


def _relative(name: str) -> str:
    head, _, rest = name.partition(".")
    return f".{rest}" if head == "famacase_pytest" else name


ALL = list(imports())


def test_the_reading_of_imports_itself():
    found = {(entry.importer, entry.imported): entry for entry in ALL}
    assert found["settings.sources", ".errors"].at_once
    assert not found["plugin", ".activation"].at_once
    assert found["upstream.patches", "qase.commons.client.base_api_client"].at_once
    assert ("delivery.api.client", ".") in found
    assert len({entry.importer for entry in ALL}) > 40


def test_imports_run_downward():
    wrong = []
    for entry in ALL:
        if not entry.imported.startswith(".") or entry.target == entry.room:
            continue
        allowed = ALLOWED.get(entry.importer, ALLOWED.get(entry.room))
        if allowed is None:
            allowed = ABOVE
            if entry.target not in (*ROOMS, "errors", ""):
                continue  # among the modules above the rooms, which the next test is about
        if entry.target not in allowed:
            wrong.append(str(entry))
    assert wrong == []


def test_the_package_imports_from_itself_in_one_style():
    absolute = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and not node.level and _relative(node.module or "")[:1] == "."
    ]
    assert absolute == []


def test_modules_above_the_rooms_form_no_circle():
    above = {entry.importer for entry in ALL if entry.room not in (*ROOMS, "errors", "__init__")}
    below: dict[str, set[str]] = {name: set() for name in above}
    for entry in ALL:
        if entry.imported.startswith(".") and entry.importer in above and entry.target in above:
            # Nothing imports the entries.
            assert entry.target not in ("plugin", "cli"), str(entry)
            if not entry.for_types and entry.at_once:
                below[entry.importer].add(entry.target)
    left = dict(below)
    while left:
        free = {name for name, targets in left.items() if not targets & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: targets for name, targets in left.items() if name not in free}


def test_packages_of_others_are_known_where_they_belong_alone():
    wrong = [
        str(entry)
        for entry in ALL
        if (allowed := FOREIGN.get(entry.imported.partition(".")[0])) is not None
        and entry.importer not in allowed
        and entry.room not in allowed
    ]
    assert wrong == []


def test_the_plugin_imports_nothing_but_pytest_at_once():
    of_plugin = [
        entry for entry in ALL if entry.importer == "plugin" and entry.at_once and not entry.for_types
    ]
    # Small, and loaded by pytest itself.
    for_free = {"__future__", "collections.abc", "contextlib", "os", "pathlib", "typing"}
    assert {entry.imported for entry in of_plugin} - for_free == {"pytest"}


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("famacase_pytest.plugin", ("requests", "urllib3", "sqlite3", "qase", "famacase_pytest.activation")),
        (
            "famacase_pytest.activation",
            ("requests", "urllib3", "sqlite3", "qase", "famacase_pytest.delivery.api.client"),
        ),
        ("famacase_pytest.wiring", ("requests", "urllib3", "ssl", "pytest", "qase")),
        ("famacase_pytest.delivery.api.client", ("pytest", "qase", "famacase_pytest.settings")),
        ("famacase_pytest.delivery.relay.main", ("pytest", "qase", "famacase_pytest.settings")),
        ("famacase_pytest.server", ("fastapi", "sqlalchemy", "requests", "famacase_pytest.delivery")),
    ],
)
def test_a_fresh_interpreter_loads_no_more_than_it_needs(module, without, monkeypatch):
    # `make coverage` would import modules of its own.
    monkeypatch.delenv("MEASURE_COVERAGE", raising=False)
    code = f"import {module}, sys; print(*[name for name in {without!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_only_commands_print():
    """In a session what is said goes through pytest's reporter or `logging`; see `Notices`."""
    printing = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if ast.unparse(node) in ("print", "sys.stdout", "sys.stderr") and not module.startswith(
                ("cli.", "server.")
            ):
                printing.add(module)
    # The progress line of commands, and the log of the relay.
    assert printing == {"summary", "delivery.relay.main"}
