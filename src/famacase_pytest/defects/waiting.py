"""What is to be filed later: a file for each session, beside its outbox."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..delivery.system import System
from ..errors import FamacaseError

_NAME = "defects-{}.json"


class Unreadable(FamacaseError):
    """A file of defects that wait is damaged. Delete it, or mend it: it is JSON."""


def keep(base: Path, findings: Iterable[NamedTuple]) -> Path:
    """Keep findings; returns the file.

    Args:
        base: the directory of the outboxes.
        findings: whose values JSON can hold.
    """
    path = base / _NAME.format(System.urandom(4).hex())
    base.mkdir(parents=True, exist_ok=True)
    path.write_text(System.dumps([finding._asdict() for finding in findings]) + "\n", encoding="utf-8")
    return path


def files(base: Path) -> list[Path]:
    """The files of `keep` in a directory."""
    return sorted(base.glob(_NAME.format("*")))


def read(path: Path) -> list[dict[str, Any]]:
    """What a file of `keep` holds. Raises Unreadable."""
    try:
        found: list[dict[str, Any]] = System.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unreadable(
            f"{path} cannot be read ({error}): the defects in it are not filed. "
            "Delete it if they do not matter."
        ) from error
    return found
