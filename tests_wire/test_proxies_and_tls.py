"""What requests takes from the environment works, and its secrets stay out of messages."""

from __future__ import annotations

import base64
import ssl
import subprocess

import pytest

from famacase_pytest.errors import Refused, Unreachable
from scripted_answers import Say
from scripted_server import serving


def test_a_proxy_from_the_environment_is_used_with_its_credentials(make_api, server, token, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:pass@"))
    make_api("http://famacase.example.invalid").get_project("SMOKE")
    [request] = server.requests
    assert request.path == "http://famacase.example.invalid/api/v1/reporter/v1/projects/SMOKE"
    assert request.headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"me:pass").decode()
    assert request.headers["Authorization"] == f"Token {token}"


def test_no_proxy_takes_a_host_out(make_api, server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert make_api().get_project("SMOKE")["id"] == 7


def test_a_dead_proxy_is_told_without_its_credentials(make_api, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:geheim@127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"3 attempts; the last: the proxy: .*Connection refused") as caught:
        make_api("http://famacase.example.invalid").get_project("SMOKE")
    assert "geheim" not in str(caught.value)


def test_a_proxy_address_that_is_none_is_not_tried_again(make_api, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:geheim@:80")
    with pytest.raises(Unreachable, match="1 attempt") as caught:
        make_api("http://famacase.example.invalid").get_project("SMOKE")
    assert "geheim" not in str(caught.value)


def test_a_proxy_that_wants_credentials_refuses(make_api, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    server.script.append(Say(407))
    with pytest.raises(Refused, match="Put the proxy's credentials"):
        make_api("http://famacase.example.invalid").get_project("SMOKE")


def test_a_proxy_that_opens_no_tunnel_is_told(make_api, server, monkeypatch):
    monkeypatch.setenv("https_proxy", server.url.replace("//", "//me:geheim@"))
    server.script.append(Say(407))
    with pytest.raises(Unreachable, match=r"in 1 attempt; the last: the proxy: it wants .*407") as caught:
        make_api("https://famacase.example.invalid").get_project("SMOKE")
    assert "geheim" not in str(caught.value)
    assert "Nothing was sent. Put them into HTTPS_PROXY" in str(caught.value)
    assert server.requests[0].headers["Authorization"] is None  # the token is for the far end only


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Paths of a self-signed certificate for 127.0.0.1 and of its key, made for this run of the tests."""
    directory = tmp_path_factory.mktemp("tls")
    cert, key = directory / "cert.pem", directory / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    )
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no openssl to make a certificate with: {error}")
    return cert, key


@pytest.fixture
def tls_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with serving(
        lambda sock: context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    ) as told:
        told.url = told.url.replace("http:", "https:")
        yield told


def test_a_certificate_that_nobody_vouches_for_is_not_tried_again(make_api, tls_server):
    with pytest.raises(Unreachable, match=r"1 attempt; the last: .*certificate is not trusted") as caught:
        make_api(tls_server.url).get_project("SMOKE")
    assert "Nothing was sent." in str(caught.value)
    assert "REQUESTS_CA_BUNDLE, SSL_CERT_FILE or CURL_CA_BUNDLE" in str(caught.value)
    assert tls_server.requests == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_the_environment_is_honoured(variable, make_api, tls_server, certificate, monkeypatch):
    monkeypatch.setenv(variable, str(certificate[0]))
    assert make_api(tls_server.url).get_project("SMOKE")["id"] == 7


def test_a_ca_bundle_that_does_not_exist_is_named(make_api, tls_server, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(Unreachable, match=r"1 attempt; .*/nowhere/ca\.pem"):
        make_api(tls_server.url).get_project("SMOKE")


def test_https_to_a_port_that_speaks_http(make_api, server):
    with pytest.raises(Unreachable, match="1 attempt; the last: https was spoken to a port") as caught:
        make_api(server.url.replace("http:", "https:")).get_project("SMOKE")
    assert "Nothing was sent. Write http:// instead of https://" in str(caught.value)


@pytest.mark.parametrize("where", ["", "headers", "body"])
def test_the_deadline_of_an_attempt_holds_over_tls(make_api, tls_server, certificate, monkeypatch, where):
    from scripted_server import Hang

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    tls_server.script.append(Hang(trickle=where))
    with pytest.raises(Unreachable, match=r"no complete answer within|timed out"):
        make_api(tls_server.url).with_limits(attempts=1, total=0.3).get_project("SMOKE")
