"""What upstream's own transport sends and what ours does, brought to one form and held against each other.

What no two runs share (times, process numbers, ids) is replaced by what it is; everything else has to be
equal, but for what ``differences.py`` lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from differences import RESULTS, RUNS, Difference
from qase_recorder import CONFIGURATIONS, QaseRecorder, RecordedRun

Flat = dict[str, Any]


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
