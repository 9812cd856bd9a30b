"""Objects seen with some attributes replaced."""

from __future__ import annotations

from typing import Any


class View:
    """An object with some attributes replaced; everything else, writing included, goes to the object itself.

    Args:
        real: the object.
        replaced: the attributes that differ, by name.
    """

    def __init__(self, real: Any, **replaced: Any) -> None:
        vars(self).update(replaced, _real=real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)
