"""The check of the client's requests finds what is wrong with them."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from contract import violations
from fault_layer import API_ROOT, Exchange, UploadedFile

RESULT: dict[str, Any] = {
    "id": str(uuid.uuid4()),
    "title": "A test",
    "execution": {"status": "passed"},
    "steps": [
        {"data": {"action": "do"}, "execution": {"status": "passed"}, "steps": [], "step_type": "text"}
    ],
}
FILE = UploadedFile("files", "a.txt", "text/plain", 5, "")


def exchange(operation: str, method: str, path: str, body: Any = None, **more: Any) -> Exchange:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": "Token <SMOKE>", "content-type": "application/json" if content else ""}
    return replace(
        Exchange(
            1, operation, method, f"{API_ROOT}/projects/SMOKE{path}", {}, headers, content, received=True
        ),
        **more,
    )


def results(**changes: Any) -> Exchange:
    return exchange("createResults", "POST", "/runs/7/results", {"results": [{**RESULT, **changes}]})


def upload(*files: UploadedFile, **more: Any) -> Exchange:
    made = exchange("uploadAttachments", "POST", "/attachments", files=files, **more)
    return replace(made, headers={**made.headers, "content-type": "multipart/form-data; boundary=x"})


@pytest.mark.parametrize(
    "right",
    [
        exchange("getProject", "GET", ""),
        exchange("listEnvironments", "GET", "/environments", query={"slug": ["staging"]}),
        exchange("createRun", "POST", "/runs", {"title": "x", "is_autotest": True}),
        exchange("completeRun", "POST", "/runs/7/complete"),
        results(),
        upload(FILE),
        # What never arrived whole cannot be judged.
        replace(results(title=1), received=False),
    ],
    ids=lambda case: case.operation,
)
def test_what_the_contract_allows(right):
    assert violations([right]) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (exchange("", "DELETE", "/runs/7"), "no operation of the contract"),
        (exchange("getRun", "GET", "/runs/seven"), "run_id: 'seven' is not of type 'integer'"),
        (exchange("getRun", "GET", "/runs/7", query={"page": ["1"]}), "query parameters"),
        (exchange("getProject", "GET", "", headers={}), "Authorization"),
        (exchange("completeRun", "POST", "/runs/7/complete", {}), "has a body"),
        (exchange("createRun", "POST", "/runs", {"title": "", "is_autotest": True}), "$.title"),
        (exchange("createRun", "POST", "/runs", {"title": "x", "is_autotest": True, "more": 1}), "'more'"),
        (replace(results(), body=b'{"results": [NaN]}'), "NaN is no JSON"),
        (results(id="7"), "$.results[0].id"),
        (results(params={"a": 1}), "$.results[0].params.a"),
        (results(execution={"status": "odd"}), "$.results[0].execution.status"),
        (results(steps=[{**RESULT["steps"][0], "data": {}}]), "'action' is a required property"),
        (exchange("createResults", "POST", "/runs/7/results", {"results": []}), "$.results"),
        (exchange("createResults", "POST", "/runs/7/results", {"results": [RESULT] * 201}), "$.results"),
        (upload(), "has 0 files"),
        (upload(*[FILE] * 21), "has 21 files"),
        (upload(replace(FILE, field="file")), "a part 'file'"),
        (upload(replace(FILE, file_name="")), "without a name"),
        (upload(replace(FILE, size=32 * 1024 * 1024 + 1)), "a file of 33554433 bytes"),
        (upload(*[replace(FILE, size=30_000_000)] * 5), "more than 128 MiB"),
        (upload(FILE, malformed="no boundary"), "cannot be read: no boundary"),
        (replace(upload(FILE), headers={"authorization": "Token <SMOKE>"}), "content type ''"),
    ],
    ids=lambda case: case if isinstance(case, str) else case.operation,
)
def test_what_it_does_not(wrong, said):
    found = violations([wrong])
    assert found
    assert said in "\n".join(found)
