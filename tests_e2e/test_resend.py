"""``famacase resend``: what waits is shown, sent once, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess

import pytest

from fault_layer import FOREVER, answer, delay, hang
from watched import Watched, check, eventually

SUITE = """
    import pytest
    from qase.pytest import qase

    def test_first():
        qase.attach((b"f" * 100_000, "text/plain", "first.txt"))
        qase.attach((b"small", "text/plain", "small.txt"))

    def test_second(gate):
        gate("second") if GATED else None

    def test_third():
        pass
"""

# What a release does that has another format of the outbox: each database is brought to it when it is opened.
NEWER_RELEASE = """
    import sys
    from famacase_pytest.delivery.outbox.database import Schema
    Schema.version, Schema.upgrades = 2, {1: "CREATE TABLE more (value TEXT)"}
    from famacase_pytest.cli.main import main
    sys.exit(main(["resend"]))
"""


class Leaving(Watched):
    """A project whose sessions leave results behind.

    Args:
        project: of the fixture of this name.
        layer: between the sessions and the back end.
    """

    def __init__(self, project, layer):
        super().__init__(project)
        self._layer = layer
        project.write(test_one=SUITE.replace("GATED", "False"))

    def leave(self, *arguments, **environ):
        """Run a session of which the back end takes no result; gives its outcome."""
        self._layer.faults.add("createResults", answer(401), times=FOREVER)
        outcome = self.project.run(*arguments, leaves=None, **environ)
        assert outcome.code == 0, outcome.output
        assert re.search("famacase: .* waits? in ", outcome.output)
        self._layer.faults.clear()
        return outcome

    def sessions(self):
        """The names of the sessions that wait, oldest first."""
        return sorted(path.name for path in self.outbox.iterdir() if path.is_dir())

    def start_resend(self, *arguments, **environ):
        """Start ``famacase resend`` and return at once."""
        return subprocess.Popen(
            [*self.project.command([])[:1], "-m", "famacase_pytest.cli", "resend", *arguments],
            cwd=self.project.directory,
            env=self.project.environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def is_clean(self):
        """Whether nothing is there any more that sessions have left."""
        left = [path.name for path in self.project.directory.iterdir() if path.name == ".famacase"]
        return left + [path.name for path in self.project.temporary.glob("famacase*")] == []


@pytest.fixture
def leaving(project, layer):
    return Leaving(project, layer)


def read_line(process):
    """The next line that a process says, however long it takes; the test's own bounds end the process."""
    return process.stdout.readline().decode().rstrip("\n")


def alter(path, statement, *values):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, values)
        connection.commit()


def test_what_waits_is_named_listed_and_sent(leaving, layer, runs):
    first = leaving.leave()
    assert first.lines("wait in ") == first.notices, "a first session has none before it"
    second = leaving.leave("-k", "third")
    assert second.notices[0] == (
        f"famacase: 3 results of an earlier session wait in {leaving.outbox}. Send them with: famacase resend"
    )
    third = leaving.leave("-n", "2", "-k", "third")
    assert third.notices[0].startswith("famacase: 4 results of 2 earlier sessions wait in ")
    assert len(third.lines("earlier session")) == 1, "the workers have nothing to say of it"
    one, two, three = leaving.sessions()

    listed = leaving.resend("--list", leaves=None)
    assert listed.code == 0
    expected = rf"""{one}, \d+ seconds? old
  SMOKE, run \d+: 3 results, 2 files \(0\.1 MiB\)
  POST .* was answered with 401 .*
{two}, \d+ seconds? old
  SMOKE, run \d+: 1 result
  POST .* was answered with 401 .*
{three}, \d+ seconds? old
  SMOKE, run \d+: 1 result
  POST .* was answered with 401 .*
"""
    assert re.fullmatch(expected, listed.output), listed.output
    assert layer.exchanges() == layer.wait_for(count=len(layer.exchanges())), "a list asks nobody"

    gone = leaving.resend("--discard", two, leaves=None)
    assert (gone.code, gone.output.strip()) == (0, f"Discarded {leaving.outbox / two}.")
    again = leaving.resend("--discard", two, leaves=None)
    assert again.code == 1
    assert f"There is no session {two}" in again.output
    assert leaving.sessions() == [one, three]

    sent = leaving.resend(leaves=None)
    assert sent.code == 0
    made = runs.new()
    assert sent.output.splitlines() == [
        f"{one}: 3 results delivered to {layer.url}/runs/{made[0]['id']}",
        f"{three}: 1 result delivered to {layer.url}/runs/{made[2]['id']}",
    ]
    assert [run["stats"] for run in made] == [{"passed": 3}, {}, {"passed": 1}]
    assert [run["status"] for run in made] == ["completed", "in_progress", "completed"]
    assert leaving.is_clean()
    assert leaving.resend().output == "Nothing waits.\n"
    elsewhere = leaving.resend("--dir", "elsewhere")
    assert elsewhere.code == 2
    assert elsewhere.output == "famacase: There is no directory elsewhere. Nothing is sent. Correct --dir.\n"


