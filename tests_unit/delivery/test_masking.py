"""What is found to be secret, and the ways in which it may be written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from famacase_pytest.delivery.masking import Mask

SECRETS = [
    "hunter22",
    "a.b*c+(d)[e]?^$|\\n{2}",
    "pässwörd-ключ-密码",
    "quo\"te's & <more>",
    "two\nlines of it",
    "with spaces and / slashes",
    "back\\slash\\",
    "::colons::and.dots",
]


@pytest.fixture
def mask():
    return Mask(["password", "api_key", "token"], [], {})


def hidden(mask, text, **payload):
    return mask.secrets(payload, [text]).hide(text)


# By what is secret


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "written",
    [
        str,
        repr,
        ascii,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(json.dumps({"other": text})),
        quote,
        lambda text: quote(text, safe="").replace("%20", "+"),
        lambda text: text.encode("unicode_escape").decode(),
    ],
)
def test_a_value_is_masked_however_it_is_written(mask, secret, written):
    text = f"before {written(secret)} after"
    masked = hidden(mask, text, params={"password": secret})
    assert "***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    for part in (
        secret,
        written(secret),
        "hunter",
        "ssw",
        "quo",
        "lines of",
        "slash",
        "colons",
        "密码",
        "ключ",
    ):
        assert part not in masked


@pytest.mark.parametrize("value", ["abc", "", "None", "true", "null", "empty", "False"])
def test_a_short_value_or_none_is_not_looked_for(mask, value):
    text = f"{value} and others of abc None true null empty False"
    assert hidden(mask, text, params={"password": value}) == text
    payload = {"id": "1", "params": {"password": value}, "title": text}
    masked = mask.masked(payload, mask.secrets(payload))
    assert masked["params"] == {"password": "***"}
    assert masked["title"] == text


def test_variables_are_secret_with_their_earlier_values_too():
    environ = {"DB_PASSWORD": "first-value", "OTHER": "other-value"}
    mask = Mask([], ["DB_PASSWORD", "NOT_SET"], environ)
    assert hidden(mask, "first-value other-value") == "*** other-value"
    environ["DB_PASSWORD"] = "second-value"
    assert hidden(mask, "first-value second-value") == "*** ***"
    del environ["DB_PASSWORD"]
    assert hidden(mask, "first-value second-value") == "*** ***"
    # Names are those of FAMACASE_MASK alone.
    assert hidden(mask, '{"password": "visible"}') == '{"password": "visible"}'


def test_the_longer_of_two_values_goes_first(mask):
    assert hidden(mask, "abcd abcdef", params={"password": "abcd", "token": "abcdef"}) == "*** ***"


def test_a_long_value_that_pytest_has_shortened(mask):
    secret = "".join(f"{number:03}x" for number in range(100))
    text = f"{secret[:90]}...{secret[-80:]} and {secret}"
    assert hidden(mask, text, params={"token": secret}) == "***...*** and ***"


# By name


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"password": "one two", "user": "me"}', '{"password": "***", "user": "me"}'),
        ('{"API-Key":"abcdef"}', '{"API-Key":"***"}'),
        ("{'apiKey': 'abcdef'}", "{'apiKey': '***'}"),
        ('{"token": 123456, "n": 1}', '{"token": "***", "n": 1}'),
        ('{"token": {"a": ["bcde", {"f": "g}"}]}, "n": 1}', '{"token": "***", "n": 1}'),
        ('{"token": null, "password": true}', '{"token": null, "password": true}'),
        ('{"body": "{\\"password\\": \\"ab\\"}"}', '{"body": "{\\"password\\": \\"***\\"}"}'),
        (r'{"password": "a\"b", "c": "d"}', '{"password": "***", "c": "d"}'),
        ("{'password': b'ab'}", "{'password': '***'}"),
        ("User(name='me', password='ab')", "User(name='me', password='***')"),
        ("password   = 'ab'", "password   = '***'"),
        # As subtests are called.
        ("of it (password='ab', n=1)", "of it (password='***', n=1)"),
        ('{"password": "not ended', '{"password": "***"'),
        ("https://x/?a=1&token=ab%20c&b=2#f", "https://x/?a=1&token=***&b=2#f"),
        ("https://x/?token=ab 'https://x?TOKEN=cd'", "https://x/?token=*** 'https://x?TOKEN=***'"),
        ("password=ab&user=me", "password=***&user=me"),
        ("user=me&amp;password=ab", "user=me&amp;password=***"),
        # Other names, and code.
        ('{"passwords": "ab", "my-password": "cd"}', '{"passwords": "ab", "my-password": "cd"}'),
        ("data = {'user': password}", "data = {'user': password}"),
        ("    password = ask_user(token)", "    password = ask_user(token)"),
        ("?tokens=ab&mytoken=cd", "?tokens=ab&mytoken=cd"),
        ("the password is wrong", "the password is wrong"),
    ],
)
def test_members_and_queries(mask, text, masked):
    assert hidden(mask, text) == masked


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "pa\\u00df & co"}',
        '{"a": [{"token": {"deep": "paß & co"}}]}',
        "https://x/?token=pa%C3%9F+%26+co",
        "{'api_key': 'paß & co'}",
    ],
)
def test_what_is_found_under_a_name_is_masked_elsewhere(mask, text):
    payload = {"message": text, "title": "of paß & co"}
    assert mask.masked(payload, mask.secrets(payload))["title"] == "of ***"
    assert mask.secrets({}, [text]).hide("of paß & co") == "of ***"


def test_a_payload(mask):
    secret = "S3cret Value"
    payload = {
        "id": "S3cret Value",
        "title": f"with {secret}",
        "signature": "t::test_x.py::test_it[s3cret_value-ab]::{password:S3cret Value}::{token:a}b}::{n:1}",
        "execution": {"status": "failed", "duration": 1, "stacktrace": f"E {secret}", "thread": "1-main"},
        "fields": {"Token": 1234, "text": secret, "list": [secret], "status": secret, "token ": None},
        "params": {"password": secret, "token": "a}b", "n": "1"},
        "param_groups": [["password", "n"]],
        "attachments": [{"id": "ref", "file_name": f"{secret}.txt"}],
        "relations": {"suite": {"data": [{"title": secret}]}},
        "tags": [secret],
        "message": f"{secret}!",
        "muted": False,
        "steps": [
            {
                "id": "step",
                "step_type": "text",
                "data": {
                    "action": f"log in with {secret}",
                    "input_data": "token=short, user=me",
                    "headers": {"X": secret, "Api-Key": ["other secret"]},
                },
                "execution": {"status": "passed", "attachments": [{"id": "r2", "file_name": "other secret"}]},
                "steps": [{"data": {"action": "1234 short"}, "execution": {}, "steps": []}],
            }
        ],
    }
    before = json.dumps(payload)
    masked = mask.masked(payload, mask.secrets(payload))
    assert json.dumps(payload) == before
    assert masked == {
        **payload,
        "title": "with ***",
        "signature": "t::test_x.py::test_it[***-ab]::{password:***}::{token:***}::{n:1}",
        "execution": {**payload["execution"], "stacktrace": "E ***"},
        "fields": {"Token": "***", "text": "***", "list": ["***"], "status": "***", "token ": None},
        "params": {"password": "***", "token": "***", "n": "1"},
        "attachments": [{"id": "ref", "file_name": "***.txt"}],
        "relations": {"suite": {"data": [{"title": "***"}]}},
        "tags": ["***"],
        "message": "***!",
        "steps": [
            {
                **payload["steps"][0],
                "data": {
                    "action": "log in with ***",
                    "input_data": "token=***, user=me",
                    "headers": {"X": "***", "Api-Key": "***"},
                },
                "execution": {"status": "passed", "attachments": [{"id": "r2", "file_name": "***"}]},
                "steps": [{"data": {"action": "*** ***"}, "execution": {}, "steps": []}],
            }
        ],
    }


@pytest.mark.parametrize("secret", SECRETS)
def test_signatures_of_all_releases(mask, secret):
    node = f"tests/test_x.py::test_it[{secret.encode('unicode_escape').decode()}]"
    newer = "::".join(part.lower().replace(" ", "_") for part in node.split("/"))
    older = node.replace("/", "::")
    for signature in (newer, older):
        payload = {"params": {"password": secret}, "signature": f"{signature}::{{password:{secret}}}"}
        masked = mask.masked(payload, mask.secrets(payload))["signature"]
        assert masked == "tests::test_x.py::test_it[***]::{password:***}"


# What only the test knows


@dataclass
class User:
    name: str
    password: str


class Unshown:
    def __str__(self):
        raise RuntimeError("no text")


def test_values_behind_the_ids_of_pytest(mask):
    circle: list[object] = []
    circle.append(circle)
    params = {
        "password": "real-value",
        "user": User("me", "users-value"),
        "many": [{"token": "lists-value"}],
        "token": Unshown(),
        "circle": circle,
        "api_key": circle,
    }
    mask.test_started("test_it[case-1-user0]", params, "case-1-user0")
    payload = {"params": {"password": "case", "user": "user0"}, "message": "case user0"}
    secrets = mask.secrets(payload)
    assert secrets.hide("real-value users-value lists-value me case") == "*** *** *** me case"
    # A value that the test itself gives is no id.
    payload = {"params": {"password": "given-later"}}
    assert mask.secrets(payload).hide("given-later") == "***"
    mask.test_started("test_it", {}, "")
    assert mask.secrets({}).hide("real-value") == "real-value"


def test_the_names_of_temporary_directories(mask):
    secret = "with spaces/and slashes, and much more"
    mask.test_started(f"test_login[me-{secret}]", {"password": secret}, f"me-{secret}")
    text = "/tmp/test_login_me_with_spaces_and_0/x and /tmp/with_spaces_and_slashes__and_much_more"
    masked = mask.secrets({}).hide(text)
    assert masked == "/tmp/test_login***0/x and /tmp/***"
    # A name that holds nothing of it stays.
    mask.test_started("test_login[weak-one]", {"password": secret}, "weak-one")
    assert mask.secrets({}).hide("/tmp/test_login_weak_one_0") == "/tmp/test_login_weak_one_0"
