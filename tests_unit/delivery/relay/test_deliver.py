"""What is done with a batch: runs, files, results, and what the back end refuses."""

from __future__ import annotations

import json

import pytest

from famacase_pytest.delivery.models import Attachment, Run
from famacase_pytest.delivery.outbox.store import finish, finish_all
from famacase_pytest.delivery.relay import deliver
from famacase_pytest.errors import Unreachable

from .scripted_api import Death, Lost, about, error_of, names_of

LARGE = 40_000  # bytes: a file of this size has a place of its own in the outbox


def of(project, name, status):
    """A rule: this call fails for one project."""
    return lambda call: error_of(status) if (call.name, call.project) == (name, project) else None


def reasons(relay):
    return {entry.result_id: entry.reason for entry in relay.ledger.rejected()}


# Batches


def test_a_batch_is_bounded_by_its_number_and_two_are_read_at_a_time(relay):
    for number in range(25):
        relay.put(str(number))
    assert len(relay.delivery.waiting()) == 20
    relay.rounds()
    assert [len(call.content) for call in relay.api.calls] == [10, 10, 5]


def test_a_batch_is_bounded_by_its_bytes_and_two_are_read_at_a_time(relay, monkeypatch):
    monkeypatch.setattr(deliver, "MAX_POST_BYTES", 1000)
    for number in range(9):
        relay.put(str(number), message="ü" * 200)  # 400 bytes and some
    assert sum(item.size for item in relay.delivery.waiting()) in range(1600, 2001)
    relay.rounds()
    assert [len(call.content) for call in relay.api.calls] == [2, 2, 2, 2, 1]


def test_a_result_that_is_larger_than_a_batch_goes_alone(relay, monkeypatch):
    monkeypatch.setattr(deliver, "MAX_POST_BYTES", 1000)
    for name, length in (("a", 10), ("b", 5000), ("c", 10), ("d", 10)):
        relay.put(name, message="x" * length)
    relay.rounds()
    assert [call.content for call in relay.api.calls] == [["a"], ["b"], ["c", "d"]]


def test_each_run_has_requests_of_its_own(relay):
    for number in range(3):
        relay.put(f"p{number}")
        relay.put(f"q{number}", "Q", 2)
    relay.rounds()
    assert [(call.project, call.run, len(call.content)) for call in relay.api.calls] == [
        ("P", 1, 3),
        ("Q", 2, 3),
    ]


def test_all_writers_come_to_their_turn(make_relay):
    relay = make_relay(batch_size=2)
    for number in range(10):
        relay.put(f"a{number}", writer="main-1")
        relay.put(f"b{number}", writer="main-2")
    items = relay.delivery.waiting()
    assert [item.writer for item in items].count("main-1") == 2


# What the back end refuses of a batch


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_batch_is_halved_until_the_offender_stands_alone(relay, status):
    relay.api.rule = about("post_results", status, "3", "8", detail="title: too long")
    for number in range(10):
        relay.put(str(number))
    relay.want_completed()
    relay.rounds()
    assert sorted(relay.api.results["P", 1]) == ["0", "1", "2", "4", "5", "6", "7", "9"]
    assert reasons(relay) == {"3": f"{status} title: too long", "8": f"{status} title: too long"}
    assert relay.left() == []
    requests = [tuple(call.content) for call in relay.api.calls]
    assert len(set(requests)) == len(requests)  # nothing is sent twice in the same company


def test_a_result_that_is_too_large_by_itself_does_not_hold_its_run(relay):
    relay.api.rule = about("post_results", 413, "large")
    relay.put("large", message="x" * LARGE)
    relay.put("small")
    relay.rounds()
    relay.put("later")
    relay.rounds()
    assert sorted(relay.api.results["P", 1]) == ["later", "small"]
    assert list(reasons(relay)) == ["large"]
    assert relay.delivery.blocked == {}


def test_a_run_with_a_rejected_result_is_not_completed(relay):
    relay.api.rule = about("post_results", 422, "bad")
    relay.put("bad")
    relay.put("good", "Q", 2)
    for project, run in (("P", 1), ("Q", 2)):
        relay.want_completed(project, run)
    relay.rounds()
    relay.delivery.complete_runs()
    assert relay.api.completed == [("Q", 2)]
    # Once it has been taken after all, nothing stands in the way.
    relay.api.rule = lambda call: None
    relay.ledger.retry_rejected()
    relay.rounds()
    relay.delivery.complete_runs()
    assert relay.api.completed == [("Q", 2), ("P", 1)]


