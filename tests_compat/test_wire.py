"""The same fields on the wire: one suite over upstream's own transport and over ours, field by field.

Both are brought to one form. What no two runs share (times, process numbers, ids) is replaced by what it is;
everything else has to be equal, but for what ``differences.py`` lists.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from differences import RESULTS, RUNS, Difference
from qase_recorder import CONFIGURATIONS, QaseRecorder, RecordedRun, recorder

from fault_layer import answer
from sessions import TOKENS

SUITE = Path(__file__).parent / "wire_suite"
PLAN = [101, 201]

Flat = dict[str, Any]


# The two ways


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    """What the tests of the suite talk to. Its answers never change, headers included."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = self.path == "/page"
            content = b"a page" if found else b"not here"
            self.send_response_only(200 if found else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def recording(api) -> Iterator[QaseRecorder]:
    staging = api.environment_id("SMOKE", "staging")
    assert staging is not None
    with recorder(staging, PLAN) as recording:
        yield recording


# Without them upstream puts the time there.
NAMED_RUN = {"QASE_TESTOPS_RUN_TITLE": "A run", "QASE_TESTOPS_RUN_DESCRIPTION": "Its description"}


@pytest.fixture
def suite(project, website):
    """The suite in a project."""
    shutil.copytree(SUITE, project.directory, dirs_exist_ok=True)
    project.environ["COMPAT_WEBSITE"] = website
    return project


@pytest.fixture
def over_upstream(suite, recording):
    """Runs the suite over upstream's own transport, with none of our settings."""
    settings = {
        **{name: None for name in suite.environ if name.startswith("FAMACASE_")},
        "QASE_MODE": "testops",
        "QASE_TESTOPS_PROJECT": "SMOKE",
        "QASE_TESTOPS_API_TOKEN": "qase_token_51ce",
        "QASE_TESTOPS_API_HOST": recording.url.partition("//")[2],
        "COMPAT_RECORDER": recording.url,
    }

    def run(*arguments: str, **environ: str):
        return suite.run(
            "-p", "towards_recorder", *arguments, leaves=None, **{**settings, **NAMED_RUN, **environ}
        )

    return run


@pytest.fixture
def both(suite, over_upstream, recording, layer):
    """Runs the suite both ways and gives the runs of each, upstream's and ours."""

    def run(*arguments: str, **environ: str):
        reference = over_upstream("-p", "no:famacase", *arguments, **environ)
        outcome = suite.run(*arguments, leaves=None, **{**NAMED_RUN, **environ})
        assert outcome.counts == reference.counts, f"{reference.output}\n{outcome.output}"
        assert outcome.code == reference.code
        return list(recording.runs.values()), ours_of(layer)

    return run


def ours_of(layer) -> list[RecordedRun]:
    """What has passed the layer, in the recorder's form; files stand in the place of their ids."""
    files = {}
    runs: dict[tuple[str, int], RecordedRun] = {}
    for exchange in layer.exchanges():
        if exchange.status is None or exchange.status >= 300:
            continue
        answer = json.loads(exchange.answer or b"null")
        place = exchange.path.split("/projects/")[1].split("/")
        if exchange.operation == "uploadAttachments":
            for stored, file in zip(answer["attachments"], exchange.files):
                files[stored["id"]] = {
                    "file_name": file.file_name,
                    "mime_type": file.mime_type,
                    "sha256": file.sha256,
                }
        elif exchange.operation == "createRun":
            runs[place[0], answer["id"]] = RecordedRun(place[0], exchange.json())
        elif exchange.operation == "createResults":
            runs[place[0], int(place[2])].results.extend(exchange.results)
        elif exchange.operation == "completeRun":
            runs[place[0], int(place[2])].completed = True
        elif exchange.operation == "publishRun":
            runs[place[0], int(place[2])].public = exchange.json()["status"]
    for run in runs.values():
        run.results = [with_files(result, lambda entry: files[entry["id"]]) for result in run.results]
    return list(runs.values())


def with_files(value: Any, file: Any) -> Any:
    """A result whose ``attachments`` are the files themselves."""
    if isinstance(value, list):
        return [with_files(item, file) for item in value]
    if isinstance(value, dict):
        return {
            name: [file(entry) for entry in item] if name == "attachments" else with_files(item, file)
            for name, item in value.items()
        }
    return value


# One form


def result_form(result: Mapping[str, Any]) -> Flat:
    return {path: value_form(path, value) for path, value in flat(result)}


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf with its path; an empty list or object is a leaf."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from flat(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from flat(item, f"{path}[{index}]")
    else:
        yield path, value


def value_form(path: str, value: Any) -> Any:
    name = path.rpartition(".")[2]
    if path == "id" or name in ("id", "parent_id"):
        return value if value is None else "an id"
    if name in ("start_time", "end_time") and isinstance(value, (int, float)):
        return "a time"
    if name == "duration" and path.endswith("execution.duration") and isinstance(value, int):
        return "milliseconds"
    if name == "thread":
        return re.sub(r"\d+", "N", value)
    if name == "stacktrace" and value:
        return re.sub(r"0x[0-9a-f]+", "ADDRESS", value)
    if name in ("input_data", "execution_time"):
        return re.sub(r"\d+\.\d+", "N", str(value))
    return value


def run_form(run: RecordedRun) -> Flat:
    body = dict(run.created)
    chosen = [
        CONFIGURATIONS.get(entry) if isinstance(entry, int) else tuple(entry.values())
        for entry in body.pop("configurations", ())
    ]
    link = body.pop("external_link", None)
    if run.external_issue is not None:
        kind = {"jira-cloud": "jiraCloud", "jira-server": "jiraServer"}[run.external_issue["type"]]
        link = {"link": run.external_issue["links"][0]["external_issue"], "type": kind}
    return {
        **dict(flat(body)),
        "project": run.project,
        "configurations": sorted(chosen),
        "external_link": link,
        "completed": run.completed,
        "public": run.public,
    }


def by_key(results: list[dict[str, Any]]) -> dict[str, Flat]:
    """Results by what tells them apart; the form of each."""
    found = {}
    for result in results:
        key = f"{result['title']} {result['signature']}"
        assert key not in found, key
        found[key] = result_form(result)
    return found


def differences(
    theirs: Flat, ours: Flat, where: str, known: tuple[Difference, ...], met: set[Difference]
) -> list[str]:
    """What differs and is not known to. ``met`` gathers what was."""
    found = []
    for path in sorted({*theirs, *ours}):
        left, right = theirs.get(path, Difference.ABSENT), ours.get(path, Difference.ABSENT)
        if left != right or isinstance(left, bool) != isinstance(right, bool):
            explained = [entry for entry in known if entry.explains(path, left, right)]
            met.update(explained)
            if not explained:
                found.append(f"{where}: {path}: upstream {left!r}, ours {right!r}")
    return found


def compare(pair, theirs: list[RecordedRun], ours: list[RecordedRun]) -> set[Difference]:
    """Assert that both ways say the same; the differences that were met."""
    met: set[Difference] = set()
    found = []
    applying = [tuple(entry for entry in table if entry.applies(pair.commons)) for table in (RUNS, RESULTS)]
    assert [run.project for run in theirs] == [run.project for run in ours]
    for left, right in zip(theirs, ours):
        found += differences(run_form(left), run_form(right), "run", applying[0], met)
        for run in (left, right):
            assert run.results, run
        there, here = by_key(left.results), by_key(right.results)
        found += [f"only upstream sends {key}" for key in there if key not in here]
        found += [f"only ours sends {key}" for key in here if key not in there]
        for key in there:
            if key in here:
                found += differences(there[key], here[key], key, applying[1], met)
    assert not found, "\n".join(found)
    return met


def theirs_of(recording: QaseRecorder, runs: list[RecordedRun]) -> list[RecordedRun]:
    for run in runs:
        run.results = [with_files(result, recording.files.__getitem__) for result in run.results]
    return runs


# The comparisons


EVERYTHING = {
    "QASE_ENVIRONMENT": "staging",
    "QASE_ROOT_SUITE": "Root",
    "QASE_PROFILERS": "sleep,db,network",
    "QASE_EXCLUDE_PARAMS": "secret",
    "QASE_PYTEST_CAPTURE_LOGS": "true",
    "QASE_TESTOPS_DEFECT": "true",
    "QASE_TESTOPS_RUN_TAGS": "nightly,smoke",
    "QASE_TESTOPS_CONFIGURATIONS_VALUES": "browser=firefox,os=linux",
    "QASE_TESTOPS_RUN_EXTERNAL_LINK_TYPE": "jiraCloud",
    "QASE_TESTOPS_RUN_EXTERNAL_LINK_URL": "PROJ-7",
    "QASE_TESTOPS_SHOW_PUBLIC_REPORT_LINK": "true",
}


def test_everything(both, recording, pair):
    theirs, ours = both(**EVERYTHING)
    met = compare(pair, theirs_of(recording, theirs), ours)
    stale = [
        entry
        for entry in (*RUNS, *RESULTS)
        if entry.applies(pair.commons) and entry not in met and not entry.rare
    ]
    assert not stale, "Differences that are listed and were not met:\n" + "\n".join(map(str, stale))
    assert steps_of_profiled(ours[0]) == PROFILED


# What each profiled test does, and nothing of what the reporter does.
PROFILED = {
    "test_sleep": ["Sleep for 0.01 seconds"],
    "test_requests": ["GET URL/page", "POST URL/missing"],
    "test_urllib3": ["GET URL/page"],
    "test_nothing_of_the_reporter_is_left_over": [],
}


def steps_of_profiled(run: RecordedRun) -> dict[str, list[str]]:
    return {
        result["title"]: [re.sub(r"http://[^/]*", "URL", step["data"]["action"]) for step in result["steps"]]
        for result in run.results
        if result["title"] in PROFILED
    }


def test_installed_and_inert_it_changes_nothing(over_upstream, recording, layer):
    """Neither package ships its unit tests, so this takes their place: everything that upstream sends."""
    without = over_upstream("-p", "no:famacase", **EVERYTHING)
    inert = over_upstream(**EVERYTHING)
    assert "famacase-pytest" in inert.output
    assert inert.notices == []
    assert (inert.code, inert.counts) == (without.code, without.counts)
    first, second = theirs_of(recording, list(recording.runs.values()))
    forms = [(run_form(run), by_key(run.results)) for run in (first, second)]
    for form, _ in forms:
        del form["start_time"]
    assert forms[0] == forms[1]
    assert layer.exchanges() == []


def test_rules_that_leave_out_and_rename(both, recording, pair):
    """The filter and the mapping of statuses, those of expected failures, stale recordings, a plan."""
    recordings = (
        "-p",
        "playwright_options",
        "--video",
        "retain-on-failure",
        "--tracing",
        "retain-on-failure",
    )
    theirs, ours = both(
        *recordings,
        "test_rules.py",
        QASE_TESTOPS_STATUS_FILTER="blocked,skipped",
        QASE_STATUS_MAPPING="invalid=failed",
        QASE_PYTEST_XFAIL_STATUS_XFAIL="blocked",
        QASE_PYTEST_XFAIL_STATUS_XPASS="failed",
        QASE_TESTOPS_PLAN_ID="7",
    )
    compare(pair, theirs_of(recording, theirs), ours)
    found = {result["title"]: result for result in ours[0].results}
    assert "test_not_planned" not in found
    assert ("test_skipped" in found) == (pair.commons < (3, 5))
    files = {
        title: [entry["file_name"] for entry in result["attachments"]] for title, result in found.items()
    }
    assert files["test_recorded_and_failed"] == ["video.webm", "trace.zip"]
    assert files["test_recorded_and_passed"] == []


def test_recordings_that_are_always_kept(both, recording, pair):
    theirs, ours = both(
        "-p", "playwright_options", "--video", "on", "--tracing", "on", "test_rules.py", "-k", "recorded"
    )
    compare(pair, theirs_of(recording, theirs), ours)
    assert {len(result["attachments"]) for result in ours[0].results} == {2}


def test_several_projects(several, both, recording, pair):
    """Each project gets its own results, with its own ids."""
    path = several.directory / "qase.config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["mode"]
    several.write_json("qase.config.json", content)
    theirs, ours = both(
        "test_several.py", QASE_MODE="testops_multi", QASE_ROOT_SUITE="Root", QASE_TESTOPS_DEFECT="true"
    )
    assert {run.project: len(run.results) for run in ours} == {code: 2 for code in TOKENS}
    compare(pair, theirs_of(recording, theirs), ours)


def test_what_is_held_in_memory_leaves_no_trace_in_a_test(suite, layer):
    """Where no outbox can be had, results are sent after the last test, and failing calls are repeated."""
    for _ in range(2):
        layer.faults.add("createResults", answer(503))
    blocked = suite.directory / "not-a-directory"
    spare = [suite.temporary / name for name in ("famacase-outbox", f"famacase-outbox-{os.getuid()}")]
    for path in (blocked, *spare):
        path.write_text("", encoding="utf-8")
    outcome = suite.run("test_profiled.py", FAMACASE_OUTBOX_DIR=str(blocked), leaves=None, **EVERYTHING)
    (run,) = ours_of(layer)
    assert outcome.notices
    assert len(layer.exchanges("createResults")) == 3
    found = steps_of_profiled(run)
    assert {title: found[title] for title in PROFILED} == PROFILED
