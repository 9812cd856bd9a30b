"""What a session would be made of, found out in this process, where no test is run."""

from __future__ import annotations

import importlib
import json
import sys

import pytest

from famacase_pytest.upstream import probe

pytest_plugins = "pytester"

# Imported here, since pytester forgets at the end of a test what was imported in it.
importlib.import_module("qase.pytest.conftest")


@pytest.fixture
def probed(pytester, monkeypatch):
    """Reads the command line of a session in the directory of the test."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("PYTEST_ADDOPTS", "FAMACASE_API_URL", "FAMACASE_ENABLED", "QASE_MODE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, plugins=("famacase_pytest.plugin", "qase.pytest.conftest")):
        found = probe._Probe()
        config = pytester.parseconfig(*(text for name in plugins for text in ("-p", name)), *arguments)
        assert found.pytest_cmdline_main(config) == 0
        return found.found

    return run


def test_flags_that_are_given_are_told_and_others_are_not(probed):
    found = probed("--famacase-mode=testops", "--qase-testops-project=SHOP", "--maxfail=3")
    options = found["options"]
    assert (options["famacase_mode"], options["qase_testops_project"]) == ("testops", "SHOP")
    assert all(name.startswith(("famacase_", "qase_")) for name in options)
    assert None not in options.values()


def test_what_a_conftest_gives_is_told_with_its_name(probed, pytester):
    pytester.makeconftest("def pytest_famacase_defaults(): return {'mode': 'off'}")
    found = probed()
    assert found["defaults"] == {"mode": "off"}
    (giver,) = found["defaults_of"]
    assert giver.endswith("conftest.py")
    assert found["rootdir"] == str(pytester.path)


@pytest.mark.parametrize("given", ["None", "['mode']", "7"])
def test_what_is_no_document_is_none(probed, pytester, given):
    pytester.makeconftest(f"def pytest_famacase_defaults(): return {given}")
    assert probed()["defaults"] is None


@pytest.mark.parametrize(
    "plugins",
    [
        ("famacase_pytest.plugin", "qase.pytest.conftest"),
        ("qase.pytest.conftest", "famacase_pytest.plugin"),
    ],
)
def test_plugins_are_told_in_the_order_in_which_they_were_loaded(probed, plugins):
    assert [name for name in probed(plugins=plugins)["order"] if name in plugins] == list(plugins)


def test_the_installed_upstream_fits(probed):
    """The command tells these to people, row by row."""
    found = probed()
    assert {row["name"]: row["problem"] for row in found["rows"] if row["problem"]} == {}
    assert len(found["rows"]) > 10
    assert "QASE_MODE" in found["known"]
    assert {"off", "report", "testops"} <= set(found["modes"])
    assert set(found["versions"]) == {"pytest", "qase-pytest", "qase-python-commons"}
    # It goes through a file, where what is no JSON is its text.
    assert json.loads(json.dumps(found, default=str))["versions"] == found["versions"]


@pytest.mark.parametrize("code", [0, 4])
def test_what_was_found_is_written_and_the_code_is_pytests(tmp_path, monkeypatch, code):
    """A session that breaks off before leaves no file, and the command says what pytest has said."""
    seen = []

    def main(arguments, plugins):
        seen.extend(arguments)
        if code == 0:
            plugins[0].found = {"rootdir": tmp_path}
        return pytest.ExitCode(code)

    monkeypatch.setattr(pytest, "main", main)
    monkeypatch.setattr(sys, "argv", ["probe", str(tmp_path / "found.json"), "-x", "--lf"])
    with pytest.raises(SystemExit) as ended:
        probe.main()
    assert ended.value.code == code
    assert seen == ["-q", "-x", "--lf"]
    assert (tmp_path / "found.json").exists() == (code == 0)
    if code == 0:
        text = (tmp_path / "found.json").read_text(encoding="utf-8")
        assert json.loads(text) == {"rootdir": str(tmp_path)}
