"""A stand-in for Qase: as much of its API as upstream's own client uses, and a record of what it is sent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# The configurations that it knows, as Qase has them: groups of values, each with an id.
CONFIGURATIONS = {11: ("browser", "firefox"), 12: ("os", "linux")}


@dataclass
class RecordedRun:
    """One run as upstream has described it.

    Attributes:
        project: code of its project.
        created: the body of the call that created it.
        results: as sent.
        completed, public: whether upstream asked for it.
        external_issue: the body of that call, or None.
    """

    project: str
    created: dict[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    completed: bool = False
    public: bool = False
    external_issue: dict[str, Any] | None = None


class QaseRecorder:
    """What upstream's client has sent.

    Args:
        url: the recorder's address.
        environment: id of the environment ``staging``.
        plan: the cases of every plan.

    Attributes:
        runs: by id.
        files: by hash, what was uploaded: name, type, SHA-256.
    """

    def __init__(self, url: str, environment: int, plan: list[int]) -> None:
        self.url = url
        self.runs: dict[int, RecordedRun] = {}
        self.files: dict[str, dict[str, str]] = {}
        self._environment = environment
        self._plan = plan
        self._lock = threading.Lock()
        self._routes = (
            (r"GET /v1/project/(\w+)", self._project),
            (r"GET /v1/environment/(\w+)", self._environments),
            (r"GET /v1/plan/(\w+)/(\d+)", self._plan_cases),
            (r"GET /v1/configuration/(\w+)", self._configurations),
            (r"POST /v1/attachment/(\w+)", self._upload),
            (r"POST /v1/run/(\w+)", self._create),
            (r"POST /v1/run/(\w+)/external-issue", self._external_issue),
            (r"GET /v1/run/(\w+)/(\d+)", self._run),
            (r"PATCH /v1/run/(\w+)/(\d+)/public", self._publish),
            (r"POST /v1/run/(\w+)/(\d+)/complete", self._complete),
            (r"POST /v2/(\w+)/run/(\d+)/results", self._results),
        )

    def answer(self, line: str, headers: Message, body: bytes) -> dict[str, Any] | None:
        """The answer to one request, None if upstream's client is not known to make it."""
        for form, act in self._routes:
            found = re.fullmatch(form, line)
            if found:
                with self._lock:
                    multipart = headers.get("Content-Type", "").startswith("multipart/")
                    content = _parts(headers, body) if multipart else json.loads(body or b"null")
                    return {"status": True, "result": act(content, *found.groups())}
        return None

    def _project(self, body: Any, code: str) -> Any:
        return {"title": code, "code": code}

    def _environments(self, body: Any, code: str) -> Any:
        entity = {"id": self._environment, "title": "Staging", "slug": "staging", "host": ""}
        return {"total": 1, "filtered": 1, "count": 1, "entities": [entity]}

    def _plan_cases(self, body: Any, code: str, plan_id: str) -> Any:
        return {"id": int(plan_id), "title": "A plan", "cases": [{"case_id": case} for case in self._plan]}

    def _configurations(self, body: Any, code: str) -> Any:
        entities = [
            {"id": number + 100, "title": group, "configurations": [{"id": number, "title": value}]}
            for number, (group, value) in CONFIGURATIONS.items()
        ]
        return {"total": len(entities), "entities": entities}

    def _upload(self, body: Any, code: str) -> Any:
        stored = []
        for part in body:
            digest = f"{len(self.files):040x}"
            self.files[digest] = part
            stored.append({"hash": digest, "filename": part["file_name"], "mime": part["mime_type"]})
        return stored

    def _create(self, body: Any, code: str) -> Any:
        run_id = 41 + len(self.runs)
        self.runs[run_id] = RecordedRun(code, body)
        return {"id": run_id}

    def _external_issue(self, body: Any, code: str) -> Any:
        for link in body["links"]:
            self.runs[link["run_id"]].external_issue = body
        return {}

    def _run(self, body: Any, code: str, run_id: str) -> Any:
        return {"id": int(run_id), "title": self.runs[int(run_id)].created["title"], "status": 0}

    def _publish(self, body: Any, code: str, run_id: str) -> Any:
        self.runs[int(run_id)].public = body["status"]
        return {"url": f"{self.url}/public/{run_id}"}

    def _complete(self, body: Any, code: str, run_id: str) -> Any:
        self.runs[int(run_id)].completed = True
        return {}

    def _results(self, body: Any, code: str, run_id: str) -> Any:
        self.runs[int(run_id)].results.extend(body["results"])
        return {}


@contextlib.contextmanager
def recorder(environment: int, plan: list[int]) -> Iterator[QaseRecorder]:
    """A recorder that answers until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def _act(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            content = recording.answer(f"{self.command} {self.path.partition('?')[0]}", self.headers, body)
            reply = json.dumps(content or {"status": False, "errorMessage": "unknown"}).encode()
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST = do_PATCH = _act

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        recording = QaseRecorder(f"http://127.0.0.1:{httpd.server_port}", environment, plan)
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield recording
        finally:
            httpd.shutdown()
            thread.join()


def _parts(headers: Message, body: bytes) -> list[dict[str, str]]:
    """The files of a multipart body."""
    boundary = headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
    found = []
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part[2:].partition(b"\r\n\r\n")
        text = head.decode("utf-8")
        name = re.search(r'filename="([^"]*)"', text)
        kind = re.search(r"(?i)content-type: *(\S+)", text)
        found.append(
            {
                "file_name": name.group(1) if name else "",
                "mime_type": kind.group(1) if kind else "",
                "sha256": hashlib.sha256(content[:-2]).hexdigest(),
            }
        )
    return found
