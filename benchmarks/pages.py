"""Measures the pages of the local back end over a large run, and how long a report takes to open.

    .venv/bin/python -m benchmarks.pages                two runs of 50,000 results, a report of 5,000
    .venv/bin/python -m benchmarks.pages --results 2000

For the environment that `make test` sets up; nothing else should run meanwhile. The report is opened where
there is a Chromium.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import struct
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import requests

from famacase_pytest.server import write_report
from famacase_pytest.server.database import Attachment, Project
from famacase_pytest.server.process import ServerProcess
from famacase_pytest.server.results import to_rows
from famacase_pytest.server.store import Store

MIB = 1024 * 1024
# What the pages are asked for; the second run is compared with the first.
ASKED = {
    "first page": "",
    "page 20": "page=20",
    "last page": "page=9999",
    "search": "q=number+77",
    "failures": "status=failed,invalid,blocked",
    "suite": "suite=tests+%E2%80%BA+part3",
    "by duration": "sort=duration",
    "by name, page 20": "sort=name&page=20",
    "tag and search": "tag=smoke&q=browser%3Da",
}


def main() -> None:
    """Fills a back end, asks for each page some times, and prints the median."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=int, default=50_000, help="results in each of the two runs")
    parser.add_argument("--report", type=int, default=5_000, help="results in the report")
    parser.add_argument("--pictures", type=int, default=200, help="pictures in the report")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        store = Store(data)
        project = store.seed(["SMOKE"], [], [])["SMOKE"]
        runs = [_fill(store, project, arguments.results, 0) for _ in range(2)]
        reported = _fill(store, project, arguments.report, arguments.pictures)
        store.close()
        with ServerProcess.start(data) as process:
            _measure_pages(process.url, runs, arguments.rounds)
        out = Path(folder) / "report.html"
        seconds = _timed(lambda: write_report(str(reported), out, data, MIB))
        print(f"{'report written':<24}{seconds * 1000:8.0f} ms{out.stat().st_size / 1024:10.0f} KiB")
        _measure_report(out, arguments.rounds)


def _measure_pages(url: str, runs: list[int], rounds: int) -> None:
    first, second = runs
    some = requests.get(f"{url}/runs/{second}?sort=order", timeout=600).text
    result = some.partition(f'href="/runs/{second}/results/')[2].partition('"')[0]
    paths = {name: f"/runs/{second}?{query}" for name, query in ASKED.items()}
    paths["comparison, figures"] = f"/runs/{second}/comparison?with={first}&part=1"
    paths["comparison"] = f"/runs/{second}/comparison?with={first}"
    paths["a result"] = f"/runs/{second}/results/{result}"
    paths["project"] = "/projects/SMOKE"
    with requests.Session() as session:
        for name, path in paths.items():
            seconds, size = [], 0
            for _ in range(rounds):
                began = time.perf_counter()
                answer = session.get(url + path, timeout=600)
                seconds.append(time.perf_counter() - began)
                answer.raise_for_status()
                size = len(answer.content)
            print(f"{name:<24}{sorted(seconds)[rounds // 2] * 1000:8.0f} ms{size / 1024:10.0f} KiB")


def _measure_report(out: Path, rounds: int) -> None:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        print("report opened            (there is no Chromium)")
        return
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        seconds = []
        for _ in range(rounds):
            page = browser.new_page()
            began = time.perf_counter()
            page.goto(out.as_uri())
            page.wait_for_selector("html[data-ready]", state="attached")
            seconds.append(time.perf_counter() - began)
            page.close()
        browser.close()
    print(f"{'report opened':<24}{sorted(seconds)[rounds // 2] * 1000:8.0f} ms")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _fill(store: Store, project: Project, results: int, pictures: int) -> int:
    chance = random.Random(results)
    body = {"title": "Nightly", "is_autotest": True}
    run_id = int(store.create_run(project, body, None, lambda run: str(run.id)))
    for start in range(0, results, 200):
        some = [_result(number, chance) for number in range(start, min(start + 200, results))]
        for result in some:
            if pictures:
                pictures -= 1
                result["attachments"] = [{"id": _picture(store, project, chance)}]
        store.put_results(project, run_id, *to_rows(some))
    return run_id


def _result(number: int, chance: random.Random) -> dict[str, Any]:
    status = chance.choices(("passed", "failed", "skipped"), (92, 3, 5))[0]
    failed = status == "failed"
    suites = ("tests", f"part{number % 20}", f"module{number % 400}")
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128))),
        "title": f"Checks number {number} of the shop",
        "signature": f"tests::module{number % 400}::test_{number}",
        "execution": {
            "status": status,
            "duration": chance.randrange(5000),
            "stacktrace": "    def test():\n>       assert total == 7\n\ntests/test_shop.py:7: " * 20
            if failed
            else None,
        },
        "message": f"AssertionError: {'x' * chance.randrange(40)} assert {number} == 7" if failed else None,
        "params": {"browser": chance.choice("ab")},
        "tags": [chance.choice(("smoke", "slow"))],
        "steps": [
            {"execution": {"status": "passed"}, "data": {"action": f"Step {step}"}, "steps": []}
            for step in range(5)
        ],
        "relations": {"suite": {"data": [{"title": title} for title in suites]}},
    }


def _picture(store: Store, project: Project, chance: random.Random) -> str:
    """A picture of noise, 160 by 100 pixels and about 48 KB, since nothing compresses it."""
    lines = b"".join(b"\0" + chance.randbytes(160 * 3) for _ in range(100))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 160, 100, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    content = b"\x89PNG\r\n\x1a\n" + parts
    picture = Attachment(file_name="screen.png", mime_type="image/png", file_size=len(content))
    answer = store.put_attachments(
        project, {picture: BytesIO(content)}, None, lambda kept: json.dumps([one.id for one in kept])
    )
    return str(json.loads(answer)[0])


if __name__ == "__main__":
    main()
