"""Files as values: fingerprints, names, types, groups, and a reader that gives what was announced."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from famacase_pytest.delivery.api.multipart import ExactReader, PartUnreadable, fingerprint, group, part_of
from famacase_pytest.delivery.models import (
    MIB,
    Attachment,
    Fingerprint,
    Limits,
    Part,
    clean_mime_type,
    clean_name,
)


def test_values_are_cheap_to_import(monkeypatch):
    # `make coverage` would import modules of its own.
    monkeypatch.delenv("MEASURE_COVERAGE", raising=False)
    code = "import sys, famacase_pytest.delivery.models; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"requests", "urllib3", "pytest", "qase", "sqlite3"} & set(loaded)


def test_a_path_and_equal_bytes_have_one_fingerprint(tmp_path):
    content = os.urandom(3 * MIB + 17)
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    by_path = fingerprint(Attachment("1", "x/shot.png", path=str(path)))
    by_content = fingerprint(Attachment("2", "shot.png", "image/png", content=content))
    assert by_path == by_content
    assert by_path == Fingerprint(hashlib.sha256(content).hexdigest(), len(content), "shot.png", "image/png")


@pytest.mark.parametrize("given_", [{}, {"path": "x", "content": b""}])
def test_an_attachment_has_a_path_or_content(given_):
    with pytest.raises(ValueError, match="exactly one"):
        Attachment("1", "a", **given_)


def test_what_is_no_readable_file_is_an_oserror(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path / "missing", tmp_path, fifo):
        with pytest.raises(OSError, match=r"missing|regular"):
            fingerprint(Attachment("1", "a", path=str(path)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shot.png", "shot.png"),
        ("/tmp/a/shot.png", "shot.png"),
        ("C:\\Temp\\shot.png", "shot.png"),
        ("../../etc/passwd", "passwd"),
        ('a"b.txt', "a'b.txt"),
        ("a\r\nX-Evil: 1\x00.txt", "aX-Evil: 1\ufffd.txt"),
        ("Übersicht 表 😀.txt", "Übersicht 表 😀.txt"),
        ("broken\udcff.txt", "broken\ufffd.txt"),
        ("", "attachment"),
        ("..", "attachment"),
        ("dir/", "attachment"),
        ("\n \t", "attachment"),
        ("x" * 300 + ".tar.gz", "x" * 248 + ".tar.gz"),
    ],
)
def test_names_survive_a_header(name, expected):
    cleaned = clean_name(name)
    assert len(cleaned) <= 255
    if len(name) < 256:
        assert cleaned == expected
    else:
        assert cleaned.endswith(".gz")


@given(st.text())
def test_any_name_becomes_one_that_is_safe_and_stays(name):
    cleaned = clean_name(name)
    assert cleaned
    assert cleaned.encode("utf-8")
    assert not set(cleaned) & set('"\r\n/\\\0')
    assert clean_name(cleaned) == cleaned


@pytest.mark.parametrize(
    ("mime_type", "name", "expected"),
    [
        ("text/x-log; charset=utf-8", "a.png", "text/x-log; charset=utf-8"),
        (" image/svg+xml ", "a", "image/svg+xml"),
        (None, "a.json", "application/json"),
        ("", "a.txt", "text/plain"),
        (None, "a.tar.gz", "application/gzip"),
        (None, "a.txt.bz2", "application/octet-stream"),
        (None, "a.unheard-of", "application/octet-stream"),
        ("text/plain\r\nX-Evil: 1", "a", "application/octet-stream"),
        ("nonsense", "a.png", "image/png"),
        ("tëxt/plain", "a.png", "image/png"),
    ],
)
def test_types_survive_a_header_or_are_guessed(mime_type, name, expected):
    assert clean_mime_type(mime_type, name) == expected


def prints(*sizes):
    return [Fingerprint(str(n), size, f"{n}.bin", "application/octet-stream") for n, size in enumerate(sizes)]


def test_a_group_has_at_most_twenty_files():
    assert [len(one) for one in group(prints(*[1] * 45))] == [20, 20, 5]


def test_a_group_stays_below_the_limit_with_its_framing():
    # Four files of the full 32 MiB make 128 MiB and then some.
    assert [len(one) for one in group(prints(*[32 * MIB] * 5))] == [3, 2]
    assert [len(one) for one in group(prints(*[32 * MIB - 400] * 4))] == [4]
    assert group([]) == []


@given(st.lists(st.integers(0, 900), max_size=60), st.integers(1, 7))
def test_groups_hold_all_files_in_their_order_within_the_limits(sizes, files):
    limits = Limits(files=files, file_bytes=1000, request_bytes=3000)
    files_ = prints(*sizes)
    groups = group(files_, limits)
    assert [one for group_ in groups for one in group_] == files_
    for group_ in groups:
        assert 1 <= len(group_) <= files
        assert sum(one.size for one in group_) < 3000


@given(st.lists(st.tuples(st.text(max_size=300), st.binary(max_size=50)), min_size=1, max_size=20))
def test_the_margin_covers_what_multipart_really_adds(files):
    from requests_toolbelt import MultipartEncoder

    from famacase_pytest.delivery.api import multipart as module

    parts = []
    for name, content in files:
        source = Attachment("r", name, content=content)
        parts.append(part_of(source, fingerprint(source)))
    fields = [("files", (part.file_name, part.open(), part.mime_type)) for part in parts]
    margin = sum(part.size + module._framing(part) for part in parts) + module._CLOSING
    assert MultipartEncoder(fields).len <= margin


def reader_of(content, size=None, sha256=None):
    size = len(content) if size is None else size
    return ExactReader(Part("a.log", "text/plain", size, lambda: io.BytesIO(content), sha256))


def test_the_reader_gives_what_was_announced_and_no_more():
    reader = reader_of(b"0123456789grown", size=10, sha256=hashlib.sha256(b"0123456789").hexdigest())
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
    reader = reader_of(b"0123", sha256=hashlib.sha256(b"abcd").hexdigest())
    reader.read(3)
    with pytest.raises(PartUnreadable, match="changed") as caught:
        reader.read(1)
    assert caught.value.part.file_name == "a.log"


def test_the_reader_tells_why_a_file_cannot_be_opened():
    def gone():
        raise FileNotFoundError(2, "No such file or directory", "/secret/path")

    with pytest.raises(PartUnreadable, match="the file does not exist") as caught:
        ExactReader(Part("a.log", "text/plain", 1, gone))
    assert "/secret/path" not in str(caught.value)
