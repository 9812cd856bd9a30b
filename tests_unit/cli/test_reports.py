"""What local reports and dialects of JUnit XML become."""

from __future__ import annotations

import json
import uuid

import pytest

from famacase_pytest.cli.reports import Unreadable, _seconds, _timestamp, read


@pytest.fixture
def local(directory):
    """Makes a local report of results, and of a run if one is given."""

    def make(*results, run=None, folder="qase-report"):
        report = directory / folder
        (report / "results").mkdir(parents=True)
        for number, result in enumerate(results):
            (report / "results" / f"{number}.json").write_text(json.dumps(result), encoding="utf-8")
        if run is not None:
            (report / "run.json").write_text(json.dumps(run), encoding="utf-8")
        return report

    return make


@pytest.fixture
def junit(directory):
    """Writes a JUnit file."""

    def write(text, name="report.xml"):
        (directory / name).write_text(text, encoding="utf-8")
        return directory / name

    return write


def only(report):
    [result] = report.results
    return result


def test_a_local_report_is_found_in_its_folder_beside_it_and_by_its_run(local, directory):
    report = local({"title": "t"}, run={"title": "Nightly"}, folder="build/qase-report")
    for path in (report, directory / "build", report / "run.json"):
        assert (read(path).title, len(read(path).results)) == ("Nightly", 1)


def test_a_result_that_says_little_is_one_that_can_be_sent(local):
    payload = only(
        read(local({"execution": None, "steps": [{"data": None}], "params": {"a": "", "b": 1}}))
    ).payload
    assert payload["title"] == "untitled"
    assert payload["execution"]["status"] == "invalid"
    assert payload["params"] == {"a": "empty", "b": "1"}
    [step] = payload["steps"]
    assert (step["data"], step["step_type"]) == ({"action": "step"}, "text")
    assert "tags" not in payload
    assert "relations" not in payload
    # Its id is made of what it says, so that sending it twice is sending it once.
    assert uuid.UUID(payload["id"])


def test_ids_are_kept_and_made_where_there_are_none(local):
    given = str(uuid.uuid4())
    ids = [
        one.payload["id"]
        for one in read(local({"id": given.upper()}, {"id": "7"}, {"id": "7"}, {"id": 8})).results
    ]
    assert ids[0] == given
    assert ids[1] == ids[2] != ids[3]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("PASSED", "passed"),
        ("Fail", "failed"),
        ("in_progress", "in_progress"),
        ("broken", "invalid"),
        (None, "invalid"),
    ],
)
def test_statuses_of_other_reporters_are_known(local, word, status):
    result = {"execution": {"status": word, "duration": 1.9}}
    execution = only(read(local(result))).payload["execution"]
    assert (execution["status"], execution["duration"]) == (status, 1)


@pytest.mark.parametrize(
    ("result", "ids"),
    [({"testops_ids": [1, 2]}, [1, 2]), ({"testops_id": 3}, [3]), ({"testops_id": [4]}, [4]), ({}, None)],
)
def test_cases_of_both_forms(local, result, ids):
    assert only(read(local(result))).payload["testops_ids"] == ids


def test_files_lie_in_the_report_whatever_path_they_had(local):
    report = local(
        {
            "attachments": [{"id": "1", "file_name": "a.txt", "file_path": "/ci/build/attachments/1-a.txt"}],
            "steps": [
                {
                    "attachments": [{"id": "2", "file_name": "../b.txt", "mime_type": "text/plain"}],
                    "execution": {"attachments": [{"id": "3"}]},
                }
            ],
        }
    )
    captured = only(read(report))
    payload, files = captured.payload, {one.ref: one for one in captured.files}
    [step] = payload["steps"]
    refs = [*payload["attachments"], *step["execution"]["attachments"]]
    assert sorted(one["id"] for one in refs) == sorted(files)
    assert all(
        str(report / "attachments") + "/" in one.path and ".." not in one.path for one in files.values()
    )
    assert files[payload["attachments"][0]["id"]].path.endswith("/attachments/1-a.txt")
    assert step["attachments"] == []


@pytest.mark.parametrize(
    "content",
    [
        '{"title"',
        "[]",
        "null",
        '{"params": ["a"]}',
        '{"execution": "passed"}',
        '{"execution": {"duration": "long"}}',
        '{"steps": [null]}',
        '{"relations": {"suite": {"data": [{}]}}}',
        "[" * 100_000,
    ],
)
def test_a_result_that_is_none_is_named_and_nothing_is_sent(local, content):
    report = local({"title": "fine"})
    (report / "results" / "odd.json").write_text(content)
    with pytest.raises(Unreadable, match=r"odd\.json cannot be read .*nothing is sent"):
        read(report)


def test_a_wrapped_report_is_unwrapped(local):
    report = local()
    (report / "results" / "a.jsonp").write_text('qaseJsonp({"title": "f(x)"});')
    (report / "results" / "notes.txt").write_text("no result")
    assert only(read(report)).payload["title"] == "f(x)"


