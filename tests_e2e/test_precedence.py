"""Which of several sources wins, seen at the back end."""

from __future__ import annotations

import json
from typing import Any

import pytest

# The strongest first.
# How pytest loads the plugins by itself is what it is about.
AS_FOUND = True

LAYERS = (
    "--qase",
    "--famacase",
    "FAMACASE_",
    "QASE_",
    "famacase.config.json",
    "qase.config.json",
)

# name, path in a file, and the value of each layer; they differ in what they make of the suite below.
KEYS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("TESTOPS_RUN_TITLE", "testops.run.title", tuple(f"title of {layer}" for layer in LAYERS)),
    ("TESTOPS_RUN_DESCRIPTION", "testops.run.description", tuple(f"text of {layer}" for layer in LAYERS)),
    ("ROOT_SUITE", "rootSuite", tuple(f"root of {layer}" for layer in LAYERS)),
    ("TESTOPS_RUN_TAGS", "testops.run.tags", tuple(f"tag-of-{layer.strip('-_')}" for layer in LAYERS)),
    ("TESTOPS_BATCH_SIZE", "testops.batch.size", (1, 2, 3, 4, 5, 6)),
    ("ENVIRONMENT", "environment", tuple(f"env-{number}" for number in range(len(LAYERS)))),
)

SUITE = """
    import pytest

    @pytest.mark.parametrize("number", range(7))
    def test_one(number):
        pass
"""


def give(project, files: dict[str, Any], name: str, path: str, layer: str, value: Any) -> tuple[str, ...]:
    """Put a value into one source; the arguments that are needed for it.

    Args:
        files: content of the config files so far.
    """
    if layer.startswith("--"):
        return (f"{layer}-{name.lower().replace('_', '-')}", str(value))
    if layer.endswith("_"):
        project.environ[layer + name] = str(value)
        return ()
    document = files.setdefault(layer, {})
    *blocks, last = path.split(".")
    for block in blocks:
        document = document.setdefault(block, {})
    document[last] = value
    project.write_json(layer, files[layer])
    return ()


@pytest.mark.parametrize("turn", [0, 3])
def test_the_strongest_source_of_each_setting_wins(project, layer, runs, turn):
    """Each key stands in one layer and all weaker ones, another layer for each key."""
    project.write(test_many=SUITE)
    arguments: list[str] = []
    files: dict[str, Any] = {}
    expected = {}
    for position, (name, path, values) in enumerate(KEYS):
        strongest = (position + turn) % len(LAYERS)
        expected[name] = values[strongest]
        for source, value in list(zip(LAYERS, values))[strongest:]:
            arguments += give(project, files, name, path, source, value)
    outcome = project.run(*arguments)
    assert outcome.code == 0, outcome.output
    assert outcome.notices == []

    (created,) = layer.exchanges("createRun")
    body = created.json()
    assert body["title"] == expected["TESTOPS_RUN_TITLE"]
    assert body["description"] == expected["TESTOPS_RUN_DESCRIPTION"]
    assert body["tags"] == [expected["TESTOPS_RUN_TAGS"]]
    (asked,) = layer.exchanges("listEnvironments")
    assert asked.query["slug"] == [expected["ENVIRONMENT"]]
    assert body["environment_id"] == json.loads(asked.answer)[0]["id"]
    results = runs.results(runs.only())
    assert {suite_of(result) for result in results} == {expected["ROOT_SUITE"]}
    assert len(results) == 7
    posted = [len(exchange.results) for exchange in layer.exchanges("createResults")]
    assert sum(posted) == 7
    assert max(posted) <= expected["TESTOPS_BATCH_SIZE"]


def suite_of(result: dict[str, Any]) -> str:
    title: str = result["relations"]["suite"]["data"][0]["title"]
    return title


def test_files_are_merged_key_by_key_and_lists_are_replaced(project, layer):
    project.write(test_one="def test_one(): pass")
    project.write_json(
        "qase.config.json",
        {
            "testops": {
                "project": "NOWHERE",
                "run": {"title": "theirs", "description": "theirs", "tags": ["a", "b"]},
                "configurations": {"values": [{"name": "browser", "value": "chrome"}]},
            }
        },
    )
    project.write_json(
        "famacase.config.json",
        {
            "mode": "testops",
            "testops": {"project": "SMOKE", "run": {"title": "ours", "tags": ["c"]}},
            "famacase": {"apiUrl": layer.url, "reporterToken": project.environ["FAMACASE_REPORTER_TOKEN"]},
        },
    )
    outcome = project.run(**dict.fromkeys(project.environ))
    assert outcome.code == 0, outcome.output
    (created,) = layer.exchanges("createRun")
    assert created.project == "SMOKE"
    assert created.json() == {
        "title": "ours",
        "description": "theirs",
        "is_autotest": True,
        "tags": ["c"],
        "configurations": [{"name": "browser", "value": "chrome"}],
    }