def test_a_terminal_shows_how_far_it_came(leaving, layer):
    leaving.leave()
    layer.faults.add("createResults", delay(600), after=2)
    command = [*leaving.project.command([])[:1], "-m", "famacase_pytest.cli", "resend"]
    told = "famacase: 1 result is being delivered, 2 files (97.7 KiB) sent, "
    project = leaving.project
    outcome = project.run_on_terminal(command, told, layer.release, FAMACASE_TESTOPS_BATCH_SIZE="1")
    assert (outcome.code, told in outcome.output) == (0, True), outcome.output
    *_, last = outcome.output.rstrip("\n").split("\r")
    assert re.fullmatch(r"\S+: 3 results delivered to \S+", last)


def test_two_at_a_time(leaving, layer, runs):
    leaving.leave()
    (name,) = leaving.sessions()
    layer.faults.add("createResults", hang())
    seen = len(layer.exchanges("createResults"))
    with leaving.start_resend() as first:
        layer.wait_for("createResults", seen + 1)
        with leaving.start_resend() as second:
            assert read_line(second) == f"{name}: waiting for another process that is sending its results."
            refused = leaving.resend("--discard", name, leaves=None)
            assert refused.code == 1
            assert "another process is sending its results: nothing is discarded" in refused.output
            layer.release()
            assert first.wait(60) == second.wait(60) == 0
            assert read_line(second) == f"{name}: another process has delivered its results."
    assert runs.only()["stats"] == {"passed": 3}
    assert leaving.is_clean()


def test_beside_the_relay_of_a_session_that_was_killed(leaving, layer, runs):
    """It is waited for, and what it delivers is not sent again; the run stays open."""
    leaving.project.write(test_one=SUITE.replace("GATED", "True"))
    layer.faults.add("createResults", hang())
    session = leaving.project.start(FAMACASE_FLUSH_INTERVAL="0.1")
    pytest_process = leaving.wait_at("second")
    layer.wait_for("createResults")
    os.kill(pytest_process, signal.SIGKILL)
    leaving.project.finish(session, leaves=None)
    with leaving.start_resend() as resend:
        assert "waiting for another process that is sending its results" in read_line(resend)
        layer.release()
        output = resend.communicate(timeout=60)[0].decode()
        assert resend.returncode == 0, output
    leaving.alone()
    run = runs.only()
    assert (run["status"], run["stats"]) == ("in_progress", {"passed": 1, "invalid": 1})
    assert leaving.is_clean()


def test_beside_a_session_that_is_under_way(leaving, layer, runs):
    leaving.project.write(test_one=SUITE.replace("GATED", "True"))
    session = leaving.project.start()
    leaving.wait_at("second")
    (name,) = leaving.sessions()
    before = len(layer.exchanges("createResults"))
    beside = leaving.resend(leaves=None)
    assert (beside.code, beside.output) == (
        1,
        f"{name}: the session is still running and sends its results itself.\n",
    )
    assert f"{name}, " in leaving.resend("--list", leaves=None).output
    assert ", still running\n" in leaving.resend("--list", leaves=None).output
    refused = leaving.resend("--discard", name, leaves=None)
    assert refused.code == 1
    assert f"The session {name} is still running" in refused.output
    assert len(layer.exchanges("createResults")) - before <= 1, "the relay's own"
    leaving.open("second")
    outcome = leaving.project.finish(session, leaves=None)
    assert (outcome.code, outcome.notices) == (0, [])
    run = runs.only()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 3})
    assert leaving.is_clean()


