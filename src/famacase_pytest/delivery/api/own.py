"""A back end of the team's own, of whose code anything may be raised and answered."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Callable, TypeVar

from ...errors import ApiError, Refused, Rejected, Unreachable
from ..models import Part
from .base import ReportingClient, resolve_client
from .multipart import PartUnreadable

T = TypeVar("T")

_REMEDY = "Results are kept. Correct the client; 'famacase resend' sends what waits."


def open_client(given: Mapping[str, Any]) -> ReportingClient:
    """The client that the settings name; arguments and exceptions as for `resolve_client`."""
    found, config = resolve_client(given)
    return OwnClient(found.__name__, lambda: found(config))


def page_of_run(given: Mapping[str, Any], code: str, run_id: int | None) -> str:
    """Where people find a run, as the client's class has it; `given` as for `resolve_client`."""
    found, config = resolve_client(given)
    try:
        return str(found.run_url(config, code, run_id))
    except Exception as error:  # noqa: BLE001 (the code of others; it is told)
        run = f"project {code}{f', run {run_id}' if run_id else ''}"
        return f"{found.__name__}, {run} (its run_url raised {_told(error)})"


class OwnClient(ReportingClient):
    """Has each call end in one of the ways that `ReportingClient` names, whatever the team's code does.

    Another exception is the network's if it is an OSError, or if the project cannot be asked for either. Else
    the call is made once more, and then the content is held to be what cannot be taken.

    Args:
        name: of the class, for messages.
        make: makes the instance; it is called with the first call, and again if it has failed.
    """

    def __init__(self, name: str, make: Callable[[], ReportingClient]) -> None:
        super().__init__(None)
        self._name = name
        self._make = make
        self._lock = threading.Lock()
        self._client: ReportingClient | None = None

    def get_project(self, code: str) -> Mapping[str, Any]:
        """See `ReportingClient`."""
        try:
            return self._call("get_project", lambda client: client.get_project(code) or {}, _is_mapping)
        except _Strange as error:
            raise Unreachable(str(error), detail=error.detail) from error

    def create_run(self, code: str, body: Mapping[str, Any], key: str) -> int:
        """See `ReportingClient`."""
        return self._try("create_run", code, lambda client: client.create_run(code, body, key), _is_id)

    def get_run(self, code: str, run_id: int) -> Mapping[str, Any]:
        """See `ReportingClient`."""
        return self._try("get_run", code, lambda client: client.get_run(code, run_id), _is_mapping)

    def post_results(self, code: str, run_id: int, results: Sequence[str]) -> None:
        """See `ReportingClient`."""
        self._try("post_results", code, lambda client: client.post_results(code, run_id, results))

    def upload(self, code: str, parts: Sequence[Part], key: str) -> list[str]:
        """See `ReportingClient`."""

        def is_complete(ids: object) -> bool:
            texts = isinstance(ids, list) and all(isinstance(id_, str) and id_ for id_ in ids)
            return texts and len(ids) == len(parts)  # type: ignore[arg-type]

        return self._try("upload", code, lambda client: client.upload(code, parts, key), is_complete)

    def complete_run(self, code: str, run_id: int) -> None:
        """See `ReportingClient`."""
        self._try("complete_run", code, lambda client: client.complete_run(code, run_id))

    def environment_id(self, code: str, slug: str) -> int | None:
        """See `ReportingClient`."""

        def is_id(found: object) -> bool:
            return found is None or _is_id(found)

        return self._try("environment_id", code, lambda client: client.environment_id(code, slug), is_id)

    def plan_cases(self, code: str, plan_id: int) -> list[int]:
        """See `ReportingClient`."""

        def are_ids(cases: object) -> bool:
            return isinstance(cases, list) and all(map(_is_id, cases))

        return self._try("plan_cases", code, lambda client: client.plan_cases(code, plan_id), are_ids)

    def publish_run(self, code: str, run_id: int) -> str | None:
        """See `ReportingClient`."""

        def is_link(found: object) -> bool:
            return found is None or isinstance(found, str)

        return self._try("publish_run", code, lambda client: client.publish_run(code, run_id), is_link)

    def with_limits(self, **limits: float | None) -> OwnClient:
        """See `ReportingClient`."""

        def make() -> ReportingClient:
            client: Any = self._made()
            limited: ReportingClient = client.with_limits(**limits)
            return limited

        return OwnClient(self._name, make)

    def close(self) -> None:
        """See `ReportingClient`; all has been sent, so what goes wrong here harms nothing."""
        if self._client is not None:
            with contextlib.suppress(ApiError):
                self._call("close", lambda client: client.close())

    def _try(
        self,
        name: str,
        code: str,
        call: Callable[[ReportingClient], T],
        is_proper: Callable[[T], bool] = lambda answer: True,
    ) -> T:
        """Make a call for a project, and find out what a failure that is none of the three kinds means."""
        try:
            return self._call(name, call, is_proper)
        except _Strange:
            self.get_project(code)
        try:
            return self._call(name, call, is_proper)
        except _Strange as error:
            raise Rejected(str(error), status=400, detail=error.detail) from error

    def _call(
        self,
        name: str,
        call: Callable[[ReportingClient], T],
        is_proper: Callable[[T], bool] = lambda answer: True,
    ) -> T:
        where = f"{self._name}.{name}"
        try:
            answer = call(self._made())
        except (Unreachable, Refused, PartUnreadable, KeyboardInterrupt):
            raise
        except Rejected as error:
            # Without them nobody would know what is not taken, or why.
            error.status, error.detail = error.status or 400, error.detail or str(error)
            raise
        except BaseException as error:
            text = f"{where} raised {_told(error)}"
            kind = Unreachable if isinstance(error, OSError) else _Strange
            raise kind(f"{text}. {_REMEDY}", detail=text) from error
        if not is_proper(answer):
            text = f"{where} returned {repr(answer)[:100]}"
            raise _Strange(f"{text}. {_REMEDY}", detail=text)
        return answer

    def _made(self) -> ReportingClient:
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client


class _Strange(ApiError):
    """A call has failed otherwise than `ReportingClient` says."""


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63
