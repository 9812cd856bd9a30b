from __future__ import annotations

import abc
import sys
import textwrap
from pathlib import Path

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.resolver import load, resolve_class


class Base(abc.ABC):
    @abc.abstractmethod
    def name(self) -> str: ...


# Files import the base from here, as they import it from the package whose base class they extend.
EXTENDS = f"from {__name__} import Base\n"
WHOLE = "\n    def name(self):\n        return 'here'\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes files of a team's own, whose modules are forgotten after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EXTENDS + textwrap.dedent(text), encoding="utf-8")
        return path

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


def resolved(name: str, directory: Path) -> type[Base]:
    return resolve_class(name, Base, setting="client.class in the file", directory=directory)


def refused(name: str, directory: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        resolved(name, directory)
    assert str(caught.value).startswith("client.class in the file is ")
    return str(caught.value)


@pytest.mark.parametrize(
    "form",
    ["own/back_end.py", "own/back_end", "{directory}/own/back_end.py", "own.BackEnd", "own.back_end.BackEnd"],
)
def test_five_forms_name_a_class(own, tmp_path, form):
    own("own/back_end.py", f"class BackEnd(Base):{WHOLE}")
    (tmp_path / "own" / "__init__.py").write_text("from .back_end import BackEnd\n", encoding="utf-8")
    found = resolved(form.format(directory=tmp_path), tmp_path)
    assert found.__name__ == "BackEnd"
    assert found().name() == "here"


def test_a_module_without_a_class_is_looked_through(own, tmp_path):
    own("named.py", f"class Named(Base):{WHOLE}\nclass Other(Base):{WHOLE}")
    own("single.py", f"from named import Named\nclass Whatever(Base):{WHOLE}")
    assert resolved("named.py", tmp_path).__name__ == "Named"
    assert resolved("single", tmp_path).__name__ == "Whatever"
    assert resolved("named", tmp_path) is resolved(str(tmp_path / "named.py"), tmp_path)


def test_two_classes_without_a_name_are_refused(own, tmp_path):
    own("several.py", f"class First(Base):{WHOLE}\nclass Second(Base):{WHOLE}")
    assert "(First, Second)" in refused("several.py", tmp_path)
    own("nothing.py", "")
    assert "(none)" in refused("nothing.py", tmp_path)


def test_a_file_imports_what_lies_beside_it(own, tmp_path):
    own("deep/beside.py", "WORD = 'beside'")
    own("deep/client.py", "from beside import WORD\nclass Client(Base):\n    def name(self): return WORD")
    assert resolved("deep/client.py", tmp_path)().name() == "beside"


def test_what_is_wrong_is_named(own, tmp_path):
    own("half.py", "class Half(Base): pass")
    own("foreign.py", "class Foreign: pass")
    own("broken.py", "import missing_module")
    own("ends.py", "raise RuntimeError('not today')")
    assert "does not implement name" in refused("half.py", tmp_path)
    assert "no subclass of" in refused("foreign.Foreign", tmp_path)
    assert "no subclass of" in refused("foreign", tmp_path)
    assert "No module named 'missing_module'" in refused("broken", tmp_path)
    assert "No module named 'missing_module'" in refused("broken.Client", tmp_path)
    assert "RuntimeError: not today" in refused("ends.py", tmp_path)
    assert "there is no module nowhere" in refused("nowhere.Client", tmp_path)
    assert "half has no Whole" in refused("half.Whole", tmp_path)
    assert "half has no haft; did you mean Half?" in refused("half.haft", tmp_path)
    assert "there is no such file" in refused("missing/client.py", tmp_path)


def test_any_object_can_be_loaded(own, tmp_path):
    own("things.py", "LIST = [1, 2]\nclass Holder:\n    inner = 'inside'")
    assert load("things.LIST", setting="s", directory=tmp_path) == [1, 2]
    assert load("things.Holder.inner", setting="s", directory=tmp_path) == "inside"
    assert load("things", setting="s", directory=tmp_path).__name__.startswith("things")