def test_a_refused_result_is_tried_once_more_and_kept(leaving, layer, runs):
    refusal = answer(422, body={"detail": "no third"})
    leaving.project.write(test_one=SUITE.replace("GATED", "False"))
    rule = layer.faults.add(lambda exchange: b"test_third" in exchange.body, refusal, times=FOREVER)
    session = leaving.project.run(leaves=None)
    assert session.lines("famacase: 2 results delivered to ")
    tries = len(rule.hits)
    assert "refused, and kept: 422 no third" in leaving.resend("--list", leaves=None).output
    assert len(rule.hits) == tries
    again = leaving.resend(leaves=None)
    assert again.code == 1
    assert "a result was refused by the back end and is kept: 422 no third" in again.output
    assert len(rule.hits) == tries + 1
    next_session = leaving.project.run("-k", "second", leaves=None)
    assert next_session.notices[0].startswith("famacase: 1 result of an earlier session waits in ")
    layer.faults.clear()
    assert leaving.resend().code == 0
    run, _ = runs.new()
    assert (run["status"], run["stats"]) == ("completed", {"passed": 3})
    assert leaving.is_clean()


def test_formats(leaving, layer, runs):
    """A newer one is left alone and stands in nobody's way, an older one is read."""
    leaving.leave()
    leaving.leave("-k", "third")
    new, damaged = leaving.sessions()
    leaving.leave("-k", "first")
    good = max(leaving.sessions())
    alter(leaving.outbox / new / "session.db", "PRAGMA user_version=99")
    (leaving.outbox / damaged / "session.db").write_bytes(b"not a database" * 1000)
    listed = leaving.resend("--list", leaves=None)
    assert listed.code == 0
    assert listed.lines(f"{new}: The outbox ")[0].endswith("Upgrade famacase-pytest and send them again.")
    assert listed.lines(f"{damaged}: The outbox database ")
    sent = leaving.resend(leaves=None)
    assert sent.code == 1
    assert "has format 99" in sent.output
    assert sent.lines(f"{good}: 1 result delivered to ")
    assert leaving.sessions() == [new, damaged]
    session = leaving.project.run("-k", "second", leaves=None)
    assert (session.code, session.counts) == (0, "1 passed")
    assert session.lines("has format 99")
    assert session.lines("famacase: 1 result")

    alter(leaving.outbox / new / "session.db", "PRAGMA user_version=1")
    older = leaving.project.run_script(NEWER_RELEASE, leaves=None)
    assert older.lines(f"{new}: 3 results delivered to "), older.output
    assert leaving.sessions() == [damaged]
    assert [run["stats"].get("passed") for run in runs.new()] == [3, None, 1, 1]


def test_a_token_goes_nowhere_else(leaving, layer, runs):
    """Not to a host that only a file names, and a wrong one loses nothing."""
    leaving.leave()
    (name,) = leaving.sessions()
    before = len(layer.exchanges())
    meta = leaving.outbox / name / "session.db"
    address = "UPDATE meta SET value = ? WHERE key = 'api_url'"
    alter(meta, address, '"http://localhost:9"')
    refused = leaving.resend(leaves=None)
    assert refused.code == 1
    assert "Its results were recorded for http://localhost:9, but the address is set to" in refused.output
    assert "FAMACASE_API_URL" in refused.output
    assert len(layer.exchanges()) == before
    alter(meta, address, f'"{layer.url}"')

    wrong = leaving.resend(leaves=None, FAMACASE_REPORTER_TOKEN="rep_wrong_51d0")
    assert wrong.code == 1
    assert "was answered with 401" in wrong.output
    assert "FAMACASE_REPORTER_TOKEN" in wrong.output
    assert "rep_wrong_51d0" not in wrong.output
    assert f"{name}: 3 results still wait: SMOKE, run " in wrong.output
    without = leaving.resend(leaves=None, FAMACASE_REPORTER_TOKEN=None)
    assert without.code == 1
    assert "FAMACASE_REPORTER_TOKEN" in without.output
    unset = leaving.resend(leaves=None, FAMACASE_API_URL=None)
    assert unset.code == 1
    assert "Set FAMACASE_API_URL" in unset.output

    layer.down()
    away = leaving.resend(leaves=None, FAMACASE_RETRY_ATTEMPTS="1")
    assert away.code == 1
    assert "no usable answer" in away.output
    layer.up()
    assert leaving.resend().code == 0
    assert runs.only()["stats"] == {"passed": 3}


