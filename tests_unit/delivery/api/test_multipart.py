"""Files in a request: how they are grouped, and a reader that gives what was announced."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests_toolbelt import MultipartEncoder

from famacase_pytest.delivery.api.multipart import ExactReader, PartUnreadable, group
from famacase_pytest.delivery.models import (
    MIB,
    Limits,
    Part,
    clean_name,
)

from .conftest import part


def parts(*sizes):
    return [
        Part(f"{n}.bin", "application/octet-stream", size, io.BytesIO, "") for n, size in enumerate(sizes)
    ]


def test_a_group_has_at_most_twenty_files():
    assert [len(one) for one in group(parts(*[1] * 45))] == [20, 20, 5]


def test_a_group_stays_below_the_limit_with_its_framing():
    # Four files of the full 32 MiB make 128 MiB and then some.
    assert [len(one) for one in group(parts(*[32 * MIB] * 5))] == [3, 2]
    assert [len(one) for one in group(parts(*[32 * MIB - 400] * 4))] == [4]
    assert group([]) == []


@given(st.lists(st.integers(0, 900), max_size=60), st.integers(1, 7))
def test_groups_hold_all_files_in_their_order_within_the_limits(sizes, files):
    limits = Limits(files=files, file_bytes=1000, request_bytes=3000)
    files_ = parts(*sizes)
    groups = group(files_, limits)
    assert [one for group_ in groups for one in group_] == files_
    for group_ in groups:
        assert 1 <= len(group_) <= files
        assert sum(one.size for one in group_) < 3000


@given(st.lists(st.tuples(st.text(max_size=300), st.binary(max_size=50)), min_size=1, max_size=20))
def test_no_request_is_larger_than_allowed_with_what_multipart_really_adds(files):
    limits = Limits(request_bytes=3000)
    for request in group([part(clean_name(name), content) for name, content in files], limits):
        fields = [("files", (one.file_name, one.open(), one.mime_type)) for one in request]
        assert MultipartEncoder(fields).len <= limits.request_bytes


def reader_of(content, size=None, announced=None):
    """Of a file that was announced with other bytes."""
    announced = content if announced is None else announced
    size = len(announced) if size is None else size
    digest = hashlib.sha256(announced).hexdigest()
    return ExactReader(Part("a.log", "text/plain", size, lambda: io.BytesIO(content), digest))


def test_the_reader_gives_what_was_announced_and_no_more():
    reader = reader_of(b"0123456789grown", announced=b"0123456789")
    assert reader.len == 10
    assert reader.read(4) == b"0123"
    assert reader.len == 6
    assert reader.read(100) == b"456789"
    assert reader.len == 0
    assert reader.read(1) == b""
    assert reader_of(b"0123").read() == b"0123"


def test_the_reader_fails_on_a_file_that_shrank():
    reader = reader_of(b"0123", size=10)
    reader.read(4)
    with pytest.raises(PartUnreadable, match="shorter"):
        reader.read(1)


def test_the_reader_fails_before_the_last_bytes_of_a_file_that_was_rewritten():
    reader = reader_of(b"0123", announced=b"abcd")
    reader.read(3)
    with pytest.raises(PartUnreadable, match="changed") as caught:
        reader.read(1)
    assert caught.value.part.file_name == "a.log"


def test_the_reader_tells_why_a_file_cannot_be_opened():
    def gone():
        raise FileNotFoundError(2, "No such file or directory", "/secret/path")

    with pytest.raises(PartUnreadable, match="the file does not exist") as caught:
        ExactReader(Part("a.log", "text/plain", 1, gone, ""))
    assert "/secret/path" not in str(caught.value)
