"""How the application is put together, and how errors are told."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from famacase_pytest.server import CannotServe, Settings, create_app
from famacase_pytest.server.models import PREFIX

from .in_process import Application, result_of

RUN = {"title": "x", "is_autotest": True}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"projects": {"A": "t", "B": "t"}}, "Projects A and B share a token"),
        ({"projects": {"A": ""}}, "A project needs a code and a token"),
        ({"projects": {"": "t"}}, "A project needs a code and a token"),
        ({"environments": [("NONE", "x")]}, "Project NONE has no token. Add --project NONE:TOKEN."),
        ({"plans": [("NONE", 1, [2])]}, "Project NONE has no token"),
    ],
)
def test_projects_that_cannot_be_are_refused_before_anything_is_created(tmp_path, settings, said):
    with pytest.raises(CannotServe, match=said) as raised:
        create_app(Settings(data=tmp_path / "data", **settings))
    assert list(tmp_path.iterdir()) == []
    assert "'t'" not in str(raised.value)


def test_the_default_project_has_the_first_numbers_whatever_else_is_asked_for(tmp_path):
    asked = {
        "projects": {"A": "t", "SMOKE": "rep_local"},
        "environments": [("A", "prod")],
        "plans": [("A", 1, [5])],
    }
    application = Application(create_app(Settings(data=tmp_path, **asked)))
    try:
        projects = application.app.state.projects
        assert (projects["rep_local"].id, projects["t"].id) == (1, 2)
        numbers = [
            (one.id, one.slug)
            for code in ("rep_local", "t")
            for one in application.store.environments(projects[code])
        ]
        assert numbers == [(1, "staging"), (2, "staging"), (3, "prod")]
        # Each has the default plan, if it has no other of that number.
        assert [application.store.plan_cases(projects[token], 1) for token in ("rep_local", "t")] == [
            [1, 2],
            [5],
        ]
    finally:
        application.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        # Two functions answer at this path.
        ("DELETE", f"{PREFIX}/projects/SMOKE/runs/1/results", 405, "GET, POST"),
        ("PUT", f"{PREFIX}/projects/SMOKE", 405, "GET"),
        ("POST", "/runs/1", 405, "GET, HEAD"),
        ("GET", f"{PREFIX}/nothing", 404, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/runs/1/", 404, None),
    ],
)
def test_what_is_not_there_is_told_to_programs_as_json_and_to_people_on_a_page(
    application, method, path, status, allowed
):
    reply = application.page(path, method, authorization="Token rep_local")
    assert reply.status == status
    assert reply.headers.get("allow") == allowed
    if path.startswith(PREFIX):
        assert reply.json()["detail"]
    else:
        assert reply.headers["content-type"].startswith("text/html")
        assert ("There is no page at this address." in reply.text) == (status == 404)


def test_of_each_result_the_first_fault_is_told_without_what_was_sent(application):
    application.call("POST", "/runs", RUN)
    secret = {"title": 5, "message": {"password": 1}}
    body = {"results": [{**result_of(), **secret}, result_of(), result_of("exploded", muted="yes")]}
    reply = application.call("POST", "/runs/1/results", body)
    assert reply.status == 422
    places = [one["loc"] for one in reply.json()["detail"]]
    assert [place[:3] for place in places] == [["body", "results", 0], ["body", "results", 2]]
    assert all(set(one) == {"loc", "msg", "type"} for one in reply.json()["detail"])
    assert "password" not in reply.text


def test_a_member_whose_name_has_no_utf_8_form_is_named_all_the_same(application):
    application.call("POST", "/runs", RUN)
    body = {"results": [{**result_of(), "\ud800": 1}]}
    [fault] = application.call("POST", "/runs/1/results", body).json()["detail"]
    assert fault["loc"] == ["body", "results", 0, "\ud800"]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), OperationalError("SELECT", {}, Exception("disk full"))]
)
def test_a_disk_that_fails_is_told_as_such_and_logged(application, monkeypatch, caplog, error):
    def fail(*_arguments):
        raise error

    monkeypatch.setattr(application.store, "run", fail)
    reply = application.call("GET", "/runs/1")
    assert (reply.status, "disk is full or failing" in reply.json()["detail"]) == (503, True)
    page = application.page("/runs/1")
    assert (page.status, "disk is full or failing" in page.text) == (503, True)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"GET {PREFIX}/projects/SMOKE/runs/1",
        "GET /runs/1",
    ]
