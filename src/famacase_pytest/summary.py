"""What a session tells its user, in words."""

from __future__ import annotations


def counted(number: int, noun: str, verb: str = "") -> str:
    """``1 result waits``, ``2 results wait``.

    Args:
        number: how many.
        noun: in the singular.
        verb: the two forms, as ``waits/wait``; empty for none.
    """
    words = [str(number), noun if number == 1 else f"{noun}s"]
    if verb:
        singular, plural = verb.split("/")
        words.append(singular if number == 1 else plural)
    return " ".join(words)
