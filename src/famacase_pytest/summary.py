"""What the user is told in the terminal: notices, progress, and the lines at the end."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import FamacaseError

if TYPE_CHECKING:
    import pytest

    from .delivery.models import Progress
    from .delivery.transport import Leftovers

# Seconds that pass in silence before there is a progress line, and seconds between two changes of it.
_PATIENCE = 1.0
_PAUSE = 0.5

# Seconds between two looks at whether it is time for one.
_TICK = 0.1

# Seconds between two lines where a line cannot be renewed.
_INTERVAL = 15.0

# Results that did not pass of which the summary has the link, and characters of their titles.
SHOWN = 10
_TITLE = 100

# Results that were refused of which the summary says why.
_NAMED = 10

# Gives the page of a result, from project, run and the result's id.
Page = Callable[[str, int, str], str]

# Taken here, since tests replace it.
_monotonic = time.monotonic


def counted(number: int, noun: str, verb: str = "") -> str:
    """``1 result waits``, ``2 results wait``.

    Args:
        number: how many.
        noun: in the singular.
        verb: the two forms, as ``waits/wait``; empty for none.
    """
    words = [str(number), noun if number == 1 else f"{noun}s"]
    if verb:
        singular, plural = verb.split("/")
        words.append(singular if number == 1 else plural)
    return " ".join(words)


class Line(NamedTuple):
    """A line of the summary.

    Attributes:
        text: without the name of this package.
        good: whether it tells of no trouble.
        detail: whether it only adds to the one before it.
    """

    text: str
    good: bool = True
    detail: bool = False


def ending(
    left: Leftovers, where: str, titles: str, seconds: float, page: Page, outbox: Path | None, command: str
) -> Iterator[Line]:
    """The lines that tell how far delivery came.

    Args:
        left: how far.
        where: the pages of the runs.
        titles: of the runs, as far as they are known.
        seconds: that the session has spent on it.
        page: gives the page of a result.
        outbox: where the rest is kept.
        command: sends the rest.
    """
    if left.delivered:
        yield Line(f"{counted(left.delivered, 'result')} delivered to {where}")
        yield _details(left, titles, seconds)
        yield from _failures(left, page)
    for reason in left.rejected[:_NAMED]:
        yield Line(f"a result was refused by the back end and is kept: {reason}", good=False)
    if len(left.rejected) > _NAMED:
        yield Line(f"{len(left.rejected) - _NAMED} more results were refused and are kept.", good=False)
    for problem, count, name in left.unsent[:_NAMED]:
        what = f"{counted(count, 'file', 'was/were')} not sent ({name}{', ...' if count > 1 else ''})"
        yield Line(f"{what}: {problem}. A step in its result says so.", good=False)
    if left.lost:
        yield Line(f"{counted(left.lost, 'result', 'is/are')} lost; the run stays open.", good=False)
    if left.in_background and (left.waiting or left.open_runs):
        verb = counted(left.waiting, "result", "is/are")
        yield Line(f"{verb} being delivered in the background to {where}")
    elif left.waiting or left.open_runs or left.rejected:
        reason = (left.reason or "").rstrip(".").replace("famacase resend", command)
        why = f" ({reason})" if reason else ""
        # The reason names the command where the target has to be another one.
        remedy = "" if command in reason else f" Send them with: {command}"
        waits = counted(left.waiting, "result", "waits/wait")
        what = waits if left.waiting else "a run waits to be completed"
        yield Line(f"{what} in {outbox}{why}.{remedy}", good=False)


def _details(left: Leftovers, titles: str, seconds: float) -> Line:
    parts = [", ".join(f"{count} {status}" for status, count in sorted(left.statuses.items()) if status)]
    if left.files:
        parts.append(f"{counted(left.files, 'file')} sent ({size(left.file_bytes)})")
    if left.again:
        parts.append(f"{left.again} not sent again")
    parts.append(f"{seconds:.1f} s of the session")
    return Line(f"{f'{titles}: ' if titles else ''}{'; '.join(filter(None, parts))}", detail=True)


def _failures(left: Leftovers, page: Page) -> Iterator[Line]:
    for entry in left.failed[:SHOWN]:
        where = page(entry.project, entry.run_id, entry.result_id)
        yield Line(f"{entry.status}: {shortened(entry.title)}  {where}", detail=True)
    if len(left.failed) > SHOWN:
        yield Line(f"and {len(left.failed) - SHOWN} more that did not pass", detail=True)


def shortened(title: str) -> str:
    """A title that leaves room for a link beside it."""
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"


class Notices:
    """Lines for the user, printed where pytest has a place for them.

    Without a terminal reporter (``-p no:terminal``, or not yet) they are logged. They do not go through
    Python's warnings: under ``-W error`` those would fail a suite that passes. An
    xdist worker prints nothing; what it has to say goes to the controller.

    Args:
        config: pytest's.
        lines: the first ones. A worker has the controller's settings, so what they give rise to is said once,
            there.
        scrub: takes the tokens out of a text. Whatever raised an error may have put the headers of a request
            into its text.

    Attributes:
        is_worker: whether this is an xdist worker.
        is_silent: whether nothing is printed here.
        requests: lines about requests to the back end, printed before the others.
        withholds: whether a line is not printed, since it is said elsewhere.
    """

    def __init__(
        self,
        config: pytest.Config,
        lines: Sequence[str] = (),
        scrub: Callable[[str], str] = lambda text: text,
    ) -> None:
        self._config = config
        self._scrub = scrub
        self.is_worker = self.is_silent = hasattr(config, "workerinput")
        self.lines = [] if self.is_worker else list(lines)
        self.requests: list[str] = []
        self.withholds: Callable[[str], bool] = lambda line: False

    def add(self, line: str) -> None:
        """Add a line, to be printed at the next occasion."""
        self.lines.append(line)

    def print(self) -> None:
        """Print what has not been printed yet."""
        if self.is_silent:
            return
        # One by one: other threads may add lines meanwhile.
        while self.requests:
            self.show(self.requests.pop(0), good=True)
        while self.lines:
            line = self.lines.pop(0)
            if not self.withholds(line):
                self.show(line)

    def summarize(self, lines: Sequence[Line]) -> None:
        """Print what has not been printed yet, and the summary, as long as the verbosity asks for."""
        verbosity = self._config.getoption("verbose", 0)
        shown = [
            line for line in lines if not line.good or verbosity >= 0 or (verbosity == -1 and not line.detail)
        ]
        reporter = self._reporter()
        if shown and verbosity >= 0 and reporter is not None and not self.is_silent:
            reporter.write_sep("=", "famacase")
        self.print()
        for line in shown:
            if not line.detail:
                self.show(line.text, good=line.good)
            elif reporter is not None and not self.is_silent:
                reporter.write_line(f"  {self._text(line.text)}")

    def say(self, line: str) -> None:
        """Print a line now, wherever pytest is."""
        # Before pytest has a reporter, only a warning is sure to be seen.
        self.show(line, good=self._reporter() is not None)

    def show(self, line: str, *, good: bool = False) -> None:
        """Print a line now; without pytest's reporter it is logged.

        Args:
            line: without the name of this package.
            good: whether it tells of no trouble.
        """
        if self.is_silent:
            return
        text, reporter = f"famacase: {self._text(line)}", self._reporter()
        if reporter is not None:
            reporter.write_line(text, **({} if good else {"yellow": True}))
        else:
            log = logging.getLogger("famacase_pytest")
            log.log(logging.INFO if good else logging.WARNING, "%s", text)

    def _reporter(self) -> Any:
        return self._config.pluginmanager.get_plugin("terminalreporter")

    def _text(self, line: str) -> str:
        # A server's text, or a title, may hold control characters.
        return "".join(c if c.isprintable() else " " for c in self._scrub(line))


class ProgressLine:
    """Tells what somebody waits for, if it takes long: a line that is renewed, or one now and then.

    Args:
        write: writes a line; the second argument tells whether it takes the place of the one before.
        is_terminal: whether a line can be renewed.
        hint: what ends the wait before its limit.
    """

    def __init__(self, write: Callable[[str, bool], None], *, is_terminal: bool, hint: str = "") -> None:
        self._write = write
        self._is_terminal = is_terminal
        self._hint = hint
        self._began: float | None = None
        self._next = 0.0
        self._rate = _Rate()
        self._is_shown = False

    def show(self, look: Callable[[], Progress | str], seconds: float | None = None) -> None:
        """Tell it, if it is time to; a short wait shows nothing.

        Args:
            look: gives how far delivery is, or what is being done; it is called only if something is told.
            seconds: until the wait ends in any case; None: there is no limit.
        """
        now = _monotonic()
        if self._began is None:
            self._began = now
            self._next = now + (_PATIENCE if self._is_terminal else _INTERVAL)
        if now < self._next:
            return
        self._next = now + (_PAUSE if self._is_terminal else _INTERVAL)
        done = look()
        parts = [done] if isinstance(done, str) else self._delivery(done, now)
        waited = now - self._began
        limit = "" if seconds is None else f" of at most {waited + seconds:.0f} s ({self._hint})"
        self._write(", ".join([*parts, f"{waited:.0f} s{limit}"]), self._is_shown)
        self._is_shown = self._is_terminal

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._write("", True)
            self._is_shown = False

    def _delivery(self, progress: Progress, now: float) -> list[str]:
        parts = [f"{counted(progress.results, 'result', 'is/are')} being delivered"]
        if progress.files:
            sent = f"{counted(progress.files, 'file')} ({size(progress.file_bytes)}) sent"
            rate = self._rate.of(now, progress.file_bytes)
            parts.append(f"{sent}, {size(rate)}/s" if rate else sent)
        if progress.is_away:
            parts.append("the back end is not reached")
        return parts


def command_progress() -> ProgressLine:
    """The progress line of a command: on standard error, since scripts read what it prints."""
    stream = sys.stderr

    def write(line: str, renews: bool) -> None:
        text = line and f"famacase: {line}"
        if not stream.isatty():
            print(text, file=stream, flush=True)
            return
        columns = shutil.get_terminal_size().columns - 1
        # Over the line before, which may be longer.
        print(f"\r{text[:columns]:<{columns}}{'' if text else chr(13)}", end="", file=stream, flush=True)

    # Requests that are told would be cut into a line that is renewed.
    told = logging.getLogger("famacase_pytest").isEnabledFor(logging.DEBUG)
    return ProgressLine(write, is_terminal=stream.isatty() and not told)


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Tell what a command does if it takes long. Nothing else may be printed meanwhile."""
    line, done = command_progress(), threading.Event()

    def tell() -> None:
        while not done.wait(_TICK):
            line.show(lambda: what)

    thread = threading.Thread(target=tell, name="famacase-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        line.clear()


def write_progress(terminal: Any, line: str, renews: bool) -> None:
    """Write a line of progress through pytest's reporter."""
    if not renews:
        terminal.ensure_newline()
    if not terminal.isatty:
        terminal.write_line(f"famacase: {line}")
        return
    terminal.rewrite(line and f"famacase: {line}"[: shutil.get_terminal_size().columns - 1], erase=True)
    if not line:
        terminal.rewrite("")


class _Rate:
    """Bytes a second, between two looks."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    def of(self, now: float, count: int) -> int:
        """The rate since the last call; 0 at the first one."""
        last, self._last = self._last, (now, count)
        return int((count - last[1]) / (now - last[0])) if last is not None and now > last[0] else 0


def size(count: int) -> str:
    """A number of bytes, for people."""
    return f"{count / 1024**2:.1f} MiB" if count >= 100 * 1024 else f"{count / 1024:.1f} KiB"


def internal_error(error: BaseException) -> str:
    """What is said of an exception that should not have come so far."""
    if isinstance(error, FamacaseError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return (
        f"a defect of famacase-pytest, {type(error).__name__} in {place}: {error}. "
        "Results of this session may be missing; the tests are not touched. Please report it with this line."
    )
