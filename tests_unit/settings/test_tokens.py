from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import pytest

from famacase_pytest.errors import SettingsError
from famacase_pytest.settings.model import Resolution
from famacase_pytest.settings.tokens import TOKEN_PLACEHOLDER, Tokens

from .resolving import Resolve

BASE = {"FAMACASE_API_URL": "h.example", "FAMACASE_MODE": "testops", "FAMACASE_TESTOPS_PROJECT": "SMOKE"}

# The places of a general token, the strongest first.
PLACES = [
    "--famacase-reporter-token on the command line",
    "--famacase-reporter-token-file on the command line",
    "--famacase-testops-api-token on the command line",
    "FAMACASE_REPORTER_TOKEN in the environment",
    "FAMACASE_REPORTER_TOKEN_FILE in the environment",
    "FAMACASE_TESTOPS_API_TOKEN in the environment",
    "famacase.reporterToken in famacase.config.json",
    "famacase.reporterTokenFile in famacase.config.json",
    "testops.api.token in famacase.config.json",
    "--qase-testops-api-token on the command line",
    "QASE_TESTOPS_API_TOKEN in the environment",
    "testops.api.token in qase.config.json",
]


def token(place: int) -> str:
    return f"rep_secret_{place:02}_{'x' * 20}"


def arguments(directory: Path, places: list[int]) -> dict[str, Any]:
    """Arguments of `resolve` with a token of its own in each of the given places."""
    result: dict[str, Any] = {"environ": dict(BASE), "options": {}, "famacase": {}, "qase": {}}
    for place in places:
        name, value = PLACES[place].split()[0], token(place)
        if "file on" in PLACES[place] or "FILE in" in PLACES[place] or "File in" in PLACES[place]:
            (directory / f"token{place}").write_text(f"{value}\n")
            value = f"token{place}"
        if name.startswith("--"):
            result["options"][name[2:].replace("-", "_")] = value
        elif name.isupper():
            result["environ"][name] = value
        else:
            document = result["qase" if PLACES[place].endswith("qase.config.json") else "famacase"]
            *blocks, last = name.split(".")
            for block in blocks:
                document = document.setdefault(block, {})
            document[last] = value
    return result


def assert_hidden(resolution: Resolution, secrets: list[str]) -> None:
    settings = resolution.settings
    assert settings
    seen = [repr(resolution), str(resolution), repr(settings), repr(settings.tokens), str(settings.tokens)]
    seen += [repr(settings.overlay.environ), repr(settings.overlay.file), repr(settings.overlay.options)]
    seen += list(resolution.warnings)
    for secret in secrets:
        assert not [text for text in seen if secret in text]


@pytest.mark.parametrize("place", range(len(PLACES)))
def test_each_place_beats_all_weaker_ones_and_none_is_shown(
    resolved: Resolve, tmp_path: Path, place: int
) -> None:
    places = list(range(place, len(PLACES)))
    resolution = resolved(**arguments(tmp_path, places))
    tokens = resolution.settings.tokens
    assert tokens.for_project("SMOKE") == token(place)
    assert str(tokens.source_for("SMOKE")) == PLACES[place]
    assert_hidden(resolution, [token(other) for other in places])
    assert tokens.exposed_by(token(place))


@pytest.mark.parametrize("place", range(len(PLACES)))
def test_a_token_from_qase_alone_is_warned_of(resolved: Resolve, tmp_path: Path, place: int) -> None:
    resolution = resolved(**arguments(tmp_path, [place]))
    assert resolution.settings.tokens.for_project("SMOKE") == token(place)
    if place < PLACES.index("--qase-testops-api-token on the command line"):
        assert resolution.warnings == ()
    else:
        (warning,) = resolution.warnings
        assert PLACES[place] in warning
        assert "FAMACASE_REPORTER_TOKEN" in warning


