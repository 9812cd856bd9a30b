"""When a call is tried again, and after how long."""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

# Statuses after which any call is tried again; 500 joins them where a second application does no harm.
TRANSIENT = frozenset({408, 429, 502, 503, 504})
SERVER_ERROR = 500

# Stateless, so that neither a test that seeds `random` nor a fork makes the waits of all processes equal, and
# no draw of ours disturbs a suite's own random numbers.
_jitter = random.SystemRandom()


class Clock:
    """The clocks as they were at import.

    Tests stop time by replacing functions in modules; attributes of a class are not looked for.
    """

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a call is repeated.

    Attributes:
        attempts: in all; 3 is the first and two more.
        base: seconds; the upper bound of the first wait, doubled for each later one.
        cap: seconds; the longest wait of our own choosing.
        retry_after_cap: seconds; the longest wait that a server may ask for.
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 30.0
    retry_after_cap: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be 1 or more, not {self.attempts}")

    def wait(self, failures: int, retry_after: float | None = None) -> float:
        """Seconds until the next attempt: what the server asked for, else backoff with full jitter.

        Args:
            failures: attempts that have failed so far, 1 or more.
            retry_after: seconds from the server, None if it gave none.
        """
        if retry_after is not None:
            return min(max(retry_after, 0.0), self.retry_after_cap)
        # 2**30 is beyond every cap; the bound keeps a patient caller from overflowing a float.
        return _jitter.uniform(0.0, min(self.cap, self.base * 2.0 ** min(failures - 1, 30)))


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, None if it is absent or unreadable.

    A date is taken relative to the answer's own `Date`, as far as there is one. urllib3's parser compares it
    with the local clock, so a machine whose clock is an hour off would wait an hour, or not at all.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", value):
        return float(value)
    then = _timestamp(value)
    if then is None:
        return None
    now = _timestamp(headers.get("Date", ""))
    return max(then - (Clock.time() if now is None else now), 0.0)


def _timestamp(date: str) -> float | None:
    parsed = email.utils.parsedate_tz(date) if date else None
    if parsed is None:
        return None
    try:
        return float(email.utils.mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None
