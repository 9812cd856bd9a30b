"""Sessions that report to a back end of the team's own; the examples are those of the documentation."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

from documented import DOCS, write_examples
from famacase_pytest.clients import JsonlClient, JsonlConfig
from famacase_pytest.testing import ClientConformance
from sessions import stored_content

SUITE = """
    from pathlib import Path
    from qase.pytest import qase

    def test_one(tmp_path):
        (tmp_path / "log.txt").write_text("what happened")
        qase.attach(str(tmp_path / "log.txt"))

    def test_two():
        assert False
"""

# Of a session that reports to a client: no address, no token.
WITHOUT = {"FAMACASE_API_URL": None, "FAMACASE_REPORTER_TOKEN": None}
JSONL = {
    **WITHOUT,
    "FAMACASE_CLIENT_CLASS": "famacase_pytest.clients.JsonlClient",
    "FAMACASE_CLIENT_CONFIG": '{"folder": "kept"}',
}


class TestReporterApi(ClientConformance):
    """Our own client, with the local back end."""

    @pytest.fixture
    def client(self, api):
        return api

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self._url = server.url

    def results(self, client, run_id):
        return list(client.list_results(self.project, run_id))

    def content(self, client, file_id):
        return stored_content(self._url, self.project, file_id)


def folder(project) -> JsonlClient:
    return JsonlClient(JsonlConfig(str(project.directory / "kept")))


def command(project, *arguments: str, **environ: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "famacase_pytest.cli", *arguments],
        cwd=project.directory,
        env=project.environment(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def shown_json() -> Any:
    text = (DOCS / "backends.md").read_text(encoding="utf-8")
    found = re.search(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.mark.parametrize("workers", ["0", "2"])
def test_results_and_files_arrive_in_a_folder(project, layer, workers):
    project.write(test_one=SUITE)
    outcome = project.run(f"-n{workers}", leaves=["kept"], **JSONL)
    assert (outcome.code, outcome.notices) == (1, [])
    client = folder(project)
    where = project.directory / "kept/SMOKE/runs/1"
    assert outcome.lines(f"2 results delivered to {where}") or outcome.lines(str(where))
    assert client.get_run("SMOKE", 1)["status"] == "completed"
    results = {result["title"]: result for result in client.results("SMOKE", 1)}
    assert {title: result["execution"]["status"] for title, result in results.items()} == {
        "test_one": "passed",
        "test_two": "failed",
    }
    (file,) = results["test_one"]["attachments"]
    assert client.content("SMOKE", file["id"]) == b"what happened"
    assert layer.exchanges() == []


def test_the_file_of_the_documentation(project):
    project.write(test_one=SUITE)
    project.write_json("famacase.config.json", shown_json())
    outcome = project.run(FAMACASE_MODE=None, FAMACASE_TESTOPS_PROJECT=None, **WITHOUT, leaves=["results"])
    assert (outcome.code, outcome.notices) == (1, [])
    client = JsonlClient(JsonlConfig(str(project.directory / "results")))
    assert len(client.results("SHOP", 1)) == 2


def test_what_a_folder_does_not_take_is_sent_later(project):
    project.write(test_one=SUITE)
    (project.directory / "kept").write_text("no folder", encoding="utf-8")
    outcome = project.run(leaves=[".famacase"], FAMACASE_DRAIN_TIMEOUT="20", **JSONL)
    assert outcome.code == 1
    assert outcome.lines("2 results wait")
    assert "The folder cannot be used" in outcome.output
    doctor = command(project, "doctor", **JSONL)
    assert doctor.returncode == 1
    assert "The folder cannot be used" in doctor.stdout
    # Another class is another back end: nothing goes there.
    wrong = command(project, "resend", **{**JSONL, "FAMACASE_CLIENT_CLASS": "famacase_pytest.clients.jsonl"})
    assert wrong.returncode == 1
    (project.directory / "kept").unlink()
    sent = command(project, "resend", **JSONL)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert f"2 results delivered to {project.directory / 'kept/SMOKE/runs/1'}" in sent.stdout
    client = folder(project)
    assert len(client.results("SMOKE", 1)) == 2
    assert client.get_run("SMOKE", 1)["status"] == "completed"
    shutil.rmtree(project.directory / "kept")
    doctor = command(project, "doctor", **JSONL)
    assert doctor.returncode == 0, doctor.stdout
    assert "project SMOKE" in doctor.stdout
    assert not re.search(r"address|token", doctor.stdout)  # there is none


def test_a_run_is_created_and_completed_by_commands(project):
    created = command(project, "create", "--title", "By hand", **JSONL)
    assert created.returncode == 0, created.stderr
    project.write(test_one=SUITE)
    run = {"FAMACASE_TESTOPS_RUN_ID": created.stdout.strip(), "FAMACASE_TESTOPS_RUN_COMPLETE": "false"}
    assert project.run(leaves=["kept"], **JSONL, **run).notices == []
    client = folder(project)
    assert (client.get_run("SMOKE", 1)["title"], len(client.results("SMOKE", 1))) == ("By hand", 2)
    assert command(project, "complete", created.stdout.strip(), **JSONL).returncode == 0
    assert client.get_run("SMOKE", 1)["status"] == "completed"


def test_a_client_of_ones_own(project):
    write_examples(project.directory, "backends.md", "Writing one")
    write_examples(project.directory, "backends.md", "Testing one")
    # The suite of the client itself, which reports nowhere.
    outcome = project.run(
        "test_memory_client.py", FAMACASE_MODE=None, FAMACASE_TESTOPS_PROJECT=None, **WITHOUT
    )
    assert (outcome.code, outcome.notices) == (0, []), outcome.output
    (project.directory / "test_memory_client.py").unlink()
    project.write(test_one=SUITE)
    for number, name in enumerate(
        (
            "clients/memory_client",
            str(project.directory / "clients/memory_client.py"),
            "clients.memory_client.MemoryClient",
        ),
        start=1,
    ):
        own = {"FAMACASE_CLIENT_CLASS": name, "FAMACASE_CLIENT_CONFIG": '{"path": "kept.db"}'}
        outcome = project.run(leaves=["kept.db", "clients"], **WITHOUT, **own)
        assert (outcome.code, outcome.notices) == (1, [])
        assert outcome.lines(f"2 results delivered to run {number} in kept.db")


RUDE = """
    import os
    import subprocess

    from famacase_pytest.clients import JsonlClient


    class Rude(JsonlClient):
        def post_results(self, code, run_id, results):
            print("half a line", end="", flush=True)
            os.write(1, b"raw")
            subprocess.run(["cat"], check=True)
            if any("test_two" in result for result in results):
                raise LookupError("no second results here")
            super().post_results(code, run_id, results)

        @classmethod
        def run_url(cls, config, code, run_id):
            raise KeyError("no page")
