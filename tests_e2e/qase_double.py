"""A stand-in for Qase, so that tests see what would have gone there.

Under its `environment` the generated Qase clients of a session talk to the stand-in, whatever host
they were told. Nothing of that goes through a name that this package rebinds.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Runs at the start of each Python process that has its directory on PYTHONPATH.
_SITECUSTOMIZE = '''
import importlib
import inspect
import os

import qase.api_client_v1.configuration
import qase.api_client_v2.configuration

for version, module in (("v1", qase.api_client_v1.configuration), ("v2", qase.api_client_v2.configuration)):
    address = f"{os.environ['TEST_DOUBLE_OF_QASE']}/{version}"
    module.Configuration.host = property(lambda self, address=address: address, lambda self, value: None)


def _names():
    from famacase_pytest.upstream.patches import TABLE, upstream_version, version_tuple

    installed = version_tuple(upstream_version())
    for row in TABLE:
        if row.since <= installed < row.before and not row.attribute.endswith("._instance"):
            owner = importlib.import_module(row.module)
            *classes, attribute = row.attribute.split(".")
            for name in classes:
                owner = getattr(owner, name)
            yield row.path, inspect.getattr_static(owner, attribute, None)


_before = None


def remember():
    """Note what upstream's names are bound to."""
    global _before
    _before = dict(_names())


def rebound():
    """The names of upstream's that are bound to something else now."""
    return sorted(path for path, value in _names() if value is not _before[path])
'''


@dataclass(frozen=True)
class Call:
    """One request for Qase."""

    method: str
    path: str
    token: str
    body: bytes


class QaseDouble:
    """Records what arrives and answers as Qase does.

    Attributes:
        url: its address.
        calls: the requests so far.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: list[Call] = []

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results that it was sent."""
        return [
            result
            for call in self.calls
            if call.path.endswith("/results")
            for result in json.loads(call.body)["results"]
        ]

    def environment(self, directory: Path) -> dict[str, str]:
        """The variables under which a session's Qase clients talk to this stand-in.

        Args:
            directory: where the hook for Python's start-up is written.
        """
        directory.mkdir(exist_ok=True)
        (directory / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
        path = os.pathsep.join([str(directory), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {"PYTHONPATH": path, "TEST_DOUBLE_OF_QASE": self.url}


_ANSWERS: tuple[tuple[str, Any], ...] = (
    (r"GET /v1/project/\w+", {"status": True, "result": {"title": "Demo", "code": "DEMO"}}),
    (r"POST /v1/run/\w+", {"status": True, "result": {"id": 41}}),
    (r"GET /v1/run/\w+/41", {"status": True, "result": {"id": 41, "title": "A run", "status": 0}}),
    (r"POST /v2/\w+/run/41/results", {"status": True}),
    (r"POST /v1/run/\w+/41/complete", {"status": True}),
)


@contextmanager
def running() -> Iterator[QaseDouble]:
    """A stand-in that answers until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            double.calls.append(Call(self.command, self.path, self.headers.get("Token", ""), body))
            line = f"{self.command} {self.path.partition('?')[0]}"
            known = (content for form, content in _ANSWERS if re.fullmatch(form, line))
            content = next(known, None)
            reply = json.dumps(content or {"status": False}).encode()
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        double = QaseDouble(f"http://127.0.0.1:{httpd.server_port}")
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield double
        finally:
            httpd.shutdown()
            thread.join()