def test_address_and_token_of_famacase_beat_everything_of_qase(project, layer):
    """A leftover, even on the command line where it is a token, sends no Famacase token to another place."""
    project.write(test_one="def test_one(): pass")
    project.secrets.add("qase_token_e36a")
    outcome = project.run(
        "--qase-testops-api-token=qase_token_e36a",
        QASE_TESTOPS_API_HOST="qase.example.com",
        QASE_TESTOPS_API_TOKEN="qase_token_e36a",
    )
    assert outcome.code == 0, outcome.output
    assert {exchange.headers["authorization"] for exchange in layer.exchanges()} == {"Token <SMOKE>"}
    assert layer.exchanges("completeRun")


def test_where_a_token_may_stand_and_how_an_address_may_be_written(project, layer, tmp_path):
    project.write(test_one="def test_one(): pass")
    token = project.environ.pop("FAMACASE_REPORTER_TOKEN")
    (tmp_path / "token").write_text(f"{token}\n", encoding="utf-8")
    outcome = project.run(
        FAMACASE_REPORTER_TOKEN_FILE=str(tmp_path / "token"),
        FAMACASE_API_URL=f"{layer.url}/api/v1/reporter/v1/",
    )
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    assert f" delivered to {layer.url}/runs/" in outcome.output
    # A bare host is taken for one that speaks https, unless it is this machine.
    bare = layer.url.partition("://")[2]
    outcome = project.run(QASE_TESTOPS_API_TOKEN=token, FAMACASE_API_URL=None, FAMACASE_TESTOPS_API_HOST=bare)
    assert outcome.code == 0, outcome.output
    assert f" delivered to {layer.url}/runs/" in outcome.output
    (notice,) = outcome.notices
    assert "QASE_TESTOPS_API_TOKEN in the environment" in notice
    assert len(layer.exchanges("completeRun")) == 2
    assert {exchange.headers["authorization"] for exchange in layer.exchanges()} == {"Token <SMOKE>"}


def test_a_file_that_a_conftest_writes_counts(project, runs):
    """The files were looked at before the conftest was imported."""
    project.write_json("famacase.config.json", {"testops": {"run": {"title": "as it was"}}})
    project.write(
        test_one="def test_one():\n    pass\n",
        conftest="""
        import json

        with open("famacase.config.json", "w") as file:
            json.dump({"testops": {"run": {"title": "as the conftest has it"}}}, file)
        """,
    )
    outcome = project.run()
    assert outcome.code == 0, outcome.output
    assert runs.only()["title"] == "as the conftest has it"


# A conftest's or a plugin's settings

BY_CONFTEST = """
    import os

    def pytest_configure(config):
        SETS
"""


@pytest.mark.parametrize("first", ["famacase", "qase_pytest"])
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_what_a_conftest_sets_when_it_is_configured_counts(project, runs, first, arguments):
    sets = 'os.environ["QASE_TESTOPS_RUN_TITLE"] = "as the conftest has it"'
    project.write(test_one=SUITE, conftest=BY_CONFTEST.replace("SETS", sets))
    outcome = project.run("-p", first, *arguments)
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    assert runs.only()["title"] == "as the conftest has it"


@pytest.mark.parametrize("first", ["famacase", "qase_pytest"])
@pytest.mark.parametrize("place", ["conftest", "plugin"])
def test_all_settings_may_come_from_there(project, runs, first, place):
    sets = f"os.environ.update({project.environ!r})"
    project.write(
        test_one=SUITE, **{"conftest" if place == "conftest" else "own": BY_CONFTEST.replace("SETS", sets)}
    )
    # Called in the reverse order of their registration.
    second = "qase_pytest" if first == "famacase" else "famacase"
    arguments = () if place == "conftest" else ("-p", second, "-p", "own")
    nothing = dict.fromkeys(project.environ)
    outcome = project.run("-p", first, *arguments, PYTHONPATH=str(project.directory), **nothing)
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    assert runs.only()["stats"] == {"passed": 7}


def test_a_conftest_may_send_a_session_back_to_qase(project, runs):
    sets = 'os.environ.pop("FAMACASE_API_URL"); os.environ["FAMACASE_ENABLED"] = "false"'
    project.write(test_one=SUITE, conftest=BY_CONFTEST.replace("SETS", sets))
    outcome = project.run("-p", "famacase")
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    assert runs.new() == []


def test_a_wrong_value_from_a_conftest_stops_the_session(project, runs):
    sets = 'os.environ["FAMACASE_TESTOPS_BATCH_SIZE"] = "many"'
    project.write(test_one=SUITE, conftest=BY_CONFTEST.replace("SETS", sets))
    outcome = project.run()
    assert outcome.code == 4
    assert outcome.lines('ERROR: FAMACASE_TESTOPS_BATCH_SIZE in the environment is "many"')


def test_a_conftest_that_fails_leaves_nothing_behind(project):
    project.write(test_one=SUITE, conftest=BY_CONFTEST.replace("SETS", "raise RuntimeError('no')"))
    outcome = project.run("-p", "famacase")
    assert outcome.code == 3
    assert outcome.lines("RuntimeError: no")
    assert not outcome.lines("famacase:")
