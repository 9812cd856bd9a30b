"""The command line: a `--famacase-*` twin of every flag of upstream, and the flags of our own settings.

The twins are derived by running upstream's own registration into a recorder, so their list cannot drift.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from ..errors import closest
from .table import OWN, Row

_ORCHESTRATION: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--run-orch", "--test-orch"),
        {"action": "append", "default": [], "dest": "run_orch", "metavar": "NAME", "help": "run long tests"},
    ),
    (
        ("--load-orch",),
        {"action": "store_true", "dest": "load_orch", "help": "check all long tests, and run none"},
    ),
)
_ORCHESTRATION_KEYS = {
    "orchestration_descriptions": "folder of the descriptions of long tests",
    "orchestration_sources": "files of their events, separated by commas",
    "orchestration_report_sec": "seconds after which a long test is reported again (default: 30)",
}


class OptionTarget(Protocol):
    """What options are added to: pytest's `OptionGroup`."""

    def addoption(self, *names: str, **attributes: object) -> None:
        """Add one option."""


class Option(NamedTuple):
    """One option.

    Attributes:
        flag: the long name.
        dest: its attribute in the namespace.
        help: what `pytest --help` says of it.
        is_list: whether what a repeated flag gives is taken together.
    """

    flag: str
    dest: str
    help: str = ""
    is_list: bool = False


class _Joined(argparse.Action):
    """The texts of a repeated flag, separated by commas."""

    def __call__(self, parser: object, namespace: object, values: object, flag: object = None) -> None:
        earlier = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if earlier is None else f"{earlier},{values}")


class _Recorder:
    """Stands in for pytest's parser and for its option group at once."""

    def __init__(self) -> None:
        self.options: list[Option] = []

    def getgroup(self, name: str, description: str = "", after: object = None) -> _Recorder:
        return self

    def addini(self, *names: object, **attributes: object) -> None:
        """Ini settings have no twin."""

    def addoption(self, *names: str, dest: str = "", **attributes: object) -> None:
        flags = [name for name in names if name.startswith("--")]
        # argparse takes a dest by keyword only, upstream's wrapper also by position.
        positional = [name for name in names if not name.startswith("-")]
        if flags:
            derived = flags[0][2:].replace("-", "_")
            self.options.append(Option(flags[0], dest or (positional[0] if positional else derived)))

    _addoption = addoption


def record(register: Callable[[Any, Any], object]) -> tuple[Option, ...]:
    """Run a registration function and return the options that it registers.

    Args:
        register: upstream's `QasePytestOptions.addoptions`, which takes a parser and an option group.
    """
    recorder = _Recorder()
    register(recorder, recorder)
    return tuple(recorder.options)


def twins(options: Iterable[Option]) -> tuple[Option, ...]:
    """The `--famacase-*` twin of each `--qase-*` option; others have none."""
    return tuple(
        Option(
            option.flag.replace("--qase-", "--famacase-", 1),
            option.dest.replace("qase_", "famacase_", 1),
            f"the same as {option.flag}",
        )
        for option in options
        if option.flag.startswith("--qase-") and option.dest.startswith("qase_")
    )


def own_options() -> tuple[Option, ...]:
    """The flags of our own settings."""
    return tuple(
        Option(
            f"--famacase-{row.flag}",
            f"famacase_{row.destination}",
            _help(row),
            row.kind.schema.get("type") == ["array", "string"],
        )
        for row in OWN
        if row.flag
    )


def add_options(group: OptionTarget, recorded: Iterable[Option]) -> None:
    """Register our own flags and the twins; a name that is taken already is passed over, as upstream does.

    All take a text and default to None: they are checked where the source of a value can be named.

    Args:
        group: pytest's option group "famacase".
        recorded: the result of `record` for upstream.
    """
    taken = _taken(group)
    # Our own first: if upstream adds an option of such a name, its twin gives way.
    for option in (*own_options(), *twins(recorded)):
        if option.flag in taken:
            continue
        taken.add(option.flag)
        try:
            action = _Joined if option.is_list else "store"
            group.addoption(option.flag, dest=option.dest, default=None, action=action, help=option.help)
        except (ValueError, argparse.ArgumentError):
            continue


def add_orchestration(parser: Any) -> None:
    """Register the flags and the ini keys of long tests.

    Args:
        parser: pytest's.
    """
    group = parser.getgroup("orchestration", "long tests made of repeated events")
    for names, attributes in _ORCHESTRATION:
        group.addoption(*names, **attributes)
    for name, purpose in _ORCHESTRATION_KEYS.items():
        parser.addini(name, purpose, default="")


def intended(arguments: Iterable[object], group: OptionTarget) -> str:
    """The flags that were probably meant by those of ours and of upstream's that do not exist; "" for none.

    Args:
        arguments: of the command line.
        group: any option group of pytest's.
    """
    known = _taken(group)
    given = {str(argument).partition("=")[0] for argument in arguments}
    strange = sorted(flag for flag in given - known if flag.startswith(("--famacase-", "--qase-")))
    return ", ".join(filter(None, (_near(flag, known) for flag in strange)))


def _near(flag: str, known: Iterable[str]) -> str:
    """The flag that is nearest, or that ends in the word that is; "" if none is near."""
    prefix, _, rest = flag.removeprefix("--").partition("-")
    names = sorted(name for name in known if name.startswith(f"--{prefix}-"))
    # The last of an end stands: --famacase-testops-project rather than that of defects.
    by_end = {name.rpartition("-")[2]: name for name in names}
    by_name = {name[len(prefix) + 3 :]: name for name in names}
    # The prefix makes none nearer.
    found = closest(rest, by_name)
    return by_name[found] if found else by_end.get(closest(rest, by_end), "")


def _help(row: Row) -> str:
    text = row.purpose + (f" (default: {row.default.strip('`')})" if row.default else "")
    if row.secret:
        text += "; prefer the variable or a file, since other users of the machine can see a command line"
    return text.replace("%", "%%")


def _taken(group: OptionTarget) -> set[str]:
    """All option names registered so far, as far as this pytest shows them.

    Before pytest 9 a name that is taken in another group is found only when the command line is parsed, and
    stops pytest then.
    """
    parser = getattr(group, "parser", None)
    groups = [*getattr(parser, "_groups", ()), getattr(parser, "_anonymous", None), group]
    return {name for found in groups for option in getattr(found, "options", ()) for name in option.names()}
