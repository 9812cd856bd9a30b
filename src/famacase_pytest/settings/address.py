"""The address of a back end: what a user may write, and its normal form."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

REPORTER_PATH = "/api/v1/reporter/v1"
"""Where the reporter API begins; users copy it along with the host, so it is taken off."""

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\<>\"{}|^`]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")


def normalise(text: str) -> str:
    """Normalise an address to ``scheme://host[:port][/prefix]``, without a slash at the end.

    Args:
        text: a bare host (https is assumed, http if the host is loopback), ``host:port``, a URL, or a URL
            that ends in ``/api/v1/reporter/v1``. An IPv6 address stands in brackets.

    Raises:
        ValueError: with a phrase that completes "it must not ..." or "it must ...".
    """
    address = text.strip()
    if _FORBIDDEN.search(address):
        raise ValueError("it must not contain spaces, control characters, backslashes or quotation marks")
    if "?" in address or "#" in address:
        raise ValueError("it must not have a query or a fragment")
    mistyped = re.match(r"(https?)(:/?(?![/\d])|/)", address, re.IGNORECASE)
    if mistyped:
        raise ValueError(f"it must begin with {mistyped[1]}://, of which a colon or a slash is missing")
    scheme, marker, rest = address.partition("://")
    if not marker:
        scheme, rest = "", address
    elif scheme.lower() not in ("http", "https"):
        raise ValueError("it must begin with https:// or http://, or be a bare host")
    parts = _split(rest)
    if "@" in parts.netloc:
        raise ValueError("it must not contain a user name or a password; the token has a setting of its own")
    host = _host(parts)
    if not scheme:
        scheme = "http" if is_loopback(host) else "https"
    port = _port(parts)
    return f"{scheme.lower()}://{_bracketed(host)}{port}{_prefix(parts.path)}"


def host_of(address: str) -> str:
    """The host name of a normalised address, without port and brackets."""
    return urlsplit(address).hostname or ""


def without_scheme(address: str) -> str:
    """A normalised address as upstream wants it in ``testops.api.host``: it adds ``https://`` itself."""
    return address.partition("://")[2]


def is_qase(host: str) -> bool:
    """Whether a host belongs to Qase: ``qase.io`` or anything below it."""
    name = host.lower().rstrip(".")
    return name == "qase.io" or name.endswith(".qase.io")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone; nothing is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    # Imported late: `ipaddress` costs more than the rest of this module, and only active sessions come here.
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def scrubbed(text: str) -> str:
    """A text that may be an address, without the user name, password or query that it may contain."""
    # Up to the last "@": a password may contain slashes. A query may carry a token.
    return re.sub(
        r"^(\s*[a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", r"\1***@", text.partition("?")[0], flags=re.DOTALL
    ) + ("?***" if "?" in text else "")


def _split(rest: str) -> SplitResult:
    try:
        return urlsplit(f"//{rest}")
    except ValueError:
        raise ValueError("it must be a host or a URL; an IPv6 address stands in brackets") from None


def _host(parts: SplitResult) -> str:
    if "[" not in parts.netloc and parts.netloc.count(":") > 1:
        raise ValueError("it must be a host or a URL; an IPv6 address stands in brackets")
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise ValueError("it must name a host")
    if ":" in host:
        return _ipv6(host)
    if "[" in parts.netloc:
        raise ValueError("it must have a valid IPv6 address in its brackets")
    name = _ascii(host)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) and len(label) < 64 for label in name.split(".")):
        raise ValueError("it must name a host by letters, digits, hyphens and dots")
    return name


def _ipv6(host: str) -> str:
    import ipaddress

    try:
        # A zone ("%eth0") means something on one machine only, and proxies and certificates do not know it.
        return ipaddress.IPv6Address(host.replace("%", "zone")).compressed
    except ValueError:
        raise ValueError("it must have a valid IPv6 address in its brackets") from None


def _ascii(host: str) -> str:
    """The ASCII form of a host name, so that no look-alike of a name passes for another one."""
    if host.isascii():
        return host.lower()
    try:
        return host.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        raise ValueError("it must name a host by letters, digits, hyphens and dots") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port(parts: SplitResult) -> str:
    port: int | None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port is None and not parts.netloc.endswith(":"):
        return ""
    if not port:
        raise ValueError("it must have a port from 1 to 65535 after the colon, or no colon")
    return f":{port}"


def _prefix(path: str) -> str:
    if not path.isascii():
        raise ValueError("it must have its path percent-encoded")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise ValueError("it must not have '.' or '..' in its path")
    prefix = path.rstrip("/")
    # A loop, so that normalising twice gives the same as once whatever was written.
    while prefix.endswith(REPORTER_PATH):
        prefix = prefix[: -len(REPORTER_PATH)].rstrip("/")
    return prefix
