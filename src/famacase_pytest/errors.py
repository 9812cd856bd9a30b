"""What can go wrong, in the few kinds that callers treat differently.

Every message has three parts: what happened, with the value and where it came from; what it means for the
results; what to do. No message ever carries a token.
"""

from __future__ import annotations

from collections.abc import Collection

# What nobody may keep from passing, unlike all other exceptions: guards of a suite may raise what pytest.fail
# raises, which is no Exception.
PASSING = (KeyboardInterrupt, SystemExit, GeneratorExit)


class FamacaseError(Exception):
    """Base of all errors of this package. Read the message: its last sentence says what to do."""


class SettingsError(FamacaseError):
    """A setting is missing, contradictory or of the wrong kind. Correct the variable, flag or key named."""


class UpstreamMismatch(FamacaseError):
    """The installed qase-pytest is not one that this release knows how to bind to.

    Reporting is refused for the session. Install a release of qase-pytest from the supported range, or a
    newer famacase-pytest.
    """


class ApiError(FamacaseError):
    """A call to the back end did not succeed.

    Attributes:
        status: HTTP status of the last answer, or None if there was none.
        detail: what the server said about it, or the description of the connection error.
    """

    def __init__(self, message: str, *, status: int | None = None, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


class Unreachable(ApiError):
    """No usable answer after all attempts: connection errors, timeouts, 408, 429, 5xx, HTML in place of JSON.

    The results are kept where an outbox exists. Check the network and the address, then send them again.

    Attributes:
        retry_after: seconds that the server asked to be left alone for, None if it did not.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        detail: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, detail=detail)
        self.retry_after = retry_after


class Refused(ApiError):
    """The server, or a proxy, refuses the run or the project (401, 403, 404, 407, 409, a redirect).

    Without a status: there is no token for the project that could be sent. Trying again changes nothing.
    Check the token, the project code, the address and whether the run is open.
    """


class Rejected(ApiError):
    """The server refuses this content (400, 413, 422 and other 4xx). Look at the reason it gives."""


def closest(name: str, known: Collection[str]) -> str:
    """The known name that is nearest to one that nobody knows, whatever its case; "" if none is near."""
    # Imported late: only a mistake needs it.
    import difflib

    folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.75)
    return folded[found[0]] if found else ""
