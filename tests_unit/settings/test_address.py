from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from famacase_pytest.settings.address import (
    host_of,
    is_loopback,
    is_qase,
    normalise,
    scrubbed,
    without_scheme,
)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("famacase.example.com", "https://famacase.example.com"),
        ("  famacase.example.com\n", "https://famacase.example.com"),
        ("famacase.example.com:8443", "https://famacase.example.com:8443"),
        ("localhost", "http://localhost"),
        ("localhost:8000", "http://localhost:8000"),
        ("app.localhost", "http://app.localhost"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("127.8.0.1", "http://127.8.0.1"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("[0:0:0:0:0:0:0:1]", "http://[::1]"),
        ("[2001:DB8::1]", "https://[2001:db8::1]"),
        ("10.0.0.1", "https://10.0.0.1"),
        ("http://famacase.example.com", "http://famacase.example.com"),
        ("HTTPS://Famacase.Example.COM/", "https://famacase.example.com"),
        ("https://famacase.example.com./", "https://famacase.example.com"),
        ("https://localhost:8000", "https://localhost:8000"),
        ("https://h.example/qa///", "https://h.example/qa"),
        ("https://h.example/qa/Team", "https://h.example/qa/Team"),
        ("https://h.example/api/v1/reporter/v1", "https://h.example"),
        ("https://h.example/api/v1/reporter/v1/", "https://h.example"),
        ("h.example/qa/api/v1/reporter/v1", "https://h.example/qa"),
        ("https://h.example/api/v1/reporter/v1//api/v1/reporter/v1", "https://h.example"),
        ("my_service:80", "https://my_service:80"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_what_may_be_written(written: str, normal: str) -> None:
    assert normalise(written) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("ftp://h.example", "begin with https"),
        ("file:///etc/passwd", "begin with https"),
        ("https://", "name a host"),
        ("https:///path", "name a host"),
        (":8000", "name a host"),
        ("//h.example", "name a host"),
        ("https://user:password@h.example", "user name or a password"),
        ("user@h.example", "user name or a password"),
        ("https://h.example?x=1", "query or a fragment"),
        ("https://h.example?", "query or a fragment"),
        ("https://h.example/#runs", "query or a fragment"),
        ("https://h .example", "spaces"),
        ("https://h.example/a b", "spaces"),
        ("https://h.example\n.evil.example", "spaces"),
        ("https://h.example\\@evil.example", "backslashes"),
        ("'https://h.example'", "begin with https"),
        ('"h.example"', "quotation marks"),
        ("h.example:port", "port from 1 to 65535"),
        ("h.example:0", "port from 1 to 65535"),
        ("h.example:70000", "port from 1 to 65535"),
        ("h.example:", "port from 1 to 65535"),
        ("https:/h.example", "https://, of which a colon or a slash is missing"),
        ("http//h.example", "http://, of which a colon or a slash is missing"),
        ("HTTPS//h.example/x", "https://, of which a colon or a slash is missing".replace("https", "HTTPS")),
        ("::1", "brackets"),
        ("2001:db8::1", "brackets"),
        ("[::1", "brackets"),
        ("[h.example]", ""),
        ("[fe80::1%25eth0]", ""),
        ("h..example", "letters, digits"),
        ("-h.example", "letters, digits"),
        ("h%2eexample", "letters, digits"),
        ("h.example/ü", "percent-encoded"),
        ("h.example/a/../b", "'.' or '..'"),
        ("a" * 64 + ".example", "letters, digits"),
    ],
)
def test_what_may_not(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^it must") as raised:
        normalise(written)
    assert reason in str(raised.value)


@given(st.text(max_size=60))
def test_normalising_twice_is_normalising_once(written: str) -> None:
    try:
        once = normalise(written)
    except ValueError:
        return
    assert normalise(once) == once
    assert not once.endswith("/")
    assert "@" not in once


_LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=10)


@given(
    st.sampled_from(["", "http://", "https://", "HTTP://"]),
    st.lists(_LABELS, min_size=1, max_size=4).map(".".join),
    st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}")),
    st.lists(st.sampled_from(["qa", "api", "/", "api/v1/reporter/v1", ""]), max_size=4).map("/".join),
)
def test_every_well_formed_address_has_a_normal_form(scheme: str, host: str, port: str, path: str) -> None:
    once = normalise(f"{scheme}{host}{port}/{path}")
    assert normalise(once) == once
    assert host_of(once) == host
    assert f"{host}{port}" in without_scheme(once)
    assert not once.endswith("/api/v1/reporter/v1")


@pytest.mark.parametrize("host", ["qase.io", "app.qase.io", "API.Qase.IO", "qase.io.", "a.b.qase.io"])
def test_hosts_of_qase(host: str) -> None:
    assert is_qase(host)


@pytest.mark.parametrize("host", ["notqase.io", "qase.io.example.com", "qase.example.com", "qaseXio"])
def test_hosts_that_only_look_like_it(host: str) -> None:
    assert not is_qase(host)


def test_a_look_alike_in_other_letters_is_recognised() -> None:
    assert is_qase(host_of(normalise("ｑａｓｅ.io")))
    assert is_qase(host_of(normalise("app.qase。io")))


@pytest.mark.parametrize("host", ["localhost", "x.localhost", "127.0.0.1", "127.255.0.9", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "128.0.0.1", "::2", "10.0.0.1", "example.com"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:secret@h.example/p", "https://***@h.example/p"),
        ("user:se/cr@et@h.example", "***@h.example"),
        ("https://h.example?token=secret", "https://h.example?***"),
        ("https://h.example", "https://h.example"),
        ("plain", "plain"),
    ],
)
def test_what_messages_show_of_an_address(text: str, shown: str) -> None:
    assert scrubbed(text) == shown
