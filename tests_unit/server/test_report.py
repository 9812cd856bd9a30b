"""A run as one file: what goes into it, from whose report, and what becomes of odd ones."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re

import pytest

from famacase_pytest.server import CannotServe
from famacase_pytest.server.database import Attachment
from famacase_pytest.server.report import CannotReport, write_report

from .in_process import result_of


def unpacked(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


class Report:
    """A report that was written, read as its script reads it."""

    def __init__(self, path, written):
        self.text, self.written = path.read_text(encoding="utf-8"), written
        texts = re.findall(r'<script type="text/plain"([^>]*)>(.*?)</script>', self.text, re.DOTALL)
        self.packed = [(attributes, text.strip()) for attributes, text in texts]

    @property
    def index(self):
        return next(unpacked(text) for attributes, text in self.packed if "rows" in attributes)

    @property
    def rows(self):
        return [(row["title"], row["status"]) for row in self.index["rows"]]

    @property
    def details(self):
        return "".join(
            html for attributes, text in self.packed if "detail" in attributes for html in unpacked(text)
        )


@pytest.fixture
def report(tmp_path):
    """Writes a report of a run, or of a folder."""

    def write(what, most=1000.0):
        out = tmp_path / "out.html"
        return Report(out, write_report(str(what), out, tmp_path / "data", most))

    return write


@pytest.fixture
def folder(tmp_path):
    """Makes a local report of Qase's, of a run and of results."""

    def make(*results, run=None, files=None):
        folder = tmp_path / "report"
        (folder / "results").mkdir(parents=True)
        (folder / "attachments").mkdir()
        if run is not None:
            (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
        for number, result in enumerate(results):
            (folder / "results" / f"{number}.json").write_text(json.dumps(result), encoding="utf-8")
        for name, content in (files or {}).items():
            (folder / "attachments" / name).write_bytes(content)
        return folder

    return make


def test_a_local_report_that_says_little_becomes_a_report(folder, report):
    made = report(folder({}, {"title": None, "execution": None, "steps": None, "params": None}))
    assert made.rows == [("(no title)", "untested")] * 2
    assert ">report<" in made.text  # the name of the folder, since the run has no title


def test_results_are_in_the_order_in_which_they_began_and_by_their_canonical_statuses(folder, report):
    def told(title, start, status):
        return {"title": title, "execution": {"status": status, "start_time": start}}

    made = report(folder(told("b", 2.0, "Broken"), told("a", 1.0, "PASS"), told("c", None, "exploded")))
    assert made.rows == [("c", "untested"), ("a", "passed"), ("b", "invalid")]


def test_what_other_reporters_write_is_read_too(folder, report):
    step = {
        "data": None,
        "execution": {"status": "failed"},
        "attachments": [{"id": "s", "content": "of a step"}],
    }
    result = {
        "testops_id": 77,
        "params": {"n": 1},
        "tags": [5],
        "steps": [step],
        "relations": {"suite": {"data": [{"title": 3}]}},
        "attachments": [{"id": "A", "file_name": "a.txt", "mime_type": "text/plain"}],
    }
    made = report(
        folder(result, run={"title": "Nightly", "environment": "ci"}, files={"A-a.txt": b"of a result"})
    )
    [row] = made.index["rows"]
    assert (row["suite"], row["tags"], row["files"]) == ("3", ["5"], True)
    assert "n=1" in row["html"]
    assert "#77" in row["html"]
    assert made.written.files == 2
    assert {"s", "a"} == set(made.index["files"])
    assert "Nightly" in made.text


def test_equal_contents_are_in_a_report_once(folder, report):
    mentions = [{"id": name, "file_name": f"{name}.txt", "mime_type": "text/plain"} for name in "abc"]
    files = {"a-a.txt": b"same", "b-b.txt": b"same", "c-c.txt": b"other"}
    made = report(folder({"attachments": mentions}, files=files))
    index = made.index["files"]
    assert made.written.files == 3
    assert index["a"] == index["b"] != index["c"]
    for name in "ac":
        digest = index[name]["content"]
        [text] = [text for attributes, text in made.packed if digest in attributes]
        assert gzip.decompress(base64.b64decode(text)) == files[f"{name}-{name}.txt"]


def test_large_files_are_left_out_and_named_and_those_that_are_gone_are_said_to_be(folder, report):
    mentions = [
        {"id": name, "file_name": f"{name}.txt", "mime_type": "text/plain"}
        for name in ("big", "fits", "gone")
    ]
    made = report(
        folder({"attachments": mentions}, files={"big-big.txt": b"x" * 11, "fits-fits.txt": b"x" * 10}), 10
    )
    assert (made.written.files, made.written.left_out) == (1, ["big.txt"])
    assert set(made.index["files"]) == {"fits"}


@pytest.mark.parametrize(
    "result",
    [
        [],
        {"params": ["a"]},
        {"execution": "passed"},
        {"execution": {"status": "passed", "start_time": "today"}},
        {"execution": {"duration": "long"}},
        {"steps": [None]},
        {"steps": {"a": 1}},
        {"attachments": ["a.txt"]},
        {"relations": {"suite": {"data": ["A"]}}},
        {"fields": ["a"]},
    ],
)
def test_a_result_that_is_none_is_named(folder, report, tmp_path, result):
    made = folder({"title": "fine"}, result)
    with pytest.raises(CannotReport, match=r"1\.json"):
        report(made)
    assert not list(tmp_path.glob("out*"))


def test_a_run_that_is_none_is_named(folder, report):
    with pytest.raises(CannotReport, match=r"run\.json"):
        report(folder({}, run={"execution": {"start_time": "today"}}))


def test_a_run_of_a_back_end_has_the_files_of_its_project_that_it_mentions(data, report):
    def attach(project, name):
        file = Attachment(file_name=name, mime_type="text/plain", file_size=1)
        return data.store.put_attachments(
            project, {file: io.BytesIO(b"x")}, None, lambda kept: next(iter(kept)).id
        )

    mine, gone = attach(data.project, "mine.txt"), attach(data.project, "gone.txt")
    attach(data.project, "not mentioned.txt")
    run = data.run(
        result_of("failed", title="Pays", attachments=[{"id": mine.upper()}, {"id": gone}]), environment_id=1
    )
    made = report(run.id)
    assert (made.rows, made.written.files) == ([("Pays", "failed")], 2)
    assert "of-smoke" in made.text
    data.store.files.path(data.store.attachment(gone).sha256).unlink()
    # Both have one content, which is gone now.
    assert report(run.id).written.files == 0


def test_what_is_not_there_is_said_with_what_is(data, report, tmp_path):
    with pytest.raises(CannotReport, match="It has no runs at all"):
        report(1)
    data.run()
    for number in ("2", "9" * 40, "\u0669"):
        with pytest.raises(CannotReport, match=r"has no run \d+; .* Its newest is run 1\."):
            report(number)
    assert report("\u0661").written.results == 0
    with pytest.raises(CannotReport, match="has no data of a local back end"):
        write_report("1", tmp_path / "out.html", tmp_path / "elsewhere", 1)


def test_data_that_is_damaged_is_said_to_be(report, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "famacase.sqlite3").write_bytes(b"nonsense" * 100)
    with pytest.raises(CannotServe, match="cannot be used as a database"):
        report(1)


def test_what_is_searched_and_what_is_shown_of_each_result_are_in_it(data, report, monkeypatch):
    monkeypatch.setattr("famacase_pytest.server.report.DETAILS_IN_A_PIECE", 2)
    results = [result_of(title=f"Test {n} <b>", message="ÄRGER") for n in range(5)]
    made = report(data.run(*results, title="</script><script>alert(1)").id)
    assert len([1 for attributes, _ in made.packed if "detail" in attributes]) == 3
    assert [
        row["text"].endswith(f"\n{result['id']}") for row, result in zip(made.index["rows"], results)
    ] == [True] * 5
    assert all("ärger" in row["text"] for row in made.index["rows"])
    assert made.index["piece"] == 2
    assert all(f"Test {n} &lt;b&gt;" in made.index["rows"][n]["html"] for n in range(5))
    assert "<script>alert" not in made.text
