"""What is kept, once, for whom, and what is refused."""

from __future__ import annotations

import io
import json

import pytest
from sqlalchemy import func, select

from famacase_pytest.server.database import LARGEST_ID, Attachment, Summary
from famacase_pytest.server.models import Problem, invalid
from famacase_pytest.server.results import to_rows
from famacase_pytest.server.store import Store

from .in_process import Data, result_of

NOWHERE = "00000000-0000-4000-8000-000000000000"


def attach(data, content=b"x", name="a.txt", project=None, key=None):
    file = Attachment(file_name=name, mime_type="text/plain", file_size=len(content))
    answer = data.store.put_attachments(
        project or data.project,
        {file: io.BytesIO(content)},
        key,
        lambda kept: " ".join(one.id for one in kept),
    )
    return answer


def put(data, run_id, *results, project=None):
    data.store.put_results(project or data.project, run_id, *to_rows(results))


def test_a_start_with_other_projects_leaves_those_that_are_there(tmp_path):
    first = Store(tmp_path)
    data = Data(first)
    kept = data.run(environment_id=1)
    first.close()
    second = Store(tmp_path)
    try:
        known = second.seed(
            ["NEW", "SMOKE"], [("NEW", "of-new"), ("SMOKE", "of-smoke")], [("SMOKE", 1, [8, 9])]
        )
        assert {code: project.id for code, project in known.items()} == {"SMOKE": 1, "OTHER": 2, "NEW": 3}
        assert [one.id for one in second.environments(known["SMOKE"])] == [1]
        # A plan is as it was asked for last.
        assert second.plan_cases(known["SMOKE"], 1) == [8, 9]
        assert second.run(kept.id, known["SMOKE"]).body == kept.body
    finally:
        second.close()


def test_a_key_belongs_to_a_project_and_a_kind_of_call(data):
    def create(project, key, answer="made"):
        return data.store.create_run(project, {"title": "x"}, key, lambda run: f"{answer} {run.id}")

    first = create(data.project, "k")
    assert create(data.project, "k", "again") == first
    assert create(data.other, "k") != first
    assert create(data.project, "l") != first
    assert create(data.project, None) != create(data.project, None)
    assert len(attach(data, key="k")) == 36


def test_a_refused_call_leaves_its_key_unused(data):
    def refuse(_run):
        raise invalid("no")

    with pytest.raises(Problem):
        data.store.create_run(data.project, {"title": "x"}, "k", refuse)
    assert data.store.create_run(data.project, {"title": "x"}, "k", lambda run: f"run {run.id}") == "run 1"


@pytest.mark.parametrize(
    ("member", "number"),
    [
        ("environment_id", 2),
        ("environment_id", 99),
        ("environment_id", 10**30),
        ("plan_id", 2),
        ("plan_id", -(10**30)),
    ],
)
def test_a_run_is_of_an_environment_and_a_plan_of_its_project(data, member, number):
    with pytest.raises(Problem) as raised:
        data.run(**{member: number})
    assert raised.value.status_code == 422
    assert raised.value.detail[0]["loc"] == ["body", member]
    assert data.run(environment_id=1.0, plan_id=1).body["plan_id"] == 1


@pytest.mark.parametrize("number", [99, 10**30])
def test_what_is_not_there_or_of_another_project_is_not_found(data, number):
    run, attachment = data.run(result_of()), attach(data)
    calls = [
        lambda: data.store.run(number),
        lambda: data.store.run(run.id, data.other),
        lambda: data.store.complete_run(data.other, run.id),
        lambda: data.store.publish_run(data.other, run.id, True),
        lambda: put(data, run.id, result_of(), project=data.other),
        lambda: data.store.plan_cases(data.project, number),
        lambda: data.store.result(number, NOWHERE),
        lambda: data.store.result(run.id, NOWHERE),
        lambda: data.store.attachment(NOWHERE),
        lambda: data.store.attachment(attachment, data.other),
    ]
    for call in calls:
        with pytest.raises(Problem) as raised:
            call()
        assert raised.value.status_code == 404
    assert data.store.environment_slug(number) is None
    assert data.store.attachment(attachment.upper(), data.project).id == attachment


