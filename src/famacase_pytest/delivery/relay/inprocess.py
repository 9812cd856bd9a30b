"""What the relay does, in the pytest process, where no relay can be started: after the last test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import PASSING
from ..outbox.database import OutboxUnavailable
from ..outbox.ledger import Ledger
from ..outbox.store import Outbox, account
from ..system import System
from .main import open_api, open_loop


def deliver_here(
    outbox: Outbox,
    ledger: Ledger,
    briefing: Mapping[str, Any],
    stored: Mapping[str, int],
    deadline: float,
    on_wait: Callable[[], None],
    note_request: Callable[[str], None],
) -> tuple[bool, dict[str, Any] | None, BaseException | None]:
    """Deliver an outbox by the same code as ``famacase resend``.

    Args:
        outbox: the session's.
        ledger: what has been delivered of it.
        briefing: as the relay would have got it.
        stored: how many results each writer has stored, by its name.
        deadline: when to give up, by `System.monotonic`.
        on_wait: called several times a second meanwhile.
        note_request: takes a line for each request, if the briefing asks for that.

    Returns:
        Whether everything was done that can be done, how far delivery came, and what kept this process
        from it.

    Raises:
        OutboxUnavailable: the outbox cannot be read any more.
    """

    def left() -> float:
        return max(0.0, deadline - System.monotonic())

    lock = outbox.delivery_lock()
    if not lock.acquire(left()):
        return False, None, None
    loop = None
    try:
        cancelled = threading.Event()
        api = open_api(briefing, cancelled, lambda attempt: note_request(str(attempt)))
        loop = open_loop(outbox, ledger, briefing, api, cancelled)
        loop.delivery.expected = stored
        loop.start()
        done = loop.drain(left(), threading.Event(), on_wait)
        return done, account(outbox, ledger), loop.failure
    except (OutboxUnavailable, *PASSING):
        raise
    except BaseException as error:  # noqa: BLE001 (guards of a suite may raise anything)
        return False, None, error
    finally:
        if loop is not None:
            loop.stop()
        lock.release()
