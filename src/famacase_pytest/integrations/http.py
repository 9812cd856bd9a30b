"""Requests of the packaged integrations: repeated where that helps, and no secret is in an error."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..delivery.api.retry import SERVER_ERROR, TRANSIENT, RetryPolicy, parse_retry_after

# Three attempts of at most 5 s and the waits between them are less than the 30 s that a call may take.
_TIMEOUT = 5.0
_RETRY = RetryPolicy(attempts=3, cap=2.0, retry_after_cap=6.0)
_SHOWN = 200  # characters of an answer


class Failed(Exception):
    """A service did not take what it was sent; the text names its host, and no secret."""


def post(url: str, *, body: bytes, headers: Mapping[str, str] | None = None, auth: Any = None) -> Any:
    """Post JSON, again after a failure that may pass.

    Args:
        url: may hold a secret: only its host is shown.
        body: JSON, as it is sent.
        headers: beside the type of the content.
        auth: user and password.

    Returns:
        The JSON of the answer; None where it is none.

    Raises:
        Failed: the service refuses, or gave no usable answer in three attempts.
    """
    # Here, since it takes long to import, and on this thread nobody waits for it.
    import requests

    host = urlsplit(url).hostname or "no host"
    failures = 0
    while True:
        retry_after = None
        try:
            answer = requests.post(
                url,
                data=body,
                headers={"Content-Type": "application/json", **(headers or {})},
                auth=auth,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Its text may hold the address with all that is in it.
            what = f"{host} cannot be reached ({type(error).__name__})"
        else:
            if 200 <= answer.status_code < 300:
                return _json(answer)
            what = f"{host} answered {answer.status_code} {answer.text[:_SHOWN]}".rstrip()
            if answer.status_code not in (*TRANSIENT, SERVER_ERROR):
                raise Failed(what)
            retry_after = parse_retry_after(answer.headers)
        failures += 1
        if failures >= _RETRY.attempts:
            raise Failed(f"{what}, in {failures} attempts")
        threading.Event().wait(_RETRY.wait(failures, retry_after))


def _json(answer: Any) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