# Runs that take nothing


@pytest.mark.parametrize(
    ("fatal", "status"),
    [
        # With 405 it says nothing of the results; a server that takes no files may take results.
        *(("post_results", status) for status in (401, 403, 404, 409, 405)),
        *(("upload", status) for status in (401, 403, 404, 409)),
    ],
)
def test_a_run_that_takes_nothing_is_stopped_and_the_others_go_on(make_relay, status, fatal):
    relay = make_relay(batch_size=5)
    relay.api.rule = of("P", fatal, status)
    for number in range(30):
        relay.put(f"p{number}", files=["a.txt"])
        relay.want_completed()
    for number in range(3):
        relay.put(f"q{number}", "Q", 2, files=["a.txt"])
    relay.want_completed("Q", 2)
    relay.rounds()
    relay.delivery.complete_runs()
    assert len(relay.left()) == 30
    assert sorted(relay.api.results["Q", 2]) == ["q0", "q1", "q2"]
    assert (relay.api.completed, relay.ledger.rejected()) == ([("Q", 2)], [])
    (entry,) = relay.ledger.state()["blocked"]
    assert (entry["project"], entry["run"], entry["status"]) == ("P", 1, status)
    ways = {404: "--project CODE or --to-run ID or --to-run new.", 409: "--to-run ID or --to-run new."}
    way = f"They go elsewhere with: famacase resend {ways.get(status)}"
    assert entry["message"].endswith(way) == (status in ways)
    # One request was enough, also for what comes later.
    relay.put("p-late")
    relay.rounds()
    refused = [call for call in relay.api.named(fatal) if call.project == "P"]
    assert len(refused) == 1


def test_a_blocked_run_is_tried_again_by_whoever_comes_next(relay):
    relay.api.script["post_results"].append(error_of(401))
    relay.put("a")
    relay.rounds()
    assert relay.left() == ["a"]
    relay.again().rounds()
    assert relay.left() == []


def test_a_back_end_that_is_away_leaves_all_where_it_is(relay):
    relay.api.script["post_results"] += [None, error_of(503)]
    for number in range(15):
        relay.put(str(number))
    with pytest.raises(Unreachable):
        relay.round()
    assert len(relay.left()) == 5
    assert relay.delivery.blocked == {}


# Runs


def test_a_provisional_run_is_created_once_with_its_key_and_environment(relay, outbox):
    outbox.add_run(Run("P", -1, {"title": "t"}, "key-1", environment_slug="staging"))
    relay.put("a", run=-1)
    assert relay.api.calls == []  # not before there is something to report
    relay.rounds()
    relay.put("b", run=-1)
    relay.again().rounds()
    (created,) = relay.api.named("create_run")
    assert (created.content, created.key) == ({"title": "t", "environment_id": 3}, "key-1")
    assert sorted(relay.api.results["P", 100]) == ["a", "b"]


def test_an_environment_that_is_not_there_is_left_out(relay, outbox):
    outbox.add_run(Run("P", -1, {"title": "t"}, "key-1", environment_slug="moon"))
    relay.put("a", run=-1)
    relay.rounds()
    assert relay.api.runs == {("P", 100): {"title": "t"}}


@pytest.mark.parametrize("loss", [Lost(error_of(None)), Lost(Death())])
def test_a_run_whose_creation_was_not_answered_is_not_created_twice(relay, outbox, loss):
    outbox.add_run(Run("P", -1, {"title": "t"}, "key-1"))
    relay.put("a", run=-1)
    relay.api.script["create_run"].append(loss)
    with pytest.raises(type(loss.error)):
        relay.rounds()
    relay.again().rounds()
    assert list(relay.api.runs) == list(relay.api.results) == [("P", 100)]
    assert [call.key for call in relay.api.named("create_run")] == ["key-1", "key-1"]


