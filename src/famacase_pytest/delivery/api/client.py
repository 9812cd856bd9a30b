"""The REST calls of the back end: `ReporterApi`.

What holds for the time that a call takes: a connection is awaited for `timeout`, at most 10 s; so is each
piece of a body that is being sent; each wait for bytes of the answer lasts at most `timeout`. One attempt as
a whole may take twice `timeout`, and beyond that what its bytes need at 64 KiB/s; after that its socket is
shut, whatever the server does. With `total` set (see `with_limits`), the call with all its attempts and waits
ends within that. The resolution of the host's name is the system's: no bound holds for it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Callable, NamedTuple, TypeVar, Union
from urllib.parse import quote, urlsplit, urlunsplit

from requests_toolbelt import MultipartEncoder

from ... import __version__
from ...errors import Refused, Unreachable
from ..models import MIB, Part
from ..system import System
from .base import ReportingClient
from .http import Answer, Bounds, Http, NoAnswer, TokenAuth
from .multipart import ExactReader
from .responses import NotFamacase, json_of, nothing_of, object_of, value_of
from .retry import Clock, RetryPolicy

API_ROOT = "/api/v1/reporter/v1"
MAX_RESULTS = 200  # results that the contract allows in one request

Tokens = Union[Callable[[str], str], Mapping[str, str]]
T = TypeVar("T")

_JSON_LIMIT = 16 * MIB
_CONNECT_LIMIT = 10.0  # seconds
_SLOWEST = 64 * 1024  # bytes a second that a usable line carries


class Call(NamedTuple):
    """One operation of the contract.

    Attributes:
        method, path: the path is a format string below the API's root.
        failed: what a refusal means for the results.
        unsure: what the absence of an answer means for them.
        again_on_500: whether doing it twice does no harm on any server. Calls that only an Idempotency-Key
            protects are not among them: a server that ignores the key and fails after its work would do them
            twice.
        acknowledged_by: the only status that says that it was done, for a call that is answered without
            content; None where the content says it.
    """

    method: str
    path: str
    failed: str
    unsure: str
    again_on_500: bool
    acknowledged_by: int | None = None


class Target(NamedTuple):
    """Where a call goes, in words for messages: no token, no user part, no query."""

    method: str
    path: str
    host: str
    code: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} at {self.host}"


def _get(path: str, failed: str, unsure: str = "") -> Call:
    return Call("GET", f"/projects/{{code}}{path}", failed, unsure or failed, True)


def _post(
    path: str, failed: str, unsure: str, again_on_500: bool = True, acknowledged_by: int | None = None
) -> Call:
    return Call("POST", f"/projects/{{code}}{path}", failed, unsure, again_on_500, acknowledged_by)


GET_PROJECT = _get("", "The project cannot be reported to.", "Whether it can be reported to is not known.")
ENVIRONMENTS = _get("/environments", "The environment could not be looked up.")
PLAN_CASES = _get("/plans/{plan}/cases", "The plan could not be read.")
GET_RUN = _get("/runs/{run}", "The run could not be read.")
LIST_RESULTS = _get("/runs/{run}/results", "The results could not be read back.")
CREATE_RUN = _post("/runs", "The run was not created.", "Whether the run was created is not known.", False)
COMPLETE_RUN = _post(
    "/runs/{run}/complete",
    "The run was not completed.",
    "Whether the run was completed is not known.",
    acknowledged_by=200,
)
PUBLISH_RUN = _post(
    "/runs/{run}/public", "The run has no public link.", "Whether the run has a public link is not known."
)
POST_RESULTS = _post(
    "/runs/{run}/results",
    "Its results were not stored.",
    "Whether its results were stored is not known; sending them again doubles none.",
    acknowledged_by=201,
)
UPLOAD = _post(
    "/attachments", "Its files were not stored.", "Whether its files were stored is not known.", False
)


class Attempt(NamedTuple):
    """One attempt at a call, for who watches them.

    Attributes:
        method, path: of the call; the path is below the API's root, without the query.
        status: of the answer, None if there was none.
        seconds: that it took.
        number: 1 for the first.
        date: the server's clock, as the answer's header has it; "" without one.
    """

    method: str
    path: str
    status: int | None
    seconds: float
    number: int
    date: str = ""

    def __str__(self) -> str:
        again = f", attempt {self.number}" if self.number > 1 else ""
        return f"{self.method} {self.path}: {self.status or 'no answer'}, {self.seconds * 1000:.0f} ms{again}"


class _Limits(NamedTuple):
    timeout: float
    retry: RetryPolicy
    total: float | None = None


class _Body(NamedTuple):
    """A request's content for one attempt: bytes or a stream, its length in bytes, its headers."""

    content: Any
    size: int
    headers: Mapping[str, str]


