"""What integrations are told, and what those of this package send; the examples are the documentation's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from documented import examples, write_examples
from scripted_answers import Say
from scripted_server import Server, serving

PLAIN = """
    import pytest

    def test_one(): pass
    def test_two(): assert 1 == 2
    @pytest.fixture
    def broken(): raise OSError("no disk")
    def test_three(broken): pass
    def test_four(): pytest.skip("not today")
"""

# An integration that writes down what it is told.
NOTING = """
    import json
    from famacase_pytest import Integration
    from famacase_pytest.integrations import totals

    class Noting(Integration):
        def __init__(self, name="noted"):
            self.name = name
            self.told = []

        def on_run_start(self):
            self.told.append("start")

        def on_test_end(self, test_case, result):
            self.told.append([test_case.title, result.status, result.message])

        def on_run_end(self, test_results, test_run_id, elapsed_time, log_path=None, context=None):
            assert elapsed_time > 0
            self.told.append(dict(context, run_id=test_run_id, totals=totals(test_results)))
            context[self.name] = "was here"
            with open(f"{self.name}.json", "w") as file:
                json.dump(self.told, file)
"""

# Of a session in which the package is installed and not switched on.
OFF = {
    "FAMACASE_MODE": None,
    "FAMACASE_API_URL": None,
    "FAMACASE_REPORTER_TOKEN": None,
    "FAMACASE_TESTOPS_PROJECT": None,
}


@pytest.fixture
def receiver() -> Iterator[Server]:
    """Takes what integrations send; after its script it answers with what each of them looks for."""
    usual = {"ok": True, "ts": "171.1", "id": 77, "url": "https://testrail.example/runs/77"}
    with serving() as receiver:
        receiver.decide = lambda request: None if receiver.script else Say(200, usual)
        yield receiver


@pytest.fixture
def noting(project):
    """A project with an integration that writes down what it is told."""
    project.write(noting=NOTING, test_one=PLAIN)
    project.environ["PYTHONPATH"] = str(project.directory)
    return project


def noted(project, name: str = "noted") -> list[Any]:
    path = project.directory / f"{name}.json"
    found: list[Any] = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return found


# The way through a session


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_integration_is_told_once_of_each_test(noting, runs, workers):
    outcome = noting.run(f"-n{workers}", "--famacase-integrations=noting.Noting", leaves=["noted.json"])
    assert (outcome.code, outcome.notices) == (1, [])
    run = runs.only()
    start, *tests, end = noted(noting)
    assert start == "start"
    assert sorted(tests) == [
        ["test_four", "skipped", "not today"],
        ["test_one", "passed", None],
        ["test_three", "error", "OSError: no disk"],
        ["test_two", "failed", "assert 1 == 2"],
    ]
    if workers == "0":
        assert [title for title, *_ in tests] == ["test_one", "test_two", "test_three", "test_four"]
    assert (end["run_id"], end["famacase_run_id"]) == (run["id"], run["id"])
    assert end["famacase_run_url"].endswith(f"/runs/{run['id']}")
    assert end["famacase_summary"]["delivered"] == 4
    assert end["totals"] == {
        "total_testcases": 4,
        "passed": 1,
        "failed": 1,
        "error": 1,
        "skipped": 1,
        "xfailed": 0,
        "xpassed": 0,
    }


@pytest.mark.parametrize("left_out", [(), ("-p", "no:qase_pytest")])
def test_integrations_work_without_famacase(noting, layer, left_out):
    outcome = noting.run(*left_out, FAMACASE_INTEGRATIONS="noting.Noting", leaves=["noted.json"], **OFF)
    # The setting is no sign of a session that was meant for Famacase.
    assert (outcome.code, outcome.notices) == (1, [])
    *_, end = noted(noting)
    assert (end["run_id"], end["famacase_run_url"], end["totals"]["total_testcases"]) == (None, None, 4)
    assert layer.exchanges() == []


def test_results_are_stored_before_an_integration_hears_of_them(noting, runs):
    noting.write(
        looking="""
        import sqlite3
        from pathlib import Path
        from famacase_pytest import Integration

        class Looking(Integration):
            def on_test_end(self, test_case, result):
                (database,) = Path(".famacase/outbox").glob("*/main-*.db")
                rows = sqlite3.connect(database).execute("SELECT payload FROM result").fetchall()
                assert any(f'"{test_case.title}"' in payload for (payload,) in rows), test_case
        """
    )
    outcome = noting.run("--famacase-integrations=looking.py")
    assert (outcome.code, outcome.notices) == (1, [])


def test_a_session_with_integrations_and_no_tests_to_run_tells_nothing(noting, layer):
    outcome = noting.run("--collect-only", "--famacase-integrations=noting.Noting")
    assert (outcome.code, outcome.notices) == (0, [])


# Registration


@pytest.mark.parametrize(
    ("setting", "files"),
    [
        ("noting.Noting", {}),
        ("noting", {"noting": f"{NOTING}\n    CUSTOM_INTEGRATIONS = ['noting.Noting']"}),
        ("listing.INSTANCE", {"listing": "from noting import Noting\nINSTANCE = Noting()"}),
        ("listing.LIST", {"listing": "from noting import Noting\nLIST = [Noting(), 'noting.Noting']"}),
        ("listing.py", {"listing": "from noting import Noting\nCUSTOM_INTEGRATIONS = [Noting()]"}),
        (
            "",
            {"conftest": "import famacase_pytest as f, noting\nf.registry.register(noting.Noting())"},
        ),
        ("", {"conftest": "def pytest_famacase_integrations(config): return 'noting.Noting'"}),
        (
            "",
            {
                "conftest": """
                def pytest_sessionstart(session):
                    from famacase_pytest import registry
                    import noting
                    registry.register(noting.Noting())
                """
            },
        ),
    ],
)
def test_ways_of_registration(noting, setting, files):
    noting.write(**files)
    outcome = noting.run(FAMACASE_INTEGRATIONS=setting, leaves=["noted.json"], **OFF)
    assert (outcome.code, outcome.notices) == (1, [])
    assert noted(noting)[0] == "start"


def test_a_file_and_the_examples_of_registration(project, runs):
    write_examples(project.directory, "integrations.md", "One of your own")
    project.write(test_one=PLAIN)
    for name in ("company/integrations.py", "conftest.py", "plugin.py"):
        text = examples("integrations.md", "Registration")[name]
        (project.directory / name).write_text(text, encoding="utf-8")
        named = {"company/integrations.py": ["--famacase-integrations=company.integrations"]}
        named["plugin.py"] = ["-p", "plugin"]
        outcome = project.run(
            *named.get(name, ()), PYTHONPATH=str(project.directory), leaves=["dashboard.txt"]
        )
        assert (outcome.code, outcome.notices) == (1, []), name
        shown = project.directory / "dashboard.txt"
        run = runs.only()
        lines = shown.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "test_one passed"
        assert lines[-1].startswith("4 tests, http")
        assert lines[-1].endswith(f"/runs/{run['id']}")
        shown.unlink()
        (project.directory / name).unlink()


def test_the_file_names_integrations_too(noting, runs):
    noting.write_json("famacase.config.json", {"famacase": {"integrations": ["noting.Noting"]}})
    assert noting.run(leaves=["noted.json"], **OFF).notices == []
    assert noted(noting)[0] == "start"


def test_an_entry_point_is_a_name(noting, tmp_path):
    installed = tmp_path / "installed"
    package = installed / "company-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: company\nVersion: 1.0\n", encoding="utf-8"
    )
    (package / "entry_points.txt").write_text(
        "[famacase_pytest.integrations]\nof_company = noting:Noting\n", encoding="utf-8"
    )
    noting.environ["PYTHONPATH"] += f":{installed}"
    outcome = noting.run("--famacase-integrations=of_company", leaves=["noted.json"], **OFF)
    assert (outcome.code, outcome.notices) == (1, [])
    assert noted(noting)[0] == "start"


def test_a_name_that_stands_for_nothing_ends_the_session(noting):
    for name, said in (
        ("nowhere.Integration", "there is no module nowhere"),
        ("slak", "there is no module slak; did you mean slack?"),
        ("json", "one has to be chosen (none)"),
        ("noting.totals", "which is no integration"),
    ):
        outcome = noting.run(f"--famacase-integrations={name}", **OFF)
        assert outcome.code == 4
        (line,) = outcome.lines(said)
        assert "--famacase-integrations on the command line" in line


# What goes wrong


@pytest.mark.parametrize("workers", ["0", "2"])
def test_one_that_cannot_start_is_not_called_again(noting, runs, workers):
    noting.write(
        failing="""
        from noting import Noting

        class Failing(Noting):
            def on_run_start(self):
                raise RuntimeError("no start")
        """
    )
    outcome = noting.run(
        f"-n{workers}", "--famacase-integrations=failing.Failing,noting.Noting", leaves=["noted.json"]
    )
    assert outcome.code == 1
    (line,) = outcome.notices
    assert "the integration Failing failed in on_run_start (RuntimeError: no start). It is not called" in line
    assert [entry for entry in noted(noting) if entry == "start"] == ["start"]
    assert runs.only()["stats"]["passed"] == 1


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_required_one_ends_the_session_before_its_first_test(project, layer, workers):
    write_examples(project.directory, "integrations.md", "One of your own")
    project.write(test_one="def test_one(): open('ran.txt', 'w').close()")
    outcome = project.run(f"-n{workers}", "--famacase-integrations=gate.Gate")
    assert outcome.code == 4
    (line,) = outcome.lines("failed in on_run_start")
    assert line == (
        "ERROR: the integration Gate failed in on_run_start (ConnectionError: the test environment is not "
        "up). It is required, so no test is run."
    )
    assert layer.exchanges(["createRun"]) == []


def test_others_are_called_if_one_fails_and_read_what_was_written(noting, runs):
    noting.write(
        more="""
        from famacase_pytest import Integration
        from noting import Noting

        class Failing(Integration):
            def on_test_end(self, test_case, result):
                raise RuntimeError("at each test")

            def on_run_end(self, test_results, test_run_id, elapsed_time, log_path=None, context=None):
                raise SystemExit("at the end")

        CUSTOM_INTEGRATIONS = [Noting("first"), Failing(), Noting("second")]
        """
    )
    outcome = noting.run("--famacase-integrations=more", leaves=["first.json", "second.json"])
    assert outcome.code == 1
    each, end = outcome.notices
    assert "the integration Failing failed in on_test_end (RuntimeError: at each test)" in each
    assert "the integration Failing failed in on_run_end (SystemExit: at the end)" in end
    assert "first" not in noted(noting, "first")[-1]
    assert noted(noting, "second")[-1]["first"] == "was here"


def test_one_that_hangs_is_left(noting, runs):
    noting.write(
        hanging="""
        import threading
        from famacase_pytest import Integration

        class Hanging(Integration):
            def on_test_end(self, test_case, result):
                threading.Event().wait()
        """,
        conftest="""
        import famacase_pytest.integrations.lifecycle as lifecycle
        # Nobody sits through 30 s in a test.
        lifecycle.Lifecycle.__init__.__defaults__ = (0.2,)
        """,
    )
    outcome = noting.run("--famacase-integrations=hanging.Hanging,noting.Noting", leaves=["noted.json"])
    assert outcome.code == 1
    (line,) = outcome.notices
    assert "the integration Hanging failed in on_test_end (it has not returned within 0.2 s)" in line
    assert len(noted(noting)) == 6
    assert runs.only()["status"] == "completed"


# Those of this package


def test_slack_posts_into_one_thread_and_waits_as_it_is_asked(project, receiver, runs):
    project.write(test_one=PLAIN)
    project.secrets.add("xoxb-of-the-bot")
    receiver.script.append(Say(429, {"ok": False, "error": "ratelimited"}, headers={"Retry-After": "0"}))
    outcome = project.run(
        "--famacase-integrations=slack",
        SLACK_BOT_TOKEN="xoxb-of-the-bot",
        SLACK_CHANNEL="#tests",
        SLACK_API_URL=f"{receiver.url}/api",
    )
    assert (outcome.code, outcome.notices) == (1, [])
    run = runs.only()
    refused, heading, details = receiver.requests
    assert refused.body == heading.body
    assert {request.path for request in receiver.requests} == {"/api/chat.postMessage"}
    assert heading.headers["Authorization"] == "Bearer xoxb-of-the-bot"
    assert heading.json["channel"] == "#tests"
    assert f"/runs/{run['id']}|Run {run['id']}>" in heading.json["text"]
    assert "1 passed, 1 failed, 1 error, 1 skipped" in heading.json["text"]
    assert "thread_ts" not in heading.json
    assert details.json["thread_ts"] == "171.1"
    assert details.json["text"].splitlines() == [
        "• `test_one.py::test_two`: assert 1 == 2",
        "• `test_one.py::test_three`: OSError: no disk",
    ]


def test_slack_by_webhook_and_only_on_failure(project, receiver):
    project.write(test_one="def test_one(): pass")
    project.secrets.add("secret-path")
    slack = {"SLACK_WEBHOOK_URL": f"{receiver.url}/secret-path", "SLACK_ONLY_ON_FAILURE": "true", **OFF}
    assert project.run("--famacase-integrations=slack", **slack).notices == []
    assert receiver.requests == []
    project.write(test_one="def test_one(): assert 'a <b>' == ''")
    assert project.run("--famacase-integrations=slack", **slack).notices == []
    (request,) = receiver.requests
    assert request.json["text"].splitlines()[0].startswith(":x: The run: 1 failed in ")
    assert "a &lt;b&gt;" in request.json["text"]
    # A secret of the address does not show, whatever the service answers.
    receiver.script.append(Say(404, "no_team"))
    (line,) = project.run("--famacase-integrations=slack", **slack).notices
    assert 'the integration Slack failed in on_run_end (Failed: 127.0.0.1 answered 404 "no_team")' in line


def test_slack_says_what_it_lacks_or_is_refused(project, receiver):
    project.write(test_one="def test_one(): pass")
    (line,) = project.run("--famacase-integrations=slack", **OFF).notices
    assert "set SLACK_WEBHOOK_URL, or SLACK_BOT_TOKEN and SLACK_CHANNEL" in line
    receiver.decide = lambda request: Say(200, {"ok": False, "error": "channel_not_found"})
    (line,) = project.run(
        "--famacase-integrations=slack",
        SLACK_BOT_TOKEN="xoxb-of-the-bot",
        SLACK_CHANNEL="#nowhere",
        SLACK_API_URL=receiver.url,
        **OFF,
    ).notices
    assert "Slack refused: channel_not_found" in line


def test_the_webhook_is_signed_and_sent_again(project, receiver, runs, monkeypatch):
    project.write(test_one=PLAIN)
    project.secrets.add("of-the-webhook")
    receiver.script.append(Say(503, headers={"Retry-After": "0"}))
    outcome = project.run(
        "--famacase-integrations=webhook",
        JSON_WEBHOOK_URL=f"{receiver.url}/runs",
        JSON_WEBHOOK_SECRET="of-the-webhook",
    )
    assert (outcome.code, outcome.notices) == (1, [])
    run = runs.only()
    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["X-Famacase-Delivery"] == second.headers["X-Famacase-Delivery"]
    namespace: dict[str, Any] = {}
    exec(examples("integrations.md", "Those that come with the package")["receiver.py"], namespace)
    assert namespace["is_genuine"]("of-the-webhook", second.headers, second.body)
    assert not namespace["is_genuine"]("another", second.headers, second.body)
    document = second.json
    assert (document["event"], document["run_id"]) == ("run_end", run["id"])
    assert document["totals"]["total_testcases"] == 4
    assert document["context"]["famacase_summary"]["delivered"] == 4
    assert [result["test_case"]["title"] for result in document["results"]] == [
        "test_one",
        "test_two",
        "test_three",
        "test_four",
    ]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_testrail_is_given_a_run_of_which_slack_tells(project, receiver, runs, workers):
    write_examples(project.directory, "integrations.md", "Those that come with the package")
    project.secrets.add("of-testrail")
    outcome = project.run(
        f"-n{workers}",
        "--famacase-integrations=testrail,slack",
        TESTRAIL_URL=f"{receiver.url}/",
        TESTRAIL_USER="ada@example.com",
        TESTRAIL_API_KEY="of-testrail",
        TESTRAIL_PROJECT_ID="5",
        SLACK_WEBHOOK_URL=f"{receiver.url}/slack",
    )
    assert (outcome.code, outcome.notices) == (1, [])
    run = runs.only()
    added, results, slack = receiver.requests
    assert added.path == "/index.php?/api/v2/add_run/5"
    # ada@example.com:of-testrail
    assert added.headers["Authorization"] == "Basic YWRhQGV4YW1wbGUuY29tOm9mLXRlc3RyYWls"
    assert sorted(added.json["case_ids"]) == [12, 13, 14]
    assert added.json["include_all"] is False
    assert added.json["description"].endswith(f"/runs/{run['id']}")
    assert results.path == "/index.php?/api/v2/add_results_for_cases/77"
    by_case = {result["case_id"]: result for result in results.json["results"]}
    assert {case: result["status_id"] for case, result in by_case.items()} == {12: 1, 13: 1, 14: 5}
    assert by_case[12]["elapsed"] == "1s"
    assert "assert -1 > 0" in by_case[14]["comment"]
    assert "TestRail: https://testrail.example/runs/77" in slack.json["text"]


def test_an_integration_that_is_not_used_costs_no_import(project):
    project.write(test_one="def test_one(): pass")
    script = """
        import sys
        from famacase_pytest import Integration, registry
        from famacase_pytest.integrations import JsonWebhook, Slack, TestRail
        assert not {"requests", "qase", "pytest"} & set(sys.modules)
    """
    outcome = project.run_script(script)
    assert outcome.code == 0, outcome.output


def test_secrets_are_masked_for_integrations_too(noting, runs):
    noting.write(test_one="def test_one(): assert 'hunter-of-the-night' == ''")
    noting.secrets.clear()
    outcome = noting.run(
        "--famacase-integrations=noting.Noting",
        leaves=["noted.json"],
        FAMACASE_MASK_ENV="DB_PASSWORD",
        DB_PASSWORD="hunter-of-the-night",
    )
    assert outcome.notices == []
    _, (title, status, message), _ = noted(noting)
    assert (title, status) == ("test_one", "failed")
    assert "hunter" not in message


def test_no_test_waits_for_the_imports_of_an_integration(project, receiver):
    project.write(
        conftest="""
        import sys, threading

        def note(event, arguments):
            if event == "import" and arguments[0] == "requests":
                with open("thread.txt", "a") as file:
                    file.write(threading.current_thread().name)

        sys.addaudithook(note)
        """,
        test_one="def test_one(): pass",
    )
    outcome = project.run(
        "-p",
        "no:qase_pytest",
        "--famacase-integrations=webhook",
        JSON_WEBHOOK_URL=receiver.url,
        leaves=["thread.txt"],
        **OFF,
    )
    assert (outcome.code, outcome.notices) == (0, [])
    assert len(receiver.requests) == 1
    assert (project.directory / "thread.txt").read_text(encoding="utf-8") == "famacase-integration"