def test_upstream_gets_a_placeholder_everywhere(resolved: Resolve, tmp_path: Path) -> None:
    settings = resolved(**arguments(tmp_path, [0, 3, 10, 11])).settings
    assert settings.overlay.environ["QASE_TESTOPS_API_TOKEN"] == TOKEN_PLACEHOLDER
    assert settings.overlay.file["testops"]["api"]["token"] == TOKEN_PLACEHOLDER
    assert settings.overlay.options["qase_testops_api_token"] == TOKEN_PLACEHOLDER
    assert not [name for name in settings.overlay.environ if name.startswith("FAMACASE_")]


def test_a_token_under_another_name_does_not_reach_upstream_either(resolved: Resolve) -> None:
    secret = "rep_a_long_enough_secret"
    environ = {
        **BASE,
        "FAMACASE_REPORTER_TOKEN": secret,
        "CI_SECRET": secret,
        "QASE_SOMETHING_NEW": f"Bearer {secret}",
        "HOME": "/home/me",
    }
    resolution = resolved(environ, famacase={"extra": {"auth": [f"Bearer {secret}"]}})
    assert_hidden(resolution, [secret])
    assert resolution.settings.overlay.environ["HOME"] == "/home/me"


class TestOfSeveralProjects:
    MULTI: ClassVar[dict[str, Any]] = {
        "mode": "testops_multi",
        "testops_multi": {"default_project": "A", "projects": [{"code": "A"}, {"code": "B"}]},
    }
    BASE: ClassVar[dict[str, str]] = {"FAMACASE_API_URL": "h.example"}

    def test_by_variable(self, resolved: Resolve) -> None:
        environ = {**self.BASE, "FAMACASE_REPORTER_TOKENS": " A = rep_a_secret== , B=rep_b_secret,"}
        resolution = resolved(environ, qase=self.MULTI)
        settings = resolution.settings
        assert settings.projects == ("A", "B")
        assert settings.tokens.for_project("A") == "rep_a_secret=="
        assert settings.tokens.for_project("B") == "rep_b_secret"
        assert str(settings.tokens.source_for("B")) == "FAMACASE_REPORTER_TOKENS in the environment"
        assert_hidden(resolution, ["rep_a_secret", "rep_b_secret"])

    def test_by_file(self, resolved: Resolve) -> None:
        ours = {**self.MULTI, "famacase": {"tokens": {"A": "rep_a_secret", "B": "rep_b_secret", "C": None}}}
        resolution = resolved(self.BASE, famacase=ours)
        assert resolution.settings.tokens.for_project("B") == "rep_b_secret"
        assert str(resolution.settings.tokens.source_for("A")) == "famacase.tokens in famacase.config.json"
        assert_hidden(resolution, ["rep_a_secret", "rep_b_secret"])

    def test_the_variable_over_the_file_project_by_project(self, resolved: Resolve) -> None:
        ours = {**self.MULTI, "famacase": {"tokens": {"A": "from_file_a", "B": "from_file_b"}}}
        tokens = resolved(
            {**self.BASE, "FAMACASE_REPORTER_TOKENS": "A=from_env_a"}, famacase=ours
        ).settings.tokens
        assert (tokens.for_project("A"), tokens.for_project("B")) == ("from_env_a", "from_file_b")

    def test_one_for_all_where_a_project_has_none(self, resolved: Resolve) -> None:
        environ = {
            **self.BASE,
            "FAMACASE_REPORTER_TOKENS": "A=own_of_a",
            "FAMACASE_REPORTER_TOKEN": "general",
        }
        tokens = resolved(environ, qase=self.MULTI).settings.tokens
        assert (tokens.for_project("A"), tokens.for_project("B")) == ("own_of_a", "general")

    def test_each_project_needs_one(self, resolved: Resolve) -> None:
        with pytest.raises(SettingsError) as raised:
            resolved({**self.BASE, "FAMACASE_REPORTER_TOKENS": "A=own_of_a"}, qase=self.MULTI)
        (line,) = str(raised.value).splitlines()
        assert line.startswith("No token for project B is set")
        assert 'FAMACASE_REPORTER_TOKENS="B=..."' in line

    def test_a_token_of_qase_that_nobody_uses_is_no_matter(self, resolved: Resolve) -> None:
        environ = {
            **self.BASE,
            "FAMACASE_REPORTER_TOKENS": "A=own_of_a,B=own_of_b",
            "QASE_TESTOPS_API_TOKEN": "qase_secret",
        }
        assert resolved(environ, qase=self.MULTI).warnings == ()

    @pytest.mark.parametrize(
        "text", ["rep_lonely_secret", "A=,B=rep_lonely_secret", "=rep_lonely_secret", "A=x,secret_"]
    )
    def test_a_list_that_is_none_is_not_shown(self, resolved: Resolve, text: str) -> None:
        with pytest.raises(SettingsError) as raised:
            resolved(
                {**self.BASE, "FAMACASE_REPORTER_TOKENS": text, "FAMACASE_REPORTER_TOKEN": "g"},
                qase=self.MULTI,
            )
        (line,) = str(raised.value).splitlines()
        assert line.startswith("FAMACASE_REPORTER_TOKENS in the environment must be codes with tokens")
        assert "secret" not in line

    @pytest.mark.parametrize("content", ["rep_secret", ["rep_secret"], {"A": ["rep_secret"], "B": "t"}])
    def test_nor_is_one_of_the_wrong_kind_in_the_file(self, resolved: Resolve, content: Any) -> None:
        with pytest.raises(SettingsError) as raised:
            resolved(self.BASE, famacase={**self.MULTI, "famacase": {"tokens": content}})
        assert "famacase.tokens in famacase.config.json" in str(raised.value)
        assert "rep_secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("rep secret", "spaces or control characters"),
        ("rep\tsecret", "spaces or control characters"),
        ("rep\nsecret", "spaces or control characters"),
        ("rep\x00secret", "spaces or control characters"),
        ("rep\u00a0secret", "spaces or control characters"),
        ("rep\u200bsecret", "spaces or control characters"),
        ("rep„secret“", "no HTTP header can carry"),
        ("rep_sécret", "no HTTP header can carry"),
    ],
)
@pytest.mark.parametrize(
    "name", ["FAMACASE_REPORTER_TOKEN", "QASE_TESTOPS_API_TOKEN", "FAMACASE_REPORTER_TOKENS"]
)
def test_a_token_that_cannot_be_sent(resolved: Resolve, name: str, value: str, what: str) -> None:
    with pytest.raises(SettingsError) as raised:
        resolved({**BASE, name: f"SMOKE={value}" if name.endswith("S") else value})
    assert f"{name} in the environment holds a token" in str(raised.value)
    assert what in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("value", ["  rep_secret \n", "rep_secret"])
