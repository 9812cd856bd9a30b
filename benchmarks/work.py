"""The suites that are measured, written where they are needed.

What a suite does without reporting is measured too, so its reporting calls go through a module of its own,
``reporting.py``, which does nothing where BENCH_PLAIN is set: plain pytest then pays for no import of qase.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024

_REPORTING = """
import contextlib
import os

if os.environ.get("BENCH_PLAIN"):

    class qase:
        @staticmethod
        def attach(*files):
            pass

        @staticmethod
        @contextlib.contextmanager
        def step(title):
            yield

else:
    from qase.pytest import qase
"""

_RICH = """
from reporting import qase

from pictures import picture


def _test(number):
    with qase.step("prepare the basket"):
        with qase.step("add two articles"):
            qase.attach((f"step {number}".encode(), "text/plain", "basket.txt"))
    qase.attach(
        (picture(number), "image/png", "page.png"),
        (f"a log of test {number}\\n" * 40, "text/plain", "test.log"),
    )
"""

_PICTURES = '''
import random

_NOISE = random.Random(7).getrandbits(8 * 200_000).to_bytes(200_000, "big")


def picture(number):
    """Bytes that no other test attaches: nothing is gained by not sending equal files twice."""
    return number.to_bytes(4, "big") + _NOISE[4:]
'''


@dataclass(frozen=True)
class Work:
    """One suite and how it is run.

    Args:
        name: on the command line and in the results.
        title: in the table; ``{tests}`` stands for their number.
        tests: number of tests; ``quick_tests`` with ``--quick``.
        write: writes the suite with so many tests into a directory.
        latency: seconds that the back end is away.
        arguments: for pytest.
        rounds: how often each side is measured; ``--rounds`` replaces it.
        steps, files: number of them that must arrive for each test.
        memory: whether the peak memory is what is looked at.
    """

    name: str
    title: str
    tests: int
    quick_tests: int
    write: Callable[[Path, int], None]
    latency: float = 0.0
    arguments: tuple[str, ...] = ()
    rounds: int = 5
    steps: int = 0
    files: int = 0
    memory: bool = False


def write_empty(directory: Path, tests: int) -> None:
    """Tests that do nothing, a hundred a module."""
    for first in range(0, tests, 100):
        last = min(tests, first + 100)
        body = "".join(f"def test_{number}():\n    pass\n\n\n" for number in range(first, last))
        (directory / f"test_{first:05d}.py").write_text(body, encoding="utf-8")


def write_rich(directory: Path, tests: int) -> None:
    """Two nested steps, an attachment of the inner one, a picture of 200 KB and a log, in each test."""
    (directory / "reporting.py").write_text(_REPORTING, encoding="utf-8")
    (directory / "pictures.py").write_text(_PICTURES, encoding="utf-8")
    body = "".join(f"def test_{number}():\n    _test({number})\n\n\n" for number in range(tests))
    (directory / "test_rich.py").write_text(f"{_RICH}\n\n{body}", encoding="utf-8")


def write_steps(directory: Path, steps: int) -> None:
    """One test with many steps."""
    (directory / "reporting.py").write_text(_REPORTING, encoding="utf-8")
    (directory / "test_steps.py").write_text(
        "from reporting import qase\n\n\ndef test_steps():\n"
        f"    for number in range({steps}):\n"
        '        with qase.step(f"step {number}"):\n            pass\n',
        encoding="utf-8",
    )


def write_large(directory: Path, mebibytes: int) -> None:
    """Files of 16 MiB, each attached from disk by a test of its own; no two are equal."""
    (directory / "reporting.py").write_text(_REPORTING, encoding="utf-8")
    body = ""
    for number in range(mebibytes // 16):
        content = random.Random(number).getrandbits(8 * MIB).to_bytes(MIB, "big")
        with open(directory / f"dump{number}.bin", "wb") as file:
            for _ in range(16):
                file.write(content)
        body += f"def test_{number}():\n    qase.attach(str(HERE / 'dump{number}.bin'))\n\n\n"
    (directory / "test_large.py").write_text(
        f"from pathlib import Path\n\nfrom reporting import qase\n\nHERE = Path(__file__).parent\n\n\n{body}",
        encoding="utf-8",
    )


WORK = (
    Work("one", "{tests} empty test (start-up)", 1, 1, write_empty, rounds=7),
    Work("empty", "{tests:,} empty tests", 2000, 200, write_empty, rounds=5),
    Work("rich", "{tests} rich tests, server 20 ms away", 200, 20, write_rich,
         latency=0.02, steps=2, files=3),
    Work("workers", "{tests:,} empty tests, -n 2", 2000, 200, write_empty, arguments=("-n", "2")),
    Work("steps", "1 test with 1,000 steps", 1, 1, lambda path, _: write_steps(path, 1000), steps=1000),
    Work("large", "{tests} attachments of 16 MiB", 64, 4, lambda path, tests: write_large(path, 16 * tests),
         rounds=3, files=1, memory=True),
    Work("many", "{tests:,} empty tests", 10000, 400, write_empty, rounds=3),
)  # fmt: skip
