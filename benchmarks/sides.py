"""The sides that are compared: the same pytest, the same suite, the same back end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PLUGINS = Path(__file__).parent / "plugins"

# Nothing else that happens to be installed takes part.
_COMMON = ("-p", "no:cacheprovider")


@dataclass(frozen=True)
class Side:
    """One way to run a suite.

    Args:
        name: in the results.
        title: in the table and the chart.
        arguments: for pytest.
        environ: variables; ``{url}`` stands for the recorder's address.
        reports: whether results must arrive.
    """

    name: str
    title: str
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    reports: bool = True


_FAMACASE = {
    "FAMACASE_MODE": "testops",
    "FAMACASE_API_URL": "{url}",
    "FAMACASE_REPORTER_TOKEN": "bench",
    "FAMACASE_TESTOPS_PROJECT": "BENCH",
}

SIDES = (
    Side("plain", "plain pytest", ("-p", "no:famacase", "-p", "no:qase_pytest"), {"BENCH_PLAIN": "1"},
         reports=False),
    Side("upstream", "qase-pytest alone", ("-p", "no:famacase", "-p", "qase_on_loopback"), {
        "QASE_MODE": "testops",
        "QASE_TESTOPS_API_TOKEN": "bench",
        "QASE_TESTOPS_PROJECT": "BENCH",
        "BENCH_RECORDER": "{url}",
    }),
    Side("famacase", "with famacase-pytest", (), _FAMACASE),
    Side("early", "with -p famacase", (), {**_FAMACASE, "PYTEST_ADDOPTS": "-p famacase"}),
)  # fmt: skip


def environment(side: Side, url: str, temporary: Path) -> dict[str, str]:
    """The variables of one session."""
    unwanted = ("FAMACASE_", "QASE_", "PYTEST_", "PYTHON", "COV_")
    base = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    own = {name: value.format(url=url) for name, value in side.environ.items()}
    return {**base, "PYTHONPATH": str(PLUGINS), "TMPDIR": str(temporary), "NO_PROXY": "127.0.0.1", **own}


def command_line(python: str, side: Side, arguments: tuple[str, ...]) -> list[str]:
    """pytest's command line."""
    return [python, "-m", "pytest", "-q", *_COMMON, *side.arguments, *arguments]