def case(text, inner="", **attributes):
    given = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f'<testsuite name="S"><testcase name="t" {given}>{text}</testcase>{inner}</testsuite>'


@pytest.mark.parametrize(
    ("inner", "status", "message", "trace"),
    [
        ("", "passed", None, None),
        ('<failure message="no">at line 1</failure>', "failed", "no", "at line 1"),
        ("<failure>first\nsecond</failure>", "failed", "first", "first\nsecond"),
        ("<error/>", "invalid", None, None),
        ('<skipped message="later"/>', "skipped", "later", None),
        # Of several the worst counts, in whatever order they stand.
        ('<skipped/><failure message="f"/><error message="e"/>', "invalid", "e", None),
    ],
)
def test_how_a_test_of_junit_went(junit, inner, status, message, trace):
    payload = only(read(junit(case(inner)))).payload
    execution = payload["execution"]
    assert (execution["status"], payload["message"], execution["stacktrace"]) == (status, message, trace)


def test_what_a_test_of_junit_is_called_and_where_it_belongs(junit):
    payload = only(read(junit(case("", classname="tests.shop/Basket", file="a.py", time="1.5")))).payload
    assert payload["signature"] == "a.py::tests.shop/Basket::t"
    suites = [one["title"] for one in payload["relations"]["suite"]["data"]]
    assert suites == ["tests", "shop", "Basket"]
    assert payload["execution"]["duration"] == 1500
    assert [one["title"] for one in only(read(junit(case("")))).payload["relations"]["suite"]["data"]] == [
        "S"
    ]


def test_properties_are_fields_or_cases(junit):
    properties = (
        '<properties><property name="qase.id" value=" 12 "/><property name="famacase_id">13</property>'
        '<property name="qase_id" value="C14"/><property name="owner" value="me"/><property value="x"/>'
        "</properties>"
    )
    payload = only(read(junit(case(properties)))).payload
    assert (payload["testops_ids"], payload["fields"]) == ([12, 13], {"owner": "me"})


def test_output_is_a_file_and_so_is_what_it_names(junit, directory):
    out = "<system-out>[[ATTACHMENT|shots/a.png]]\nsaid</system-out>"
    out += "<system-err>[[ATTACHMENT|b.txt]]</system-err>"
    captured = only(read(junit(case(out))))
    assert [(one.file_name, one.path, one.content) for one in captured.files] == [
        ("a.png", str(directory / "shots/a.png"), None),
        ("system-out.txt", None, b"[[ATTACHMENT|shots/a.png]]\nsaid"),
        ("b.txt", str(directory / "b.txt"), None),
    ]
    assert len({one.ref for one in captured.files}) == 3


def test_the_same_file_gives_the_same_ids_and_equal_tests_have_different_ones(junit):
    twice = (
        '<testsuites><testsuite name="A"><testcase name="t"/><testcase name="t"/></testsuite></testsuites>'
    )
    first, again = ([one.payload["id"] for one in read(junit(twice)).results] for _ in range(2))
    assert first == again
    assert len(set(first)) == 2
    later = read(junit(twice.replace('name="A"', 'name="A" timestamp="2026-01-01T00:00:00"')))
    assert not {one.payload["id"] for one in later.results} & set(first)


def test_suites_in_suites_namespaces_and_titles(junit, directory):
    inner = '<testsuite name="A"><testsuite name="B"><testcase name="t"/></testsuite></testsuite>'
    text = f'<testsuites xmlns="urn:x">{inner}</testsuites>'
    report = read(junit(text))
    assert report.title == "A"
    assert only(report).payload["relations"]["suite"]["data"] == [{"title": "B"}]
    assert read(junit("<testsuites name='Whole'><testsuite/></testsuites>")).title == "Whole"
    assert read(junit("<testsuite/>", "plain.xml")) == ("plain", [])
    # A directory is one report, titled as its first file.
    (directory / "below").mkdir()
    junit(case(""), "below/z.xml")
    whole = read(directory)
    assert (whole.title, len(whole.results)) == ("S", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no xml", "cannot be read"),
        ("<html/>", "its root is html"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><testsuite>&a;</testsuite>', "document type"),
    ],
)
def test_what_is_no_report_is_named(junit, directory, text, said):
    path = junit(text, "odd.xml")
    with pytest.raises(Unreadable, match=rf"odd\.xml .*{said}.*nothing is sent"):
        read(path)
    (directory / "empty").mkdir()
    with pytest.raises(Unreadable, match="neither a report of Qase's nor XML"):
        read(directory / "empty")
    with pytest.raises(Unreadable, match="nowhere"):
        read(directory / "nowhere")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5),
        ("1,234.5", 1234.5),
        ("0", 0.0),
        ("", None),
        (None, None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_a_time_is_a_number_of_seconds_or_none(text, seconds):
    assert _seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T01:00:00.250+01:00", 1767225600.25),
        (" 2026-01-01T00:00:00+00:00 ", 1767225600.0),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_timestamp_is_of_iso_8601_or_none(text, seconds):
    assert _timestamp(text) == seconds
