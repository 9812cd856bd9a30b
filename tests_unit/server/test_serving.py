"""What is said and written when the back end answers."""

from __future__ import annotations

import shlex

import pytest

from famacase_pytest.server import CannotServe, Settings
from famacase_pytest.server.serving import _greeting, _write_port


def test_the_lines_to_copy_are_for_a_shell_and_for_the_first_project():
    said = _greeting("http://[::1]:80", Settings(projects={"A B": "it's $HOME", "SMOKE": "rep_local"}))
    exports = shlex.split(said.partition("\n\n")[2])
    assert exports == [
        *("export", "FAMACASE_MODE=testops"),
        *("export", "FAMACASE_API_URL=http://[::1]:80"),
        *("export", "FAMACASE_REPORTER_TOKEN=it's $HOME"),
        *("export", "FAMACASE_TESTOPS_PROJECT=A B"),
    ]
    assert "Projects: A B, SMOKE." in said
    # Of a second one nothing but the name is said.
    assert "rep_local" not in said


@pytest.mark.parametrize(
    ("host", "reachable"),
    [
        ("127.0.0.2", ""),
        ("localhost", ""),
        ("::1", ""),
        ("0.0.0.0", "0.0.0.0"),
        ("", "every address"),
        ("::", "::"),
    ],
)
def test_who_listens_to_more_than_this_machine_is_told_that_pages_need_no_token(host, reachable):
    said = _greeting("http://127.0.0.1:80", Settings(host=host))
    warning = f"It listens on {reachable}: whoever reaches that can read the pages."
    assert (warning in said) == bool(reachable)
    assert ("whoever reaches" in said) == bool(reachable)


def test_a_port_file_has_the_port_or_the_start_fails_with_a_sentence(tmp_path):
    _write_port(tmp_path / "port", 8123)
    assert (tmp_path / "port").read_text() == "8123\n"
    with pytest.raises(CannotServe, match="nowhere/port cannot be written: No such file or directory"):
        _write_port(tmp_path / "nowhere" / "port", 8123)
