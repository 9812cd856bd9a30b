"""Generated calls, valid and not, for every operation of the contract; every answer is held against it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection

from famacase_pytest.server.models import UUID
from famacase_pytest.server.process import ServerProcess
from live_api import PREFIX, Backend, reach

CONTRACT = Path(__file__).parents[1] / "docs" / "reporter-ingestion-v1.yaml"

OPEN_RUN, COMPLETED_RUN = 1, 2
"""Numbers of the first two runs of a new back end."""

# Every call here bears the token; what happens without one is in the tests of projects.
_WITH_TOKEN = {"generation": {"with-security-parameters": False}}
_REACHING = {
    **_WITH_TOKEN,
    "parameters": {"path.code": "SMOKE", "path.run_id": OPEN_RUN, "path.plan_id": 1},
    # Completing the run that takes results would turn every later one into a conflict.
    "operations": [
        {"include-operation-id": "completeRun", "parameters": {"path.run_id": COMPLETED_RUN}},
    ],
}

# Most of these calls are of projects and runs that do not exist: going through each member of a body that is
# never looked at would take half of the time.
_ANYWHERE = {**_WITH_TOKEN, "phases": {"coverage": {"enabled": False}}}

anything = schemathesis.openapi.from_path(CONTRACT, config=schemathesis.Config.from_dict(_ANYWHERE))
existing = schemathesis.openapi.from_path(CONTRACT, config=schemathesis.Config.from_dict(_REACHING))

bounded = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class Target:
    """A back end of this module's own, and an attachment that it holds."""

    backend: Backend
    attachment_id: str
    fresh: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, case: schemathesis.Case) -> Any:
        key = case.headers.get("Idempotency-Key")
        if key is not None and UUID.match(key):
            # The generator likes to repeat itself, and a repeated call is answered as the first one was.
            case.headers["Idempotency-Key"] = str(uuid.UUID(int=next(self.fresh)))
        return case.call(base_url=self.backend.url + PREFIX, headers=self.backend.headers)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with ServerProcess.start(tmp_path_factory.mktemp("contract")) as process:
        backend = reach(process)
        assert [backend.new_run(), backend.new_run()] == [OPEN_RUN, COMPLETED_RUN]
        yield Target(backend, backend.new_attachment())
    assert process.log == "", "the back end complained"


@anything.parametrize()
@bounded
def test_whatever_is_called_the_answer_is_one_that_the_contract_knows(
    case: schemathesis.Case, target: Target
) -> None:
    response = target.call(case)
    case.validate_response(response, headers=target.backend.headers)


@existing.parametrize()
@bounded
def test_what_the_contract_allows_is_taken_and_what_it_forbids_is_refused(
    case: schemathesis.Case, target: Target
) -> None:
    valid = case.meta.generation.mode.is_positive
    if valid:
        _refer_to_what_is_there(case, target)
    response = target.call(case)
    # Whatever is put into the part of a file is a file: on the wire no item of an upload has a wrong type.
    excluded = [negative_data_rejection] if case.operation.path.endswith("/attachments") else []
    case.validate_response(response, headers=target.backend.headers, excluded_checks=excluded)
    if valid:
        assert response.status_code < 300, response.text


def _refer_to_what_is_there(case: schemathesis.Case, target: Target) -> None:
    """The contract cannot say it in a schema: ids in a valid body are those of something that exists."""
    if "attachment_id" in case.path_parameters:
        case.path_parameters["attachment_id"] = target.attachment_id
    if isinstance(case.body, dict):
        for name in ("environment_id", "plan_id"):
            if name in case.body:
                case.body[name] = 1
        for result in case.body.get("results", []):
            _refer(result, target.attachment_id)


def _refer(holder: dict[str, Any], attachment_id: str) -> None:
    for reference in [*holder.get("attachments", []), *holder.get("execution", {}).get("attachments", [])]:
        reference["id"] = attachment_id
    for step in holder.get("steps", []):
        _refer(step, attachment_id)
