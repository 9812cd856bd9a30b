"""Whatever a team's own code does, a call ends in one of the documented ways, and says what was wrong."""

from __future__ import annotations

import pytest

from famacase_pytest.clients import JsonlClient, JsonlConfig
from famacase_pytest.delivery.api.own import OwnClient, page_of_run
from famacase_pytest.errors import Refused, Rejected, Unreachable


class Broken(JsonlClient):
    """Does in the place of each call what it is told, once for each entry."""

    def __init__(self, config, **scripts):
        super().__init__(config)
        self.scripts = scripts

    def _next(self, name, usual):
        script = self.scripts.get(name)
        if not script:
            return usual()
        outcome = script.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def get_project(self, code):
        return self._next("get_project", lambda: super(Broken, self).get_project(code))

    def create_run(self, code, body, key):
        return self._next("create_run", lambda: super(Broken, self).create_run(code, body, key))

    def get_run(self, code, run_id):
        return self._next("get_run", lambda: super(Broken, self).get_run(code, run_id))

    def post_results(self, code, run_id, results):
        return self._next("post_results", lambda: super(Broken, self).post_results(code, run_id, results))

    def upload(self, code, parts, key):
        return self._next("upload", lambda: super(Broken, self).upload(code, parts, key))

    @classmethod
    def run_url(cls, config, code, run_id):
        raise KeyError("no page")


@pytest.fixture
def opened(tmp_path):
    def opened(**scripts):
        return OwnClient("Broken", lambda: Broken(JsonlConfig(str(tmp_path)), **scripts))

    return opened


RUN = ("SHOP", {"title": "t"}, "key")


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ([ConnectionResetError("gone")], Unreachable, "Broken.create_run raised ConnectionResetError: gone"),
        ([ValueError("odd")] * 2, Rejected, "Broken.create_run raised ValueError: odd"),
        ([SystemExit(3)] * 2, Rejected, "Broken.create_run raised SystemExit: 3"),
        ([None] * 2, Rejected, "Broken.create_run returned None"),
        ([10**30] * 2, Rejected, "Broken.create_run returned 1000"),
        ([Refused("not you", status=403)], Refused, "not you"),
        ([Rejected("no such field")], Rejected, "no such field"),
    ],
)
def test_what_is_raised_and_returned_has_a_kind(opened, script, kind, said):
    with pytest.raises(kind, match=said) as caught:
        opened(create_run=list(script)).create_run(*RUN)
    if kind is Rejected:
        assert caught.value.status == 400
        assert said in caught.value.detail


def test_what_happens_once_is_overcome(opened):
    assert opened(create_run=[ValueError("odd")]).create_run(*RUN) == 1


def test_who_does_not_even_have_the_project_is_away(opened):
    client = opened(post_results=[ValueError("odd")], get_project=[LookupError("none")])
    with pytest.raises(Unreachable, match=r"Broken.get_project raised LookupError: none"):
        client.post_results("SHOP", 1, ["{}"])


def test_answers_without_sense(opened):
    client = opened(get_run=[None] * 2, upload=[[""]] * 2)
    with pytest.raises(Rejected, match=r"Broken.get_run returned None"):
        client.get_run("SHOP", 1)
    with pytest.raises(Rejected, match=r"Broken.upload returned \[''\]"):
        client.upload("SHOP", [object()], "key")


def test_one_that_cannot_be_made_is_made_later(tmp_path):
    made = [RuntimeError("no database yet"), JsonlClient(JsonlConfig(str(tmp_path)))]

    def make():
        outcome = made.pop(0)
        if isinstance(outcome, RuntimeError):
            raise outcome
        return outcome

    with OwnClient("Broken", make) as client:
        with pytest.raises(Unreachable, match=r"Broken.get_project raised RuntimeError: no database yet"):
            client.get_project("SHOP")
        assert client.with_limits(total=1.0).create_run(*RUN) == 1


def test_a_page_that_its_class_cannot_name(tmp_path):
    given = {"class": f"{__name__}.Broken", "setting": "the class", "directory": str(tmp_path)}
    given |= {"config": {"folder": "x"}, "config_setting": "the config"}
    assert (
        page_of_run(given, "SHOP", 3)
        == "Broken, project SHOP, run 3 (its run_url raised KeyError: 'no page')"
    )
