"""Long tests in whole sessions: what is collected, what is said, what arrives, and what survives."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import time

import pytest
import requests

import qase_double
from documented import write_examples
from sessions import Project
from watched import Watched, check, eventually

INI = """
[pytest]
orchestration_descriptions = descriptions
orchestration_sources = events/first.py, second.py
orchestration_report_sec = 0.2
"""


class Suite:
    """A project with long tests.

    Args:
        project: of the fixture.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        for folder in ("descriptions", "events"):
            (project.directory / folder).mkdir()
        (project.directory / "pytest.ini").write_text(INI, encoding="utf-8")
        self.write("second.py", "")
        self.write("events/first.py", "")

    def write(self, name: str, text: str) -> None:
        (self.project.directory / name).write_text(textwrap.dedent(text), encoding="utf-8")

    def describe(self, name: str, *events: dict[str, object], **keys: object) -> None:
        content = {"test_name": name, "total_seconds": 1, "events": events, **keys}
        self.write(f"descriptions/{name}.json", json.dumps(content, indent=1))


@pytest.fixture
def suite(project: Project) -> Suite:
    return Suite(project)


def statuses(result):
    return [(step["data"]["action"], step["execution"]["status"]) for step in result["steps"]]


def test_the_documented_example_of_pytest_orchestration(project, runs):
    """Its file with the comments, its keys of the ini file, its flag: shortened from hours to seconds."""
    folder = project.directory / "orchestration" / "descriptions"
    folder.mkdir(parents=True)
    (project.directory / "tests").mkdir()
    (project.directory / "pytest.ini").write_text(
        "[pytest]\n"
        "orchestration_descriptions = orchestration/descriptions/\n"
        "orchestration_sources = tests/event_plugin.py, somethingelse.py\n",
        encoding="utf-8",
    )
    (folder / "my_orchestration_test.json").write_text(
        """{
  "test_name": "my_orchestration_test",                 // Name of the test
  "total_hours": 0.0006,                                // Total number of hours
  "unref_setup_fixtures": ["device_with_collectd"],     // Setup fixtures
  "events": [                                           // All "events"
    {
      "name": "start_playback",                         // Mandatory
      "interval_sec": 0.5,                              // Optional
      "at_startup": true,                               // Optional (Defaults to true)
      "at_teardown": false,                             // Optional (Defaults to false)
      "params":{                                        // Optional
        "video_path": "/home/orch-tests/video-files/high_res_clip.mp4"
      }
    },
    {
      "name": "start_streamer",
      "at_startup": true
    },
    {
      "name": "collect_system_report",
      "at_startup": false,
      "at_teardown": true
    }
  ]
}
""",
        encoding="utf-8",
    )
    project.write(
        somethingelse="""
        import multiprocessing

        def stream(kill_switch):
            kill_switch.wait()
            open("streamer-ended", "w").close()

        def start_streamer(kill_switch):
            process = multiprocessing.Process(target=stream, args=(kill_switch,))
            process.start()
            process.join()

        def collect_system_report(result_reporter):
            result_reporter.report_queue.put("all is well")
        """
    )
    (project.directory / "tests" / "event_plugin.py").write_text(
        "def start_playback(video_player, video_path, kill_switch, result_reporter):\n"
        "    video_player.play(video_path, kill_switch, result_reporter)\n",
        encoding="utf-8",
    )
    (project.directory / "tests" / "conftest.py").write_text(
        """
import multiprocessing
import pytest

class Player:
    def play(self, path, kill_switch, reporter):
        process = multiprocessing.Process(target=self.show, args=(path, kill_switch, reporter))
        process.start()
        process.join()

    def show(self, path, kill_switch, reporter):
        assert not kill_switch.is_set()
        reporter.add_result(f"playing {path}")

@pytest.fixture
def video_player():
    return Player()

@pytest.fixture
def device_with_collectd():
    open("device", "w").close()
""",
        encoding="utf-8",
    )
    outcome = project.run("--test-orch=my_orchestration_test", leaves=["device", "streamer-ended"])
    assert (outcome.code, outcome.notices, outcome.counts) == (0, [], "1 passed"), outcome.output
    assert set(outcome.left) == {"device", "streamer-ended"}
    (result,) = runs.results(runs.only())
    assert (result["title"], result["execution"]["status"]) == ("my_orchestration_test", "passed")
    playback = [step for step in result["steps"] if step["data"]["action"] == "start_playback"]
    fields = result["fields"]
    # Due at 0, 0.5, ... 2.0 s of 2.16.
    assert fields["start_playback.count"] + fields["start_playback.missed"] == 5
    assert len(playback) == fields["start_playback.count"]
    assert playback[0]["data"] == {
        "action": "start_playback",
        "input_data": '{"video_path": "/home/orch-tests/video-files/high_res_clip.mp4"}',
        "message": "playing /home/orch-tests/video-files/high_res_clip.mp4",
    }
    others = [step["data"] for step in result["steps"] if step not in playback]
    assert {"action": "collect_system_report", "message": "all is well"} in others
    assert {"action": "start_streamer"} in others
    assert fields["collect_system_report.count"] == fields["start_streamer.count"] == 1


