"""Uploads need no memory in proportion to their size."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from scripted_server import Say

from famacase_pytest.delivery.models import MIB

# In a process of its own: the peak is the uploading side's alone.
PROGRAM = """
import resource, sys
from famacase_pytest.delivery.api.client import ReporterApi
from famacase_pytest.delivery.models import Attachment
from famacase_pytest.delivery.relay.uploads import upload_all

url, *paths = sys.argv[1:]
with ReporterApi(url, {"": "t"}) as api:
    api.get_project("SMOKE")
    upload_all(api, "SMOKE", [Attachment("0", "small", content=b"x")], workers=1, known={})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sources = [Attachment(path, path, path=path) for path in paths]
    outcome = upload_all(api, "SMOKE", sources, workers=4, known={})
    assert len(outcome.ids) == len(paths), outcome
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_a_large_upload_stays_out_of_memory(server, tmp_path):
    """Four requests of about 96 MiB at a time, from sparse files that differ in their last bytes."""
    paths = []
    for number in range(12):
        path = tmp_path / f"{number}.bin"
        with path.open("wb") as stream:
            stream.seek(32 * MIB - 2)
            stream.write(b"%02d" % number)
        paths.append(str(path))
    lengths = []
    lock = threading.Lock()

    def count(request, length):
        with lock:
            lengths.append(length)
        files = 3 if length > MIB else 1
        return Say(201, {"attachments": [{"id": f"{len(lengths)}-{n}"} for n in range(files)]})

    server.drain = count
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.url, *paths], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert sum(lengths) > 12 * 32 * MIB
    assert int(run.stdout) < 32 * 1024, f"peak grew by {run.stdout} KiB"
