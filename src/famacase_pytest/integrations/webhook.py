"""Posts a run as JSON to an address of the team's own."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
import uuid
from dataclasses import asdict
from typing import Any

from .base import Integration, TestResult, totals
from .http import post


class JsonWebhook(Integration):
    """Posts one JSON document at the end of the run, signed so that the receiver can tell where it is from.

    The signature in ``X-Famacase-Signature`` is ``sha256=`` and the HMAC-SHA256, in hexadecimal digits, of
    the value of ``X-Famacase-Timestamp`` (seconds since 1970), a full stop, and the body. All attempts have
    the same ``X-Famacase-Delivery``. What is not given is taken from the variable that is named.

    Args:
        url: where to (JSON_WEBHOOK_URL).
        secret: for the signature; without it there is none (JSON_WEBHOOK_SECRET).
    """

    def __init__(self, url: str | None = None, secret: str | None = None) -> None:
        self._url = url or os.environ.get("JSON_WEBHOOK_URL")
        self._secret = secret or os.environ.get("JSON_WEBHOOK_SECRET")

    def on_run_start(self) -> None:
        """Check that there is somewhere to post to."""
        if not self._url:
            raise ValueError("set JSON_WEBHOOK_URL")

    def on_run_end(
        self,
        test_results: list[TestResult],
        test_run_id: int | None,
        elapsed_time: float,
        log_path: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        """Post the document."""
        document = {
            "event": "run_end",
            "run_id": test_run_id,
            "elapsed_time": elapsed_time,
            "totals": totals(test_results),
            "context": context or {},
            "results": [asdict(result) for result in test_results],
        }
        body = json.dumps(document, default=str).encode()
        sent = str(int(time.time()))
        headers = {"X-Famacase-Timestamp": sent, "X-Famacase-Delivery": str(uuid.uuid4())}
        if self._secret:
            signed = hmac.new(self._secret.encode(), f"{sent}.".encode() + body, hashlib.sha256)
            headers["X-Famacase-Signature"] = f"sha256={signed.hexdigest()}"
        assert self._url is not None
        post(self._url, body=body, headers=headers)