@pytest.mark.parametrize("status", [403, 404, 422])
@pytest.mark.parametrize("fatal", ["create_run", "environment_id"])
def test_a_run_that_cannot_be_created_is_blocked(relay, outbox, fatal, status):
    outbox.add_run(Run("P", -1, {"title": "t"}, "key-1", environment_slug="staging"))
    relay.put("a", run=-1)
    relay.put("b", "Q", 2)
    relay.api.rule = of("P", fatal, status)
    relay.rounds()
    assert relay.left() == ["a"]
    assert relay.delivery.blocked["P", -1].status == status
    (entry,) = relay.ledger.state()["blocked"]
    assert entry["message"].endswith(" famacase resend --project CODE.") == (status == 404)


def test_results_of_a_run_that_nobody_knows_are_kept(relay):
    relay.put("a", run=-7)
    relay.rounds()
    assert relay.left() == ["a"]
    assert "famacase resend --to-run" in str(relay.delivery.blocked["P", -7])


def test_a_run_is_completed_once_if_that_is_wanted_and_nothing_of_it_waits(relay, outbox):
    outbox.add_run(Run("P", 1))
    relay.put("a")
    relay.delivery.complete_runs()
    outbox.request_completion("P", 1, publish=True)
    relay.delivery.complete_runs()
    assert relay.api.completed == []
    relay.rounds()
    relay.delivery.complete_runs()
    relay.delivery.complete_runs()
    relay.again().delivery.complete_runs()
    assert relay.api.completed == [("P", 1)]
    assert relay.ledger.public_url("P", 1) == "https://public/1"


def test_a_run_without_results_is_never_created(relay):
    relay.want_completed(run=-1, body={"title": "t"}, key="key-1")
    relay.delivery.complete_runs()
    assert relay.api.calls == []
    assert relay.ledger.is_completed("P", -1)
    assert relay.ledger.real_run("P", -1) is None


def test_the_runs_of_a_dead_session_are_left_open(relay):
    relay.want_completed()
    relay.delivery.completes = False
    relay.delivery.complete_runs()
    assert relay.api.calls == []


def test_a_run_that_cannot_be_published_is_complete_without_a_link(relay):
    relay.want_completed(publish=True)
    relay.api.script["publish_run"].append(error_of(404))
    relay.delivery.complete_runs()
    assert (relay.ledger.is_completed("P", 1), relay.ledger.public_url("P", 1)) == (True, None)


@pytest.mark.parametrize("status", [403, 422])
def test_a_refused_completion_is_told_and_not_repeated(relay, status):
    relay.want_completed()
    relay.want_completed("Q", 2)
    relay.api.rule = of("P", "complete_run", status)
    relay.delivery.complete_runs()
    relay.delivery.complete_runs()
    assert [call.project for call in relay.api.named("complete_run")] == ["P", "Q"]
    assert relay.api.completed == [("Q", 2)]
    (entry,) = relay.ledger.state()["blocked"]
    assert (entry["project"], entry["status"]) == ("P", status)


def test_a_completion_that_was_not_answered_is_asked_for_again(relay):
    relay.want_completed()
    relay.api.script["complete_run"].append(Lost(error_of(None)))
    with pytest.raises(Unreachable):
        relay.delivery.complete_runs()
    assert not relay.ledger.is_completed("P", 1)
    relay.delivery.complete_runs()
    assert relay.ledger.is_completed("P", 1)


# Files


def test_results_bear_the_ids_of_their_files_and_equal_files_are_sent_once(relay):
    relay.put("a", files=["x.txt", "y.txt"])
    relay.put("b", files=["x.txt", ("y.txt", b"another")])
    relay.rounds()
    relay.put("c", files=["x.txt"])
    relay.put("d", "Q", 2, files=["x.txt"])
    relay.rounds()
    assert names_of(relay.api) == [["x.txt", "y.txt", "y.txt"], ["x.txt"]]
    stored = {**relay.api.results["P", 1], **relay.api.results["Q", 2]}
    contents = {
        name: [relay.api.files[entry["id"]][1] for entry in payload["attachments"]]
        for name, payload in stored.items()
    }
    assert contents == {
        "a": [b"x.txt", b"y.txt"],
        "b": [b"x.txt", b"another"],
        "c": [b"x.txt"],
        "d": [b"x.txt"],
    }