def test_without_famacase_it_only_runs(suite):
    suite.write("events/first.py", "def ping(path): open(path, 'a').write('x')")
    suite.describe("soak", {"name": "ping", "interval_sec": 0.1, "params": {"path": "pings"}})
    off = {"FAMACASE_API_URL": None, "FAMACASE_MODE": None}
    outcome = suite.project.run("--run-orch=soak", leaves=["pings"], **off)
    assert (outcome.code, outcome.notices, outcome.counts) == (0, [], "1 passed"), outcome.output
    outcome = suite.project.run("--run-orch=soak", "-p", "no:qase_pytest", leaves=["pings"], **off)
    assert (outcome.code, outcome.notices, outcome.counts) == (0, [], "1 passed"), outcome.output


def test_in_a_session_of_qase_it_runs_and_qase_gets_its_result(suite, tmp_path):
    suite.write("events/first.py", "def ping(): pass")
    suite.describe("soak", {"name": "ping", "interval_sec": 0.1}, qase={"id": 7, "title": "A soak"})
    with qase_double.running() as qase:
        environ = {
            "FAMACASE_API_URL": None,
            "FAMACASE_MODE": None,
            "FAMACASE_REPORTER_TOKEN": None,
            "FAMACASE_TESTOPS_PROJECT": None,
            "QASE_MODE": "testops",
            "QASE_TESTOPS_API_TOKEN": "token-of-qase",
            "QASE_TESTOPS_PROJECT": "DEMO",
            **qase.environment(tmp_path / "start-up"),
        }
        outcome = suite.project.run("--run-orch=soak", leaves=None, **environ)
        (result,) = qase.results
    assert (outcome.code, outcome.notices, outcome.counts) == (0, [], "1 passed"), outcome.output
    assert (result["title"], result["testops_ids"]) == ("A soak", [7])


SEEN = """
import sys
def pytest_sessionfinish():
    names = [name for name in sys.modules if "orchestration" in name]
    open("seen", "w").write(repr(names))
"""


@pytest.mark.parametrize("reports", [True, False])
def test_nothing_is_imported_without_its_keys(project, reports):
    project.write(conftest=SEEN, test_one="def test_one(): pass")
    off = {} if reports else {"FAMACASE_API_URL": None, "FAMACASE_MODE": None}
    assert project.run(leaves=["seen"], **off).code == 0
    assert (project.directory / "seen").read_text() == "[]"
    (project.directory / "pytest.ini").write_text("[pytest]\norchestration_descriptions = .\n")
    assert project.run(leaves=["seen"], **off).code == 0
    assert "famacase_pytest.orchestration.plugin" in (project.directory / "seen").read_text()


