"""The replacements mean the same as what they replace."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import freezegun
import pytest
import qase.commons.utils
from qase.commons.util import host_data

from famacase_pytest.upstream import speedups

time_machine = pytest.importorskip("time_machine")


def test_host_info_has_the_keys_of_upstream(monkeypatch):
    monkeypatch.setattr(host_data, "exec_command", lambda command, default_value="": "Version: 1")
    theirs = host_data.get_host_info("pytest", "qase-pytest")
    ours = speedups.host_info("pytest", "qase-pytest")
    assert set(ours) == set(theirs)
    told_by_a_process = {"packageManager", "framework", "reporter", "commons", "apiClientV1", "apiClientV2"}
    for key in set(theirs) - told_by_a_process:
        assert ours[key] == theirs[key], key


def test_host_info_tells_the_versions_of_this_environment_and_starts_nothing(monkeypatch):
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("no process is needed")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    found = speedups.host_info("pytest", "qase-pytest")
    assert found["framework"] == pytest.__version__
    assert found["reporter"]
    assert found["commons"]
    assert set(map(type, found.values())) == {str}
    unknown = speedups.host_info(None, "a distribution that is not installed")
    assert (unknown["framework"], unknown["reporter"]) == ("", "")


@pytest.fixture
def clock() -> Any:
    theirs = vars(qase.commons.utils.QaseUtils)["get_real_time"]
    return speedups.real_time(theirs).__func__


def test_the_clock_tells_the_time(clock):
    before = time.time()
    assert before - 0.01 <= clock() <= time.time() + 0.01
    assert isinstance(clock(), float)


def test_no_library_moves_the_clock(clock):
    now = time.time()
    with freezegun.freeze_time("2001-01-01"):
        assert time.time() < 10**9
        assert 0 <= clock() - now < 60
    with time_machine.travel(0, tick=False):
        assert time.time() == 0
        assert 0 <= clock() - now < 60


def test_without_a_libc_the_clock_is_upstreams(monkeypatch):
    monkeypatch.setattr(speedups, "_libc_clock", lambda: None)
    assert speedups.real_time("theirs") == "theirs"
