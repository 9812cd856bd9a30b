"""Failed tests become defects in a tracker, by clients of the TestBench Defect Service."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

import pytest
import requests

from documented import write_examples

CLIENT = "testbench_defect_service.clients.JsonlDefectClient"
CONFIG = {
    "defects_path": "tracker",
    "control_fields": {
        "status": ["Open", "Closed"],
        "priority": ["High", "Medium"],
        "classification": ["Bug"],
    },
}
SUITE = """
    from qase.pytest import qase

    @qase.id(12)
    def test_pay():
        assert {pays}, "not paid"

    def test_look():
        pass
"""


@pytest.fixture
def tracked(project):
    """A project with a failing test and a tracker; the name of its file of defects does not matter."""
    (project.directory / "tracker" / "SMOKE").mkdir(parents=True)
    (project.directory / "tracker" / "SMOKE" / "bugs.jsonl").touch()
    project.write(test_shop=SUITE.format(pays=False))
    project.environ.update(
        FAMACASE_TESTOPS_DEFECT="true",
        FAMACASE_DEFECTS_CLIENT_CLASS=CLIENT,
        FAMACASE_DEFECTS_CLIENT_CONFIG=json.dumps(CONFIG),
    )
    return project


def defects(project):
    return [
        json.loads(line)
        for path in project.directory.glob("tracker/SMOKE/*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def test_a_failure_is_filed_once_updated_and_closed(tracked, runs, layer):
    outcome = tracked.run()
    assert (outcome.code, outcome.notices) == (1, ["famacase: defects: 1 created, 0 updated"])
    run = runs.only()
    assert run["status"] == "completed"
    found = runs.by_title(run)
    assert found["test_pay"]["fields"]["defect"] == "BUG-1"
    assert "defect" not in found["test_look"]["fields"]
    assert outcome.lines("2 results delivered")
    (defect,) = defects(tracked)
    assert "AssertionError: not paid" in defect["description"]
    assert f"/runs/{run['id']}" in defect["description"]
    # Sent at once, and again with the number.
    sent = [one for call in layer.exchanges("createResults") for one in call.results]
    assert len([one for one in sent if one["title"] == "test_pay"]) == 2

    outcome = tracked.run("-n", "2")
    assert outcome.notices == ["famacase: defects: 0 created, 1 updated"]
    assert runs.by_title(runs.only())["test_pay"]["fields"]["defect"] == "BUG-1"
    assert "failed again in" in defects(tracked)[0]["description"]

    tracked.write(test_shop=SUITE.format(pays=True))
    assert tracked.run(FAMACASE_DEFECTS_CLOSE="true").code == 0
    assert [one["status"] for one in defects(tracked)] == ["Closed"]
    assert "passed again in" in defects(tracked)[0]["description"]


def test_the_service_itself_reads_what_was_written_by_its_own_configuration(tracked):
    from testbench_defect_service.utils.auth import create_credentials

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hashed, salt = create_credentials("user", "word")
    (tracked.directory / "config.toml").write_text(
        f"""
[testbench-defect-service]
client_class = "{CLIENT}"
port = {port}
password_hash = "{hashed}"
salt = "{salt}"

[testbench-defect-service.client_config]
defects_path = "tracker"
control_fields = {{status = ["Open"], priority = ["High"], classification = ["Bug"]}}
"""
    )
    own = {"FAMACASE_DEFECTS_CLIENT_CLASS": None, "FAMACASE_DEFECTS_CLIENT_CONFIG": None}
    outcome = tracked.run(FAMACASE_DEFECTS_CONFIG="config.toml", **own)
    assert outcome.notices == ["famacase: defects: 1 created, 0 updated"]
    service = subprocess.Popen(
        [sys.executable, "-m", "testbench_defect_service", "start", "--config", "config.toml"],
        cwd=tracked.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answer = None
        for _ in range(600):
            try:
                address = f"http://127.0.0.1:{port}/projects/SMOKE/defects"
                answer = requests.post(address, json={}, auth=("user", "word"), timeout=30)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        assert answer is not None
        assert answer.status_code == 200, answer.text
        (read,) = answer.json()["value"]
        assert (read["id"], read["title"], read["status"]) == ("BUG-1", "test_pay fails", "Open")
    finally:
        # It does not always end when it is asked to.
        service.kill()
        service.wait(30)


AWAY = """
    from pathlib import Path
    from testbench_defect_service.clients.jsonl.client import JsonlDefectClient

    class AwayClient(JsonlDefectClient):
        def check_login(self, project):
            if not Path("tracker-is-up").exists():
                raise ConnectionError("nobody there")
            return super().check_login(project)
"""


def test_a_tracker_that_is_down_costs_a_warning_and_is_told_later(tracked, runs):
    tracked.write(away_client=AWAY)
    kept = ".famacase"
    outcome = tracked.run(FAMACASE_DEFECTS_CLIENT_CLASS="away_client", leaves=[kept])
    assert outcome.code == 1
    assert outcome.counts == "1 failed, 1 passed"
    down, later = outcome.notices
    assert down == "famacase: the tracker failed: ConnectionError: nobody there: no defect is filed"
    assert later.startswith("famacase: 1 defects wait in ")
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"failed": 1, "passed": 1})
    resend = "import sys; from famacase_pytest.cli.main import main; sys.exit(main(['resend']))"
    again = tracked.run_script(resend, FAMACASE_DEFECTS_CLIENT_CLASS="away_client", leaves=[kept])
    assert again.code == 1
    assert "nobody there" in again.output
    (tracked.directory / "tracker-is-up").touch()
    again = tracked.run_script(resend, FAMACASE_DEFECTS_CLIENT_CLASS="away_client")
    assert (again.code, "defects: 1 created" in again.output) == (0, True)
    assert [one["title"] for one in defects(tracked)] == ["test_pay fails"]
    assert "Nothing waits." in tracked.run_script(resend).output


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"FAMACASE_DEFECTS_CLIENT_CONFIG": "{}"}, "control_fields: Field required"),
        ({"FAMACASE_DEFECTS_CLIENT_CONFIG": "{"}, "FAMACASE_DEFECTS_CLIENT_CONFIG"),
        ({"FAMACASE_DEFECTS_CLIENT_CLASS": "trackers/none.py"}, "cannot be imported"),
    ],
)
def test_a_wrong_setting_ends_the_session_before_the_first_test(tracked, variables, problem):
    outcome = tracked.run(**variables)
    assert (outcome.code, problem in outcome.output) == (4, True)


def test_a_tracker_that_is_read_only(tracked):
    config = json.dumps({**CONFIG, "readonly": True})
    outcome = tracked.run(FAMACASE_DEFECTS_CLIENT_CONFIG=config)
    assert outcome.notices == ["famacase: the tracker JSONL is read-only: no defect is filed"]
    assert defects(tracked) == []


def test_without_failures_nothing_is_said(tracked):
    tracked.write(test_shop=SUITE.format(pays=True))
    outcome = tracked.run()
    assert (outcome.code, outcome.notices, defects(tracked)) == (0, [], [])


def test_the_example_of_the_documentation(tracked, runs):
    for name in (
        "TESTOPS_DEFECT",
        "DEFECTS_CLIENT_CLASS",
        "DEFECTS_CLIENT_CONFIG",
        "MODE",
        "TESTOPS_PROJECT",
    ):
        del tracked.environ[f"FAMACASE_{name}"]
    write_examples(tracked.directory, "defects.md", "Set it up")
    assert tracked.run().notices == ["famacase: defects: 1 created, 0 updated"]
    assert runs.by_title(runs.only())["test_pay"]["fields"]["defect"] == "BUG-1"
