from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from famacase_pytest.upstream import client, plan_loader
from famacase_pytest.upstream.config_reader import ConfigReader
from famacase_pytest.upstream.patches import Bindings, Installation

OWNER = object()
"""The pytest config of the session that the bindings belong to."""


@pytest.fixture
def reader() -> ConfigReader:
    return ConfigReader({"QASE_MODE": "report"}, {"qase_mode": "off"}, {"mode": "off"}, OWNER)


@pytest.fixture
def bindings(reader: ConfigReader, tmp_path: Path) -> Bindings:
    """The parts of a session that does nothing."""
    session: Any = object()
    return Bindings(
        client=client.bound_to(session),
        plan_loader=plan_loader.bound_to(session),
        transport=lambda: None,
        reader=reader,
        run_file=tmp_path / "run",
    )


@pytest.fixture
def installation(bindings: Bindings) -> Iterator[Installation]:
    installation = Installation(bindings)
    yield installation
    installation.undo()
