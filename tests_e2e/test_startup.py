"""What a session imports, starts and asks for before its first test, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Notes what a session does, from the start of its interpreter on, and says it at the end of the interpreter.
# How pytest loads the plugins by itself is what it is about.
AS_FOUND = True

WATCH = """
import atexit, json, sys

noted = []
KINDS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")


def note(event, arguments):
    if event in KINDS:
        noted.append(event)


sys.addaudithook(note)


@atexit.register
def say():
    found = {"events": noted, "modules": sorted(sys.modules)}
    with open("watched.json", "w") as file:
        json.dump(found, file)
"""

CLIENTS = ("qase.api_client_v1", "qase.api_client_v2")
# What costs most of a start, and nobody but a session that reports needs.
TRANSPORT = {"requests", "sqlite3", "famacase_pytest.delivery.api", "famacase_pytest.delivery.outbox.store"}

QASE = {
    "QASE_MODE": "testops",
    "QASE_TESTOPS_PROJECT": "DEMO",
    "QASE_TESTOPS_API_TOKEN": "a token of Qase",
    "QASE_TESTOPS_RUN_TITLE": "For Qase",
}


@pytest.fixture
def watched(project, tmp_path) -> Iterator[Any]:
    """A project with one test, whose sessions are watched."""
    project.write(test_one="def test_one():\n    pass\n")
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    project.environ["PYTHONPATH"] = str(hook)
    return project


@pytest.fixture
def unmeasured(monkeypatch) -> None:
    """Sessions import nothing for the sake of `make coverage`."""
    monkeypatch.delenv("MEASURE_COVERAGE", raising=False)


def seen(project: Any) -> dict[str, Any]:
    path: Path = project.directory / "watched.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return found


def clients(found: dict[str, Any]) -> list[str]:
    """The generated clients that were imported."""
    return [name for name in CLIENTS if name in found["modules"]]


LEAVES = {"leaves": ["watched.json"]}


@pytest.mark.usefixtures("unmeasured")
def test_importing_the_plugin_imports_next_to_nothing(watched):
    outcome = watched.run_script("import famacase_pytest.plugin", **LEAVES)
    assert outcome.code == 0, outcome.output
    modules = seen(watched)["modules"]
    ours = [name for name in modules if name.startswith("famacase_pytest")]
    assert ours == ["famacase_pytest", "famacase_pytest.plugin"]
    assert not TRANSPORT.intersection(modules)
    assert not [name for name in modules if name.startswith("qase")]


@pytest.mark.usefixtures("unmeasured")
def test_an_inactive_session_imports_no_transport_and_starts_nothing(watched):
    off = dict.fromkeys(name for name in watched.environ if name.startswith("FAMACASE_"))
    # Upstream asks pip for versions; whatever else is started would be ours.
    upstream = watched.run("-p", "no:famacase", **LEAVES, **off)
    without = seen(watched)
    ours = watched.run(**LEAVES, **off)
    with_plugin = seen(watched)
    assert (upstream.counts, ours.counts) == ("1 passed", "1 passed"), ours.output
    assert with_plugin["events"] == without["events"]
    assert not TRANSPORT.intersection(with_plugin["modules"])
    added = set(with_plugin["modules"]) - set(without["modules"])
    assert not [name for name in added if name.startswith("famacase_pytest.delivery")]


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("arguments", [(), ("-p", "famacase")], ids=["as installed", "-p famacase"])
def test_an_active_session_in_mode_off_starts_nothing_and_asks_nobody(arguments, watched, layer):
    outcome = watched.run(*arguments, FAMACASE_MODE="off", **LEAVES)
    assert (outcome.code, outcome.counts) == (0, "1 passed"), outcome.output
    found = seen(watched)
    assert found["events"] == []
    assert not TRANSPORT.intersection(found["modules"])
    assert layer.exchanges() == []


def test_a_mode_that_only_the_command_line_gives_is_reported_in(watched, runs):
    outcome = watched.run("-p", "famacase", "--famacase-mode", "testops", FAMACASE_MODE=None, **LEAVES)
    assert outcome.code == 0, outcome.output
    assert list(runs.by_title(runs.only())) == ["test_one"]


def test_loaded_first_it_spares_the_session_the_generated_clients(watched, runs):
    outcome = watched.run("-p", "famacase", **LEAVES)
    assert outcome.code == 0, outcome.output
    found = seen(watched)
    assert clients(found) == []
    assert "pydantic" not in found["modules"]
    run = runs.only()
    assert (run["status"], list(runs.by_title(run))) == ("completed", ["test_one"])


@pytest.mark.usefixtures("unmeasured")
def test_the_session_itself_imports_nothing_that_opens_connections(watched, runs):
    """Autoload is off, since plugins that are installed for these tests import a network of their own."""
    plugins = ("-p", "famacase", "-p", "qase_pytest", "-p", "pytest-bdd")
    outcome = watched.run(*plugins, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **LEAVES)
    assert outcome.code == 0, outcome.output
    assert not {"requests", "urllib3", "ssl", "http.client"} & set(seen(watched)["modules"])
    assert list(runs.by_title(runs.only())) == ["test_one"]


def test_loaded_second_it_spares_what_upstream_has_not_imported_yet(watched, runs):
    """The patches look into upstream's client module, which would import the other client."""
    outcome = watched.run("-p", "qase_pytest", **LEAVES)
    assert outcome.code == 0, outcome.output
    assert clients(seen(watched)) == ["qase.api_client_v1"]
    assert list(runs.by_title(runs.only())) == ["test_one"]


def test_speedups_do_not_decide_on_it(watched, runs):
    outcome = watched.run("-p", "famacase", FAMACASE_SPEEDUPS="false", **LEAVES)
    assert outcome.code == 0, outcome.output
    seen(watched)
    assert list(runs.by_title(runs.only())) == ["test_one"]