def test_files_go_in_requests_that_the_contract_allows(make_relay):
    relay = make_relay(upload_threads=3)
    for number in range(9):
        relay.put(str(number), files=[f"{number}-{index}.txt" for index in range(5)])
    relay.rounds()
    assert sorted(len(names) for names in names_of(relay.api)) == [5, 20, 20]
    assert all(len(payload["attachments"]) == 5 for payload in relay.api.results["P", 1].values())


def test_the_ids_are_recorded_before_the_result_is_sent(relay, outbox):
    seen = []

    def look(call):
        if call.name == "post_results":
            (item,) = outbox.pending(relay.ledger, 1)
            (file,) = outbox.attachments(item)
            with outbox.ledger() as other:
                seen.append(other.upload("P", file.fingerprint).file_id)

    relay.api.rule = look
    relay.put("a", files=["x.txt"])
    relay.rounds()
    assert seen == ["file-0"]


@pytest.mark.parametrize("end", [Death(), Lost(Death())])
def test_a_death_between_upload_and_post_repeats_no_upload(relay, end):
    relay.api.script["post_results"].append(end)
    for number in range(3):
        relay.put(str(number), files=[f"{number}.txt"])
    with pytest.raises(Death):
        relay.rounds()
    relay.again().rounds()
    assert relay.api.count() == {"upload": 1, "post_results": 2}
    assert len(relay.api.results["P", 1]) == 3
    assert relay.left() == []


@pytest.mark.parametrize("end", [Lost(Death()), Lost(error_of(None))])
@pytest.mark.parametrize("writer", ["main-1", "main-0"])
def test_an_upload_that_was_not_answered_is_repeated_as_it_was(relay, end, writer):
    """Whatever has been stored meanwhile, by whichever process: a group of other files had another key."""
    for number in range(3):
        relay.put(str(number), files=[f"{number}.txt"])
    relay.api.script["upload"].append(end)
    with pytest.raises(type(end.error)):
        relay.rounds()
    for number in range(3, 6):
        relay.put(str(number), files=[f"{number}.txt"], writer=writer)
    successor = relay.again() if isinstance(end.error, Death) else relay
    successor.rounds()
    first, second, third = relay.api.named("upload")
    assert (first.content, first.key) == (second.content, second.key)
    assert third.content == ["3.txt", "4.txt", "5.txt"]
    assert len(relay.api.files) == 6
    assert len(relay.api.results["P", 1]) == 6


def test_what_was_recorded_of_several_requests_is_not_repeated(relay):
    for number in range(5):
        relay.put(str(number), files=[f"{number}-{index}.txt" for index in range(10)])
    relay.api.script["upload"] += [None, Lost(Death())]
    with pytest.raises(Death):
        relay.rounds()
    relay.again().rounds()
    first, second, again, third = relay.api.named("upload")
    assert [len(call.content) for call in (first, second, third)] == [20, 20, 10]
    assert second == again
    assert len(relay.api.files) == 50


def test_a_batch_in_flight_that_cannot_be_read_holds_up_no_other(relay, outbox):
    relay.put("a", files=["a.txt"])
    relay.api.script["upload"].append(Death())
    with pytest.raises(Death):
        relay.rounds()
    database = outbox.directory / "main-1.db"
    outbox.close()
    database.write_bytes(b"damaged" * 1000)
    with type(outbox).open(outbox.directory) as again:
        successor = type(relay)(again, relay.api)
        successor.put("b", writer="main-2")
        successor.rounds()
        assert list(relay.api.results["P", 1]) == ["b"]
        assert list(again.unreadable) == ["main-1"]


def test_a_batch_in_flight_whose_run_is_blocked_meanwhile_is_let_go(relay):
    relay.put("a", files=["a.txt"])
    relay.put("b", "Q", 2)
    relay.api.script["upload"].append(Death())
    with pytest.raises(Death):
        relay.rounds()
    relay.api.rule = of("P", "upload", 401)
    relay.again().rounds()
    assert relay.left() == ["a"]


# Files that do not arrive


