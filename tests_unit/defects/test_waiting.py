"""What waits for a tracker lies in files beside the outboxes."""

from __future__ import annotations

from typing import NamedTuple

from famacase_pytest.defects import waiting


class Finding(NamedTuple):
    title: str
    failed: bool


def test_what_is_kept_is_read_again_and_found_among_other_files(tmp_path):
    base = tmp_path / "not" / "there"
    assert waiting.files(base) == []
    first = waiting.keep(base, [Finding("ä \ud800", True), Finding("b", False)])
    second = waiting.keep(base, [])
    (base / "session-1").mkdir()
    (base / "defects.json").touch()
    assert waiting.files(base) == sorted([first, second])
    assert waiting.read(first) == [{"title": "ä \ud800", "failed": True}, {"title": "b", "failed": False}]
    assert waiting.read(second) == []