def test_workers_are_spared_too(watched, runs):
    watched.write(
        conftest="def pytest_sessionfinish():\n    import sys\n    assert 'pydantic' not in sys.modules\n"
    )
    outcome = watched.run("-n", "2", PYTEST_ADDOPTS=f"{_addopts(watched)} -p famacase", **LEAVES)
    assert outcome.code == 0, outcome.output
    seen(watched)
    assert list(runs.by_title(runs.only())) == ["test_one"]


@pytest.mark.parametrize("speedups", ["true", "false"])
def test_workers_are_spared_where_the_controller_was_not(speedups, watched, runs):
    """Also the one that takes the place of a worker that has died; no test sees how it was done."""
    watched.write(
        conftest="""
        import os, sys

        ADDOPTS = os.environ["PYTEST_ADDOPTS"]

        def pytest_sessionfinish(session):
            with open("said.txt", "a") as file:
                print(hasattr(session.config, "workerinput"), "pydantic" in sys.modules, file=file)
        """,
        test_one="""
        import os
        import conftest

        def test_one():
            pass

        def test_that_kills_its_worker():
            os._exit(1)

        def test_environment():
            # What PYTEST_ADDOPTS is changed to is changed back before there is a conftest.
            assert conftest.ADDOPTS == os.environ["PYTEST_ADDOPTS"] == os.environ["ADDOPTS_GIVEN"]
            assert not [name for name in os.environ if name.startswith("_FAMACASE")]
        """,
    )
    outcome = watched.run(
        "-n", "1", "-p", "qase_pytest", FAMACASE_SPEEDUPS=speedups, ADDOPTS_GIVEN=_addopts(watched),
        leaves=["watched.json", "said.txt"],
    )  # fmt: skip
    assert (outcome.code, outcome.counts) == (1, "1 failed, 2 passed"), outcome.output
    said = (watched.directory / "said.txt").read_text(encoding="utf-8").split("\n")
    assert said[:-1] == [f"True {speedups == 'false'}", "False True"]
    assert len(runs.by_title(runs.only())) == 3


def _addopts(project: Any) -> str:
    return project.environment({})["PYTEST_ADDOPTS"]


def test_whoever_imports_the_clients_gets_the_real_ones(watched, runs):
    watched.write(
        test_one="""
        import sys

        import qase.commons.client.api_v1_client as upstreams
        import qase.commons.loader
        from qase.commons.client.base_api_client import BaseApiClient

        def test_real():
            import qase.api_client_v1
            from qase.api_client_v1 import Project
            from qase.api_client_v2.models.result_create import ResultCreate

            assert qase.api_client_v1 is sys.modules["qase.api_client_v1"]
            assert Project.from_dict({"title": "T", "code": "C"}).code == "C"
            assert "title" in ResultCreate.model_fields

        def test_upstreams_own_client():
            from qase.api_client_v1.api_client import ApiClient
            from qase.api_client_v1.exceptions import ApiException

            loader = qase.commons.loader.TestOpsPlanLoader(api_token="x", host="qase.io")
            # The first touch has put the real ones in the place of all.
            assert isinstance(loader.client, ApiClient)
            assert qase.commons.loader.ApiException is ApiException
            assert upstreams.ApiClient is ApiClient
        """
    )
    outcome = watched.run("-p", "famacase", **LEAVES)
    assert (outcome.code, outcome.counts) == (0, "2 passed"), outcome.output
    assert clients(seen(watched)) == list(CLIENTS)
    assert sorted(runs.by_title(runs.only())) == ["test_real", "test_upstreams_own_client"]


@pytest.mark.parametrize("flag", [True, False], ids=["by a flag", "in a later session"])
def test_a_session_for_qase_has_the_real_clients(flag, watched, double, layer, runs):
    """Environment and files said Famacase when upstream was imported; this session is Qase's all the same."""
    watched.write(
        conftest="""
        import os

        def pytest_sessionstart():
            import qase.commons.client.api_v1_client as module
            import qase.api_client_v1
            assert module.ApiClient is qase.api_client_v1.ApiClient

        def pytest_configure(config):
            import qase.api_client_v1.configuration as v1
            import qase.api_client_v2.configuration as v2

            for name, module in (("v1", v1), ("v2", v2)):
                address = f"{os.environ['DOUBLE']}/{name}"
                module.Configuration.host = property(lambda _, a=address: a, lambda _, value: None)
        """
    )
    script = f"""
    import os, sys
    import pytest

    arguments = ["-q", "-p", "famacase", "-p", "no:cacheprovider"]
    if {flag}:
        code = pytest.main([*arguments, "--famacase-enabled", "false"])
    else:
        assert pytest.main([*arguments, "--noconftest"]) == 0
        assert "pydantic" not in sys.modules
        del os.environ["FAMACASE_API_URL"]
        code = pytest.main(arguments)
    assert "pydantic" in sys.modules
    sys.exit(code)
    """
    outcome = watched.run_script(script, **LEAVES, **QASE, DOUBLE=double.url)
    assert outcome.code == 0, outcome.output
    assert [result["title"] for result in double.results] == ["test_one"]
    assert len(runs.new()) == (0 if flag else 1)


@pytest.fixture
def double() -> Iterator[Any]:
    """A stand-in for Qase."""
    from qase_double import running

    with running() as double:
        yield double


def test_the_module_name_registers_the_plugin_twice(watched):
    """As docs/performance.md says; the entry point's name is the one to give."""
    outcome = watched.run("-p", "famacase_pytest.plugin", **LEAVES)
    assert outcome.code != 0
    assert "Plugin already registered" in outcome.output
