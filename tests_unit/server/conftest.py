from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from famacase_pytest.server import Settings, create_app
from famacase_pytest.server.store import Store

from .in_process import Application, Data


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Data]:
    """A store below the test's directory, with two projects."""
    store = Store(tmp_path / "data")
    yield Data(store)
    store.close()


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    """The application, with the project SMOKE alone."""
    application = Application(create_app(Settings(data=tmp_path / "data")))
    yield application
    application.close()
