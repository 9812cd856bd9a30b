"""Stands in for pytest-playwright: its options, and a page whose recordings lie where it would put them.

The plugin itself records videos only with a browser and an encoder of its own, some 150 MB for each pair.
"""

import pathlib

import pytest


def pytest_addoption(parser):
    group = parser.getgroup("playwright")
    group.addoption("--output", default="test-results")
    group.addoption("--video", default="off")
    group.addoption("--tracing", default="off")


class _Page:
    video = "a recording"


@pytest.fixture
def page(request):
    parts = [request.node.location[0], request.node.originalname]
    name = "-".join(part.replace("/", "-").replace(".", "-").replace("_", "-").lower() for part in parts)
    place = pathlib.Path(request.config.getoption("--output"), name)
    place.mkdir(parents=True, exist_ok=True)
    (place / "video.webm").write_bytes(b"video of " + name.encode())
    (place / "trace.zip").write_bytes(b"trace of " + name.encode())
    return _Page()