def test_what_is_collected(suite):
    suite.write("events/first.py", "import pytest\npytestmark = pytest.mark.slow\ndef test_ping(): pass")
    suite.write("second.py", "def pong(): pass\nclass TestNothing:\n    def test_it(self): pass")
    suite.write("test_other.py", "def test_other(): pass")
    suite.describe("soak", {"name": "test_ping"}, qase={"id": [1, 2]})
    suite.describe("drip", {"name": "pong"})
    suite.describe("wrong", {"name": "no_such_event"})

    def collected(*arguments):
        outcome = suite.project.run("--collect-only", "-q", *arguments)
        return sorted(line.partition("::")[2] for line in outcome.output.splitlines() if "::" in line)

    assert collected() == ["test_other"]
    assert collected("--run-orch=soak") == ["soak"]
    assert collected("--run-orch=soak,drip", "--test-orch", "soak") == ["drip", "soak"]
    assert collected("--run-orch=soak,drip", "test_other.py") == ["drip", "soak"]
    assert collected("--run-orch=soak,drip", "-k", "dr") == ["drip"]
    assert collected("--run-orch=soak,drip", "-m", "slow") == ["drip", "soak"]
    assert collected("--run-orch=soak,drip", "-m", "not slow") == []
    assert collected("--run-orch=soak,drip", "-m", "qase_id") == ["soak"]
    assert collected("--run-orch=drip", "--rootdir=.", "-c", "pytest.ini") == ["drip"]
    outcome = suite.project.run("--load-orch")
    assert outcome.code != 0
    assert "no function 'no_such_event'" in outcome.output
    (suite.project.directory / "descriptions" / "wrong.json").unlink()
    outcome = suite.project.run("--load-orch")
    assert outcome.code == 0
    assert "2 tests collected" in outcome.output


def test_from_another_directory(suite):
    suite.write("events/conftest.py", "import pytest\n@pytest.fixture\ndef ball(): return 'ball'")
    suite.write("events/first.py", "def ping(ball): assert ball == 'ball'")
    suite.describe("soak", {"name": "ping"}, total_seconds=0.1)
    elsewhere = suite.project.directory / "sub"
    elsewhere.mkdir()
    script = """
    import os, sys, pytest
    os.chdir("sub")
    sys.exit(pytest.main(["--run-orch=soak", "-v"]))
    """
    outcome = suite.project.run_script(script)
    assert (outcome.code, outcome.counts) == (0, "1 passed")
    assert "first.py::soak PASSED" in outcome.output


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"name": "pinh"}, "no function 'pinh'. Did you mean ping?"),
        ({"name": "ping", "params": {"bal": 1}}, "ping does not take 'bal'. Did you mean ball?"),
        ({"name": "later"}, "later is a coroutine or a generator, of which a call runs nothing."),
        ({"name": "ping"}, "'ball' is neither a fixture nor one of the params."),
    ],
)
def test_what_an_event_lacks_is_named_with_its_line_before_anything_runs(suite, event, problem):
    suite.write(
        "events/first.py", "def ping(ball): open('ran', 'w')\ndef pong(): pass\nasync def later(): pass"
    )
    suite.write("conftest.py", "import pytest\n@pytest.fixture\ndef balls(): pass")
    suite.describe("soak", {"name": "pong"}, event)
    suite.describe("other", {"name": "pong"})
    outcome = suite.project.run("--run-orch=soak,other")
    assert (outcome.code, problem in outcome.output) == (2, True)
    line = 9 if "params" not in event else 11
    assert f"soak.json:{line}: " in outcome.output


def test_mistakes_in_the_keys_and_flags(suite):
    suite.describe("soak", {"name": "ping"})
    outcome = suite.project.run("--run-orch=soka")
    assert outcome.code == 4
    assert "Did you mean soak?" in outcome.output
    (suite.project.directory / "second.py").unlink()
    outcome = suite.project.run("--run-orch=soak")
    assert (outcome.code, "orchestration_sources names second.py" in outcome.output) == (4, True)
    (suite.project.directory / "pytest.ini").write_text("[pytest]\n")
    outcome = suite.project.run("--run-orch=soak")
    assert (outcome.code, "orchestration_descriptions names nothing" in outcome.output) == (4, True)


def test_the_marks_of_qase(suite, runs):
    suite.write("events/first.py", "def ping(): pass")
    keys = {"id": 12, "title": "A soak", "suite": "Soak", "fields": {"layer": "e2e"}}
    suite.describe("soak", {"name": "ping", "interval_sec": 0.1}, qase=keys)
    assert suite.project.run("--run-orch=soak").code == 0
    (result,) = runs.results(runs.only())
    assert (result["title"], result["testops_ids"]) == ("A soak", [12])
    assert result["fields"]["layer"] == "e2e"
    assert result["relations"]["suite"]["data"] == [{"title": "Soak"}]


