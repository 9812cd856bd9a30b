"""The real functions, whatever a test has put in their place."""

from __future__ import annotations

import builtins
import io
import json
import os
import shutil
import threading
import time

from famacase_pytest.delivery import system
from famacase_pytest.delivery.system import System, SystemClock


def replaced(*_, **__):
    raise AssertionError("a test's own function was called")


REPLACED = {
    os: ("stat", "open", "fstat", "read", "write", "close", "mkdir", "unlink", "rmdir", "scandir", "getpid"),
    io: ("open",),
    builtins: ("open",),
    json: ("dumps", "loads"),
    shutil: ("rmtree",),
    time: ("time", "monotonic", "gmtime", "strftime"),
}


def test_what_a_test_replaces_is_not_called(monkeypatch, tmp_path):
    path = f"{tmp_path}/file"
    with monkeypatch.context() as test:
        for module, names in REPLACED.items():
            for name in names:
                test.setattr(module, name, replaced)
        with System.open_file(path, "w", encoding="utf-8") as file:
            file.write(System.dumps({"a": 1}))
        descriptor = System.open(path, os.O_RDONLY)
        content, state = System.loads(System.read(descriptor, 100)), System.fstat(descriptor)
        System.close(descriptor)
        with System.scandir(str(tmp_path)) as entries:
            names = [entry.name for entry in entries]
        year = System.strftime("%Y", System.gmtime(0))
        began, now, pid = SystemClock().monotonic(), System.monotonic(), System.getpid()
        same = System.stat(path).st_ino == state.st_ino
        System.unlink(path)
    assert (content, names, year, same) == ({"a": 1}, ["file"], "1970", True)
    assert began <= now
    assert pid == os.getpid()
    assert not os.path.exists(path)


def test_a_thread_that_no_test_can_keep_from_starting(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", replaced)
    monkeypatch.setattr(threading, "Thread", replaced)
    ran = []
    thread = System.thread(target=lambda: ran.append(1), daemon=True)
    thread.start()
    thread.join()
    assert ran == [1]


def test_searching_the_globals_of_the_module_finds_no_clock_and_no_file_function():
    """As freezegun and pyfakefs do; the modules themselves they replace by their names."""
    sought = {time.time, time.monotonic, os.open, os.stat, io.open, json.dumps}
    found = [name for name, value in vars(system).items() if callable(value) and value in sought]
    assert found == []


def test_a_view_of_the_file_system_names_the_module_that_it_stands_for():
    assert System.module is os
    # The time hides the module of this name.
    assert callable(System.time)


def test_a_wait_tells_whether_it_was_ended():
    event = threading.Event()
    assert not SystemClock().wait(event, 0.0)
    event.set()
    assert SystemClock().wait(event, 600.0)
