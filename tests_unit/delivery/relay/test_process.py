"""The relay as the session sees it, where what is started is no interpreter."""

from __future__ import annotations

import os
import sys

import pytest

from famacase_pytest.delivery.relay import process
from famacase_pytest.delivery.relay.process import RelayProcess


@pytest.mark.skipif(os.name == "nt", reason="there the interpreter that is started is the relay")
def test_an_application_that_has_python_in_it_is_not_waited_for(tmp_path, monkeypatch):
    program = tmp_path / "application"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(process, "_LAUNCH", 0.5)
    relay = RelayProcess({"outbox": None}, os.environ)
    assert relay.ensure()
    number = relay.order("check_project", project="SHOP", seconds=1.0)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text(encoding="ascii"):
        assert relay.answer(number, 0.1) is None
    relay.settle()
    assert relay.trouble == f"No relay process has begun, and {program} was started"
    assert not relay.ensure()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="ascii")), 0)
