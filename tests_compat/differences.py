"""Where our wire differs from upstream's, with the reason. What is not listed here has to be equal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

Version = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Difference:
    """One kind of difference.

    Args:
        path: regular expression for the whole path of a field, such as ``steps[0].data.action``.
        reason: why it is right.
        upstream, ours: what either sends: ABSENT, ANY, or the value.
        since, before: the releases of qase-python-commons in which it is so; ``before`` is excluded.
        rare: whether a comparison may lack it.
    """

    ABSENT: ClassVar[str] = "<absent>"
    ANY: ClassVar[str] = "<anything>"

    path: str
    reason: str
    upstream: Any = ABSENT
    ours: Any = ANY
    since: Version = (0,)
    before: Version = (10**6,)
    rare: bool = False

    def applies(self, commons: Version) -> bool:
        """Whether a release has it."""
        return self.since <= commons < self.before

    def explains(self, path: str, upstream: Any, ours: Any) -> bool:
        """Whether this is the reason of a difference."""
        return (
            re.fullmatch(self.path, path) is not None
            and self.upstream in (self.ANY, upstream)
            and self.ours in (self.ANY, ours)
        )


# A step at any depth.
_STEP = r"steps\[\d+\](\.steps\[\d+\])*"

RUNS: tuple[Difference, ...] = (
    Difference("start_time", "the back end takes the time of the call", Difference.ANY, Difference.ABSENT),
    Difference("tags", "an empty list says nothing", [], Difference.ABSENT, rare=True),
    Difference(
        "external_link",
        "upstream imports a model that the API client it comes with does not have, and logs an error",
        None,
        {"link": "PROJ-7", "type": "jiraCloud"},
        since=(3, 5),
        rare=True,
    ),
)

RESULTS: tuple[Difference, ...] = (
    Difference(
        "id", "the key by which a repeated result is known; upstream sends none yet", before=(5, 1, 6)
    ),
    Difference(
        r"fields\.suite",
        "these releases read a field from the mark of the suite that is never there; a null says nothing",
        None,
        Difference.ABSENT,
        before=(5, 1),
        rare=True,
    ),
    Difference("message", "the reason of a skip in the test itself, which upstream drops", None, rare=True),
    Difference("steps_type", "the contract knows one kind of steps", "classic", Difference.ABSENT),
    Difference("fields", "an empty object says nothing", ours={}, before=(5, 1), rare=True),
    Difference("defect", "sent where it is wanted", False, Difference.ABSENT, rare=True),
    Difference("muted", "upstream says it in a field alone; the contract has a place for it"),
    Difference(r"tags\[\d+\]", "upstream says it in a field alone; the contract has a place", since=(5, 1)),
    Difference(rf"{_STEP}\.(id|parent_id|step_type)", "the contract keeps what the model has"),
    Difference(rf"{_STEP}\.attachments", "the contract wants the list, empty", ours=[]),
    Difference(rf"{_STEP}\.execution\.attachments", "the contract wants the list, empty or not", ours=[]),
    Difference(
        rf"{_STEP}\.data\.(keyword|name|line|query|database_type|connection_info|execution_time"
        r"|rows_affected|duration|data|request_method|request_url|status_code)",
        "beside the text the contract keeps what the model has",
    ),
    Difference(
        rf"({_STEP}\.execution\.)?attachments\[\d+\]\.mime_type",
        "upstream's client guesses the type from the name; the one that the test has given is the better",
        Difference.ANY,
    ),
)