def test_it_is_seen_while_it_runs_and_replaced_by_how_it_ended(suite, layer, api, server):
    watched = Watched(suite.project)
    suite.write(
        "events/first.py",
        """
        count = 0
        def ping(gate):
            global count
            count += 1
            if count == 5:
                gate("middle")
            assert count != 7, "the seventh"
        """,
    )
    suite.describe("soak", {"name": "ping", "interval_sec": 0.1}, total_seconds=3)
    session = suite.project.start("--run-orch=soak")
    watched.wait_at("middle")
    (created,) = layer.wait_for("createRun", answered=True)
    run_id = json.loads(created.answer)["id"]

    def seen() -> dict:
        (result,) = api.list_results("SMOKE", run_id)
        check(len(result["steps"]) == 5)
        return result

    result = eventually(seen, "the result is not seen")
    assert result["execution"]["status"] == "in_progress"
    assert result["execution"]["duration"] > 0
    assert statuses(result) == [("ping", "passed")] * 4 + [("ping", "in_progress")]
    assert "in progress" in requests.get(f"{server.url}/runs/{run_id}", timeout=30).text
    page = requests.get(f"{server.url}/runs/{run_id}/results/{result['id']}", timeout=30).text
    assert page.count("ping") >= 5
    watched.open("middle")
    outcome = suite.project.finish(session)
    assert (outcome.code, outcome.counts) == (1, "1 failed")
    assert "1 of " in outcome.output
    # Each time under one id; counted once.
    assert outcome.lines("1 result delivered")
    (last,) = api.list_results("SMOKE", run_id)
    assert (last["id"], last["execution"]["status"]) == (result["id"], "failed")
    assert ("ping", "failed") in statuses(last)
    assert last["fields"]["ping.count"] + last["fields"]["ping.missed"] == 30
    assert len({entry["id"] for sent in layer.exchanges("createResults") for entry in sent.results}) == 1
    assert api.get_run("SMOKE", run_id)["status"] == "completed"
    page = requests.get(f"{server.url}/runs/{run_id}/results/{result['id']}", timeout=30).text
    assert "AssertionError: the seventh" in page


def test_a_kill_keeps_every_event_that_was_stored(suite, layer, api, server):
    watched = Watched(suite.project)
    suite.write(
        "events/first.py",
        """
        from qase.pytest import qase
        count = 0
        def ping(gate, result_reporter, log):
            global count
            count += 1
            result_reporter.add_result(f"number {count}")
            if count == 3:
                gate("middle")
        """,
    )
    conftest = """
import pytest
from qase.pytest import qase

@pytest.fixture
def log():
    qase.attach((b"the log", "text/plain", "log.txt"))
"""
    suite.write("events/conftest.py", conftest)
    suite.describe("soak", {"name": "ping", "interval_sec": 0.1}, total_hours=2, total_seconds=None)
    path = suite.project.directory / "descriptions" / "soak.json"
    path.write_text(path.read_text().replace('"total_seconds": null,', ""))
    session = suite.project.start("--run-orch=soak")
    watched.wait_at("middle")
    (created,) = layer.wait_for("createRun", answered=True)
    run_id = json.loads(created.answer)["id"]

    def seen() -> dict:
        (result,) = api.list_results("SMOKE", run_id)
        check(len(result["steps"]) == 3 and "message" in result["steps"][-1]["data"])
        return result

    result = eventually(seen, "the result is not seen")
    os.kill(session.pid, signal.SIGKILL)
    suite.project.finish(session, leaves=[".famacase"])

    def ended() -> dict:
        (result,) = api.list_results("SMOKE", run_id)
        check(result["execution"]["status"] == "invalid")
        return result

    last = eventually(ended, "the end is not reported")
    assert last["id"] == result["id"]
    assert last["message"].startswith("the process ended after ")
    assert [step["data"]["message"] for step in last["steps"]] == ["number 1", "number 2", "number 3"]
    assert [entry["file_name"] for entry in last["attachments"]] == ["log.txt"]
    # The queue's process too.
    watched.alone()
    assert api.get_run("SMOKE", run_id)["status"] == "in_progress"
    assert not watched.outbox.exists()


