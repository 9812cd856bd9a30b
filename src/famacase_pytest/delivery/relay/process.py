"""The relay process, seen from the session: starting it, giving it orders, and seeing its end.

The relay is no child of pytest, since tests call ``os.wait`` or look at their children: the interpreter that
is started forks at once and ends. The end of the relay shows in its pipe. Orders and answers are lines of
JSON, one answer to an order, so a pipe that nobody reads cannot fill up and block the relay.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any, Callable

from ...errors import PASSING
from ..descriptors import Descriptors, clear_of_others
from ..system import System

# What the interpreter runs. The directories that the session imports from come after its own, so that a file
# of the project that is called like a module of the library does not take its place. The pipes get numbers of
# their own, since the code of a team's own back end may print, and start what reads its standard input.
# ``main`` has closed everything when it returns: no time is spent on taking the interpreter down.
_BOOT = """
import json, os, sys
if hasattr(os, "fork") and os.fork():
    os._exit(0)
orders, answers = open(os.dup(0), "rb"), os.dup(1)
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0)
os.dup2(null, 1)
path = json.loads(orders.readline() or "[]")
sys.path.extend(entry for entry in path if entry not in sys.path)
from famacase_pytest.delivery.relay.main import main
main(orders, answers)
os._exit(0)
"""

# A relay that died is started once more; what kills two is not overcome by a third.
_STARTS = 2

# Seconds between two looks at a pipe, where the system cannot wait for one.
_LOOK = 0.01

# Seconds between two calls of whoever wants to know that the wait goes on.
_TICK = 0.1

# Seconds that the relay may take to read what it is told, and the launching interpreter to end.
_PATIENCE = 10.0

# Seconds that the launching interpreter has left once the back end had its time to answer.
_LAUNCH = 3.0

_CHUNK = 64 * 1024  # bytes

# Variables that change what an interpreter does, or that are nobody else's business.
_NOT_INHERITED = ("COV_", "COVERAGE_", "PYTEST_", "PYTHON")
_SECRET = ("TOKEN", "SECRET", "PASSWORD")

# Of the libraries that the system's loader puts into a process: faketime moves the clocks, at which locks
# and waits may then hang for ever. Others stay: they may be the way to the network.
_PRELOADED = ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES")
_CLOCKS = "FAKETIME"

# Captured at import, since tests replace these. The wait does not depend on the clock, which tests freeze.
_Popen = subprocess.Popen
_kill = os.kill
_pipe = os.pipe
_wait = threading.Event().wait
_poll = getattr(select, "poll", None)


class RelayProcess:
    """The relay of one session. Not for several threads at once.

    Args:
        briefing: what the relay has to know; see ``relay.main``. It holds the tokens, which therefore stand
            on no command line and in no variable.
        environ: the process environment when pytest is configured.
        link: of a relay that has been launched already; see `launch`.
        note_request: takes a line for each request to the back end, if the briefing asks for that.

    Attributes:
        briefing: as given, with the environment.
        note_request: as given.
        trouble: why there is no relay; None as long as there can be one.
        losses: how often a test has closed the pipes.
    """

    def __init__(
        self,
        briefing: Mapping[str, Any],
        environ: Mapping[str, str],
        link: Link | None = None,
        note_request: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.briefing = {**briefing, "environ": inherited(environ)}
        self.note_request = note_request
        self.trouble: str | None = None
        self.losses = 0
        self._launched = link
        self._owner = System.getpid()
        self._starts = 0
        self._number = 0
        self._unanswered: dict[int, bytes] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._link: Link | None = None

    def ensure(self) -> bool:
        """Start the relay, or once more if it has died; it is given the orders that are not answered yet.

        Returns:
            False if there is none and there will be none; ``trouble`` says why.
        """
        if System.getpid() != self._owner:
            return False  # a fork of a test; the relay is its parent's
        while not self.is_alive():
            if self._starts >= _STARTS:
                self.trouble = self.trouble or "The relay process died twice"
                return False
            self._starts += 1
            try:
                self._link, self._launched = self._launched or launch(self.briefing["environ"]), None
            except PASSING:
                raise
            except BaseException as error:  # noqa: BLE001 (an audit hook may raise anything; it is said)
                self._starts = _STARTS
                self.trouble = f"No relay process can be started ({type(error).__name__}: {error})"
                return False
            self._link.write([_line(self.briefing), *self._unanswered.values()])
        return True

    def is_alive(self) -> bool:
        """Whether it runs, as its pipe shows."""
        self._read()
        return self._link is not None

    def order(self, do: str, **details: object) -> int:
        """Give an order that will be answered.

        Args:
            do: what to do; see ``relay.main``.
            details: of the order, values that JSON can hold.

        Returns:
            Its number, for `answer`.
        """
        self._number += 1
        line = self._unanswered[self._number] = _line({"do": do, "number": self._number, **details})
        if self.is_alive() and self._link is not None:
            self._link.write([line])
        else:
            self.ensure()
        return self._number

    def answer(
        self, number: int, seconds: float, on_wait: Callable[[], None] = lambda: None
    ) -> dict[str, Any] | None:
        """Wait for the answer to an order.

        Args:
            number: as `order` gave it.
            seconds: to wait at most; with 0 this only looks.
            on_wait: called several times a second meanwhile.

        Returns:
            The answer; None if there is none in time, or if there is no relay any more.
        """
        while self.ensure() and self._link is not None:
            if number in self._answers:
                return self._answers[number]
            if seconds <= 0:
                return None
            on_wait()
            seconds -= self._link.wait(min(seconds, _TICK))
        return self._answers.get(number)

    def tell(self, do: str) -> None:
        """Say something that is not answered: ``stop`` (give up what it does) or ``leave``."""
        if self.is_alive() and self._link is not None:
            self._link.write([_line({"do": do})])

    def settle(self) -> None:
        """Wait for the launching interpreter to end, so that no test finds a child that it did not start.

        What has not ended by now has not become a relay, and is killed: an application that has Python in it,
        and was started once more, would go on for ever.
        """
        if self._link is None or System.getpid() != self._owner or self._link.reap(_LAUNCH):
            return
        self._link.kill()
        self._drop()
        self._starts = _STARTS
        self.trouble = f"No relay process has begun, and {sys.executable} was started"

    def leave(self, *, abandoned: bool = False) -> None:
        """Let it finish by itself, when nobody waits for it.

        Args:
            abandoned: whether it is to go on as if the session had died: its workers may still be at work.
        """
        if System.getpid() == self._owner:
            self.tell("abandon" if abandoned else "leave")
            self._drop()

    def end(self, seconds: float, *, account: bool = False) -> dict[str, Any] | None:
        """Tell it that the session is over, and see its end; after some seconds it is killed.

        Args:
            seconds: until then.
            account: whether it shall tell how far delivery came.

        Returns:
            Its answer; None if there is none.
        """
        if System.getpid() != self._owner or not self.is_alive():
            return None
        number = self.order("end", account=account)
        while self.is_alive() and self._link is not None and seconds > 0:
            seconds -= self._link.wait(_TICK)
        if self._link is not None:
            self._link.kill()
        self._drop()
        return self._answers.get(number)

    def _read(self) -> None:
        if self._link is None or System.getpid() != self._owner:
            return
        for answer in self._link.read():
            number = answer.get("number", 0)
            self._unanswered.pop(number, None)
            self._answers[number] = answer
            for line in answer.get("requests", ()):
                self.note_request(line)
        if self._link.last_words:
            self.trouble = f"The relay process died twice ({self._link.last_words})"
        if self._link.ended:
            if self._link.is_lost:
                # That one ends by itself, and it was no fault of it.
                self._starts -= 1
                self.losses += 1
            self._drop()

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def launch(environ: Mapping[str, str]) -> Link:
    """Start a relay that waits for its briefing, and ends if there is none: what it imports takes a while.

    Args:
        environ: of the new process.

    Raises:
        Exception: of any kind, if no process can be started.
    """
    link = Link(inherited(environ))
    link.write([_line(_import_path())])
    return link


def launch_early(environ: Mapping[str, str]) -> Link | None:
    """Launch the relay of a session that is not configured yet; None if that fails, which is said later."""
    try:
        return launch(environ)
    except PASSING:
        raise
    except BaseException:  # noqa: BLE001 (it is tried again when the session is configured, and said then)
        return None


class Link:
    """The pipes to and from one relay.

    Args:
        environ: of its process.

    Attributes:
        ended: whether nothing comes or goes through them any more.
        is_lost: whether that is since a test has closed them.
        last_words: what the process wrote that was no answer.

    Raises:
        Exception: of any kind, if no process can be started.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.ended = False
        self.is_lost = False
        self.last_words = ""
        self._pid: int | None = None
        self._buffer = b""
        if not sys.executable:
            raise FileNotFoundError("sys.executable names no interpreter")
        with clear_of_others():
            theirs_in, self._to = _pipe()
            self._from, theirs_out = _pipe()
        try:
            self._process = _Popen(
                [sys.executable, "-I", "-c", _BOOT],
                # A directory that will not be removed while it runs.
                cwd=os.path.dirname(sys.executable),
                env=dict(environ),
                stdin=theirs_in,
                # Not pytest's own output: whoever captures that waits for all that hold it to close it.
                stdout=theirs_out,
                stderr=theirs_out,
                **_apart(),
            )
        except BaseException:
            System.close(self._to)
            System.close(self._from)
            raise
        finally:
            System.close(theirs_in)
            System.close(theirs_out)
        self._descriptors = Descriptors((self._to, self._from))
        if _poll is not None:
            os.set_blocking(self._to, False)
            os.set_blocking(self._from, False)

    def write(self, lines: list[bytes]) -> None:
        """Send lines; one that nobody reads marks the link as ended."""
        waiting = memoryview(b"".join(lines))
        patience = _PATIENCE
        while waiting and not self.ended:
            if not self._descriptors.has(self._to):
                self.ended = self.is_lost = True
                return
            try:
                waiting = waiting[System.write(self._to, waiting[:_CHUNK]) :]
            except BlockingIOError:
                self._wait_for(self._to, select.POLLOUT, _TICK)
                patience -= _TICK
                self.ended = patience <= 0
            except OSError:
                # It has died; what it said last is read, and its end noticed, by the next read.
                return

    def read(self) -> list[dict[str, Any]]:
        """The answers that have come since."""
        while not self.ended:
            if not self._descriptors.has(self._from):
                self.ended = self.is_lost = True
                break
            try:
                if _poll is None and not _available(self._from):
                    break
                chunk = System.read(self._from, _CHUNK)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            if not chunk:
                self.ended = True
            self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        answers = [answer for answer in map(self._answer, lines) if answer is not None]
        for answer in answers:
            self._pid = answer.get("pid", self._pid)
        return answers

    def wait(self, seconds: float) -> float:
        """Wait until there is something to read, or for some seconds.

        Returns:
            The seconds, counted and not measured since the clock may stand still; 0 if there is something.
        """
        if not self.ended and self._descriptors.has(self._from):
            return self._wait_for(self._from, getattr(select, "POLLIN", 0), seconds)
        return 0.0

    def reap(self, seconds: float = _PATIENCE) -> bool:
        """Wait some seconds for the interpreter that has forked the relay; whether it has ended."""
        if sys.platform == "win32":
            return True
        looks = int(seconds / _LOOK)
        while self._process.poll() is None and looks > 0:
            _pause(_LOOK)
            looks -= 1
        return self._process.poll() is not None

    def kill(self) -> None:
        """End the relay at once, or what was started and has not become one."""
        if sys.platform == "win32" or self._process.poll() is None:
            self._process.kill()
        elif self._pid is not None:
            try:
                _kill(self._pid, signal.SIGKILL)
            except ProcessLookupError:
                return  # it has ended in this moment

    def close(self) -> None:
        """Close the pipes, unless a test has closed them, when their numbers may be another file's."""
        for fd in (self._to, self._from):
            if self._descriptors.has(fd):
                System.close(fd)
        self._descriptors = Descriptors(())
        self.reap()
        if self._process.returncode is None:
            # Not waited for, and on purpose: without a code Popen warns of it when it is collected.
            self._process.returncode = 0

    def _answer(self, line: bytes) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = System.loads(line)
        except ValueError:
            # What it writes before it can answer is a traceback; the last line of it says what was wrong.
            self.last_words = line.decode("utf-8", "replace").strip() or self.last_words
            return None
        return answer

    @staticmethod
    def _wait_for(fd: int, event: int, seconds: float) -> float:
        if _poll is None:
            _pause(min(seconds, _LOOK))
            return min(seconds, _LOOK)
        poll = _poll()
        poll.register(fd, event)
        return 0.0 if poll.poll(seconds * 1000) else seconds


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the relay: no secrets, and nothing that steers Python or moves clocks."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith((*_NOT_INHERITED, _CLOCKS))
        and not any(word in name.upper() for word in _SECRET)
    }
    for name in _PRELOADED:
        if name in kept:
            # Separated by either.
            libraries = kept[name].replace(":", " ").split()
            kept[name] = ":".join(library for library in libraries if _CLOCKS not in library.upper())
    return kept


def _pause(seconds: float) -> None:
    # A wait with a deadline goes by the clock, which the system's loader may have moved.
    if _poll is None:
        _wait(seconds)
    else:
        _poll().poll(seconds * 1000)


def _import_path() -> list[str]:
    """Where the session imports from; a conftest may have put any object there."""
    return [
        os.fsdecode(entry) for entry in sys.path if entry and isinstance(entry, (str, bytes, os.PathLike))
    ]


def _line(value: object) -> bytes:
    return _encode(value).encode("ascii") + b"\n"


_encode = json.JSONEncoder().encode


def _apart() -> dict[str, Any]:
    """Options of Popen for a process that Ctrl-C in the terminal does not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _available(fd: int) -> bool:
    """Whether there is something to read, on Windows, whose pipes cannot be polled."""
    import _winapi
    import msvcrt

    handle = msvcrt.get_osfhandle(fd)  # type: ignore[attr-defined]  # Windows
    return bool(_winapi.PeekNamedPipe(handle, 0)[0])  # type: ignore[attr-defined]  # Windows
