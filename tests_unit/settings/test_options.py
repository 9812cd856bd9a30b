from __future__ import annotations

import re
from typing import Any

import pytest
from _pytest.config.argparsing import Parser
from qase.pytest.options import QasePytestOptions

from famacase_pytest.settings import options
from famacase_pytest.settings.options import Option, add_options, record, twins
from famacase_pytest.settings.table import OWN, UPSTREAM


@pytest.fixture
def upstream() -> tuple[Option, ...]:
    return record(QasePytestOptions.addoptions)


@pytest.fixture
def parser() -> Parser:
    parser = Parser(_ispytest=True)
    QasePytestOptions.addoptions(parser, parser.getgroup("qase"))
    return parser


def test_the_recorder_sees_what_pytest_sees(upstream: tuple[Option, ...], parser: Parser) -> None:
    registered = {name: option.dest for option in parser.getgroup("qase").options for name in option.names()}
    assert {option.flag: option.dest for option in upstream} == registered
    assert len(upstream) > 20


def test_every_flag_has_its_twin(upstream: tuple[Option, ...]) -> None:
    twin = {option.flag: option for option in twins(upstream)}
    assert len(twin) == len(upstream)
    for option in upstream:
        found = twin[option.flag.replace("qase", "famacase")]
        assert found.dest == option.dest.replace("qase", "famacase")
        assert found.help == f"the same as {option.flag}"


def test_the_table_knows_every_flag_and_its_dest(upstream: tuple[Option, ...]) -> None:
    known = {f"--qase-{row.flag}": f"qase_{row.destination}" for row in UPSTREAM if row.flag}
    assert {option.flag: option.dest for option in upstream} == known


@pytest.mark.parametrize("role", ["parser", "group"])
def test_whatever_a_release_adds_options_to_is_recorded(role: str) -> None:
    def register(parser: Any, group: Any) -> None:
        target = {"parser": parser, "group": group}[role]
        target.addoption("-q1", "--qase-a-b", default=None)
        target.addoption("--qase-c", "qase_see", help="positional dest")
        target.addoption("--other", dest="other")
        parser.getgroup("again").addoption("--qase-d", dest="qase_d", type=int)
        parser.addini("qase_ini", "an ini setting")

    assert [(twin.flag, twin.dest) for twin in twins(record(register))] == [
        ("--famacase-a-b", "famacase_a_b"),
        ("--famacase-c", "famacase_see"),
        ("--famacase-d", "famacase_d"),
    ]


def test_all_are_registered_as_text_without_default(upstream: tuple[Option, ...], parser: Parser) -> None:
    add_options(parser.getgroup("famacase"), upstream)
    empty = vars(parser.parse_known_args([]))
    ours = {dest: value for dest, value in empty.items() if dest.startswith("famacase_")}
    assert len(ours) == len(upstream) + len([row for row in OWN if row.flag])
    assert set(ours.values()) == {None}
    for row in OWN:
        if row.flag:
            given = vars(parser.parse_known_args([f"--famacase-{row.flag}=x y"]))
            assert given[f"famacase_{row.destination}"] == "x y"
    lists = [
        "--famacase-integrations=a",
        "--famacase-integrations",
        "b,c",
        "--famacase-mode=x",
        "--famacase-mode=y",
    ]
    given = vars(parser.parse_known_args(lists))
    assert (given["famacase_integrations"], given["famacase_mode"]) == ("a,b,c", "y")


def test_no_flag_is_ambiguous_or_shortened(upstream: tuple[Option, ...], parser: Parser) -> None:
    add_options(parser.getgroup("famacase"), upstream)
    _, unknown = parser.parse_known_and_unknown_args(["--famacase-repo=x", "--famacase-mode=off"])
    assert unknown == ["--famacase-repo=x"]


def test_a_name_that_is_taken_is_passed_over(upstream: tuple[Option, ...], parser: Parser) -> None:
    parser.getgroup("somebody else").addoption("--famacase-mode", dest="theirs")
    parser.getgroup("somebody else").addoption("--famacase-timeout", dest="theirs_too")
    add_options(parser.getgroup("famacase"), upstream)
    add_options(parser.getgroup("famacase"), upstream)
    assert parser.parse_known_args(["--famacase-mode=x"]).theirs == "x"
    assert parser.parse_known_args(["--famacase-debug=x"]).famacase_debug == "x"


def test_our_own_flag_beats_the_twin_of_the_same_name(parser: Parser) -> None:
    recorded = (Option("--qase-timeout", "qase_timeout"), Option("--qase-new", "qase_new"))
    add_options(parser.getgroup("famacase"), recorded)
    help_of = {o.names()[0]: o.attrs()["help"] for o in parser.getgroup("famacase").options}
    assert help_of["--famacase-timeout"].startswith("Seconds")
    assert help_of["--famacase-new"] == "the same as --qase-new"


def test_a_group_that_raises_for_a_conflict_is_survived() -> None:
    class Group:
        def addoption(self, *names: str, **attributes: Any) -> None:
            raise ValueError(f"option names {set(names)} already added")

    add_options(Group(), ())


def test_the_help_of_a_token_flag_prefers_the_variable() -> None:
    help_of = {option.flag: option.help for option in options.own_options()}
    assert "prefer the variable" in help_of["--famacase-reporter-token"]
    assert "prefer" not in help_of["--famacase-timeout"]
    assert "--famacase-reporter-tokens" not in help_of


def test_the_help_can_be_printed(upstream: tuple[Option, ...], parser: Parser) -> None:
    add_options(parser.getgroup("famacase"), upstream)
    # argparse formats help texts with "%", so a stray one would break `pytest --help`.
    built = parser.optparser if hasattr(parser, "optparser") else parser._getparser()
    text = built.format_help()
    assert len(re.findall(r"^\s+--famacase-", text, re.MULTILINE)) > 40