_NO_BODY = _Body(None, 0, {})


class ReporterApi(ReportingClient):
    """The calls of the contract, for any number of threads at a time.

    Every call raises
    - Unreachable: no usable answer after all attempts, or `cancelled` was set;
    - Refused: 401, 403, 404, 407, 409 or a redirect, or there is no token for the project;
    - Rejected: another 4xx status: this content is not taken.
    The exceptions' `status` and `detail` hold what the server said. They hold no token.

    Args:
        base_url: "https://host[:port][/prefix]", without /api/v1/reporter/v1. A user part, query and fragment
            are dropped: the token takes the place of Basic authentication.
        tokens: the raw token by project code, as a function or as a mapping, in which "" stands for all other
            projects.
        timeout: seconds; see the head of the module for what it bounds.
        attempts: on transient failures, in all: 3 is the first and two more.
        connections: that are kept open at a time; more threads than that open and close their own.
        cancelled: once it is set, waits end at once, calls in flight within a tenth of a second, and every
            call raises Unreachable.
        retry: the whole retry policy, in the place of `attempts`.
        observe: told of each attempt, in the thread that makes it.
    """

    def __init__(
        self,
        base_url: str,
        tokens: Tokens,
        *,
        timeout: float = 30.0,
        attempts: int = 3,
        connections: int = 8,
        cancelled: threading.Event | None = None,
        retry: RetryPolicy | None = None,
        observe: Callable[[Attempt], None] = lambda attempt: None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must be of the form https://host[:port][/prefix]")
        super().__init__(None)
        self._host = parts.netloc.rpartition("@")[2]
        path = parts.path.rstrip("/") + API_ROOT
        self._root = urlunsplit((parts.scheme, self._host, path, "", ""))
        self._tokens = tokens
        self._limits = _Limits(timeout, retry or RetryPolicy(attempts))
        self._observe = observe
        self._cancelled = cancelled or threading.Event()
        self._http = Http(connections, f"famacase-pytest/{__version__}")
        # Asked for at the start of a session, and again when the run is created.
        self._environments: dict[tuple[str, str], int] = {}
        self._shared = False

    def with_limits(
        self,
        *,
        timeout: float | None = None,
        attempts: int | None = None,
        total: float | None = None,
    ) -> ReporterApi:
        """The same back end with other limits, over the same connections; closing the copy closes nothing.

        Args:
            timeout: as in the constructor; None keeps it.
            attempts: as in the constructor; None keeps them.
            total: seconds for each call with all its attempts and waits; None sets no such limit.
        """
        copy = object.__new__(ReporterApi)
        copy.__dict__.update(self.__dict__)
        limits = self._limits
        copy._limits = _Limits(
            limits.timeout if timeout is None else timeout,
            limits.retry if attempts is None else replace(limits.retry, attempts=attempts),
            total,
        )
        copy._shared = True
        return copy

    def get_project(self, code: str) -> dict[str, Any]:
        """The project. Refused with 404 if the server has none of this code."""
        return self._call(GET_PROJECT, code, object_of)

    def environment_id(self, code: str, slug: str) -> int | None:
        """The id of the environment that bears the slug, None if none does."""

        def read(answer: Answer) -> int | None:
            environments = json_of(answer)
            if not isinstance(environments, list):
                raise NotFamacase("JSON of another kind")
            # A server may not know the `slug` parameter and list them all.
            for environment in environments:
                if isinstance(environment, dict) and environment.get("slug") == slug:
                    if isinstance(environment.get("id"), int):
                        return int(environment["id"])
                    raise NotFamacase("JSON without a proper 'id'")
            return None

        known = self._environments.get((code, slug))
        if known is None:
            known = self._call(ENVIRONMENTS, code, read, params={"slug": slug})
        if known is not None:
            self._environments[code, slug] = known
        return known

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """The ids of the cases that a plan holds."""

        def read(answer: Answer) -> list[int]:
            ids: list[Any] = object_of(answer, case_ids=list)["case_ids"]
            if not all(isinstance(id_, int) for id_ in ids):
                raise NotFamacase("JSON without proper 'case_ids'")
            return ids

        return self._call(PLAN_CASES, code, read, plan=plan_id)

    def create_run(self, code: str, body: Mapping[str, Any], key: str) -> int:
        """Create a run; returns its id.

        Args:
            code: of the project.
            body: the contract's RunCreate.
            key: a UUID; the same for each repetition of the same run, over restarts too.
        """
        headers = {"Idempotency-Key": key}
        return self._call(
            CREATE_RUN,
            code,
            lambda answer: int(object_of(answer, id=int)["id"]),
            body=_json_body(System.dumps(body).encode("ascii"), headers),
        )

    def get_run(self, code: str, run_id: int) -> dict[str, Any]:
        """The run: id, and where the server tells them title, status and stats."""
        return self._call(GET_RUN, code, lambda answer: object_of(answer, id=int), run=run_id)

    def complete_run(self, code: str, run_id: int) -> None:
        """Complete a run; one that is complete already stays as it is."""
        self._call(COMPLETE_RUN, code, nothing_of, run=run_id)

    def publish_run(self, code: str, run_id: int) -> str | None:
        """Make the run's report public; returns its link, None if the server gives none."""

        def read(answer: Answer) -> str | None:
            url = object_of(answer).get("url")
            return url if isinstance(url, str) and url else None

        return self._call(PUBLISH_RUN, code, read, run=run_id, body=_json_body(b'{"status": true}'))

    def post_results(self, code: str, run_id: int, results: Sequence[str]) -> None:
        """Store results in a run; those stored before are replaced.

        Args:
            code: of the project.
            run_id: the run.
            results: each the JSON text of a contract's Result; at most MAX_RESULTS. None at all is no call.
        """
        if len(results) > MAX_RESULTS:
            raise ValueError(f"{len(results)} results; the contract allows {MAX_RESULTS} a request")
        if not results:
            return
        body = _json_body(f'{{"results":[{",".join(results)}]}}'.encode("utf-8", "replace"))
        self._call(POST_RESULTS, code, nothing_of, run=run_id, body=body)

    def upload(self, code: str, parts: Sequence[Part], key: str) -> list[str]:
        """Store files; returns their ids in the order given. They are read in pieces, anew each time.

        Args:
            code: of the project.
            parts: at most what `Limits` allows; see `group`.
            key: a UUID; the same for each repetition of the same request.

        Raises:
            PartUnreadable: one of the files cannot be read or has changed; the server has none of them.
        """

        @contextlib.contextmanager
        def body() -> Iterator[_Body]:
            with contextlib.ExitStack() as stack:
                fields = []
                for part in parts:
                    reader = stack.enter_context(contextlib.closing(ExactReader(part)))
                    fields.append(("files", (part.file_name, reader, part.mime_type)))
                encoder = MultipartEncoder(fields)
                headers = {"Content-Type": encoder.content_type, "Idempotency-Key": key}
                yield _Body(encoder, encoder.len, headers)

        def read(answer: Answer) -> list[str]:
            stored = object_of(answer, attachments=list)["attachments"]
            ids = [entry.get("id") if isinstance(entry, dict) else None for entry in stored]
            if len(ids) != len(parts) or not all(isinstance(id_, (str, int)) and id_ for id_ in ids):
                raise NotFamacase(f"JSON without the ids of {len(parts)} files")
            return [str(id_) for id_ in ids]

        return self._call(UPLOAD, code, read, body=body)

    def list_results(self, code: str, run_id: int, *, page: int = 200) -> Iterator[dict[str, Any]]:
        """What the run holds, oldest first, page by page. An extension: a hosted server may not have it."""
        offset, total = 0, 1
        while offset < total:
            answer = self._call(
                LIST_RESULTS,
                code,
                lambda answer: object_of(answer, total=int, results=list),
                params={"limit": str(page), "offset": str(offset)},
                expected=_JSON_LIMIT,
                run=run_id,
            )
            results, total = answer["results"], answer["total"]
            yield from results
            if not results:
                return
            offset += len(results)

    def close(self) -> None:
        """Close the idle connections; a copy made by `with_limits` leaves them open."""
        if not self._shared:
            self._http.close()

    def __enter__(self) -> ReporterApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(
        self,
        call: Call,
        code: str,
        read: Callable[[Answer], T],
        *,
        params: Mapping[str, str] | None = None,
        body: Callable[[], AbstractContextManager[_Body]] = lambda: contextlib.nullcontext(_NO_BODY),
        expected: int = 0,
        **places: object,
    ) -> T:
        """Make a call, again where that may help, until it has a value or an exception.

        Args:
            call: the operation.
            code: of the project.
            read: takes the value out of an answer with a 2xx status.
            params: the query.
            body: makes the content of one attempt.
            expected: bytes of an answer that time is allowed for.
            places: values for the places in the path.
        """
        auth = self._auth(code)
        names = {name: quote(str(value), safe="") for name, value in {"code": code, **places}.items()}
        path = call.path.format(**names)
        target = Target(call.method, path, self._host, code)
        retry = self._limits.retry
        total = self._limits.total
        ends = None if total is None else Clock.monotonic() + total

        def attempt() -> T:
            began = Clock.monotonic()
            status, date = None, ""
            try:
                with body() as content:
                    answer = self._http.exchange(
                        call.method,
                        self._root + path,
                        auth=auth,
                        bounds=self._bounds(content.size + expected, ends),
                        cancelled=self._cancelled,
                        params=params,
                        headers=content.headers,
                        body=content.content,
                    )
                status, date = answer.status, answer.headers.get("Date", "")
            finally:
                seconds = Clock.monotonic() - began
                self._observe(Attempt(call.method, path, status, seconds, failures + 1, date))
            return value_of(answer, read, call, target, self._root + path, auth.scrub)

        failures = 0
        sent = False
        while True:
            try:
                return attempt()
            except NoAnswer as error:
                last = error
            failures += 1
            sent = sent or last.sent
            if not last.again or failures >= retry.attempts or self._cancelled.is_set():
                break
            wait = retry.wait(failures, last.retry_after)
            if ends is not None and Clock.monotonic() + wait >= ends:
                break
            # The event, not a sleep: a caller who cancels is not kept waiting.
            if self._cancelled.wait(wait):
                break
        times = "1 attempt" if failures == 1 else f"{failures} attempts"
        remedy = last.remedy or (
            "Check the network, the server and the address (FAMACASE_API_URL), then send again."
        )
        raise Unreachable(
            f"{target} got no usable answer in {times}; the last: {str(last).rstrip('.')}. "
            f"{call.unsure if sent else 'Nothing was sent.'} {remedy}",
            status=last.status,
            detail=str(last),
            # As the server has it, but no longer than it is obeyed within a call.
            retry_after=None if last.retry_after is None else retry.wait(failures, last.retry_after),
        )

    def _auth(self, code: str) -> TokenAuth:
        try:
            if isinstance(self._tokens, Mapping):
                return TokenAuth(self._tokens[code] if code in self._tokens else self._tokens.get("", ""))
            return TokenAuth(self._tokens(code))
        except ValueError as error:
            reason = str(error)
        raise Refused(
            f"The token of project {code} cannot be used: {reason}. Nothing was sent. Set "
            "FAMACASE_REPORTER_TOKEN to the token as the server shows it.",
            detail=f"token: {reason}",
        )

    def _bounds(self, size: int, ends: float | None) -> Bounds:
        timeout = self._limits.timeout
        left = float("inf") if ends is None else max(ends - Clock.monotonic(), 0.001)
        return Bounds(
            connect=min(timeout, _CONNECT_LIMIT, left),
            read=min(timeout, left),
            total=min(2 * timeout + size / _SLOWEST, left),
            body=_JSON_LIMIT,
        )


def _json_body(
    content: bytes, headers: Mapping[str, str] | None = None
) -> Callable[[], AbstractContextManager[_Body]]:
    body = _Body(content, len(content), {"Content-Type": "application/json", **(headers or {})})
    return lambda: contextlib.nullcontext(body)