def test_ctrl_c_ends_what_was_started_and_reports_what_there_is(suite, layer, api):
    watched = Watched(suite.project)
    suite.write(
        "events/first.py",
        """
        import multiprocessing, os, time

        def wait(kill_switch):
            kill_switch.wait()
            open("ended-too", "w").close()

        def child(kill_switch, gate):
            process = multiprocessing.Process(target=wait, args=(kill_switch,))
            process.start()
            gate("middle")
            process.join()

        def last(): pass
        """,
    )
    last = {"name": "last", "at_startup": False, "at_teardown": True}
    suite.describe("soak", {"name": "child"}, last, total_seconds=3600)
    session = suite.project.start("--run-orch=soak")
    watched.wait_at("middle")
    watched.open("middle")
    os.kill(session.pid, signal.SIGINT)
    outcome = suite.project.finish(session, leaves=["ended-too"])
    assert outcome.code == 2
    assert (suite.project.directory / "ended-too").exists()
    watched.alone()
    (created,) = layer.exchanges("createRun")
    (result,) = api.list_results("SMOKE", json.loads(created.answer)["id"])
    assert result["execution"]["status"] == "invalid"
    assert result["message"].startswith("the session was interrupted: KeyboardInterrupt after ")
    assert result["execution"]["duration"] > 0
    assert statuses(result) == [("child", "passed"), ("last", "passed")]


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ctrl_c_leaves_nothing_in_progress_where_workers_are_killed(suite, layer, api, interrupts):
    watched = Watched(suite.project)
    suite.write("events/first.py", "def hang(gate): gate('middle')")
    suite.describe("soak", {"name": "hang"}, total_seconds=3600)
    session = suite.project.start("--run-orch=soak", "-n", "1")
    watched.wait_at("middle")
    # It is there before it ends.
    layer.wait_for("createResults", answered=True)
    for _ in range(interrupts):
        os.kill(session.pid, signal.SIGINT)
        time.sleep(0.5)
    # After the second one nobody waits for the worker's death but the relay.
    suite.project.finish(session, leaves=None)
    watched.alone()
    (created,) = layer.exchanges("createRun")
    (result,) = api.list_results("SMOKE", json.loads(created.answer)["id"])
    assert result["execution"]["status"] == "invalid"
    assert result["message"].startswith("the process ended after ")
    assert not watched.outbox.exists()


def test_a_failure_that_stops_and_events_of_the_end(suite, runs):
    suite.write(
        "events/first.py",
        """
        import subprocess, sys

        def broken(): raise ValueError("no power")
        def blocked(kill_switch): kill_switch.wait(60)
        def last(): open("last", "w").close()
        """,
    )
    suite.describe(
        "soak",
        {"name": "broken", "on_error": "stop"},
        {"name": "blocked"},
        {"name": "last", "at_startup": False, "at_teardown": True},
        total_seconds=3600,
    )
    outcome = suite.project.run("--run-orch=soak", leaves=["last"])
    assert (outcome.code, outcome.left) == (1, ("last",))
    assert "stopped: broken failed" in outcome.output
    (result,) = runs.results(runs.only())
    assert result["execution"]["status"] == "failed"
    assert "stopped: broken failed" in result["message"]
    assert statuses(result) == [("broken", "failed"), ("blocked", "passed"), ("last", "passed")]
    assert "ValueError: no power" in result["steps"][0]["data"]["message"]


def test_an_event_that_hangs(suite, runs):
    suite.write("events/first.py", "import threading\ndef hang(): threading.Event().wait(600)")
    suite.describe("soak", {"name": "hang", "interval_sec": 0.2, "timeout_sec": 0.5}, total_seconds=1)
    outcome = suite.project.run("--run-orch=soak", timeout=60)
    assert (outcome.code, outcome.counts) == (1, "1 failed")
    (result,) = runs.results(runs.only())
    assert statuses(result) == [("hang", "failed")]
    assert "still running after 0." in result["steps"][0]["data"]["message"]
    assert result["fields"]["hang.missed"] == 4


def test_a_reporter_of_the_suites_own(suite, runs):
    suite.write(
        "events/conftest.py",
        """
        import logging, queue
        import pytest
        from famacase_pytest.orchestration import ResultReporter

        class Reporter(ResultReporter):
            def __init__(self, report_queue):
                super().__init__(report_queue)
                self.taken = []

            def on_result(self):
                self.taken.append(self.report_queue.get_nowait())
                logging.getLogger("own").error("took %s", self.taken[-1])
                return f"{len(self.taken)} in all"

        @pytest.fixture
        def report_queue():
            return queue.Queue()

        @pytest.fixture
        def result_reporter(report_queue):
            return Reporter(report_queue)
        """,
    )
    suite.write(
        "events/first.py",
        """
        def ping(result_reporter):
            result_reporter.report_queue.put({"volts": 5})

        def quiet(result_reporter, report_queue):
            assert type(result_reporter).__name__ == "Reporter"
        """,
    )
    suite.describe("soak", {"name": "ping"}, {"name": "quiet"}, total_seconds=0.3)
    assert suite.project.run("--run-orch=soak").code == 0
    (result,) = runs.results(runs.only())
    assert [step["data"] for step in result["steps"]] == [
        {"action": "ping", "message": "took {'volts': 5}\n1 in all"},
        {"action": "quiet"},
    ]


