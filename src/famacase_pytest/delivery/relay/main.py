"""What the relay process runs: it takes from the outbox and delivers, and asks the back end for the session.

Tests patch ``requests``, ``socket``, ``time`` and ``open``, block the network, fork, hog the interpreter
lock, and die; none of that reaches another process. ``process.py`` starts it.

The session's orders are lines of JSON, with a ``number`` and the word ``do``:

    check_project    project, seconds                -> {}
    environment      project, slug, seconds          -> id (or null)
    plan             project, plan_id, seconds       -> cases
    check_run        project, run_id, seconds        -> title, status  (or null)
    drain            seconds, stored, ended, runs,
                     completes                      -> done, noted, account
    results          results, seconds                -> delivered, problems   (what no disk has room for)
    complete         project, run_id, publish        -> completed, url        (what no outbox notes)
    end              account (whether it is wanted)  -> account
    stop, leave, abandon                                are not answered

An answer bears the number; one to a call that has failed has ``error`` instead. With ``debug`` in the
briefing ``requests`` are in it: a line for each request to the back end since the answer before.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Callable

from ...errors import PASSING, ApiError, Refused, Rejected, Unreachable
from ..api.base import ReportingClient
from ..outbox.database import OutboxUnavailable
from ..outbox.ledger import Ledger
from ..outbox.store import Outbox, account, finish_all, is_anything_left
from ..system import System
from .deliver import Delivery
from .loop import DeliveryLoop
from .unstored import UnstoredResults

if TYPE_CHECKING:
    from ..api.client import Attempt

# Seconds that the workers of a dead controller have to store their last results. When its pipe closes,
# execnet lets a test run on for 5 s, interrupts it, and ends the process after 10 more.
_LAST_WORDS = 20.0

# Seconds that a process may take to die when its pipe is closed, and between two looks at whether it has.
_DYING = 2.0
_LOOK = 0.05

# The same where the system tells that a process has begun to die.
_SEEN = 0.5

# What Linux calls PF_EXITING.
_EXITING = 0x4

# Requests that an answer tells of, with FAMACASE_DEBUG: no more than a pipe holds.
_TOLD = 400

_KINDS = (Unreachable, Refused, Rejected)

_QUESTIONS = ("check_project", "environment", "plan", "check_run")


class _Orders:
    """What the session says; the end of its pipe is the session's end."""

    def __init__(self, pipe: BinaryIO, parent: int) -> None:
        self._pipe = pipe
        self._parent = parent
        self._condition = threading.Condition()
        self._orders: list[dict[str, Any]] = []
        self.questions: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.closed = False
        self.end: dict[str, Any] | None = None
        self.left_alone = False
        self.is_abandoned = False
        self.stop = threading.Event()
        threading.Thread(target=self._read, name="famacase-orders", daemon=True).start()

    def _read(self) -> None:
        for line in iter(self._pipe.readline, b""):
            order = json.loads(line)
            with self._condition:
                if order["do"] in _QUESTIONS:
                    self.questions.put(order)
                elif order["do"] == "stop":
                    self.stop.set()
                elif order["do"] == "end":
                    self.end = order
                elif order["do"] == "leave":
                    self.left_alone = True
                elif order["do"] == "abandon":
                    self.is_abandoned = True
                else:
                    self._orders.append(order)
                self._condition.notify_all()
        with self._condition:
            self.closed = True
            self._condition.notify_all()

    @property
    def session_died(self) -> bool:
        """Whether the session's process died. The pipe alone does not tell: a test's child can hold it."""
        if self.end or self.left_alone:
            return False
        if self.is_abandoned:
            return True
        # On Windows no test can fork, so there the pipe's end does tell.
        return self.closed if sys.platform == "win32" else not is_running(self._parent)

    def wait_for_death(self) -> bool:
        """Whether the session's process died. Its pipe may be closed a moment before that shows."""
        return self.session_died or (not self.end and are_gone({self._parent}, _dying()))

    def next(self, timeout: float) -> dict[str, Any] | None:
        """The next order, or None after a while."""
        with self._condition:
            if not self._orders and not self.end and not self.closed:
                self._condition.wait(timeout)
            return self._orders.pop(0) if self._orders else None