def test_a_result_sent_again_replaces_the_first_in_its_place(data):
    first, second = result_of(title="first"), result_of(title="second")
    run = data.run(first, second)
    put(
        data,
        run.id,
        {**first, "id": first["id"].upper(), "title": "changed", "execution": {"status": "failed"}},
    )
    total, page = data.store.results(run.id, 10, 0)
    assert (total, [json.loads(one)["title"] for one in page]) == (2, ["changed", "second"])
    # The lists and the counts are made of what is there now.
    with data.store.reading() as session:
        assert session.execute(select(Summary.title, Summary.status).order_by(Summary.position)).all() == [
            ("changed", "failed"),
            ("second", "passed"),
        ]
    assert data.store.run(run.id).stats == {"failed": 1, "passed": 1}


def test_of_one_id_twice_in_a_request_the_later_is_listed_and_kept(data):
    first = result_of("failed", title="first")
    run = data.run(first, {**result_of(title="second"), "id": first["id"].upper()})
    assert json.loads(data.store.result(run.id, first["id"]))["title"] == "second"
    with data.store.reading() as session:
        assert session.scalars(select(Summary.title)).all() == ["second"]


def test_results_are_stored_all_or_none(data):
    run, there = data.run(), attach(data)
    good = result_of(attachments=[{"id": there.upper()}])
    for missing in (NOWHERE, "\ud800", "no uuid"):
        bad = result_of(
            steps=[{"execution": {"status": None, "attachments": [{"id": missing}]}, "steps": []}]
        )
        with pytest.raises(Problem) as raised:
            put(data, run.id, good, bad)
        [fault] = raised.value.detail
        place = ["body", "results", 1, "steps", 0, "execution", "attachments", 0, "id"]
        assert (fault["type"], fault["loc"]) == ("unknown_attachment", place)
    with pytest.raises(Problem):
        put(data, data.run(project=data.other).id, good, project=data.other)
    assert data.store.results(run.id, 10, 0) == (0, [])
    assert data.store.run(run.id).changes == 0
    put(data, run.id, good)
    assert data.store.run(run.id).changes == 1


def test_a_completed_run_takes_no_results_and_stays_completed_when_it_was(data):
    run = data.run(result_of())
    data.store.complete_run(data.project, run.id)
    completed = data.store.run(run.id)
    data.store.complete_run(data.project, run.id)
    again = data.store.run(run.id)
    assert (again.completed_at, again.changes) == (completed.completed_at, completed.changes)
    assert completed.changes == run.changes + 1
    with pytest.raises(Problem) as raised:
        put(data, run.id, result_of())
    assert raised.value.status_code == 409
    assert data.store.run(run.id).stats == {"passed": 1}


def test_a_result_without_a_status_counts_as_untested(data):
    assert data.run(result_of(None), result_of("untested")).stats == {"untested": 2}
    assert data.run().stats == {}


def test_pages_of_results_go_to_the_end_and_no_further(data):
    run = data.run(*(result_of(title=str(number)) for number in range(3)))
    assert [len(data.store.results(run.id, 2, offset)[1]) for offset in (0, 2, 3, LARGEST_ID, 10**30)] == [
        *(2, 1, 0),
        *(0, 0),
    ]


def test_files_sent_again_under_their_key_are_the_first_ones(data):
    first = attach(data, b"content", key="k")
    assert attach(data, b"content", key="k") == first
    second = attach(data, b"content", "b.txt")
    found = data.store.attachments([first, second, NOWHERE])
    assert {one.file_name for one in found.values()} == {"a.txt", "b.txt"}
    # Two names, one content.
    assert len({one.sha256 for one in found.values()}) == 1
    assert data.store.files.path(found[first].sha256).read_bytes() == b"content"
    with data.store.reading() as session:
        assert session.scalar(select(func.count()).select_from(Attachment)) == 2
