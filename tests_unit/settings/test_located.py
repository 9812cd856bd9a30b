"""What is wrong in a file is named with its line; what a file may hold that is neither JSON nor YAML."""

from __future__ import annotations

import builtins

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.located import Located


@pytest.fixture
def located(tmp_path):
    def read(text, name="file.json"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return Located(tmp_path / name)

    return read


def line_of(file, *location):
    """The line that an error about a location names."""
    with pytest.raises(SettingsError, match=r"wrong\. No test runs before that is mended\.$") as caught:
        file.fail(location, "wrong.")
    place, line, _ = str(caught.value).split(":", 2)
    assert place == str(file.path)
    return int(line)


# Strings that look like structure, and a list in a list.
TEXT = """// how it is
{
  "a": {"b": "{[,", // "x": [
    "c": ["//no comment", "\\"//", {"d": null}]},
  "e": [
    [1, 2,
     3], {}, [],
    "last"
  ],
  "f": 1
}
"""


def test_each_value_has_its_line(located):
    file = located(TEXT)
    assert file.content == {
        "a": {"b": "{[,", "c": ["//no comment", '"//', {"d": None}]},
        "e": [[1, 2, 3], {}, [], "last"],
        "f": 1,
    }
    lines = {
        ("a",): 3,
        ("a", "b"): 3,
        ("a", "c"): 4,
        ("a", "c", 2, "d"): 4,
        ("e",): 5,
        ("e", 0): 6,
        ("e", 0, 1): 6,
        ("e", 0, 2): 7,
        ("e", 1): 7,
        ("e", 2): 7,
        ("e", 3): 8,
        ("f",): 10,
    }
    assert {location: line_of(file, *location) for location in lines} == lines


def test_what_has_no_line_of_its_own_is_looked_for_from_the_top(located):
    assert line_of(located('\n\n{"a": 1}'), "missing") == 1


YAML = """a:
  - one
  - b: 2

    c: {d: 1,
        e: 2}
yes: 1
7: 2
"""


def test_yaml_has_lines_too(located):
    file = located(YAML, "file.yaml")
    assert file.content == {"a": ["one", {"b": 2, "c": {"d": 1, "e": 2}}], True: 1, 7: 2}
    lines = {("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, "b"): 3, ("a", 1, "c"): 5, ("a", 1, "c", "e"): 6}
    assert {location: line_of(file, *location) for location in lines} == lines


def test_a_key_of_yaml_that_is_no_text_has_its_line(located):
    """``on`` is true there: who checks the content asks for what it was read as."""
    file = located(YAML, "file.yml")
    assert [line_of(file, key) for key in file.content] == [1, 7, 8]


def test_a_mapping_that_is_merged_into_another(located):
    file = located("a: &a {b: 1}\nc:\n  <<: *a\n  d: 2\n", "file.yaml")
    assert file.content["c"] == {"b": 1, "d": 2}
    assert line_of(file, "c", "d") == 4


def test_a_file_that_holds_nothing(located):
    assert located("", "file.yaml").content is None
    with pytest.raises(SettingsError, match=r"file\.json:1: this cannot be read: "):
        located("")


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("file.json", '{"a": 1,\n "b": }', 2),
        ("file.json", '{"a": 1,\n // "b": 2\n}', 3),
        ("file.yaml", "a: 1\nb: [", 2),
        ("file.yaml", "a: 1\nb: &x\n  - *y\n", 3),
        ("file.yaml", "a: 1\n---\nb: 2\n", 2),
        # No YAML has such a character: the reader says so before there are lines.
        ("file.yaml", "a: 1\nb: \x07", 1),
    ],
    ids=["json", "json comment", "yaml", "yaml alias", "two documents", "a control character"],
)
def test_what_cannot_be_read_is_named(located, name, text, line):
    with pytest.raises(SettingsError, match=rf"{name}:{line}: this cannot be read: "):
        located(text, name)


@pytest.mark.parametrize(
    ("name", "text"), [("file.yaml", "&a [*a]"), ("file.json", "[" * 100_000)], ids=["itself", "deep"]
)
def test_what_has_no_end_is_refused(located, name, text):
    with pytest.raises(SettingsError, match="this contains itself, or is nested too deeply"):
        located(text, name)


def test_bytes_of_another_encoding(tmp_path):
    (tmp_path / "file.json").write_bytes('{"a": "ü"}'.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"file\.json:1: this cannot be read: .*utf-8"):
        Located(tmp_path / "file.json")


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(SettingsError, match=r"gone\.json:1: this cannot be read: .*No such file"):
        Located(tmp_path / "gone.json")


def test_without_pyyaml_only_yaml_is_refused(located, monkeypatch):
    real = builtins.__import__

    def without_yaml(name, *more, **options):
        if name == "yaml":
            raise ModuleNotFoundError("No module named 'yaml'", name="yaml")
        return real(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    assert located('{"a": 1}').content == {"a": 1}
    with pytest.raises(SettingsError, match="YAML needs PyYAML: pip install pyyaml"):
        located("a: 1", "file.yaml")
