"""The reporter ingestion contract as the server has it: addresses, limits, refusals, a model for each body.

FastAPI checks what comes in against these models and describes itself by them in ``/openapi.json``. A test
compares that description with ``docs/reporter-ingestion-v1.yaml``.
"""

# No `from __future__ import annotations` here: pydantic evaluates these annotations, on Python 3.9 too.

import re
from typing import Annotated, Any, Literal, Optional, TypeVar, Union, get_args

from fastapi import HTTPException
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    InstanceOf,
    StrictBool,
    TypeAdapter,
    WithJsonSchema,
)

PREFIX = "/api/v1/reporter/v1"  # every call of the contract lies below it
MEBIBYTE = 1024 * 1024
MAX_FILES = 20  # in one upload
MAX_FILE_BYTES = 32 * MEBIBYTE
MAX_UPLOAD_BYTES = 128 * MEBIBYTE  # of all files of one upload together
MAX_PAGE = 1000  # results in one page of `listResults`
DEFAULT_PAGE = 200
# For these the contract has no figures.
MAX_JSON_BYTES = 64 * MEBIBYTE
MAX_STEP_DEPTH = 200  # below the depth at which pydantic gives up

UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_INTEGER = re.compile(r"-?[0-9]+\Z", re.ASCII)


Problem = HTTPException
"""What the API refuses: a status, and a sentence or faults with ``loc``, ``msg`` and ``type``."""


def not_found(what: str) -> Problem:
    """404: `what`, such as "run 7", is not in this project."""
    return Problem(404, f"There is no {what} here.")


def invalid(message: str, *where: Union[str, int], kind: str = "value") -> Problem:
    """422 with one fault: `message` about the member at `where`."""
    return Problem(422, [{"loc": list(where), "msg": message, "type": kind}])


def _is_uuid(text: str) -> str:
    if not UUID.match(text):
        raise ValueError("this must be a UUID such as 123e4567-e89b-42d3-a456-426614174000")
    return text


def _whole(value: object) -> object:
    # JSON Schema calls 1.0 an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parsed(value: object) -> object:
    """An integer in an address. One of thousands of digits is cut down: it is too large for any id."""
    if not isinstance(value, str):
        return value
    if not _INTEGER.match(value):
        raise ValueError("this must be an integer")
    return int(value[:20])


