"""Whether descriptors still stand for what they were opened for: tests close all numbers, and reuse them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator

from .system import System

# Numbers up to which others may believe them to be their own.
_OTHERS = 100

# Where the system lists the descriptors of the process that looks; Windows, where SQLite has none, does not.
_LIST = "/dev/fd"


class Descriptors:
    """Some descriptors of this process, each remembered with what it stands for.

    Args:
        numbers: of open descriptors.

    Attributes:
        were_lost: whether any of this process were found to stand for something else, or for nothing.
    """

    were_lost = False

    def __init__(self, numbers: Iterable[int]) -> None:
        self._identities = {number: _identity(System.fstat(number)) for number in numbers}

    @classmethod
    def on(cls, *paths: str) -> Descriptors:
        """Those that are open on the given files, as far as the system tells."""
        wanted = set()
        for path in paths:
            with contextlib.suppress(OSError):
                wanted.add(_identity(System.stat(path)))
        found = cls(())
        with contextlib.suppress(OSError), System.scandir(_LIST) as entries:
            for number in [int(entry.name) for entry in entries if entry.name.isdecimal()]:
                with contextlib.suppress(OSError):
                    identity = _identity(System.fstat(number))
                    if identity in wanted:
                        found._identities[number] = identity
        return found

    def has(self, number: int) -> bool:
        """Whether a descriptor is one of these and still stands for the same."""
        known = self._identities.get(number)
        if known is None:
            return False
        with contextlib.suppress(OSError):
            if _identity(System.fstat(number)) == known:
                return True
        Descriptors.were_lost = True
        return False

    def are_intact(self) -> bool:
        """Whether all of them still stand for the same. Each test asks twice."""
        try:
            for number, known in self._identities.items():
                if _identity(System.fstat(number)) != known:
                    break
            else:
                return True
        except OSError:
            pass  # it is closed
        Descriptors.were_lost = True
        return False


@contextlib.contextmanager
def clear_of_others() -> Iterator[None]:
    """Once a test has closed our descriptors, let what is opened here have high numbers.

    The descriptors of others were closed with them, and those go on to write to the low numbers: pytest's
    capture does, and xdist's channel. What we open must not be what they write to.
    """
    taken: list[int] = []
    try:
        while Descriptors.were_lost and (not taken or taken[-1] < _OTHERS):
            taken.append(System.open(os.devnull, os.O_RDONLY))
    except OSError:
        # There are none to spare.
        _close(taken)
    try:
        yield
    finally:
        _close(taken)


def _close(numbers: list[int]) -> None:
    while numbers:
        System.close(numbers.pop())


def _identity(state: os.stat_result) -> tuple[int, int, int]:
    return (stat.S_IFMT(state.st_mode), state.st_dev, state.st_ino)
