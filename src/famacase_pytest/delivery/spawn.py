"""Starting the courier, and talking to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from famacase_pytest.delivery.system import System

# Captured at import, since tests replace these.
_Popen = subprocess.Popen
_getpid = os.getpid
_wait = threading.Event().wait

# What the courier's interpreter runs. The directories that the session imports from come after its own, so
# that a file of the project that is called like a module of the library does not take its place.
#
# ``main`` has closed everything when it returns, and the session waits for the end of the process: no time is
# taken to take the interpreter down in form.
_BOOT = """
import json, os, sys
briefing = json.loads(sys.stdin.buffer.readline())
sys.path.extend(entry for entry in briefing["path"] if entry not in sys.path)
from famacase_pytest.delivery.courier import main
main(briefing)
os._exit(0)
"""

# A courier that died is started once more; what kills two is not overcome by a third.
_STARTS = 2

# Seconds between two looks at whether it has ended.
_LOOK = 0.01

# Variables that change what an interpreter does, or that are nobody else's business.
_NOT_INHERITED = ("COV_", "COVERAGE_", "PYTEST_", "PYTHON")
_SECRET = ("TOKEN", "SECRET", "PASSWORD")


class Courier:
    """The courier of one session, as the session sees it.

    Args:
        directory: the session's outbox, where the courier's own errors go too (``courier.log``).
        briefing: the first line that it reads; see ``courier.main``. It holds the tokens, which therefore
            stand on
            no command line and in no variable.
        environ: the process environment at configure.

    Attributes:
        briefing: as given, with the directories to import from.
    """

    def __init__(self, directory: Path, briefing: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._directory = directory
        self.briefing = {**briefing, "path": [entry for entry in sys.path if entry]}
        self._environ = inherited(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = _getpid()
        self._starts = 0
        self._orders = 0

    def ensure(self) -> bool:
        """See that a courier works: start it, or once more if it has died.

        Returns:
            False if there is none and there will be none.
        """
        if _getpid() != self._owner:
            return False  # a fork of a test; the courier is its parent's
        while self._process is None or self._process.poll() is not None:
            self._close_pipe()
            if self._starts == _STARTS:
                return False
            self._starts += 1
            try:
                self._start()
            except OSError:
                self._starts = _STARTS
                return False
        return True

    @property
    def fate(self) -> str:
        """What became of it, where ``ensure`` says that there is none."""
        return "The courier process died twice" if self._process else "No courier process can be started"

    def drain(self, seconds: float) -> int:
        """Ask it to deliver everything within some seconds; the ledger tells when this number is done."""
        self._orders += 1
        self._say({"do": "drain", "number": self._orders, "seconds": seconds})
        return self._orders

    def stop(self) -> None:
        """Tell it to give up what it is doing."""
        self._say({"do": "stop"})

    def leave(self) -> None:
        """Let it finish by itself, when nobody waits for it."""
        self._say({"do": "leave"})
        self._close_pipe()
        if self._process is not None:
            # Not waited for, and on purpose: without a code Popen warns of it when it is collected.
            self._process.returncode = 0
            self._process = None

    def end(self, seconds: float) -> None:
        """Tell it that the session is over, and see it out."""
        if self._process is None or _getpid() != self._owner:
            return
        self._say({"do": "end"})
        self._close_pipe()
        # Counted, not measured, and not by Popen.wait, which sleeps: tests replace the clock and time.sleep.
        looks = int(seconds / _LOOK)
        while self._process.poll() is None and looks > 0:
            _wait(_LOOK)
            looks -= 1
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def is_alive(self) -> bool:
        """Whether it works at this moment."""
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        else:
            # Ctrl-C in the terminal is for pytest.
            options["start_new_session"] = True
        with System.open_file(self._directory / "courier.log", "ab") as log:
            self._process = _Popen(
                [sys.executable, "-I", "-c", _BOOT],
                cwd=self._directory.parent,
                env=self._environ,
                stdin=subprocess.PIPE,
                # Whoever captures pytest's output waits for all that hold it to close it.
                stdout=subprocess.DEVNULL,
                stderr=log,
                **options,
            )
        self._say(self.briefing)

    def _say(self, order: Mapping[str, Any]) -> None:
        if self._process is None or self._process.stdin is None or self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(System.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            # It has died; whoever waits for the answer finds out.
            self._close_pipe()

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                # What was not written any more has no reader.
                return


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the courier: proxies and certificates, no secrets, nothing that steers Python."""
    return {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith(_NOT_INHERITED) and not any(word in name.upper() for word in _SECRET)
    }
