"""What upstream's reporters ask of their client, and what reaches the session by that."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from qase.commons import ReporterException
from qase.commons.models import Result

from famacase_pytest.errors import Refused, Unreachable
from famacase_pytest.upstream import client


class Session:
    """A reporting session that notes what it is told; also its own transport."""

    def __init__(self):
        self.noted = []
        self.kept_back = set()
        self.fails = None
        self.stored = []

    def transport(self):
        if self.fails is not None:
            raise self.fails
        return self

    # The session

    def has_plan(self, code, plan_id):
        return plan_id != 404

    def run_opened(self, code, run_id):
        self.noted.append(("opened", code, run_id))

    def could_not_start(self, error):
        self.noted.append(("could not start", str(error)))

    def could_not_complete(self, error):
        self.noted.append(("could not complete", str(error)))

    def failed(self, error):
        self.noted.append(("failed", str(error)))

    def ended(self, code, captured):
        return captured._replace(payload={**captured.payload, "of": code})

    def lets_through(self, payload):
        # A hook sees what the settings have changed.
        assert payload["screened"]
        return payload["title"] not in self.kept_back

    # The transport

    def open_project(self, code):
        self.noted.append(("project", code))

    def environment_id(self, code, slug):
        self.noted.append(("environment", code, slug))

    def create_run(self, code, body):
        self.noted.append(("create", code, body))
        return -1

    def check_run(self, code, run_id):
        self.noted.append(("check", code, run_id))

    def screened(self, result):
        return result._replace(payload={**result.payload, "screened": True})

    def put(self, code, run_id, results):
        self.stored.append((code, run_id, [result.payload["title"] for result in results]))

    def complete_run(self, code, run_id, *, publish):
        self.noted.append(("complete", code, run_id, publish))

    def publish_run(self, code, run_id):
        return f"https://public/{run_id}"


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def make(session):
    """Makes a client for a configuration, as upstream does."""

    def make(*, testops=None, projects=None):
        testops = SimpleNamespace(**{"run": SimpleNamespace(), **(testops or {})})
        multi = None if projects is None else SimpleNamespace(projects=projects)
        config = SimpleNamespace(testops=testops, testops_multi=multi)
        return client.bound_to(session)(config, None, host_data={}, framework="pytest")

    return make


def body_of(session):
    (body,) = [noted[2] for noted in session.noted if noted[0] == "create"]
    return body


# Runs


def test_a_run_that_was_created_is_not_looked_for(make, session):
    made = make()
    assert made.create_test_run("P", "t", "d") == -1
    assert made.check_test_run("P", -1)
    # Upstream's controller leaves the number in a file, and reads it from there.
    assert made.check_test_run("P", "-1")
    assert [noted[0] for noted in session.noted] == ["create", "opened"]


def test_a_given_run_is_looked_for_and_never_dropped(make, session):
    assert make().check_test_run("P", "7")
    assert session.noted == [("check", "P", 7), ("opened", "P", 7)]


def test_the_run_of_another_project_is_not_the_one_that_was_created(make, session):
    made = make()
    made.create_test_run("P", "t", "d")
    made.check_test_run("Q", -1)
    assert ("check", "Q", -1) in session.noted


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        ({}, {}),
        ({"plan_id": "7", "environment_id": "3"}, {"plan_id": 7, "environment_id": 3}),
        # One that is not there would keep the run from being created.
        ({"plan_id": 404, "environment_id": None}, {}),
    ],
)
def test_the_body_of_a_run(make, session, arguments, more):
    make().create_test_run("P", "title", "text", **arguments)
    assert body_of(session) == {"title": "title", "description": "text", "is_autotest": True, **more}


def link(url, kind="jiraCloud"):
    return SimpleNamespace(link=url, type=SimpleNamespace(value=kind) if kind else None)


def test_what_upstream_reads_from_the_configuration_is_in_the_body(make, session):
    values = [SimpleNamespace(name="browser", value="firefox"), SimpleNamespace(name="bits", value=64)]
    testops = {
        "run": SimpleNamespace(tags=["a", 1], external_link=link("PROJ-1")),
        "configurations": SimpleNamespace(values=values),
    }
    make(testops=testops).create_test_run("P", "t", "d")
    body = body_of(session)
    assert body["tags"] == ["a", "1"]
    assert body["configurations"] == [
        {"name": "browser", "value": "firefox"},
        {"name": "bits", "value": "64"},
    ]
    assert body["external_link"] == {"link": "PROJ-1", "type": "jiraCloud"}


def test_each_project_may_have_tags_and_a_link_of_its_own(make, session):
    testops = {"run": SimpleNamespace(tags=["all"], external_link=link("PROJ-1"))}
    own = SimpleNamespace(tags=["own"], external_link=link("PROJ-2", kind=None))
    projects = [
        SimpleNamespace(code="P", run=SimpleNamespace(tags=None)),
        SimpleNamespace(code="Q", run=own),
    ]
    made = make(testops=testops, projects=projects)
    for code in ("P", "Q"):
        made.create_test_run(code, "t", "d")
    p, q = (noted[2] for noted in session.noted if noted[0] == "create")
    assert (p["tags"], p["external_link"]["link"]) == (["all"], "PROJ-1")
    assert (q["tags"], q["external_link"]) == (["own"], {"link": "PROJ-2"})


def test_an_empty_link_is_none(make, session):
    make(testops={"run": SimpleNamespace(external_link=link(""))}).create_test_run("P", "t", "d")
    assert "external_link" not in body_of(session)


def test_an_environment_is_looked_up_by_who_creates_the_run(make, session):
    assert make().get_environment("staging", "P") is None
    assert session.noted == [("environment", "P", "staging")]


@pytest.mark.parametrize("public", [True, False, None])
def test_a_run_is_completed_in_public_if_upstream_would(make, session, public):
    testops = {} if public is None else {"show_public_report_link": public}
    made = make(testops=testops)
    made.complete_run("P", "7")
    assert session.noted == [("complete", "P", 7, bool(public))]
    assert made.enable_public_report("P", "7") == "https://public/7"


# Results


def test_results_are_changed_and_asked_about_before_they_are_stored(make, session):
    session.kept_back = {"secret"}
    results = [Result(title, f"test_a.py::{title}") for title in ("one", "secret", "two")]
    for each in results:
        each.execution.set_status("passed")
    make().send_results("P", "-1", results)
    assert session.stored == [("P", -1, ["one", "two"])]


# Failures


@pytest.mark.parametrize(
    ("call", "noted"),
    [
        (lambda made: made.get_project("P"), "could not start"),
        (lambda made: made.create_test_run("P", "t", "d"), "could not start"),
        (lambda made: made.check_test_run("P", 7), "could not start"),
        (lambda made: made.send_results("P", 7, []), "could not complete"),
        (lambda made: made.complete_run("P", 7), "could not complete"),
        (lambda made: made.enable_public_report("P", 7), "could not complete"),
    ],
    ids=["project", "create", "check", "results", "complete", "publish"],
)
def test_what_fails_is_told_by_the_session_and_only_named_by_upstream(make, session, call, noted):
    for error in (Refused("The token is wrong.", status=401), Unreachable("It is away.")):
        session.noted.clear()
        session.fails = error
        with pytest.raises(ReporterException) as raised:
            call(make())
        assert session.noted == [(noted, str(error))]
        # It is upstream that prints this.
        assert str(error) not in str(raised.value)
    session.noted.clear()
    session.fails = ValueError("rep_secret")
    with pytest.raises(ReporterException) as raised:
        call(make())
    assert session.noted == [("failed", "rep_secret")]
    # Nor may its traceback hold what an internal error says.
    assert raised.value.__suppress_context__
    assert raised.value.__cause__ is None


def test_a_run_that_could_not_be_created_is_not_known(make, session):
    made = make()
    session.fails = Unreachable("It is away.")
    with pytest.raises(ReporterException):
        made.create_test_run("P", "t", "d")
    session.fails = None
    made.check_test_run("P", -1)
    assert ("check", "P", -1) in session.noted


def test_files_go_with_their_results(make):
    with pytest.raises(NotImplementedError):
        make()._upload_attachment("P", None)


def test_sessions_do_not_share_a_class(session):
    other = Session()
    assert client.bound_to(session).session is session
    assert client.bound_to(other).session is other
