"""The same fields on the wire: one suite over upstream's own transport and over ours, field by field.

Both are brought to one form. What no two runs share (times, process numbers, ids) is replaced by what it is;
everything else has to be equal, but for what ``differences.py`` lists.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from differences import RESULTS, RUNS
from qase_recorder import RecordedRun
from two_ways import by_key, compare, ours_of, run_form, theirs_of

from fault_layer import answer
from sessions import TOKENS

SUITE = Path(__file__).parent / "wire_suite"

pytestmark = pytest.mark.usefixtures("suite")


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
def suite(project, website):
    """The suite in a project."""
    shutil.copytree(SUITE, project.directory, dirs_exist_ok=True)
    project.environ["COMPAT_WEBSITE"] = website
    return project


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


def test_everything(both, over_upstream, recording, layer, pair):
    _, ours = both(**EVERYTHING)
    calls = len(layer.exchanges())
    inert = over_upstream(**EVERYTHING)
    # Neither package ships its unit tests, so this takes their place: inert, we change nothing of all this.
    assert "famacase-pytest" in inert.output
    assert inert.notices == []
    assert len(layer.exchanges()) == calls
    theirs, beside = theirs_of(recording, [*recording.runs.values()])
    forms = [(run_form(run), by_key(run.results)) for run in (theirs, beside)]
    for form, _ in forms:
        del form["start_time"]
    assert forms[0] == forms[1]
    met = compare(pair, [theirs], ours)
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


def test_rules_that_leave_out_and_rename(both, recording, pair):
    """The filter and the mapping of statuses, those of expected failures, stale recordings, a plan."""
    recordings = (
        "-p",
        "playwright_options",
        "--video",
        "retain-on-failure",
        "--tracing",
        "on",
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
    assert files["test_recorded_and_passed"] == ["trace.zip"]


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