def test_what_surrounds_a_token_is_taken_off(resolved: Resolve, value: str) -> None:
    assert (
        resolved({**BASE, "FAMACASE_REPORTER_TOKEN": value}).settings.tokens.for_project("SMOKE")
        == "rep_secret"
    )


@pytest.mark.parametrize("value", [True, ["rep_secret"], {"a": "rep_secret"}])
def test_a_token_that_is_not_text(resolved: Resolve, value: Any) -> None:
    with pytest.raises(SettingsError) as raised:
        resolved(BASE, famacase={"famacase": {"reporterToken": value}})
    assert "famacase.reporterToken in famacase.config.json holds no text as the token" in str(raised.value)
    assert "rep_secret" not in str(raised.value)


class TestFromAFile:
    @pytest.mark.parametrize(
        "content", [b"rep_file\n", b"  rep_file", b"\xef\xbb\xbfrep_file\r\n", b"\nrep_file\n\n"]
    )
    def test_is_stripped(self, resolved: Resolve, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "token").write_bytes(content)
        for path in ("token", str(tmp_path / "token")):
            settings = resolved({**BASE, "FAMACASE_REPORTER_TOKEN_FILE": path}).settings
            assert settings.tokens.for_project("SMOKE") == "rep_file"

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (None, "cannot be read (No such file"),
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b"rep_one\nrep_two\n", "on one line"),
            (b"rep_one rep_two", "on one line"),
            (b"rep\x00one", "control characters"),
            (b"\xff\xfe\xff", "is not text"),
            (b"r" * 100_000, "too large"),
        ],
    )
    def test_or_refused(self, resolved: Resolve, tmp_path: Path, content: Any, what: str) -> None:
        if content is not None:
            (tmp_path / "token").write_bytes(content)
        with pytest.raises(SettingsError) as raised:
            resolved({**BASE, "FAMACASE_REPORTER_TOKEN_FILE": "token"})
        assert "FAMACASE_REPORTER_TOKEN_FILE in the environment" in str(raised.value)
        assert what in str(raised.value)
        assert "rep_one" not in str(raised.value)

    def test_a_directory_is_refused(self, resolved: Resolve, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="cannot be read"):
            resolved({**BASE, "FAMACASE_REPORTER_TOKEN_FILE": str(tmp_path)})

    def test_a_home_that_is_not_there(self, resolved: Resolve) -> None:
        with pytest.raises(SettingsError, match="cannot be read"):
            resolved({**BASE, "FAMACASE_REPORTER_TOKEN_FILE": "~nobody-of-this-name/token"})

    @pytest.mark.parametrize("mode", ["off", "report"])
    def test_is_no_matter_in_a_mode_that_sends_nothing(self, resolved: Resolve, mode: str) -> None:
        environ = {**BASE, "FAMACASE_MODE": mode, "FAMACASE_REPORTER_TOKEN_FILE": "/no/such/file"}
        settings = resolved(environ).settings
        with pytest.raises(SettingsError, match="cannot be read"):
            settings.tokens.for_project("SMOKE")


