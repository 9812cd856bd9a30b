"""The system's own functions, taken when this module is imported, whatever a test puts in their place later.

Tests rebind `builtins.open`, `os.fork`, `sqlite3.connect`, `json.dumps`, `uuid.uuid4`, `threading.Thread`,
the clock, and may leave it so to the end of the session. pyfakefs and freezegun go further: they search the
globals of all modules for `os`, `io`, `pathlib`, the clocks, and for functions that come from them, under
whatever name. They do not look into classes, hence this one.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
import time
import uuid
from typing import Any, Callable, ClassVar


class _Thread(threading.Thread):
    """A thread whose `start` no test can replace."""

    start = threading.Thread.start


class System:
    """A namespace; `stat`, `open`, `fstat`, `read` and `close` make it a view of the real file system."""

    module = os
    stat = staticmethod(os.stat)
    lstat = staticmethod(os.lstat)
    open = staticmethod(os.open)
    fstat = staticmethod(os.fstat)
    read = staticmethod(os.read)
    write = staticmethod(os.write)
    close = staticmethod(os.close)
    replace = staticmethod(os.replace)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    mkdir = staticmethod(os.mkdir)
    makedirs = staticmethod(os.makedirs)
    rmdir = staticmethod(os.rmdir)
    scandir: ClassVar[Callable[..., Any]] = staticmethod(os.scandir)
    getpid = staticmethod(os.getpid)
    urandom = staticmethod(os.urandom)
    open_file: ClassVar[Callable[..., Any]] = staticmethod(io.open)
    remove_tree = staticmethod(shutil.rmtree)
    monotonic = staticmethod(time.monotonic)
    gmtime = staticmethod(time.gmtime)
    strftime = staticmethod(time.strftime)
    dumps = staticmethod(json.dumps)
    loads = staticmethod(json.loads)
    uuid4 = staticmethod(uuid.uuid4)
    thread = _Thread
    # The last one: it hides the module.
    time = staticmethod(time.time)


class SystemClock:
    """The time, and waits that an event ends; tests of whoever waits bring another one."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return System.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, for so many seconds at most; returns whether it is set."""
        return event.wait(seconds)