def main(pipe: BinaryIO, answers: int) -> None:
    """Deliver until the session has ended, or its process is gone.

    The first line of the orders is the briefing: ``outbox`` (a path, or null), ``parent`` (the session's
    process), ``api_url``, ``tokens`` by project, ``client`` (in the place of both; see ``api.base``),
    ``project``, ``timeout``, ``attempts``, ``upload_threads``, ``batch_size``, ``flush_interval``,
    ``drain_timeout``, ``debug``, ``environ``. Without it there is nothing to do.

    Args:
        pipe: the orders.
        answers: the descriptor that answers are written to.
    """
    _Answers.fd = answers
    line = pipe.readline()
    if not line:
        return
    briefing = json.loads(line)
    hide(briefing["tokens"].values())
    # The process may have been started before a plugin has set proxies or certificates.
    os.environ.clear()
    os.environ.update(briefing["environ"])
    _answer(0, pid=os.getpid())
    orders = _Orders(pipe, briefing["parent"])
    client = briefing.get("client")
    if client is not None:
        # pytest may have been told to leave no bytecode behind, which only shows in a variable.
        sys.dont_write_bytecode = True
        # What its configuration names may be relative.
        os.chdir(client["directory"])
    if briefing["outbox"] is None:
        _serve_without_outbox(briefing, orders)
        return
    _log_to(Path(briefing["outbox"], "relay.log"))
    if client is None:
        # The outbox may be removed, with all above it that is left empty.
        os.chdir(Path(briefing["outbox"]).parent)
    outbox = Outbox.open(Path(briefing["outbox"]))
    cancelled = threading.Event()
    api = open_api(briefing, cancelled, _requests.note)
    _start_answering(api, orders)
    lock = outbox.delivery_lock()
    if lock.acquire(None, orders.stop):
        ledger = outbox.ledger()
        loop = open_loop(outbox, ledger, briefing, api, cancelled)
        _serve(outbox, ledger, loop, UnstoredResults(api, briefing["upload_threads"]), orders)
        # Of a session that lives and has lost the pipe, the outbox is still in use.
        is_over = orders.end or orders.left_alone or orders.wait_for_death()
        if is_over and not orders.end:
            _finish_alone(outbox, loop, orders, float(briefing["drain_timeout"]))
        loop.stop()
        if orders.end:
            # Its tests that are unfinished were not to be reported.
            outbox.drop_all_unfinished()
            wanted = orders.end["account"]
            _answer(orders.end["number"], account=_account(outbox, ledger) if wanted else None)
        if is_over and not is_anything_left(outbox, ledger):
            outbox.remove()
    outbox.close()


def hide(tokens: Collection[str]) -> None:
    """Keep tokens out of tracebacks: any library may put a request's headers into its error."""

    def tell(error: BaseException) -> None:
        text = "".join(traceback.TracebackException.from_exception(error).format())
        for token in tokens:
            text = text.replace(token, "***")
        print(text, end="", file=sys.stderr, flush=True)

    sys.excepthook = lambda kind, error, trace: tell(error)
    threading.excepthook = lambda failed: tell(failed.exc_value or failed.exc_type())


def _serve(
    outbox: Outbox, ledger: Ledger, loop: DeliveryLoop, unstored: UnstoredResults, orders: _Orders
) -> None:
    """Carry out orders until there will be no more."""

    def real_run(project: str, run_id: int) -> int:
        # A disk that is full does not take the id of a run that is created now.
        return ledger.real_run(project, run_id) or unstored.create_run(project, run_id)

    loop.start()
    while True:
        order = orders.next(1.0)
        if order is None and (orders.end or orders.closed or orders.session_died):
            return
        if order is not None and order["do"] == "drain":
            loop.delivery.expected = order["stored"]
            loop.delivery.completes = order["completes"]
            noted = _noted(outbox, order)
            done = loop.drain(order["seconds"], orders.stop)
            _answer(order["number"], done=done, noted=noted, account=_account(outbox, ledger))
        elif order is not None and order["do"] == "complete":
            _answer(order["number"], **unstored.complete(order))
        elif order is not None:
            # First what is stored: the run may have to be created, by one thread alone.
            loop.drain(order["seconds"], orders.stop)
            _answer(order["number"], **unstored.deliver(order, real_run))
        if loop.failure is not None:
            # The session sees this process end and starts another one; the log has the reason.
            raise loop.failure


def _noted(outbox: Outbox, order: dict[str, Any]) -> bool:
    """Note how the session has ended; whether the disk takes it."""
    try:
        outbox.note_end(order["ended"], order["runs"])
    except OutboxUnavailable:
        return False
    return True


