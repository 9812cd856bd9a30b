"""The files of a batch: groups, equal files, refused and unreadable ones, over HTTP to a scripted server."""

from __future__ import annotations

import contextlib
import gc
import threading
import uuid
from collections import Counter

import pytest
from scripted_api import ScriptedApi, error_of
from scripted_server import EarlyNo, Half, Reset, Say

from famacase_pytest.delivery.api.multipart import PartUnreadable, fingerprint, part_of
from famacase_pytest.delivery.models import MIB, Attachment, Limits, Part
from famacase_pytest.delivery.relay.uploads import request_key, upload_all, upload_parts
from famacase_pytest.errors import Refused, Unreachable


def file(ref, content=None, name=None, **more):
    return Attachment(ref, name or f"{ref}.txt", content=ref.encode() if content is None else content, **more)


def parts_of(*sources):
    return [part_of(source, fingerprint(source)) for source in sources]


def names_of(server):
    return [[name for name, _, _ in request.files] for request in server.requests]


def refuse_with(bad, status=422):
    """A server that refuses every request in which one of these files is."""

    def decide(request):
        if bad & {name for name, _, _ in request.files}:
            return Say(status, {"detail": "not this one"})
        return None

    return decide


def test_equal_files_are_sent_once_and_every_reference_gets_the_id(api, server, tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"same")
    known = {}
    outcome = upload_all(
        api,
        "SMOKE",
        [
            file("1", b"same", "x.txt"),
            Attachment("2", "dir/x.txt", path=str(path)),
            file("3", b"same", "other-name.txt"),
            file("4", b"same", "x.txt", mime_type="text/x-other"),
            file("5", b"other", "x.txt"),
        ],
        workers=4,
        known=known,
    )
    assert names_of(server) == [["x.txt", "other-name.txt", "x.txt", "x.txt"]]
    assert outcome.problems == {}
    assert outcome.ids["1"] == outcome.ids["2"]
    assert len(set(outcome.ids.values())) == 4
    assert set(known.values()) == set(outcome.ids.values())


def test_what_is_known_is_not_sent_again_in_the_same_project(api, server):
    known = {}
    first = upload_all(api, "A", [file("1"), file("2")], workers=1, known=known)
    second = upload_all(api, "A", [file("2"), file("3")], workers=1, known=known)
    third = upload_all(api, "B", [file("2")], workers=1, known=known)
    assert names_of(server) == [["1.txt", "2.txt"], ["3.txt"], ["2.txt"]]
    assert second.ids["2"] == first.ids["2"] != third.ids["2"]


def test_no_files_are_no_request(api, server):
    outcome = upload_all(api, "SMOKE", [], workers=4, known={})
    assert (outcome.ids, outcome.problems, server.requests) == ({}, {}, [])


def test_requests_run_side_by_side_up_to_the_workers(api, server):
    """Each request waits for a second one: with one at a time the barrier would break."""
    together = threading.Barrier(2)
    running, most = Counter(), []

    def decide(request):
        running["now"] += 1
        most.append(running["now"])
        together.wait(5)
        running["now"] -= 1
        return None

    server.decide = lambda request: decide(request)
    server.lock = contextlib.nullcontext()
    sources = [file(str(n)) for n in range(80)]
    outcome = upload_all(api, "SMOKE", sources, workers=2, known={})
    assert len(outcome.ids) == 80
    assert [len(names) for names in names_of(server)] == [20] * 4
    assert max(most) == 2
    keys = {request.headers["Idempotency-Key"] for request in server.requests}
    assert len(keys) == 4


def test_a_file_that_cannot_be_read_is_a_problem_of_its_own(api, server, tmp_path):
    large = tmp_path / "large.bin"
    with large.open("wb") as stream:
        stream.truncate(32 * MIB + 1)  # sparse: it is refused by its size, not after reading it
    outcome = upload_all(
        api,
        "SMOKE",
        [
            file("good"),
            Attachment("missing", "m.txt", path=str(tmp_path / "missing")),
            Attachment("folder", "f.txt", path=str(tmp_path)),
            Attachment("large", "l.bin", path=str(large)),
        ],
        workers=4,
        known={},
    )
    assert list(outcome.ids) == ["good"]
    assert outcome.problems["missing"] == "the file does not exist"
    assert "not a regular file" in outcome.problems["folder"]
    assert outcome.problems["large"] == "32.0 MiB, more than the 32 MiB that one file may have"
    assert names_of(server) == [["good.txt"]]


