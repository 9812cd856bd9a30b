"""What is wrong in a description is named with its line, in JSON and in YAML, which it is a part of."""

from __future__ import annotations

import re

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.orchestration.descriptions import find

TEXT = """{
 "test_name": "soak",
 "total_seconds": 1,
 "unref_setup_fixtures": ["one"],
 "qase": {"id": [1, 2], "title": "A soak"},
 "events": [
  {"name": "ping"},
  {"name": "ping",
   "interval_sec": 1, "at_teardown": true,
   "max_overlap": 2,
   "params": {"url": "https://example.com", "name": "x"}}
 ]
}"""


@pytest.fixture(params=["json", "yaml"])
def found(request, tmp_path):
    """Finds the description in which one text is replaced by another."""

    def find_it(old="", new=""):
        assert old in TEXT
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / f"soak.{request.param}").write_text(TEXT.replace(old, new, 1), encoding="utf-8")
        return find(tmp_path, ["soak"])

    return find_it


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ('"test_name": "soak"', '"test_name": "soaks"', 2, "test_name has to be the name of the file"),
        ('"test_name"', '"tset_name"', 2, "'tset_name' is not a known key. Did you mean test_name?"),
        ('"total_seconds": 1', '"total_seconds": true', 3, "total_seconds has to be a number above 0"),
        ('"total_seconds": 1,', "", 1, "total_hours or total_seconds has to be there, and not both."),
        ('"total_seconds": 1', '"total_seconds": 1, "total_hours": 1', 1, "total_hours or total_seconds has"),
        ('["one"]', '"one"', 4, "unref_setup_fixtures has to be a list of texts, not 'one'."),
        ('"id": [1, 2]', '"id": "C1"', 5, "id has to be a case id or a list of them, not 'C1'."),
        ('"title"', '"titel"', 5, "'titel' is not a known key. Did you mean title?"),
        ('{"name": "ping"}', "7", 7, "this has to be an object."),
        ('{"name": "ping"}', "{}", 7, "name is missing."),
        ('"interval_sec": 1', '"interval_sec": "soon"', 9, "interval_sec has to be a number above 0"),
        ('"interval_sec"', '"interval_secs"', 9, "'interval_secs' is not a known key."),
        ('"at_teardown": true', '"at_teardown": 1', 9, "at_teardown has to be true or false, not 1."),
        ('"max_overlap": 2', '"on_error": "retry"', 10, "on_error has to be continue or stop, not 'retry'."),
        ('"max_overlap": 2', '"max_overlap": 0.5', 10, "max_overlap has to be a whole number above 0"),
        ('"url": "https://example.com"', "[", 11, "this cannot be read: "),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(found, old, new, line, problem):
    with pytest.raises(SettingsError, match=rf"soak\.(json|yaml):{line}: {re.escape(problem)}"):
        found(old, new)


def test_a_description(found):
    (description,) = found()
    assert (description.name, description.seconds, description.fixtures) == ("soak", 1, ["one"])
    assert description.qase == {"id": [1, 2], "title": "A soak"}
    first, second = description.events
    assert (first.key, first.interval_sec, first.at_startup, first.max_overlap) == ("ping", None, True, 1)
    assert (second.key, second.interval_sec, second.at_teardown, second.max_overlap) == (
        "ping (2)",
        1,
        True,
        2,
    )
    assert second.params == {"url": "https://example.com", "name": "x"}


def test_all_of_a_folder(tmp_path):
    for name in ("once", "twice"):
        text = f'{{"test_name": "{name}", "total_hours": 2, "events": [{{"name": "ping"}}]}} // "//"'
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "notes.txt").write_text("no description")
    assert [(one.name, one.seconds) for one in find(tmp_path, [])] == [("once", 7200), ("twice", 7200)]
    with pytest.raises(SettingsError, match=r"no description 'twise' in .*Did you mean twice\?"):
        find(tmp_path, ["once", "twise"])


def test_yaml_where_there_is_no_pyyaml(tmp_path, monkeypatch):
    (tmp_path / "soak.yaml").write_text("test_name: soak")
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(SettingsError, match="pip install pyyaml"):
        find(tmp_path, [])
