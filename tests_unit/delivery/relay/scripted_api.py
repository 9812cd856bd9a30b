"""The back end, in memory: it does as it is told, call by call, and remembers what it was sent."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from famacase_pytest.delivery.api.multipart import ExactReader
from famacase_pytest.errors import Refused, Rejected, Unreachable


def error_of(status: int | None, detail: str = "said so", retry_after: float | None = None) -> Exception:
    """What `ReporterApi` raises for an answer of this status; None for no answer at all."""
    if status in (401, 403, 404, 407, 409):
        return Refused(f"refused with {status}", status=status, detail=detail)
    if status is not None and 400 <= status < 500 and status not in (408, 429):
        return Rejected(f"rejected with {status}", status=status, detail=detail)
    return Unreachable(f"away with {status}", status=status, detail=detail, retry_after=retry_after)


class Death(BaseException):
    """The process ends here."""


class Call(NamedTuple):
    """A call as it came.

    Attributes:
        name: the method's.
        project: the project's code.
        run: the run's id, if there is one.
        content: ids of results, names of files, or the body of a run.
        key: the Idempotency-Key, if there is one.
    """

    name: str
    project: str
    run: int | None = None
    content: Any = None
    key: str | None = None


class Lost(NamedTuple):
    """The call is carried out, and its answer is lost."""

    error: BaseException


class ScriptedApi:
    """Has the methods of `ReporterApi` that delivery calls.

    Attributes:
        script: by method, what its next calls raise; None lets one pass, Lost lets it pass and raises.
        rule: asked about each call for which there is no script; gives what it raises, or None.
        calls: all calls, in order.
        results: the payloads by project and run, by result's id.
        files: name and content of each file by id.
        runs: the bodies of runs that were created, by project and id.
        completed: project and id of each completed run.
        environments: ids by slug.
        limits: what `with_limits` was given, each time.
    """

    def __init__(self) -> None:
        self.script: dict[str, deque[Any]] = defaultdict(deque)
        self.rule: Callable[[Call], Any] = lambda call: None
        self.calls: list[Call] = []
        self.results: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
        self.files: dict[str, tuple[str, bytes]] = {}
        self.runs: dict[tuple[str, int], Any] = {}
        self.completed: list[tuple[str, int]] = []
        self.environments = {"staging": 3}
        self.limits: list[dict[str, Any]] = []
        self._kept: dict[str, Any] = {}
        self._lock = threading.Lock()

    def named(self, name: str) -> list[Call]:
        """The calls of one method."""
        return [call for call in self.calls if call.name == name]

    def count(self) -> dict[str, int]:
        """How many calls there were of each method."""
        return dict(Counter(call.name for call in self.calls))

    def with_limits(self, **limits: Any) -> ScriptedApi:
        self.limits.append(limits)
        return self

    def get_project(self, code: str) -> dict[str, Any]:
        return self._answer(Call("get_project", code), lambda: {"code": code})

    def environment_id(self, code: str, slug: str) -> int | None:
        return self._answer(Call("environment_id", code, content=slug), lambda: self.environments.get(slug))

    def create_run(self, code: str, body: Any, key: str) -> int:
        def create() -> int:
            number = 100 + len(self.runs)
            self.runs[code, number] = body
            return number

        return self._answer(Call("create_run", code, content=body, key=key), lambda: self._once(key, create))

    def post_results(self, code: str, run_id: int, results: Sequence[str]) -> None:
        payloads = [json.loads(result) for result in results]
        call = Call("post_results", code, run_id, [payload["id"] for payload in payloads])
        store = {payload["id"]: payload for payload in payloads}
        self._answer(call, lambda: self.results[code, run_id].update(store))

    def upload(self, code: str, parts: Sequence[Any], key: str) -> list[str]:
        contents = [b"".join(iter(ExactReader(part).read, b"")) for part in parts]

        def store() -> list[str]:
            ids = []
            for part, content in zip(parts, contents):
                ids.append(f"file-{len(self.files)}")
                self.files[ids[-1]] = (part.file_name, content)
            return ids

        names = [part.file_name for part in parts]
        return self._answer(Call("upload", code, content=names, key=key), lambda: self._once(key, store))

    def complete_run(self, code: str, run_id: int) -> None:
        self._answer(Call("complete_run", code, run_id), lambda: self.completed.append((code, run_id)))

    def publish_run(self, code: str, run_id: int) -> str | None:
        return self._answer(Call("publish_run", code, run_id), lambda: f"https://public/{run_id}")

    def _answer(self, call: Call, carry_out: Callable[[], Any]) -> Any:
        with self._lock:
            self.calls.append(call)
            scripted = self.script[call.name]
            told = scripted.popleft() if scripted else None
        # Outside the lock: a rule may have other things happen in the middle of a call.
        told = told or self.rule(call)
        if isinstance(told, BaseException):
            raise told
        with self._lock:
            answer = carry_out()
        if isinstance(told, Lost):
            raise told.error
        return answer

    def _once(self, key: str, carry_out: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = carry_out()
        return self._kept[key]


def about(name: str, status: int, *ids: str, detail: str = "said so") -> Callable[[Call], Any]:
    """A rule of `ScriptedApi`: these calls fail if one of these results or files is in them."""
    return lambda call: (
        error_of(status, detail) if call.name == name and set(ids) & set(call.content) else None
    )


def names_of(api: ScriptedApi) -> list[Any]:
    """The names of files by request."""
    return [call.content for call in api.named("upload")]
