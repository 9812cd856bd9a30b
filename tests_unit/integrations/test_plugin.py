"""What stands for no integration ends the session with a reason."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from famacase_pytest.integrations.plugin import SessionIntegrations


@pytest.mark.parametrize(
    ("named", "offered", "problem"),
    [
        (
            [("the file", "half")],
            [],
            "the file is 'half', an entry point that cannot be loaded (ModuleNotFound",
        ),
        ([("the file", "halv")], [], "there is no module halv; did you mean half?"),
        ([], [[json]], "pytest_famacase_integrations gives <module 'json'"),
        ([], ["json.dumbs"], "json has no dumbs; did you mean dumps?"),
    ],
)
def test_what_stands_for_no_integration(tmp_path, monkeypatch, named, offered, problem):
    half = tmp_path / "half-1.dist-info"
    half.mkdir()
    (half / "METADATA").write_text("Metadata-Version: 2.1\nName: half\nVersion: 1\n")
    (half / "entry_points.txt").write_text("[famacase_pytest.integrations]\nhalf = not_there:Half\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = SimpleNamespace(invocation_params=SimpleNamespace(dir=tmp_path))
    session = SessionIntegrations(config, named, offered, print, dict, str)
    with pytest.raises(pytest.UsageError, match=re.escape(problem)):
        session.begin()
