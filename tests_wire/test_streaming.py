"""Uploads need no memory in proportion to their size."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from famacase_pytest.delivery.models import MIB
from scripted_answers import Say

# In a process of its own: the peak is the uploading side's alone.
PROGRAM = """
import hashlib, io, os, resource, sys
from functools import partial
from famacase_pytest.delivery.api.client import ReporterApi
from famacase_pytest.delivery.models import Part
from famacase_pytest.delivery.relay.uploads import upload_parts

def upload(api, parts, workers):
    stored = []
    failed = upload_parts(
        api, "SMOKE", parts, upload_threads=workers, scope="s", uploaded=stored.extend,
        refused=lambda *why: None,
    )
    assert failed == []
    return stored

def part_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(partial(file.read, 2**20), b""):
            digest.update(chunk)
    size = os.path.getsize(path)
    return Part(os.path.basename(path), "x/y", size, partial(open, path, "rb"), digest.hexdigest())

url, *paths = sys.argv[1:]
with ReporterApi(url, {"": "t"}) as api:
    api.get_project("SMOKE")
    upload(api, [Part("small", "x/y", 1, partial(io.BytesIO, b"x"), hashlib.sha256(b"x").hexdigest())], 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(upload(api, [part_of(path) for path in paths], 4)) == len(paths)
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
