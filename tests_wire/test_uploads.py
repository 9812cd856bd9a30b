"""Uploads over a connection: answers that come early, files that cannot be read, files that stay open."""

from __future__ import annotations

import gc

import pytest

from famacase_pytest.delivery.api.multipart import PartUnreadable
from famacase_pytest.delivery.models import MIB, Part
from famacase_pytest.errors import Rejected
from scripted_answers import Say
from scripted_server import EarlyNo, Reset
from wire_files import part


def test_an_answer_before_the_whole_body_was_sent_counts(api, server):
    server.script.append(EarlyNo(413))
    with pytest.raises(Rejected) as caught:
        api.upload("SMOKE", [part(content=b"x" * 8 * MIB)], "key")
    assert (caught.value.status, caught.value.detail) == (413, "too large")


def test_an_unreadable_part_is_no_reason_to_try_again(api, server):
    class Broken:
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

        def close(self):
            pass

    with pytest.raises(PartUnreadable, match="Input/output error"):
        api.upload("SMOKE", [part(), Part("a", "text/plain", 10, Broken, "")], "key")
    # The server has seen whole requests only.
    assert server.requests == []
    assert api.get_project("SMOKE")["id"] == 7


def test_files_are_closed_whatever_happens(api, server):
    opened = []

    def counting(name):
        given = part(name)

        def open_():
            opened.append(given.open())
            return opened[-1]

        return Part(given.file_name, given.mime_type, given.size, open_, given.sha256)

    def gone():
        raise FileNotFoundError("gone")

    parts = [counting("1"), counting("2")]
    server.script.extend([Say(503), Reset()])
    api.upload("SMOKE", parts, "key")
    with pytest.raises(PartUnreadable):
        api.upload("SMOKE", [*parts, Part("x", "y/z", 1, gone, "")], "key")
    gc.collect()
    assert len(opened) == 8
    assert all(stream.closed for stream in opened)
