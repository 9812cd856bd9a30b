"""What is to be filed later: a file for each session, beside its outbox."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..delivery.system import System

_NAME = "defects-{}.json"


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
    """What a file of `keep` holds."""
    found: list[dict[str, Any]] = System.loads(path.read_text(encoding="utf-8"))
    return found