def test_the_limit_is_inclusive(api):
    exact = Limits(file_bytes=4)
    outcome = upload_all(
        api, "SMOKE", [file("1", b"1234"), file("2", b"12345")], workers=1, known={}, limits=exact
    )
    assert (list(outcome.ids), list(outcome.problems)) == (["1"], ["2"])


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refused_group_is_halved_until_the_offender_stands_alone(api, server, status):
    server.decide = refuse_with({"7.txt", "12.txt"}, status)
    outcome = upload_all(api, "SMOKE", [file(str(n)) for n in range(20)], workers=4, known={})
    assert set(outcome.problems) == {"7", "12"}
    assert outcome.problems["7"] == f"refused by the server: {status} not this one"
    assert len(outcome.ids) == 18
    attempts = Counter(str(request.files) for request in server.requests)
    assert max(attempts.values()) == 1  # nothing is sent twice in the same company
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert len(set(keys)) == len(keys)  # another content has another key


def test_a_refusal_that_is_not_about_the_content_is_not_halved(api, server):
    server.script.append(Say(405, {"detail": "no uploads here"}))
    outcome = upload_all(api, "SMOKE", [file("1"), file("2")], workers=1, known={})
    assert set(outcome.problems) == {"1", "2"}
    assert len(server.requests) == 1


def test_an_answer_before_the_whole_body_was_sent_counts(api, server):
    server.script.append(EarlyNo(413))
    outcome = upload_all(api, "SMOKE", [file("1", b"x" * 8 * MIB)], workers=1, known={})
    assert outcome.problems == {"1": "refused by the server: 413 too large"}


def test_a_file_on_which_the_server_fails_holds_no_other_back(api, server):
    """Whether it is given up is for the caller to say, who knows of earlier rounds."""
    known = {}
    server.decide = lambda request: Say(500) if any(name == "7.txt" for name, *_ in request.files) else None
    sources = [file(str(n)) for n in range(60)]
    for workers in (1, 3):
        with pytest.raises(Unreachable, match="500"):
            upload_all(api, "SMOKE", sources, workers=workers, known=known)
        assert len(known) == 59


def test_a_server_that_fails_on_all_files_is_not_asked_for_each(api, server):
    server.decide = lambda request: Say(500)
    with pytest.raises(Unreachable):
        upload_all(api, "SMOKE", [file(str(n)) for n in range(60)], workers=1, known={})
    assert len(server.requests) < 12


@pytest.mark.parametrize(("answer", "error"), [(Say(401), Refused), (Say(404), Refused)])
def test_what_concerns_all_is_raised_and_what_was_stored_is_remembered(api, server, answer, error):
    known = {}

    def decide(request):
        return answer if request.files[0][0] == "20.txt" else None

    server.decide = decide
    sources = [file(str(n)) for n in range(60)]
    with pytest.raises(error):
        upload_all(api, "SMOKE", sources, workers=1, known=known)
    assert len(known) == 20
    server.decide = None
    before = len(server.requests)
    outcome = upload_all(api, "SMOKE", sources, workers=3, known=known)
    assert len(outcome.ids) == 60
    assert len(server.requests) == before + 2


def test_a_failure_in_one_thread_stops_the_others():
    """The second request is answered when the thread of the first one has ended."""
    api = ScriptedApi()
    failing = []
    under_way = threading.Barrier(2)

    def rule(call):
        if call.content == ["0.txt"]:
            failing.append(threading.current_thread())
            under_way.wait(10)
            return error_of(401)
        if call.content == ["1.txt"]:
            under_way.wait(10)
            failing[0].join(10)
        return None

    api.rule = rule
    told = []
    with pytest.raises(Refused):
        upload_parts(
            api,
            "P",
            parts_of(*(file(str(number)) for number in range(6))),
            workers=2,
            scope="session",
            uploaded=told.extend,
            refused=lambda *why: None,
            limits=Limits(files=1),
        )
    assert sorted(call.content for call in api.calls) == [["0.txt"], ["1.txt"]]
    assert [part.file_name for part, _ in told] == ["1.txt"]


@pytest.mark.parametrize("loss", [Reset(applied=True), Half()])
def test_after_a_lost_answer_the_same_key_is_sent_and_only_one_copy_is_referred_to(api, server, loss):
    server.script.append(loss)
    known = {}
    outcome = upload_all(api, "SMOKE", [file("1"), file("2")], workers=2, known=known)
    first, second = server.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.files == second.files
    assert sorted(known.values()) == sorted(outcome.ids.values())
    assert len(outcome.ids) == 2


