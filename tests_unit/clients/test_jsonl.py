from __future__ import annotations

import hashlib
import uuid
from functools import partial
from io import BytesIO

import pytest

from famacase_pytest.clients import JsonlClient, JsonlConfig, Part, PartUnreadable, Refused, Unreachable
from famacase_pytest.testing import ClientConformance


@pytest.fixture
def client(tmp_path):
    return JsonlClient(JsonlConfig(str(tmp_path / "results")))


class TestJsonlClient(ClientConformance):
    @pytest.fixture
    def client(self, client):
        return client

    def results(self, client, run_id):
        return client.results(self.project, run_id)

    def content(self, client, file_id):
        return client.content(self.project, file_id)


def test_another_process_goes_on_where_the_last_one_stopped(tmp_path):
    key = str(uuid.uuid4())
    first = JsonlClient(JsonlConfig(str(tmp_path))).create_run("SHOP", {"title": "t"}, key)
    again = JsonlClient(JsonlConfig(str(tmp_path)))
    assert again.create_run("SHOP", {"title": "t"}, key) == first
    assert again.create_run("SHOP", {"title": "t"}, str(uuid.uuid4())) == first + 1
    assert JsonlClient.run_url(JsonlConfig(str(tmp_path)), "SHOP", first) == str(tmp_path / "SHOP/runs/1")


def test_no_project_lies_outside_the_folder(client):
    for code in ("..", "a/b", ""):
        with pytest.raises(Refused):
            client.create_run(code, {"title": "t"}, str(uuid.uuid4()))


def test_a_file_that_has_changed_is_not_stored(client):
    sha256 = hashlib.sha256(b"before").hexdigest()
    part = Part("log.txt", "text/plain", 6, partial(BytesIO, b"behind"), sha256)
    with pytest.raises(PartUnreadable, match="the file has changed"):
        client.upload("SHOP", [part], str(uuid.uuid4()))


def test_a_folder_that_cannot_be_used_is_away(tmp_path):
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(Unreachable, match="The folder cannot be used"):
        JsonlClient(JsonlConfig(str(tmp_path / "taken"))).get_project("SHOP")
