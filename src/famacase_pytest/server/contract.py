"""The reporter ingestion contract as data: its address, its limits and the JSON shapes that it enforces.

The shapes are the request schemas of ``docs/reporter-ingestion-v1.yaml``, member by member; descriptions
and ``x-`` marks are left out. They are repeated here because an installed package has neither that file nor a
YAML reader; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREFIX = "/api/v1/reporter/v1"
"""Path below which every call of the contract lies."""

MEBIBYTE = 1024 * 1024
MAX_FILES = 20
"""Files in one upload."""
MAX_FILE_BYTES = 32 * MEBIBYTE
"""Bytes of one uploaded file."""
MAX_UPLOAD_BYTES = 128 * MEBIBYTE
"""Bytes of all files of one upload together."""
MAX_JSON_BYTES = 64 * MEBIBYTE
"""Bytes of one JSON body. The contract sets no figure; this one keeps a client from filling the memory."""
MAX_STEP_DEPTH = 200
"""Levels of steps within steps. The contract sets no figure; Python does, and this is safely below it."""
MAX_PAGE = 1000
"""Results in one page of `listResults`."""
DEFAULT_PAGE = 200

STATUSES = ("passed", "failed", "skipped", "blocked", "invalid", "untested", "disabled", "in_progress")

_STRING = {"type": "string"}
_TEXT = {"type": ["string", "null"]}
_INTEGER = {"type": "integer"}
_BOOLEAN = {"type": "boolean"}
_MOMENT = {"type": ["number", "null"]}
_STATUS_OR_NULL = {"anyOf": [{"$ref": "#/components/schemas/Status"}, {"type": "null"}]}
_ATTACHMENTS = {"type": "array", "items": {"$ref": "#/components/schemas/AttachmentRef"}}
_STEPS = {"type": "array", "items": {"$ref": "#/components/schemas/Step"}}

SCHEMAS: Mapping[str, dict[str, Any]] = {
    "RunCreate": {
        "type": "object",
        "additionalProperties": False,
        "required": ["title", "is_autotest"],
        "properties": {
            "title": {"type": "string", "minLength": 1},
            "description": _TEXT,
            "is_autotest": {"const": True},
            "plan_id": _INTEGER,
            "environment_id": _INTEGER,
            "tags": {"type": "array", "items": _STRING},
            "configurations": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "value"],
                    "properties": {"name": _STRING, "value": _STRING},
                },
            },
            "external_link": {
                "type": "object",
                "properties": {"type": {"enum": ["jiraCloud", "jiraServer"]}, "link": _STRING},
            },
        },
    },
    "AttachmentRef": {
        "type": "object",
        "additionalProperties": False,
        "required": ["id"],
        "properties": {"id": _STRING, "file_name": _STRING},
    },
    "Status": {"enum": list(STATUSES)},
    "Execution": {
        "type": "object",
        "additionalProperties": False,
        "required": ["status"],
        "properties": {
            "status": _STATUS_OR_NULL,
            "start_time": _MOMENT,
            "end_time": _MOMENT,
            "duration": {"type": ["integer", "null"]},
            "stacktrace": _TEXT,
            "thread": _TEXT,
        },
    },
    "Step": {
        "type": "object",
        "required": ["execution", "steps"],
        "properties": {
            "id": _TEXT,
            "parent_id": _TEXT,
            "step_type": {"enum": ["text", "assert", "gherkin", "request", "db_query", "sleep"]},
            "data": {
                "type": "object",
                "required": ["action"],
                "properties": {"action": _STRING, "expected_result": _TEXT, "input_data": _TEXT},
            },
            "execution": {
                "type": "object",
                "required": ["status"],
                "properties": {
                    "status": _STATUS_OR_NULL,
                    "start_time": _MOMENT,
                    "end_time": _MOMENT,
                    "duration": {"type": ["integer", "null"]},
                    "attachments": _ATTACHMENTS,
                },
            },
            "steps": _STEPS,
            "attachments": {"type": "array", "maxItems": 0},
        },
    },
    "Result": {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "title", "execution"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "title": _STRING,
            "signature": _TEXT,
            "testops_ids": {"type": ["array", "null"], "items": _INTEGER},
            "execution": {"$ref": "#/components/schemas/Execution"},
            "fields": {"type": "object"},
            "tags": {"type": "array", "items": _STRING},
            "params": {"type": "object", "additionalProperties": _STRING},
            "param_groups": {"type": "array", "items": {"type": "array", "items": _STRING}},
            "attachments": _ATTACHMENTS,
            "steps": _STEPS,
            "message": _TEXT,
            "muted": _BOOLEAN,
            "ignore": _BOOLEAN,
            "defect": _BOOLEAN,
            "relations": {
                "type": "object",
                "properties": {
                    "suite": {
                        "type": "object",
                        "properties": {
                            "data": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["title"],
                                    "properties": {
                                        "title": _STRING,
                                        "description": _TEXT,
                                        "public_id": {"type": ["integer", "null"]},
                                    },
                                },
                            }
                        },
                    }
                },
            },
        },
    },
}

RESULTS_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["results"],
    "properties": {
        "results": {
            "type": "array",
            "minItems": 1,
            "maxItems": 200,
            "items": {"$ref": "#/components/schemas/Result"},
        }
    },
}
"""Body of `createResults`."""

PUBLISH_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": _BOOLEAN},
}
"""Body of `publishRun`."""
