from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from famacase_pytest.settings.model import Resolution
from famacase_pytest.settings.resolve import resolve
from famacase_pytest.settings.sources import ConfigFiles

from .resolving import COMPLETE, Resolve


@pytest.fixture
def resolved(tmp_path: Path) -> Resolve:
    """`resolve` in an empty directory, into which the given files are written first."""

    def run(
        environ: Mapping[str, str] | None = None,
        options: Mapping[str, object] | None = None,
        famacase: Any = None,
        qase: Any = None,
        **more: Any,
    ) -> Resolution:
        for name, content in (("famacase.config.json", famacase), ("qase.config.json", qase)):
            if content is not None:
                text = content if isinstance(content, str) else json.dumps(content)
                (tmp_path / name).write_text(text, encoding="utf-8")
        return resolve(environ or {}, options or {}, ConfigFiles(tmp_path), **more)

    return run


@pytest.fixture
def complete() -> dict[str, str]:
    return dict(COMPLETE)
