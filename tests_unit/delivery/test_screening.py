"""Files and statuses as the settings have them, and texts in any encoding."""

from __future__ import annotations

from typing import Any

import pytest

from famacase_pytest.delivery.masking import Mask
from famacase_pytest.delivery.models import MIB, Attachment, CapturedResult, StoredFile
from famacase_pytest.delivery.screening import Screening

SECRET = "pässwörd"


class NoWriter:
    """Fails the test that stores anything."""

    def store(self, source: Attachment) -> StoredFile:
        raise AssertionError(f"{source.file_name} is stored")


def screening(**options: Any) -> Screening:
    return Screening(Mask(["password"], [], {}), **options)


def result(*files: Attachment, **payload: Any) -> CapturedResult:
    refs = [{"id": file.ref, "file_name": file.file_name} for file in files]
    base = {"id": "1", "title": "a title", "execution": {"status": "passed"}, "params": {"password": SECRET}}
    return CapturedResult({**base, "attachments": refs, **payload}, files)


def file(content: bytes, mime_type: str | None = None) -> Attachment:
    return Attachment("1/0", "a file", mime_type, content=content)


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (f"{SECRET}!".encode(), "text/plain"),
        (f"{SECRET}!".encode(), None),
        (f"{SECRET}!".encode(), "application/octet-stream"),
        (f"{SECRET}!".encode("latin-1"), "text/plain"),
        (f"{SECRET}!".encode("utf-8-sig"), "text/csv; charset=utf-8"),
        (f"{SECRET}!".encode("utf-16"), None),
        (f"{SECRET}!".encode("utf-16-le"), "text/plain"),
        (f"{SECRET}!".encode("utf-16-be"), "text/plain"),
        (b'{"a": "p\\u00e4ssw\\u00f6rd"}', "application/json"),
        (b"<a>p&#228;ssw&#246;rd</a><password>", "image/svg+xml"),
    ],
)
def test_a_text_in_any_encoding(content, mime_type):
    screened = screening().result(result(file(content, mime_type)))
    (source,) = screened.files
    assert source.content is not None
    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
        assert SECRET.encode(encoding) not in source.content
    assert b"ssw\\u00f6rd" not in source.content
    if SECRET.encode()[:2] in content or b"\0" in content:
        assert b"*" in source.content


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (b"\x89PNG\0" + SECRET.encode(), "image/png"),
        (b"\xff\xd8" + SECRET.encode(), None),
        (b"", "text/plain"),
    ],
)
def test_anything_else_stays(content, mime_type):
    (source,) = screening().result(result(file(content, mime_type))).files
    assert source.content == content


@pytest.mark.parametrize("size", [MIB, MIB + 1])
def test_a_large_text_is_withheld(size):
    captured = result(file(b"x" * size))
    screened = screening().result(captured)
    copied = screened.copies.get("1/0")
    assert (copied is not None and "withheld" in (copied.problem or "")) is (size > MIB)
    assert screening().copy(file(b"x" * size), NoWriter()).problem == (copied.problem if copied else None)


def test_a_file_is_held_as_it_was_and_read_again_if_it_has_changed(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text(f"first {SECRET}", encoding="utf-8")
    screened = screening()
    source = Attachment("1/0", "log.txt", "text/plain", path=str(path))
    copied = screened.copy(source, NoWriter())
    assert copied is not None
    captured = CapturedResult(result(source).payload, (source,), {"1/0": copied})
    path.write_text(f"then {SECRET}, longer", encoding="utf-8")
    assert screened.result(captured).files[0].content == b"then ***, longer"
    path.unlink()
    assert screened.result(captured).files[0].content == b"first ***"


def test_a_file_that_comes_to_be_after_it_was_attached(tmp_path):
    path = tmp_path / "log.txt"

    class Writer:
        def store(self, source: Attachment) -> StoredFile:
            from famacase_pytest.delivery.outbox.blobs import origin_of

            return StoredFile("1/0", None, 0, "log.txt", "text/plain", "missing", origin_of(str(path)))

    screened = screening()
    source = Attachment("1/0", "log.txt", "text/plain", path=str(path))
    captured = CapturedResult(result(source).payload, (source,), {"1/0": screened.copy(source, Writer())})
    path.write_text(SECRET, encoding="utf-8")
    assert screened.result(captured).files[0].content == b"***"


@pytest.mark.parametrize("status", ["passed", "failed", "blocked", "in_progress"])
@pytest.mark.parametrize("which", ["all", "failed", "none"])
def test_files_by_outcome(which, status):
    chosen = Screening(None, which)
    screened = chosen.result(result(file(b"x"), execution={"status": status}))
    wanted = which == "all" or (which == "failed" and status in ("failed", "blocked"))
    assert bool(screened.files) is wanted
    assert bool(screened.payload["attachments"]) is wanted
    assert screened.payload["params"] == {"password": SECRET}
    assert chosen.crash(f"[{SECRET}]") == f"[{SECRET}]"


@pytest.mark.parametrize(
    ("status", "muted", "becomes"),
    [
        ("failed", True, "blocked"),
        ("invalid", True, "blocked"),
        ("passed", True, "passed"),
        ("skipped", True, "skipped"),
        ("failed", False, "failed"),
    ],
)
def test_the_status_of_a_muted_failure(status, muted, becomes):
    captured = result(execution={"status": status}, muted=muted)
    screened = Screening(None, muted_status="blocked").result(captured)
    assert screened.payload["execution"]["status"] == becomes
    assert captured.payload["execution"]["status"] == status


def test_names_of_files_with_slashes():
    source = Attachment("1/0", "of s/cr/et.txt", content=b"\x00")
    step = {"data": {"action": ""}, "execution": {"attachments": [{"id": "1/0", "file_name": "et.txt"}]}}
    captured = CapturedResult(
        {"id": "1", "params": {"password": "s/cr/et"}, "attachments": [], "steps": [step]}, (source,)
    )
    screened = screening().result(captured)
    assert screened.files[0].file_name == "of ***.txt"
    (entry,) = screened.payload["steps"][0]["execution"]["attachments"]
    assert entry == {"id": "1/0", "file_name": "of ***.txt"}


def test_what_cannot_be_masked_is_not_stored():
    class Broken(Mask):
        def secrets(self, payload, texts=()):
            raise RecursionError(SECRET)

    captured = result(file(SECRET.encode()), title=SECRET, message=SECRET)
    screened = Screening(Broken(["password"], [], {})).result(captured)
    assert screened.files == ()
    assert SECRET not in str(screened.payload)
    assert screened.payload["id"] == "1"
    assert "could not be masked: RecursionError" in screened.payload["message"]


def test_what_xdist_says_of_a_dead_worker():
    message = f"worker 'gw0' crashed while running 'test_x.py::test_it[{SECRET}]'"
    assert screening().crash(message) == "worker 'gw0' crashed while running 'test_x.py::test_it[***]'"
