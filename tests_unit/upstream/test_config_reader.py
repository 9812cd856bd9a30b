"""What upstream sees while it reads its configuration."""

from __future__ import annotations

import argparse
import io
import os
from types import SimpleNamespace
from typing import Any

import pytest

from famacase_pytest.upstream.config_reader import ConfigReader

FILE = "./qase.config.json"


def config(**options: Any) -> Any:
    return SimpleNamespace(option=argparse.Namespace(**options), rootpath="/somewhere")


def test_the_file_is_the_merged_one_and_others_are_themselves(reader, tmp_path):
    (tmp_path / "other.txt").write_text("other", encoding="utf-8")
    with reader.open(FILE, "r") as file:
        assert file.read() == '{"mode": "off"}'
    with reader.open(tmp_path / "other.txt", encoding="utf-8") as file:
        assert file.read() == "other"
    with pytest.raises(FileNotFoundError):
        reader.open(tmp_path / "missing.txt")


def test_without_a_document_there_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qase.config.json").write_text("{}", encoding="utf-8")
    view = ConfigReader({}, {}, None, None).os_view(os)
    assert view.path.exists(FILE) is False


def test_the_view_of_os(reader, tmp_path, monkeypatch):
    monkeypatch.setenv("QASE_MODE", "of the process")
    view = reader.os_view(os)
    assert view.environ == {"QASE_MODE": "report"}
    assert view.getenv("QASE_MODE") == "report"
    assert view.getenv("HOME", "none") == "none"
    view.environ["QASE_DEBUG"] = "true"
    assert "QASE_DEBUG" not in os.environ
    assert view.path.exists(FILE) is True
    assert view.path.exists(tmp_path) is True
    assert view.path.exists(str(tmp_path / "missing")) is False
    assert view.path.join("a", "b") == os.path.join("a", "b")
    assert view.sep == os.sep


def test_around_the_reading_of_its_own_session(reader):
    own = config(qase_mode="testops", qase_debug=None)
    reader = ConfigReader({}, {"qase_mode": "off", "qase_new": "1"}, {}, own)
    stood = []
    reader.during = lambda: Standing(stood)

    def setup(seen: Any) -> Any:
        assert stood == ["in"]
        return vars(seen.option), seen.rootpath

    options, rootpath = reader.around(setup)(own)
    assert options == {"qase_mode": "off", "qase_debug": None, "qase_new": "1"}
    assert rootpath == "/somewhere"
    assert stood == ["in", "out"]
    assert vars(own.option) == {"qase_mode": "testops", "qase_debug": None}


def test_another_session_is_left_alone(reader):
    reader.during = lambda: pytest.fail("the patches of this session must not stand for another one")
    other = config(qase_mode="testops")
    assert reader.around(lambda seen: seen)(other) is other


def test_upstream_reads_what_it_is_given(installation, reader):
    """The real reader of the configuration, from its file on."""
    import qase.commons.config

    reader.environ.clear()
    reader.environ["QASE_ENVIRONMENT"] = "of the overlay"
    installation.install()
    with reader.during():
        found = qase.commons.config.ConfigManager().config
    assert str(getattr(found.mode, "value", found.mode)) == "off"
    assert found.environment == "of the overlay"


class Standing:
    """A context that notes when it stands."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def __enter__(self) -> None:
        self._notes.append("in")

    def __exit__(self, *error: object) -> None:
        self._notes.append("out")


def test_the_file_can_be_read_as_upstream_does(reader):
    import json

    assert isinstance(reader.open(FILE), io.StringIO)
    with reader.open(FILE) as file:
        assert json.load(file) == {"mode": "off"}