def test_two_descriptions_side_by_side(suite, runs):
    suite.write(
        "events/first.py",
        """
        import pathlib, time

        def meet(mine, other):
            pathlib.Path(mine).touch()
            ends = time.monotonic() + 60
            while not pathlib.Path(other).exists():
                assert time.monotonic() < ends
                time.sleep(0.01)
        """,
    )
    for mine, other in (("a", "b"), ("b", "a")):
        params = {"mine": f"at-{mine}", "other": f"at-{other}"}
        suite.describe(mine, {"name": "meet", "params": params}, total_seconds=1)
    outcome = suite.project.run("--run-orch=a,b", "-n", "2", leaves=["at-a", "at-b"])
    assert (outcome.code, outcome.notices, outcome.counts) == (0, [], "2 passed")
    assert outcome.lines("2 results delivered")
    found = runs.by_title(runs.only())
    assert {title: statuses(result) for title, result in found.items()} == {
        "a": [("meet", "passed")],
        "b": [("meet", "passed")],
    }


def test_what_is_not_to_be_sent_is_not_sent_before(suite, runs, layer):
    """A status that is filtered, a result that a plugin keeps back."""
    suite.write("events/first.py", "def ping(): pass")
    suite.describe("soak", {"name": "ping", "interval_sec": 0.1}, total_seconds=1)
    filtered = suite.project.run("--run-orch=soak", FAMACASE_TESTOPS_STATUS_FILTER="passed")
    assert (filtered.code, filtered.notices) == (0, [])
    suite.write("conftest.py", "def pytest_famacase_result(result): return False")
    kept_back = suite.project.run("--run-orch=soak")
    assert kept_back.code == 0
    assert runs.new() == []


# The examples of docs/orchestration.md


def documented(project, runs, heading, name):
    """The steps of an example, each with its message."""
    write_examples(project.directory, "orchestration.md", heading)
    outcome = project.run(f"--run-orch={name}")
    assert (outcome.code, outcome.notices, outcome.counts) == (0, [], "1 passed"), outcome.output
    (result,) = runs.results(runs.only())
    return [(step["data"]["action"], step["data"].get("message")) for step in result["steps"]]


def test_the_example_of_a_first_test(project, runs):
    *played, report = documented(project, runs, "The first test", "playback")
    # Each 0.5 s of 3, unless the machine stood still.
    assert 0 < len(played) <= 6
    assert set(played) == {("play", None)}
    assert report == ("collect_report", f"{len(played)} clips")


@pytest.mark.parametrize(
    ("heading", "name", "steps"),
    [
        ("Processes that events start", "stream", [("stream", "stream closed")]),
        ("What events report", "power", [("measure", "5.1 V"), ("measure (2)", "4.7 V, too low")]),
    ],
)
def test_an_example_of_the_documentation(project, runs, heading, name, steps):
    assert documented(project, runs, heading, name) == steps


def test_a_long_test_that_is_repeated_is_one_result(suite, runs):
    suite.write(
        "events/first.py",
        """
        import pathlib

        def ping():
            first = not pathlib.Path("failed").exists()
            pathlib.Path("failed").touch()
            assert not first, "the first time"
        """,
    )
    suite.describe("soak", {"name": "ping", "interval_sec": 0.2}, total_seconds=0.5)
    # The last word counts: it takes back that other plugins are left out.
    arguments = ("-p", "pytest_rerunfailures", "--reruns", "1", "--run-orch=soak")
    outcome = suite.project.run(*arguments, leaves=["failed"])
    assert outcome.code == 0, outcome.output
    (result,) = runs.results(runs.only())
    assert result["execution"]["status"] == "passed"
    assert result["fields"]["attempts"] == "2"
    first, second = result["steps"]
    assert [step["execution"]["status"] for step in first["steps"]].count("failed") == 1
    assert {step["execution"]["status"] for step in second["steps"]} == {"passed"}