def test_a_run_is_completed_only_if_its_session_wanted_that(leaving, layer, api, runs):
    leaving.leave(FAMACASE_TESTOPS_RUN_COMPLETE="false")
    leaving.leave("-k", "third", FAMACASE_TESTOPS_RUN_COMPLETE="false")
    (kept, other) = runs.new()
    moved = leaving.resend("--to-run", str(other["id"]))
    assert moved.code == 0, moved.output
    kept, other = (api.get_run("SMOKE", run["id"]) for run in (kept, other))
    assert (kept["status"], kept["stats"]) == ("in_progress", {})
    assert (other["status"], other["stats"]) == ("in_progress", {"passed": 4})
    assert leaving.is_clean()

    leaving.leave()
    nowhere = leaving.resend("--to-run", "999999", leaves=None)
    assert nowhere.code == 1
    assert "404" in nowhere.output
    both = leaving.resend("--to-run", "new", "--list", leaves=None)
    assert both.code == 2
    assert leaving.resend("--to-run", "anything", leaves=None).code == 2
    sent = leaving.resend("--to-run", "new")
    assert sent.code == 0
    first, second = runs.new()
    assert sent.lines(f": created run {second['id']} of SMOKE, ")
    assert (first["status"], first["stats"]) == ("in_progress", {})
    assert (second["status"], second["stats"]) == ("completed", {"passed": 3})


def test_an_interrupted_resend_loses_nothing(leaving, layer, runs):
    leaving.leave()
    (name,) = leaving.sessions()
    seen = len(layer.exchanges("createResults"))
    layer.faults.add("createResults", hang())
    with leaving.start_resend() as process:
        layer.wait_for("createResults", seen + 1)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130
    assert output == f"{name}: interrupted. Results that were not delivered are kept.\n"
    eventually(lambda: check(leaving.resend().code == 0), "it is not sent")
    assert runs.only()["stats"] == {"passed": 3}


def test_a_call_that_fails_for_good_is_not_tried_for_ever(leaving, layer):
    """The back end answers everything else; the pauses between the rounds grow."""
    leaving.leave("-k", "third")
    layer.faults.add("createResults", answer(500), times=FOREVER)
    before = len(layer.exchanges())
    ended = leaving.resend(leaves=None, FAMACASE_RETRY_ATTEMPTS="1")
    assert ended.code == 1, ended.output
    assert "1 result still waits" in ended.output
    assert "500" in ended.output
    assert len(layer.exchanges()) - before < 20
    layer.faults.clear()
    assert leaving.resend().code == 0
    assert leaving.is_clean()


def test_a_new_run_for_one_that_was_never_created_is_for_its_environment(leaving, layer, runs):
    layer.down()
    environ = {"FAMACASE_ENVIRONMENT": "staging", "FAMACASE_RETRY_ATTEMPTS": "1"}
    assert leaving.project.run("-k", "third", leaves=None, **environ).code == 0
    layer.up()
    sent = leaving.resend("--to-run", "new")
    assert sent.code == 0, sent.output
    (created,) = layer.exchanges("createRun")
    assert isinstance(created.json()["environment_id"], int)
    assert list(runs.by_title(runs.only())) == ["test_third"]


def test_a_file_on_which_the_server_fails_does_not_hold_its_result_back(leaving, layer, runs):
    layer.down()
    assert leaving.project.run("-k", "first or third", leaves=None, FAMACASE_RETRY_ATTEMPTS="1").code == 0
    layer.up()
    layer.faults.add("uploadAttachments", answer(500), times=FOREVER)
    sent = leaving.resend()
    assert sent.code == 0, sent.output
    results = runs.by_title(runs.only())
    assert sorted(results) == ["test_first", "test_third"]
    (step,) = results["test_first"]["steps"]
    assert "first.txt" in step["data"]["action"]
    assert "500" in step["data"]["action"]
    assert leaving.is_clean()
