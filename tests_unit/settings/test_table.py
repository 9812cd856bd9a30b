from __future__ import annotations

from famacase_pytest.settings.table import OWN, ROWS, UPSTREAM
from famacase_pytest.upstream import environment_names


def test_the_table_has_every_variable_of_the_installed_upstream() -> None:
    names = environment_names()
    assert len(names) > 20
    assert names - {f"QASE_{row.name}" for row in UPSTREAM} == set()


def test_no_name_path_or_flag_stands_twice() -> None:
    for values in (
        [row.name for row in ROWS],
        [row.path for row in ROWS if row.path],
        [row.flag for row in ROWS if row.flag],
        [row.destination for row in ROWS],
    ):
        assert len(values) == len(set(values))


def test_no_path_lies_within_another() -> None:
    paths = [row.path for row in ROWS if row.path]
    assert not [(a, b) for a in paths for b in paths if b.startswith(f"{a}.")]


def test_our_own_stand_in_our_own_block() -> None:
    assert all(row.own and row.path.startswith("famacase.") for row in OWN)
    assert not any(row.own or row.path.startswith("famacase.") for row in UPSTREAM)
