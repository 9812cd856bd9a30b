"""An outbox on a disk that is full or cannot be written."""

from __future__ import annotations

import subprocess

import pytest

from famacase_pytest.delivery.models import Attachment
from famacase_pytest.delivery.outbox.database import OutboxUnavailable
from famacase_pytest.delivery.outbox.store import Outbox


@pytest.fixture
def disk(mounted, tmp_path):
    """Makes a small file system: ``disk("size=1m")``."""
    return lambda options: mounted(tmp_path / "disk", "-t", "tmpfs", "-o", options, "tmpfs")


def test_a_full_disk_is_said_and_what_was_stored_stays(disk):
    with Outbox.create(disk("size=1m") / "outbox", {}) as outbox:
        writer, ledger = outbox.writer("gw0", max_bytes=1 << 40), outbox.ledger()
        stored = []
        with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):  # noqa: PT012
            for number in range(1000):
                writer.put("P", 1, str(number), "x" * 5000)
                stored.append(str(number))
        assert stored
        dropped = writer.store(Attachment("r", "n", content=bytes(200_000)))
        assert dropped.problem == "No space left on device"
        assert "full" in (writer.store(Attachment("r", "n", content=bytes(30_000))).problem or "")
        assert [item.result_id for item in outbox.pending(ledger, 1000)] == stored

        # Once there is room again, it goes on.
        subprocess.run(["mount", "-o", "remount,size=8m", str(outbox.directory.parent.parent)], check=True)
        writer.put("P", 1, "late", "x" * 5000)
        assert outbox.pending(ledger, 1000)[-1].result_id == "late"


def test_a_place_that_cannot_be_written(disk):
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(disk("ro") / ".famacase" / "outbox", {})


def test_a_disk_that_is_full_from_the_start_leaves_nothing_behind(disk):
    where = disk("size=16k")
    with pytest.raises(OutboxUnavailable, match="FAMACASE_OUTBOX_DIR"):
        Outbox.create(where / ".famacase" / "outbox", {})
    assert list(where.iterdir()) == []
