"""Groups of files: several requests at a time, refused and unreadable files, and the keys of requests."""

from __future__ import annotations

import hashlib
import io
import threading
import uuid

import pytest

from famacase_pytest.delivery.models import Part
from famacase_pytest.delivery.relay.uploads import request_key, upload_parts
from famacase_pytest.errors import Refused, Unreachable

from .scripted_api import ScriptedApi, error_of


@pytest.fixture
def api():
    return ScriptedApi()


def file(name, content=None, opener=None):
    content = name.encode() if content is None else content
    digest = hashlib.sha256(content).hexdigest()
    return Part(f"{name}.txt", "text/plain", len(content), opener or (lambda: io.BytesIO(content)), digest)


class Outcome:
    """What came of one call.

    Attributes:
        told: the names of the files that each request has stored.
        refused: why a file cannot be uploaded, by its name.
        failed: the names of the files on which alone the server failed, and its status.
    """

    def __init__(self):
        self.told = []
        self.refused = {}
        self.failed = []

    @property
    def stored(self):
        return {name for names in self.told for name in names}

    def upload(self, api, parts, upload_threads=1, scope="session"):
        failed = upload_parts(
            api,
            "P",
            parts,
            upload_threads=upload_threads,
            scope=scope,
            uploaded=lambda received: self.told.append([part.file_name for part, _ in received]),
            refused=lambda part, reason: self.refused.__setitem__(part.file_name, reason),
        )
        self.failed = [(part.file_name, error.status) for part, error in failed]
        return self


def upload(api, parts, **options):
    return Outcome().upload(api, parts, **options)


def about(status, *names):
    """A rule: requests with one of these files fail."""
    return lambda call: error_of(status, "not this one") if set(names) & set(call.content) else None


def numbered(count):
    return [file(str(number)) for number in range(count)]


def test_no_files_are_no_request(api):
    outcome = upload(api, [], upload_threads=4)
    assert (outcome.told, outcome.failed, api.calls) == ([], [], [])


def test_requests_run_side_by_side_up_to_the_workers(api):
    """Each request waits for a second one: with one at a time the barrier would break."""
    together = threading.Barrier(2)
    running, most = [], []

    def rule(call):
        running.append(call)
        most.append(len(running))
        together.wait(60)
        running.remove(call)

    api.rule = rule
    assert len(upload(api, numbered(80), upload_threads=2).stored) == 80
    assert [len(call.content) for call in api.calls] == [20] * 4
    assert max(most) == 2
    assert len({call.key for call in api.calls}) == 4


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refused_group_is_halved_until_the_offender_stands_alone(api, status):
    api.rule = about(status, "7.txt", "12.txt")
    outcome = upload(api, numbered(20), upload_threads=4)
    assert outcome.refused == dict.fromkeys(
        ("7.txt", "12.txt"), f"refused by the server: {status} not this one"
    )
    assert len(outcome.stored) == 18
    requests = [tuple(call.content) for call in api.calls]
    assert len(set(requests)) == len(requests)  # nothing is sent twice in the same company
    assert len({call.key for call in api.calls}) == len(requests)  # another content has another key


def test_a_refusal_that_is_not_about_the_content_is_not_halved(api):
    api.script["upload"].append(error_of(405))
    assert set(upload(api, numbered(2)).refused) == {"0.txt", "1.txt"}
    assert len(api.calls) == 1


@pytest.mark.parametrize("upload_threads", [1, 3])
def test_a_file_on_which_the_server_fails_holds_no_other_back(api, upload_threads):
    """Whether it is given up is for the caller to say, who knows of earlier rounds."""
    api.rule = about(500, "7.txt")
    outcome = upload(api, numbered(60), upload_threads=upload_threads)
    assert outcome.failed == [("7.txt", 500)]
    assert (len(outcome.stored), outcome.refused) == (59, {})


def test_a_server_that_fails_on_all_files_is_not_asked_for_each(api):
    api.rule = lambda call: error_of(500)
    with pytest.raises(Unreachable):
        upload(api, numbered(60))
    assert len(api.calls) < 12


@pytest.mark.parametrize("status", [401, 404])
def test_what_concerns_all_is_raised_and_what_was_stored_is_told(api, status):
    api.script["upload"] += [None, error_of(status)]
    outcome = Outcome()
    with pytest.raises(Refused):
        outcome.upload(api, numbered(60))
    assert len(outcome.stored) == 20


def test_a_failure_in_one_thread_stops_the_others(api):
    """The second request is answered when the thread of the first one has ended."""
    failed = threading.Event()
    failing = []
    under_way = threading.Barrier(2)
    first, second = (part.file_name for part in numbered(21)[::20])

    def rule(call):
        under_way.wait(10)
        if first in call.content:
            failing.append(threading.current_thread())
            failed.set()
            return error_of(401)
        failed.wait(10)
        failing[0].join(10)
        return None

    api.rule = rule
    outcome = Outcome()
    with pytest.raises(Refused):
        outcome.upload(api, numbered(100), upload_threads=2)
    assert len(api.calls) == 2
    assert [second in names for names in outcome.told] == [True]


def test_a_file_that_shrinks_or_changes_after_its_fingerprint_fails_alone(api):
    def gone():
        raise FileNotFoundError("gone")

    content = b"0123456789" * 20_000
    others = {"shrunk": b"0123", "grown": content + b"more", "rewritten": b"x" + content[1:]}
    parts = [file("kept", content), file("gone", content, gone)]
    parts += [file(name, content, lambda now=now: io.BytesIO(now)) for name, now in others.items()]
    outcome = upload(api, parts)
    assert outcome.told == [["kept.txt", "grown.txt"]]
    assert outcome.refused == {
        "shrunk.txt": "it became shorter while it was sent",
        "gone.txt": "the file does not exist",
        "rewritten.txt": "it changed while it was sent",
    }
    assert [stored for _, stored in api.files.values()] == [content, content]


def test_the_key_of_a_request_follows_from_its_files_in_their_order():
    one, two = file("1").fingerprint, file("2").fingerprint
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


def test_a_repeated_upload_makes_the_same_requests(api):
    """Also where a part of it was refused."""
    api.rule = about(422, "30.txt")
    for scope in ("session", "session", "another"):
        upload(api, numbered(45), scope=scope)
    keys = [call.key for call in api.calls]
    third = len(keys) // 3
    assert keys[:third] == keys[third : 2 * third]
    assert set(keys[:third]).isdisjoint(keys[2 * third :])
    assert len(set(keys)) == 2 * third


def test_the_ids_of_a_request_are_told_together(api):
    api.rule = about(500, "2.txt")
    outcome = upload(api, numbered(24))
    assert outcome.told == [
        ["0.txt", "1.txt"],
        ["3.txt", "4.txt"],
        [f"{number}.txt" for number in range(5, 10)],
        [f"{number}.txt" for number in range(10, 20)],
        [f"{number}.txt" for number in range(20, 24)],
    ]
    assert outcome.failed == [("2.txt", 500)]
