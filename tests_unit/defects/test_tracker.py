"""The class of the tracker's client in all forms, and its configuration."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from famacase_pytest.defects.tracker import Tracker
from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.model import Defects
from famacase_pytest.settings.sources import BY_DEFAULT, Value

JSONL = "testbench_defect_service.clients.JsonlDefectClient"

OWN = """
from pydantic import BaseModel
from testbench_defect_service.clients.jsonl.client import JsonlDefectClient


class Config(BaseModel):
    address: str
    attempts: int = 1


class OwnClient(JsonlDefectClient):
    CONFIG_CLASS = Config
"""


def defects(client_class=None, client_config=None, config=None):
    def value(given):
        return None if given is None else Value(given, BY_DEFAULT)

    return Defects(value(client_class), value(client_config), value(config), None, False)


@pytest.mark.parametrize(
    "form",
    [
        "trackers/own_client.py",
        "trackers/own_client",
        "{directory}/trackers/own_client.py",
        "own_package.OwnClient",
        "own_package.clients.own_client.OwnClient",
        "own_package.clients.own_client",
    ],
)
def test_the_forms_of_a_client_class(tmp_path: Path, monkeypatch, form):
    for name in ("trackers/own_client.py", "own_package/clients/own_client.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(OWN, encoding="utf-8")
    (tmp_path / "own_package" / "__init__.py").write_text("from .clients.own_client import OwnClient\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("own_package", "own_package.clients", "own_package.clients.own_client"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    tracker = Tracker(defects(form.format(directory=tmp_path), {"address": "here"}), tmp_path)
    client = tracker.open()
    assert type(client).__name__ == "OwnClient"
    assert (client.config.address, client.config.attempts) == ("here", 1)


@pytest.mark.parametrize(
    ("client_class", "client_config", "problem"),
    [
        (JSONL, {"control_fields": {}}, "JsonlDefectClient is wrong .*defects_path: Field required"),
        (JSONL, {"defects_path": ".", "control_fields": 3}, "control_fields: Input should be a valid dict"),
        (JSONL, {"defects_path": "nowhere", "control_fields": {}}, "defects_path not found"),
        ("testbench_defect_service.clients.NoClient", {}, "cannot be imported"),
        ("pathlib.Path", {}, "no subclass of .*AbstractDefectClient"),
        ("testbench_defect_service.clients.AbstractDefectClient", {}, "does not implement"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, client_class, client_config, problem):
    with pytest.raises(SettingsError, match=problem):
        Tracker(defects(client_class, client_config), tmp_path)


def test_a_file_of_the_service(tmp_path):
    (tmp_path / "bugs").mkdir()
    config = tmp_path / "config.toml"
    config.write_text(
        textwrap.dedent(
            f"""
            [testbench-defect-service]
            client_class = "{JSONL}"
            port = 8030

            [testbench-defect-service.client_config]
            name = "Ours"
            defects_path = "{tmp_path / "bugs"}"
            control_fields = {{status = ["Open", "Closed"]}}
            """
        ),
        encoding="utf-8",
    )
    assert Tracker(defects(config=config), tmp_path).open().get_settings().name == "Ours"
    (tmp_path / "client.toml").write_text('name = "Apart"\ndefects_path = "."\n[control_fields]\n')
    config.write_text(
        f'[testbench-defect-service]\nclient_class = "{JSONL}"\n'
        f'client_config_path = "{tmp_path / "client.toml"}"\n'
    )
    assert Tracker(defects(config=config), tmp_path).open().get_settings().name == "Apart"
    config.write_text("[other]\n")
    with pytest.raises(SettingsError, match=r"there is no \[testbench-defect-service\]"):
        Tracker(defects(config=config), tmp_path)
