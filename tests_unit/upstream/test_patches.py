"""Each row of the table, on the upstream that is installed and on doctored ones."""

from __future__ import annotations

import abc
import importlib
import inspect
from typing import Any

import pytest

from famacase_pytest.errors import UpstreamMismatch
from famacase_pytest.upstream import patches
from famacase_pytest.upstream.patches import TABLE, Installation, Patch, version_tuple

INSTALLED = version_tuple(patches.upstream_version())
ROWS = [row for row in TABLE if row.since <= INSTALLED < row.before]
# Of a name that upstream does not have there is nothing to take away.
NAMED = [row for row in ROWS if not row.adds]

# The releases that the supported releases of qase-pytest resolve to, and the bounds between them.
COMMONS = ("3.4.0", "3.4.4", "3.5.7", "4.0.1", "4.1.6", "4.1.7", "4.1.10", "5.0.7", "5.1.2", "5.1.6")


def each(rows: list[Patch]) -> Any:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.path)


def place(row: Patch) -> tuple[Any, str]:
    owner: Any = importlib.import_module(row.module)
    *classes, attribute = row.attribute.split(".")
    for name in classes:
        owner = getattr(owner, name)
    return owner, attribute


def value(row: Patch) -> Any:
    owner, attribute = place(row)
    return inspect.getattr_static(owner, attribute, None)


def bound() -> dict[str, Any]:
    return {row.path: value(row) for row in ROWS}


# On the upstream that is installed


def test_every_row_fits(installation):
    installation.check()
    assert list(installation.rows) == ROWS


@each([row for row in ROWS if row.scope == "session"])
def test_a_row_is_installed_and_undone(row, installation, monkeypatch):
    owner, attribute = place(row)
    if attribute == "_instance":
        monkeypatch.setattr(owner, attribute, "an instance of another session")
    before = value(row)
    installation.install()
    assert value(row) is not before
    installation.undo()
    assert value(row) is before
    assert (attribute in vars(owner)) is not row.adds
    installation.undo()


@each([row for row in ROWS if row.scope == "configuration"])
def test_a_row_of_the_configuration_stands_while_upstream_reads_it(row, installation, reader):
    before = value(row)
    installation.install()
    assert value(row) is before
    with reader.during():
        assert value(row) is not before
    assert value(row) is before


def test_installing_twice_and_undoing_leaves_nothing(installation, bindings):
    before = bound()
    for _ in range(2):
        again = Installation(bindings)
        again.check()
        again.install()
        again.undo()
    assert bound() == before


def test_nothing_stays_bound_when_an_installation_breaks_off(bindings):
    before = bound()

    def broken(_: Any, __: Any) -> Any:
        raise RuntimeError("in the middle")

    table = (*TABLE, TABLE[-1]._replace(replacement=broken))
    with pytest.raises(RuntimeError, match="in the middle"):
        Installation(bindings, table=table).install()
    assert bound() == before


def test_speedups_can_be_left_out(bindings):
    left = Installation(bindings, speedups=False)
    left.check()
    assert {row.name for row in ROWS} - {row.name for row in left.rows} == {
        "host data",
        "host data of the local report",
        "clock",
        "adding a result",
        "text of a result",
        "start of a test",
    }


# On upstreams that are not as we know them


def refusal(bindings: Any, **options: Any) -> str:
    before = bound()
    with pytest.raises(UpstreamMismatch) as error:
        Installation(bindings, **options).check()
    assert bound() == before
    message = str(error.value)
    assert patches.upstream_version() in message
    assert patches.upstream_version("qase-pytest") in message
    assert "No result of this session is reported, neither to Famacase nor to Qase" in message
    return message


@each([row for row in NAMED if row.required])
def test_a_name_that_is_gone_is_refused(row, bindings, monkeypatch):
    monkeypatch.delattr(*place(row))
    said = refusal(bindings)
    assert f"{row.name} ({row.path}): it is not there" in said


