"""A parameter has the same text in every run and process, and so has the signature that it is part of."""

from __future__ import annotations

import json

import pytest
from test_guards import run_without

SUITE = """
    import enum
    import uuid
    import pytest
    from qase.pytest import qase

    class Thing:
        pass

    class Colour(enum.Enum):
        RED = 1

    @pytest.fixture(params=[Thing()], ids=["made-here"])
    def made(request):
        return request.param

    @pytest.mark.parametrize("thing", [Thing()], ids=["a-thing"])
    def test_named(thing): pass

    @pytest.mark.parametrize("thing", [Thing(), Thing])
    @pytest.mark.parametrize("text", ["x-y"])
    def test_unnamed(thing, text): pass

    @pytest.mark.parametrize("thing, number", [(Thing(), 2)], ids=["both-of-them"])
    def test_group(thing, number): pass

    @pytest.mark.parametrize(["thing", "number"], [(Thing(), 2)])
    @pytest.mark.parametrize("text", ["x-y"])
    def test_list_of_names(thing, number, text): pass

    @pytest.mark.parametrize("found", [{"a", "b", "c"}, [Thing()], uuid.uuid4()])
    @pytest.mark.parametrize("text", ["x-y"])
    def test_others(found, text): pass

    @pytest.mark.parametrize("plain", [[1, "two"], {"a": (None, 1.5)}, Colour.RED, b"x"])
    @pytest.mark.parametrize("text", ["x-y"])
    def test_plain(plain, text): pass

    def test_fixture(made): pass

    @qase.fields(("token", "secret Token"))
    @pytest.mark.parametrize("password", ["Se cret/ü"])
    def test_secret(password, tmp_path):
        qase.attach((password.encode(), "text/plain", f"{password}.txt"))
        with qase.step(f"enter {password}", "secret Token"):
            assert password == "other"

    if pytest.version_tuple >= (8, 4):
        @pytest.mark.parametrize("thing", [pytest.param(object(), id=pytest.HIDDEN_PARAM)])
        @pytest.mark.parametrize("text", ["x-y-z"])
        def test_hidden(thing, text): pass
"""
NAMES = {
    "test_named": [{"thing": "a-thing"}],
    "test_unnamed": [{"text": "x-y", "thing": "thing0"}, {"text": "x-y", "thing": "Thing"}],
    "test_group": [{"thing": "both-of-them", "number": "2"}],
    "test_list_of_names": [{"text": "x-y", "thing": "thing0", "number": "2"}],
    "test_others": [{"text": "x-y", "found": f"found{number}"} for number in range(3)],
    "test_plain": [
        {"text": "x-y", "plain": text} for text in ("[1, 'two']", "{'a': (None, 1.5)}", "Colour.RED", "b'x'")
    ],
    "test_fixture": [{"made": "made-here"}],
    "test_secret": [{"password": "***"}],
}


SECRETS = ("Se cret", "se_cret", "Se_cret", "secret Token", "ü")


def reported(runs):
    results = runs.results(runs.only())
    (secret,) = [result for result in results if result["title"] == "test_secret"]
    assert not [text for text in SECRETS if text in json.dumps(results, ensure_ascii=False)]
    assert secret["fields"] == {"token": "***"}
    assert secret["steps"][0]["data"]["action"] == "enter ***"
    assert secret["signature"].endswith("test_secret[***]::{password:***}")
    params = {}
    for result in sorted(results, key=lambda result: result["signature"]):
        params.setdefault(result["title"], []).append(result["params"])
    return params, sorted(result["signature"] for result in results)


def test_the_same_in_every_run_and_process(project, runs, pair):
    """Secret ones are masked, and so is what else has their values."""
    project.write(test_params=SUITE)
    project.environ["FAMACASE_MASK"] = "password,token"
    assert project.run(PYTHONHASHSEED="1").code == 1
    params, signatures = reported(runs)
    # Earlier releases of pytest have no hidden parameters.
    hidden = {"test_hidden": [{"text": "x-y-z", "thing": "thing0"}]} if pair.pytest >= (8, 4) else {}
    assert set(params) == {*NAMES, *hidden}
    for title, expected in {**NAMES, **hidden}.items():
        assert sorted(map(str, (dict(sorted(one.items())) for one in params[title]))) == sorted(
            map(str, (dict(sorted(one.items())) for one in expected))
        )
    assert not [text for text in signatures if "0x" in text]
    assert any("{thing:a-thing}" in text for text in signatures)
    assert project.run("-n", "2", PYTHONHASHSEED="2").code == 1
    assert reported(runs) == (params, signatures)


def test_without_the_guard_it_is_an_address(project, runs):
    project.write(test_params=SUITE)
    run_without(project, "parameters of a test", "-k", "test_named")
    (result,) = runs.results(runs.only())
    assert "object at 0x" in result["params"]["thing"]
    assert "object at 0x" in result["signature"]


@pytest.mark.parametrize("status", [None, "blocked"])
def test_a_muted_test(project, runs, status):
    project.write(
        test_muted="""
            from qase.pytest import qase

            @qase.muted()
            def test_muted(): assert False
        """
    )
    assert project.run(FAMACASE_MUTED_STATUS=status).code == 1
    (result,) = runs.results(runs.only())
    assert (result["muted"], result["fields"]) == (True, {"muted": "true"})
    assert result["execution"]["status"] == (status or "failed")