def test_a_file_that_shrinks_or_changes_after_its_fingerprint_fails_alone(api, server, tmp_path, monkeypatch):
    kept, shrunk, grown, gone, rewritten = (
        tmp_path / name for name in ("kept", "shr", "grown", "gone", "rew")
    )
    paths = (kept, shrunk, grown, gone, rewritten)
    for path in paths:
        path.write_bytes(b"0123456789" * 20_000)

    def tamper(source):
        print_ = fingerprint(source)
        if source.ref == "rew":
            shrunk.write_bytes(b"0123")
            grown.write_bytes(b"0123456789" * 20_000 + b"more")
            gone.unlink()
            rewritten.write_bytes(b"x123456789" * 20_000)
        return print_

    monkeypatch.setattr("famacase_pytest.delivery.relay.uploads.fingerprint", tamper)
    # Names differ, so that equal content is not taken for one file.
    sources = [Attachment(path.name, path.name, path=str(path)) for path in paths]
    outcome = upload_all(api, "SMOKE", sources, workers=1, known={})
    assert set(outcome.ids) == {"kept", "grown"}
    assert outcome.problems == {
        "shr": "it became shorter while it was sent",
        "gone": "the file does not exist",
        "rew": "it changed while it was sent",
    }
    # The server has seen whole requests only.
    assert [[(name, len(body)) for name, _, body in one.files] for one in server.requests] == [
        [("kept", 200_000), ("grown", 200_000)]
    ]


def test_an_unreadable_part_is_no_reason_to_try_again(api, server):
    class Broken:
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

        def close(self):
            pass

    with pytest.raises(PartUnreadable, match="Input/output error"):
        api.upload("SMOKE", [Part("a", "text/plain", 10, Broken)], "key")
    assert server.requests == []
    assert api.get_project("SMOKE")["id"] == 7


def test_files_are_closed_whatever_happens(api, server):
    opened = []

    def counting(source):
        part = part_of(source, fingerprint(source))

        def open_():
            opened.append(source.open())
            return opened[-1]

        return Part(part.file_name, part.mime_type, part.size, open_, part.sha256)

    parts = [counting(file("1")), counting(file("2"))]
    missing = Part("x", "y/z", 1, Attachment("x", "x", path="/nowhere/at/all").open)
    server.script.extend([Say(503), Reset()])
    api.upload("SMOKE", parts, "key")
    with pytest.raises(PartUnreadable):
        api.upload("SMOKE", [*parts, missing], "key")
    gc.collect()
    assert len(opened) == 8
    assert all(stream.closed for stream in opened)


def test_the_key_of_a_request_follows_from_its_files_in_their_order():
    one, two = fingerprint(file("1")), fingerprint(file("2"))
    key = request_key("session", "P", [one, two])
    assert key == request_key("session", "P", [one, two]) == str(uuid.UUID(key))
    others = [
        request_key("session", "P", [two, one]),
        request_key("session", "P", [one]),
        request_key("session", "P", [one._replace(file_name="x"), two]),
        request_key("session", "P", [one._replace(mime_type="x/y"), two]),
        request_key("session", "P", [one._replace(sha256="0" * 64), two]),
        request_key("session", "Q", [one, two]),
        request_key("another session", "P", [one, two]),
    ]
    assert len({key, *others}) == len(others) + 1


def test_a_repeated_upload_makes_the_same_requests(api, server):
    """Also where a part of it was refused."""
    server.decide = refuse_with({"30.txt"})
    parts = parts_of(*(file(str(number)) for number in range(45)))
    for scope in ("session", "session", "another"):
        upload_parts(
            api, "P", parts, workers=1, scope=scope, uploaded=lambda ids: None, refused=lambda *why: None
        )
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    third = len(keys) // 3
    assert keys[:third] == keys[third : 2 * third]
    assert set(keys[:third]).isdisjoint(keys[2 * third :])
    assert len(set(keys)) == 2 * third


def test_the_ids_of_a_request_are_told_together_and_failures_are_given_back(api, server):
    server.decide = lambda request: Say(500) if any(name == "7.txt" for name, *_ in request.files) else None
    told, refused = [], []
    parts = parts_of(*(file(str(number)) for number in range(10)))
    limits = Limits(files=3)
    failed = upload_parts(
        api,
        "P",
        parts,
        workers=1,
        scope="session",
        uploaded=told.append,
        refused=lambda *why: refused.append(why),
        limits=limits,
    )
    assert [[part.file_name for part, _ in ids] for ids in told] == [
        ["0.txt", "1.txt", "2.txt"],
        ["3.txt", "4.txt", "5.txt"],
        ["6.txt"],
        ["8.txt"],
        ["9.txt"],
    ]
    assert [(part.file_name, error.status) for part, error in failed] == [("7.txt", 500)]
    assert refused == []
