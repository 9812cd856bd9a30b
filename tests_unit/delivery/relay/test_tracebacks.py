"""What the relay writes when it fails holds no token."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAILS = """
import threading
from famacase_pytest.delivery.relay.main import hide

def fail():
    headers = {"Authorization": "Token rep_long_and_secret"}
    try:
        raise LookupError(str(headers))
    except LookupError as error:
        raise ValueError(f"no answer to {headers}") from error

hide(["rep_long_and_secret"])
"""
THREAD = "thread = threading.Thread(target=fail); thread.start(); thread.join()"


@pytest.mark.parametrize("way", ["fail()", THREAD], ids=["program", "thread"])
def test_a_traceback_without_the_token(way):
    ended = subprocess.run([sys.executable, "-c", FAILS + way], capture_output=True, text=True, check=False)
    assert "rep_long_and_secret" not in ended.stdout + ended.stderr
    assert "Token ***" in ended.stderr
    assert "in fail" in ended.stderr