@pytest.mark.parametrize("selecting", ["FAMACASE_MODE", "QASE_MODE", "FAMACASE_FALLBACK"])
def test_a_missing_token_names_each_place_for_it(resolved: Resolve, selecting: str) -> None:
    environ = {"FAMACASE_API_URL": "h.example", "FAMACASE_TESTOPS_PROJECT": "SMOKE", selecting: "testops"}
    with pytest.raises(SettingsError) as raised:
        resolved(environ)
    for place in (
        "FAMACASE_REPORTER_TOKEN",
        "FAMACASE_REPORTER_TOKEN_FILE",
        'FAMACASE_REPORTER_TOKENS="SMOKE=..."',
        '"reporterToken"',
        '"tokens"',
        "FAMACASE_TESTOPS_API_TOKEN",
        "--famacase-testops-api-token",
        "testops.api.token",
    ):
        assert place in str(raised.value)


def test_a_token_in_the_wrong_place_is_not_shown_there(resolved: Resolve) -> None:
    secret = "rep_pasted_in_two_places"
    with pytest.raises(SettingsError) as raised:
        resolved({**BASE, "FAMACASE_REPORTER_TOKEN": secret, "FAMACASE_TIMEOUT": secret})
    assert "FAMACASE_TIMEOUT in the environment" in str(raised.value)
    assert secret not in str(raised.value)


def test_no_token_at_all() -> None:
    tokens = Tokens()
    assert not tokens
    assert repr(tokens) == "Tokens(none)"
    assert tokens.source_for("A") is None
    with pytest.raises(SettingsError, match="No token for project A is set"):
        tokens.for_project("A")


def test_text_is_scrubbed_of_tokens(resolved: Resolve) -> None:
    tokens = resolved({**BASE, "FAMACASE_REPORTER_TOKEN": "rep_to_scrub"}).settings.tokens
    assert tokens.scrubbed("Bearer rep_to_scrub!") == "Bearer ***!"
    assert tokens.exposed_by("x rep_to_scrub")
    assert not tokens.exposed_by("x")
    assert pickle.loads(pickle.dumps(tokens)).for_project("SMOKE") == "rep_to_scrub"
