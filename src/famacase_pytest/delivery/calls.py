"""The operations of the contract, as a table: what each is called on the wire and in messages."""

from __future__ import annotations

from typing import NamedTuple


class Call(NamedTuple):
    """One operation of the contract.

    Attributes:
        method, path: the path is a format string below the API's root.
        failed: what a refusal means for the results.
        unsure: what the absence of an answer means for them.
        again_on_500: whether doing it twice does no harm on any server. Calls that only an Idempotency-Key
            protects are not among them: a server that ignores the key and fails after its work would do them
            twice.
    """

    method: str
    path: str
    failed: str
    unsure: str
    again_on_500: bool = True


class Target(NamedTuple):
    """Where a call goes, in words for messages: no token, no user part, no query."""

    method: str
    path: str
    host: str
    code: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} at {self.host}"


GET_PROJECT = Call(
    "GET",
    "/projects/{code}",
    "The project cannot be reported to.",
    "Whether it can be reported to is not known.",
)
ENVIRONMENTS = Call(
    "GET",
    "/projects/{code}/environments",
    "The environment could not be looked up.",
    "The environment could not be looked up.",
)
PLAN_CASES = Call(
    "GET",
    "/projects/{code}/plans/{plan}/cases",
    "The plan could not be read.",
    "The plan could not be read.",
)
CREATE_RUN = Call(
    "POST",
    "/projects/{code}/runs",
    "The run was not created.",
    "Whether the run was created is not known.",
    again_on_500=False,
)
GET_RUN = Call(
    "GET", "/projects/{code}/runs/{run}", "The run could not be read.", "The run could not be read."
)
COMPLETE_RUN = Call(
    "POST",
    "/projects/{code}/runs/{run}/complete",
    "The run was not completed.",
    "Whether the run was completed is not known.",
)
PUBLISH_RUN = Call(
    "POST",
    "/projects/{code}/runs/{run}/public",
    "The run has no public link.",
    "Whether the run has a public link is not known.",
)
POST_RESULTS = Call(
    "POST",
    "/projects/{code}/runs/{run}/results",
    "Its results were not stored.",
    "Whether its results were stored is not known; sending them again doubles none.",
)
LIST_RESULTS = Call(
    "GET",
    "/projects/{code}/runs/{run}/results",
    "The results could not be read back.",
    "The results could not be read back.",
)
UPLOAD = Call(
    "POST",
    "/projects/{code}/attachments",
    "Its files were not stored.",
    "Whether its files were stored is not known.",
    again_on_500=False,
)
GET_ATTACHMENT = Call(
    "GET",
    "/projects/{code}/attachments/{id}",
    "The file could not be read back.",
    "The file could not be read back.",
)