T = TypeVar("T")
# Pydantic's own str refuses a lone surrogate, which a JSON string may have.
Text = InstanceOf[str]
UuidText = Annotated[Text, AfterValidator(_is_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
Integer = Annotated[int, BeforeValidator(_whole)]
AS_IN_ADDRESS = BeforeValidator(_parsed)
# To pydantic's own Literal[True], 1 is true.
IsTrue = Annotated[Literal[True], BeforeValidator(TypeAdapter(StrictBool).validate_python)]
# The first fault is enough: a list of millions of wrong items must not become as many error messages.
List = Annotated[list[T], FailFast()]

MAY_BE_ABSENT: Any = Field(default_factory=lambda: None)
"""Default of a member that may be left out; null it may be only if its type says so."""

_Status = Literal["passed", "failed", "skipped", "blocked", "invalid", "untested", "disabled", "in_progress"]
STATUSES: tuple[str, ...] = get_args(_Status)
SYNONYMS = {
    **{"pass": "passed", "success": "passed", "fail": "failed", "skip": "skipped", "block": "blocked"},
    **{"broken": "invalid", "error": "invalid"},
}
"""Canonical status by the word that older clients use."""


def canonical(status: object) -> object:
    """The canonical name of a status given in any case of letters, or by a synonym."""
    return SYNONYMS.get(status.lower(), status.lower()) if isinstance(status, str) else status


Status = Annotated[_Status, BeforeValidator(canonical)]


class Body(BaseModel):
    """A JSON object. Members that it does not name are left alone; no text is taken for a number."""

    model_config = ConfigDict(strict=True)


class Error(Body):
    """The body of every answer that is not a success."""

    detail: Any = MAY_BE_ABSENT


class Project(Body):
    """Answer of `getProject`."""

    id: int
    code: str
    title: str = MAY_BE_ABSENT


class Environment(Body):
    """One item of the answer of `listEnvironments`."""

    id: int
    slug: str
    title: str = MAY_BE_ABSENT


class PlanCases(Body):
    """Answer of `listPlanCases`."""

    case_ids: list[int]


class Configuration(Body):
    """One of `testops.configurations.values`."""

    name: Text
    value: Text


class ExternalLink(Body):
    """`testops.run.externalLink`."""

    type: Literal["jiraCloud", "jiraServer"] = MAY_BE_ABSENT
    link: Text = MAY_BE_ABSENT


class RunCreate(Body, extra="forbid"):
    """Body of `createRun`."""

    title: Annotated[Text, Field(min_length=1)]
    description: Optional[Text] = MAY_BE_ABSENT
    is_autotest: IsTrue
    plan_id: Integer = MAY_BE_ABSENT
    environment_id: Integer = MAY_BE_ABSENT
    tags: List[Text] = MAY_BE_ABSENT
    configurations: List[Configuration] = MAY_BE_ABSENT
    external_link: ExternalLink = MAY_BE_ABSENT


class Run(Body):
    """Answer of `createRun` and `getRun`."""

    id: int
    title: str = MAY_BE_ABSENT
    status: Literal["in_progress", "completed"] = MAY_BE_ABSENT
    stats: dict[str, int] = MAY_BE_ABSENT


class Publication(Body):
    """Body of `publishRun`."""

    status: bool


class Link(Body):
    """Answer of `publishRun`."""

    url: Optional[Annotated[str, Field(json_schema_extra={"format": "uri"})]] = MAY_BE_ABSENT


class Attachment(Body):
    """A stored file."""

    id: UuidText
    file_name: str
    mime_type: str = MAY_BE_ABSENT
    file_size: int = MAY_BE_ABSENT


class Attachments(Body):
    """Answer of `uploadAttachments`."""

    attachments: list[Attachment]


class AttachmentRef(Body, extra="forbid"):
    """The mention of an attachment in a result."""

    id: Text
    file_name: Text = MAY_BE_ABSENT


class Timed(Body):
    """How something went. Times are Unix times in seconds, the duration is in milliseconds."""

    status: Optional[Status]
    start_time: Optional[float] = MAY_BE_ABSENT
    end_time: Optional[float] = MAY_BE_ABSENT
    duration: Optional[Integer] = MAY_BE_ABSENT


class Execution(Timed, extra="forbid"):
    """How the test of a result went."""

    stacktrace: Optional[Text] = MAY_BE_ABSENT
    thread: Optional[Text] = MAY_BE_ABSENT


class StepExecution(Timed):
    """How a step went."""

    attachments: List[AttachmentRef] = MAY_BE_ABSENT


class StepData(Body):
    """What a step does."""

    action: Text
    expected_result: Optional[Text] = MAY_BE_ABSENT
    input_data: Optional[Text] = MAY_BE_ABSENT


class Step(Body):
    """A step with those below it. Its attachments are in its execution."""

    id: Optional[Text] = MAY_BE_ABSENT
    parent_id: Optional[Text] = MAY_BE_ABSENT
    step_type: Literal["text", "assert", "gherkin", "request", "db_query", "sleep"] = MAY_BE_ABSENT
    data: StepData = MAY_BE_ABSENT
    execution: StepExecution
    steps: List["Step"]
    attachments: Annotated[list[Any], Field(max_length=0)] = MAY_BE_ABSENT


class Suite(Body):
    """One level of the suites that a result belongs to."""

    title: Text
    description: Optional[Text] = MAY_BE_ABSENT
    public_id: Optional[Integer] = MAY_BE_ABSENT


class SuitePath(Body):
    """The suites that a result belongs to, from the outermost."""

    data: List[Suite] = MAY_BE_ABSENT


class Relations(Body):
    """What a result belongs to."""

    suite: SuitePath = MAY_BE_ABSENT


class Result(Body, extra="forbid"):
    """A result; `id` is its idempotency key."""

    id: UuidText
    title: Text
    signature: Optional[Text] = MAY_BE_ABSENT
    testops_ids: Annotated[Optional[list[Integer]], FailFast()] = MAY_BE_ABSENT
    execution: Execution
    fields: dict[Text, Any] = MAY_BE_ABSENT
    tags: List[Text] = MAY_BE_ABSENT
    params: dict[Text, Text] = MAY_BE_ABSENT
    param_groups: List[List[Text]] = MAY_BE_ABSENT
    attachments: List[AttachmentRef] = MAY_BE_ABSENT
    steps: List[Step] = MAY_BE_ABSENT
    message: Optional[Text] = MAY_BE_ABSENT
    muted: bool = MAY_BE_ABSENT
    ignore: bool = MAY_BE_ABSENT
    defect: bool = MAY_BE_ABSENT
    relations: Relations = MAY_BE_ABSENT


class ResultsCreate(Body):
    """Body of `createResults`. The answer names every result that is refused, so this is no `List`."""

    results: Annotated[list[Result], Field(min_length=1, max_length=200)]


class ResultPage(Body):
    """Answer of `listResults`."""

    total: int
    results: list[Result]