"""


def test_a_client_that_does_what_it_likes(project):
    """It writes to the standard output, reads the standard input, and raises what is not agreed."""
    # And a test leaves the directory that its file is relative to.
    away = "\n    def test_two(tmp_path):\n        __import__('os').chdir(tmp_path)"
    project.write(test_one=SUITE.replace("\n    def test_two():", away), rude=RUDE)
    rude = {**JSONL, "FAMACASE_CLIENT_CLASS": "rude.py"}
    outcome = project.run(leaves=["kept", ".famacase"], **rude)
    assert outcome.code == 1
    assert outcome.lines("1 result delivered to Rude, project SMOKE, run 1 (its run_url raised KeyError: 'no")
    refused, waits = outcome.notices
    assert refused.endswith("kept: 400 Rude.post_results raised LookupError: no second results here")
    assert "a run waits to be completed" in waits
    assert [result["title"] for result in folder(project).results("SMOKE", 1)] == ["test_one"]
    # Another class gets nothing that was meant for this one.
    assert "for another back end than FAMACASE_CLIENT_CLASS" in command(project, "resend", **JSONL).stdout
    project.write(rude=RUDE.replace("raise LookupError", "str"))
    assert command(project, "resend", **rude).returncode == 0
    assert folder(project).get_run("SMOKE", 1)["status"] == "completed"


def test_an_upload_to_a_folder(project):
    (project.directory / "junit.xml").write_text(
        '<testsuite name="s"><testcase classname="c" name="one"/><testcase classname="c" name="two"/>'
        "</testsuite>"
    )
    for said in ("2 results delivered to", "The run has all of it already"):
        assert said in command(project, "upload", "junit.xml", **JSONL).stdout
    assert len(folder(project).results("SMOKE", 1)) == 2
    assert folder(project).get_run("SMOKE", 1)["status"] == "completed"


def test_what_is_wrong_with_a_client_is_said_before_the_first_test(project):
    write_examples(project.directory, "backends.md", "Writing one")
    project.write(test_one="def test_one(): open('ran.txt', 'w').close()")
    for name, config, said in (
        (
            "clients/memory_client.py",
            '{"timeout": "long"}',
            "fit MemoryClient (path: Field required; timeout",
        ),
        (
            "clients/nobody.py",
            "{}",
            "FAMACASE_CLIENT_CLASS in the environment is 'clients/nobody.py'",
        ),
        ("json.JSONEncoder", "{}", "is no subclass of famacase_pytest.delivery.api.base.ReportingClient"),
    ):
        outcome = project.run(**WITHOUT, FAMACASE_CLIENT_CLASS=name, FAMACASE_CLIENT_CONFIG=config)
        assert outcome.code == 4
        assert outcome.lines(said), outcome.output
