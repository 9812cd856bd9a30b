"""Files to send, and what the back end has of them."""

from __future__ import annotations

import hashlib
import io

import requests

from famacase_pytest.delivery.api.client import API_ROOT
from famacase_pytest.delivery.models import Part


def part(name: str = "a.txt", content: bytes = b"abc", mime_type: str = "text/plain") -> Part:
    """A file to be uploaded."""
    digest = hashlib.sha256(content).hexdigest()
    return Part(name, mime_type, len(content), lambda: io.BytesIO(content), digest)


def stored_content(url: str, token: str, project: str, file_id: str) -> bytes:
    """What the back end gives for a file; only the local one gives any."""
    answer = requests.get(
        f"{url}{API_ROOT}/projects/{project}/attachments/{file_id}",
        headers={"Authorization": f"Token {token}"},
        timeout=60,
    )
    answer.raise_for_status()
    return answer.content
