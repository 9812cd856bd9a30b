"""What is remembered of descriptors, and what is done without touching those that a test has closed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from famacase_pytest.delivery.descriptors import Descriptors, clear_of_others

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SQLite has no descriptors there")


@pytest.fixture(autouse=True)
def _unlost() -> Iterator[None]:
    """Other tests of this process lose none."""
    yield
    Descriptors.were_lost = False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()
    return path


def test_those_on_a_file(path: Path, tmp_path: Path):
    with path.open() as file, path.open() as again, (tmp_path / "other").open("w") as other:
        found = Descriptors.on(str(path), str(tmp_path / "missing"))
        assert found.are_intact()
        assert [found.has(one.fileno()) for one in (file, again, other)] == [True, True, False]


def test_one_that_is_closed(path: Path):
    file = path.open()
    found = Descriptors([file.fileno()])
    assert not Descriptors.were_lost
    file.close()
    assert not found.are_intact()
    assert Descriptors.were_lost


def test_one_that_is_reused(path: Path):
    with path.open() as file, open(os.devnull) as other:
        found = Descriptors([file.fileno()])
        os.dup2(other.fileno(), file.fileno())
        assert not found.are_intact()


def test_numbers_that_nobody_else_writes_to(path: Path):
    with clear_of_others(), path.open() as usual:
        assert usual.fileno() <= 100
    Descriptors.were_lost = True
    with clear_of_others():
        high = path.open()
    with high, path.open() as low:
        assert high.fileno() > 100 >= low.fileno()


def test_where_there_are_no_numbers_to_spare(path: Path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    Descriptors.were_lost = True
    resource.setrlimit(resource.RLIMIT_NOFILE, (90, limits[1]))
    try:
        with clear_of_others(), path.open():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