def missing_of(relay, result_id):
    payload = relay.api.results["P", 1][result_id]
    notes = [step["data"]["action"] for step in payload.get("steps", ())]
    return [entry["file_name"] for entry in payload["attachments"]], notes


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refused_file_is_named_in_its_result_and_all_others_go(relay, status):
    relay.api.rule = about("upload", status, "bad.txt")
    relay.put("a", files=["good.txt", "bad.txt"], message="said")
    relay.put("b", files=["fine.txt"])
    relay.rounds()
    note = f"Attachments that could not be uploaded: bad.txt (refused by the server: {status} said so)"
    assert missing_of(relay, "a") == (["good.txt"], [note])
    assert missing_of(relay, "b") == (["fine.txt"], [])
    # It is not tried again for other results.
    requests = len(names_of(relay.api))
    relay.put("c", files=["bad.txt"])
    relay.rounds()
    assert missing_of(relay, "c") == ([], [note])
    assert len(names_of(relay.api)) == requests


def test_a_file_that_cannot_be_read_any_more_is_named_and_all_others_go(relay, outbox):
    relay.put("a", files=[("gone.txt", b"x" * LARGE), "good.txt"])
    for path in (outbox.directory / "files").iterdir():
        path.unlink()
    relay.rounds()
    names, (note,) = missing_of(relay, "a")
    assert names == ["good.txt"]
    assert "gone.txt (the file does not exist)" in note
    assert names_of(relay.api) == [["good.txt"]]


def test_a_file_that_could_not_be_stored_is_named(relay, outbox):
    writer = outbox.writer("main-1", max_bytes=10)
    file = writer.store(Attachment("r", "large.txt", content=b"x" * LARGE))
    writer.put(
        "P", 1, "a", json.dumps({"id": "a", "attachments": [{"id": "r", "file_name": "large.txt"}]}), [file]
    )
    relay.rounds()
    assert missing_of(relay, "a") == (
        [],
        [f"Attachments that could not be uploaded: large.txt ({file.problem})"],
    )
    assert relay.api.count() == {"post_results": 1}


def test_a_file_on_which_the_server_fails_is_given_up_after_four_rounds(relay):
    relay.api.rule = about("upload", 500, "bad.txt", "worse.txt")
    relay.put("a", files=["good.txt", "bad.txt", "worse.txt"])
    relay.put("b", files=["fine.txt"])
    for _ in range(3):
        with pytest.raises(Unreachable):
            relay.round()
        assert len(relay.api.files) == 2
        assert relay.api.results == {}
    relay.round()
    names, (note,) = missing_of(relay, "a")
    assert names == ["good.txt"]
    assert "bad.txt (the server failed on it: 500 said so)" in note
    assert "worse.txt (the server failed on it: 500 said so)" in note
    assert missing_of(relay, "b") == (["fine.txt"], [])
    assert relay.left() == []


def test_a_server_that_fails_on_all_files_makes_none_of_them_a_problem(relay):
    relay.api.rule = lambda call: error_of(500) if call.name == "upload" else None
    relay.put("a", files=[f"{number}.txt" for number in range(10)])
    for _ in range(6):
        with pytest.raises(Unreachable):
            relay.round()
    relay.api.rule = lambda call: None
    relay.round()
    assert len(missing_of(relay, "a")[0]) == 10


# Tests that their process did not survive


def begin(outbox, result_id, **execution):
    writer = outbox.writer("gw0-1", max_bytes=1 << 40)
    writer.begin("P", 1, result_id, json.dumps({"id": result_id, "execution": execution}))


def test_an_unfinished_result_is_reported_with_what_became_of_its_process(relay, outbox):
    begin(outbox, "a", start_time=1_000_000_000.0, status=None)
    (item,) = outbox.unfinished()
    finish(outbox, item, "failed", "the worker crashed")
    relay.rounds()
    payload = relay.api.results["P", 1]["a"]
    execution = payload["execution"]
    assert (execution["status"], payload["message"]) == ("failed", "the worker crashed")
    assert execution["end_time"] > 1_000_000_000
    assert execution["duration"] == int((execution["end_time"] - 1_000_000_000) * 1000)


def test_all_unfinished_results_of_a_dead_session_are_invalid(relay, outbox):
    begin(outbox, "a")
    begin(outbox, "b", start_time=9_000_000_000.0)  # by a clock that was wrong
    finish_all(outbox)
    relay.rounds()
    assert outbox.unfinished() == []
    for payload in relay.api.results["P", 1].values():
        assert payload["execution"]["status"] == "invalid"
        assert payload["message"] == "the process ended during this test"
        assert "duration" not in payload["execution"]