def _account(outbox: Outbox, ledger: Ledger) -> dict[str, Any] | None:
    try:
        return account(outbox, ledger)
    except OutboxUnavailable:
        return None  # then the session tries itself, and says why it cannot


def _serve_without_outbox(briefing: Mapping[str, Any], orders: _Orders) -> None:
    """Carry out orders where nothing can be stored: results come over the pipe, after the last test."""
    with open_api(briefing, threading.Event(), _requests.note) as api:
        _start_answering(api, orders)
        unstored = UnstoredResults(api, briefing["upload_threads"])
        while not orders.end and not orders.closed and not orders.session_died:
            order = orders.next(1.0)
            if order is not None and order["do"] == "results":
                _answer(order["number"], **unstored.deliver(order, unstored.create_run))
            elif order is not None and order["do"] == "complete":
                _answer(order["number"], **unstored.complete(order))
            elif order is not None:
                _answer(order["number"], done=True)


def open_api(
    briefing: Mapping[str, Any], cancelled: threading.Event, observe: Callable[[Attempt], None]
) -> ReportingClient:
    """The calls to the back end.

    Args:
        briefing: the session's.
        cancelled: ends them.
        observe: told of each attempt at a call, if the briefing asks for that.
    """
    if briefing.get("client") is not None:
        from ..api.own import open_client

        return open_client(briefing["client"])
    # Here, since a team's own back end needs none of what it imports.
    from ..api.client import ReporterApi

    return ReporterApi(
        briefing["api_url"],
        dict(briefing["tokens"]),
        timeout=briefing["timeout"],
        attempts=briefing["attempts"],
        connections=briefing["upload_threads"] + 2,
        cancelled=cancelled,
        observe=observe if briefing["debug"] else lambda attempt: None,
    )


def open_loop(
    outbox: Outbox,
    ledger: Ledger,
    briefing: Mapping[str, Any],
    api: ReportingClient,
    cancelled: threading.Event,
) -> DeliveryLoop:
    """The delivery of one outbox, not started yet. Only for who holds the delivery lock."""
    # What an earlier relay said of the back end may not hold any more.
    ledger.set_state(blocked=[], away=None)
    delivery = Delivery(
        outbox, ledger, api, batch_size=briefing["batch_size"], upload_threads=briefing["upload_threads"]
    )
    return DeliveryLoop(
        delivery,
        ledger,
        api,
        project=briefing["project"],
        flush_interval=briefing["flush_interval"],
        cancelled=cancelled,
    )


def deliver_here(
    outbox: Outbox,
    ledger: Ledger,
    briefing: Mapping[str, Any],
    stored: Mapping[str, int],
    deadline: float,
    on_wait: Callable[[], None],
    note_request: Callable[[str], None],
) -> tuple[bool, dict[str, Any] | None, BaseException | None]:
    """Deliver in the pytest process, after the last test: no relay can be started there.

    Args:
        outbox: the session's.
        ledger: what has been delivered of it.
        briefing: as the relay would have got it.
        stored: how many results each writer has stored, by its name.
        deadline: when to give up, by `System.monotonic`.
        on_wait: called several times a second meanwhile.
        note_request: takes a line for each request, if the briefing asks for that.

    Returns:
        Whether everything was done that can be done, how far delivery came, and what kept this process
        from it.

    Raises:
        OutboxUnavailable: the outbox cannot be read any more.
    """

    def left() -> float:
        return max(0.0, deadline - System.monotonic())

    lock = outbox.delivery_lock()
    if not lock.acquire(left()):
        return False, None, None
    loop = None
    try:
        cancelled = threading.Event()
        api = open_api(briefing, cancelled, lambda attempt: note_request(str(attempt)))
        loop = open_loop(outbox, ledger, briefing, api, cancelled)
        loop.delivery.expected = stored
        loop.start()
        done = loop.drain(left(), threading.Event(), on_wait)
        return done, account(outbox, ledger), loop.failure
    except (OutboxUnavailable, *PASSING):
        raise
    except BaseException as error:  # noqa: BLE001 (guards of a suite may raise anything)
        return False, None, error
    finally:
        if loop is not None:
            loop.stop()
        lock.release()