# A method that every object has cannot be gone.
@each([row for row in NAMED if not row.required and not hasattr(object, row.attribute.rpartition(".")[2])])
def test_a_name_that_is_gone_is_left_out_where_the_session_can_do_without(row, bindings, monkeypatch):
    monkeypatch.delattr(*place(row))
    installation = Installation(bindings)
    installation.check()
    assert set(ROWS) - set(installation.rows) == {other for other in ROWS if other.path == row.path}


@each([row for row in ROWS if row.adds])
def test_a_name_that_upstream_has_by_now_does_not_fit(row, bindings, monkeypatch):
    monkeypatch.setattr(*place(row), "something", raising=False)
    if row.required:
        assert f"{row.name} ({row.path}): it is there by now" in refusal(bindings)
    else:
        installation = Installation(bindings)
        installation.check()
        assert row not in installation.rows


@each([row for row in ROWS if row.parameters is not None])
def test_another_signature_does_not_fit(row, bindings, monkeypatch):
    owner, attribute = place(row)

    class Changed:
        def __init__(self, one: Any, two: Any, three: Any, four: Any) -> None:
            pass

    def changed(one: Any, two: Any, three: Any, four: Any) -> None:
        pass

    monkeypatch.setattr(owner, attribute, Changed if inspect.isclass(value(row)) else changed)
    if row.required:
        said = refusal(bindings)
        assert f"{row.name} ({row.path}): its parameters are (" in said
        assert f"not ({', '.join(row.parameters or ())})" in said
    else:
        installation = Installation(bindings)
        installation.check()
        assert row not in installation.rows


@pytest.mark.parametrize(
    ("module", "attribute"),
    [("qase.commons.nowhere", "Name"), ("qase.commons.utils", "Nowhere.name"), ("nowhere", "name")],
)
def test_a_module_or_class_that_is_gone(bindings, module, attribute):
    row = Patch("something", module, attribute, lambda b, _: None)
    assert f"something ({module}.{attribute}): it is not there (" in refusal(bindings, table=(row,))


def test_all_that_does_not_fit_is_named(bindings, monkeypatch):
    gone = [row for row in NAMED if row.name in ("API client", "plan loader", "run file")]
    for row in gone:
        monkeypatch.delattr(*place(row))
    said = refusal(bindings)
    assert all(row.path in said for row in gone)


def test_a_method_that_upstream_has_and_our_client_does_not(bindings):
    class Grown(bindings.client):  # type: ignore[misc,name-defined]
        @abc.abstractmethod
        def archive_run(self) -> None: ...

    said = refusal(bindings._replace(client=Grown))
    assert "API client" in said
    assert "our client lacks archive_run" in said


def test_a_parameter_that_upstream_passes_and_our_client_does_not_take(bindings, monkeypatch):
    def complete_run(self: Any, project_code: str, run_id: str, reason: str) -> None: ...

    monkeypatch.setattr(patches.BaseApiClient, "complete_run", complete_run)
    said = refusal(bindings)
    assert "complete_run takes (self, project_code, run_id, reason), our client's (" in said


# By release


@pytest.mark.parametrize("release", COMMONS)
def test_each_release_has_one_place_for_the_client_and_the_rows_that_it_needs(release, bindings, monkeypatch):
    monkeypatch.setattr(patches, "upstream_version", lambda name="": release)
    names = [row.name for row in Installation(bindings).rows]
    assert len(names) == len(set(names))
    several = {"link to a test of several projects", "sending thread of several projects"}
    assert {"API client", "plan loader", "configuration", "link to a test", "sending thread"} <= set(names)
    assert several <= set(names) if version_tuple(release) >= (5,) else not several & set(names)


@pytest.mark.parametrize(
    ("text", "expected"), [("5.1.6", (5, 1, 6)), ("6.0", (6, 0)), ("5.2.0rc1", (5, 2)), ("5.2.dev1", (5, 2))]
)
def test_versions(text, expected):
    assert version_tuple(text) == expected
