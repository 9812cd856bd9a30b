"""Upstream's defects that would stop or corrupt a session, each with what stands in its place."""

from __future__ import annotations

from typing import Any


def is_controller(session: Any) -> bool:
    """Whether this is no xdist worker.

    Upstream asks xdist, which looks for an option that is missing under ``-p no:xdist``. A worker is known
    by what xdist gives it.
    """
    return not hasattr(session.config, "workerinput")


class NoLock:
    """Takes the place of upstream's file lock in the working directory.

    The lock guards the file by which a run passes from controller to workers. That file is this session's
    own and is complete before the first worker starts, so there is nothing to guard; and a working directory
    may be read-only.
    """

    def __init__(self, path: Any) -> None:
        pass

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: Any) -> None:
        return None