def _finish_alone(outbox: Outbox, loop: DeliveryLoop, orders: _Orders, seconds: float) -> None:
    """Deliver what a session stored that died, the test that it died in as well.

    Runs are completed if it had come to their completion: it did not wait for it, or died in its last hooks.
    """
    loop.delivery.completes = orders.left_alone or outbox.meta().get("ended") == "normal"
    if not orders.left_alone:
        # Its workers, and children of its tests: a writer's name ends with the number of its process.
        names = (path.stem for path in outbox.directory.glob("*.db"))
        numbers = (re.search(r"-(\d+)$", name) for name in names)
        are_gone({int(number[1]) for number in numbers if number}, _LAST_WORDS)
        finish_all(outbox)
    loop.drain(seconds, orders.stop)


def _start_answering(api: ReportingClient, orders: _Orders) -> None:
    """Answer questions in a thread of their own, so that a silent back end keeps no order waiting."""
    ask: dict[str, Callable[[ReportingClient, dict[str, Any]], dict[str, Any]]] = {
        "check_project": lambda api, order: {"is_there": bool(api.get_project(order["project"]))},
        "environment": lambda api, order: {"id": api.environment_id(order["project"], order["slug"])},
        "plan": lambda api, order: {"cases": api.plan_cases(order["project"], order["plan_id"])},
        "check_run": _look_at_run,
    }

    def work() -> None:
        while True:
            order = orders.questions.get()
            try:
                answer = ask[order["do"]](api.with_limits(total=order["seconds"]), order)
            except ApiError as error:
                answer = {"error": error_of(error)}
            _answer(order["number"], **answer)

    threading.Thread(target=work, name="famacase-questions", daemon=True).start()


def _look_at_run(api: ReportingClient, order: Mapping[str, Any]) -> dict[str, Any]:
    run = api.get_run(order["project"], order["run_id"])
    return {"title": run.get("title"), "status": run.get("status")}


def error_of(error: ApiError) -> dict[str, Any]:
    """An error as an answer tells it."""
    return {
        # A team's own back end may have classes of its own for them.
        "kind": next((kind.__name__ for kind in _KINDS if isinstance(error, kind)), "ApiError"),
        "message": str(error),
        "status": error.status,
        "detail": error.detail,
    }


class Requests:
    """The last requests to the back end, as lines, for the next answer: nobody reads the pipe before it."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_TOLD)
        self._lost = 0
        self._lock = threading.Lock()

    def note(self, attempt: Attempt) -> None:
        """Keep a line about an attempt; of too many the first ones go."""
        with self._lock:
            self._lost += len(self._lines) == _TOLD
            self._lines.append(str(attempt))

    def take(self) -> list[str]:
        """The lines since the last call."""
        with self._lock:
            lines = [f"{self._lost} requests before these"] if self._lost else []
            lines += self._lines
            self._lines.clear()
            self._lost = 0
        return lines


_requests = Requests()


class _Answers:
    fd = -1
    lock = threading.Lock()


def _answer(number: int, **answer: object) -> None:
    with _Answers.lock:
        line = json.dumps({"number": number, "requests": _requests.take(), **answer}).encode() + b"\n"
        try:
            while line:
                line = line[os.write(_Answers.fd, line) :]
        except OSError:
            return  # the session is gone, which is noticed elsewhere


def _log_to(path: Path) -> None:
    """Send what the interpreter itself or a team's own back end may have to say to a file, from here on."""
    try:
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        log = os.open(os.devnull, os.O_WRONLY)  # a full disk
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def are_gone(processes: Collection[int], seconds: float) -> bool:
    """Wait for processes of this machine to end; whether they have."""
    for _ in range(int(seconds / _LOOK)):
        if not any(is_running(pid) for pid in processes):
            return True
        threading.Event().wait(_LOOK)
    return False


def _dying() -> float:
    """Seconds that a process may take to die once its pipe is closed, without being seen to die."""
    try:
        # Linux has a flag for it, where there are flags at all.
        return _SEEN if _proc_state(os.getpid())[1] else _DYING
    except OSError:
        return _DYING


def _proc_state(pid: int) -> tuple[bytes, int]:
    # They stand behind the name, which may contain anything.
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    return fields[0], int(fields[6])


def is_running(pid: int) -> bool:
    """Whether a process of this machine lives; one that is dead and has not been waited for does not."""
    if sys.platform == "win32":
        return True  # cannot be asked there without harm: os.kill ends the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state, flags = _proc_state(pid)
        return state not in (b"Z", b"X") and not flags & _EXITING
    except OSError:
        told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
        return not told.stdout.startswith(b"Z")
