from __future__ import annotations

import pytest
from pydantic import BaseModel

from famacase_pytest.clients import JsonlClient
from famacase_pytest.delivery.api.base import resolve_client
from famacase_pytest.errors import SettingsError


class Modelled(JsonlClient):
    class CONFIG_CLASS(BaseModel):
        folder: str
        size: int = 0


class Plain(JsonlClient):
    CONFIG_CLASS = None


def resolved(tmp_path, name, **config):
    given = {"class": name, "setting": "the class", "directory": str(tmp_path), "config": config}
    return resolve_client({**given, "config_setting": "the config"})


def test_a_configuration_becomes_what_the_class_asks_for(tmp_path):
    found, config = resolved(tmp_path, f"{__name__}.Modelled", folder="here", size="5")
    assert (found, config.folder, config.size) == (Modelled, "here", 5)
    assert resolved(tmp_path, f"{__name__}.Plain", any="thing") == (Plain, {"any": "thing"})
    assert resolved(tmp_path, "famacase_pytest.clients.JsonlClient", folder="x")[1].folder == "x"


def test_wrong_fields_are_named_without_their_values(tmp_path):
    with pytest.raises(SettingsError) as caught:
        resolved(tmp_path, f"{__name__}.Modelled", size="hidden")
    text = str(caught.value)
    assert text.startswith("the config does not fit Modelled (folder: Field required; size: Input")
    assert "hidden" not in text
    with pytest.raises(SettingsError, match="unexpected keyword argument 'fold'"):
        resolved(tmp_path, "famacase_pytest.clients.JsonlClient", fold="x")
