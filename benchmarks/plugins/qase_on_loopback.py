"""A pytest plugin: the generated Qase clients of the session talk to BENCH_RECORDER.

For upstream's side alone. Nothing else of it is changed: the same clients, the same transport.
"""

from __future__ import annotations

import os

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Fix the base addresses; upstream's plugin has imported both clients when it was loaded."""
    import qase.api_client_v1.configuration
    import qase.api_client_v2.configuration

    for version, module in (
        ("v1", qase.api_client_v1.configuration),
        ("v2", qase.api_client_v2.configuration),
    ):
        address = f"{os.environ['BENCH_RECORDER']}/{version}"
        module.Configuration.host = property(lambda _, address=address: address, lambda _, value: None)
