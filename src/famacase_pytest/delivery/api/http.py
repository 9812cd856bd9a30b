"""One HTTP exchange with the back end: connection pool, authentication, limits. No meaning, no repetition.

Neither requests nor urllib3 bounds the whole of an exchange: their read timeout starts anew with each byte,
so a server that sends a byte now and then holds a caller for ever. Here a thread, alive only while there is
an exchange, shuts the socket of one that outlives its deadline or whose caller has cancelled it; the blocked
call then fails at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPResponse, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError

from ..system import System
from .multipart import PartUnreadable
from .retry import Clock

if TYPE_CHECKING:
    from requests_toolbelt import MultipartEncoder

_CHUNK = 64 * 1024
_TICK = 0.1  # seconds; how late a deadline or a cancellation may be noticed
_USERINFO = re.compile(r"(?<=//)[^/?#\s]*@")
_ASCII = re.compile(r"[\x21-\x7e]+")

# Each is wrong in the same way the second time.
_PERMANENT = (
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.UnrewindableBodyError,
)


# No connection stands yet.
_UNSENT = (ConnectionRefusedError, NewConnectionError, ConnectTimeoutError, ProxyError)

# What a port that does not speak TLS makes of it, in the words of several OpenSSLs.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


class TokenAuth(AuthBase):
    """`Authorization: Token <raw>`.

    Given with each request: without an `auth`, requests would send what it finds in ~/.netrc.

    Raises:
        ValueError: the token is empty or holds characters that no header can carry; it is not quoted.
    """

    def __init__(self, token: str) -> None:
        if not _ASCII.fullmatch(token):
            raise ValueError(
                "it is empty" if not token else "it holds blanks, line breaks or non-ASCII characters"
            )
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Give a request the token."""
        request.headers["Authorization"] = f"Token {self._token}"
        return request

    def __repr__(self) -> str:
        return "TokenAuth(***)"

    def scrub(self, text: str) -> str:
        """The text without this token and without the user part of any URL."""
        for form in {self._token, quote(self._token, safe=""), System.dumps(self._token)[1:-1]}:
            text = text.replace(form, "***")
        return _USERINFO.sub("***@", text)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read whole. `truncated` says that it had more bytes than were wanted."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    truncated: bool = False


class NoAnswer(Exception):
    """There is no usable answer; the text, free of secrets, says why.

    Attributes:
        again: False if another attempt would end in the same way.
        status: of the answer, None if there was none.
        retry_after: seconds that the server asked for, None if it did not.
        sent: False if the request cannot have reached the server.
        remedy: what to do about it; "" if nothing more is known.
    """

    def __init__(
        self,
        cause: str,
        again: bool = True,
        status: int | None = None,
        retry_after: float | None = None,
        *,
        sent: bool = True,
        remedy: str = "",
    ) -> None:
        super().__init__(cause)
        self.sent = sent
        self.remedy = remedy
        self.again = again
        self.status = status
        self.retry_after = retry_after


class Bounds(NamedTuple):
    """How long one exchange may take, in seconds, and how much of an answer's body is read, in bytes.

    Attributes:
        connect: until a connection stands, and for each piece of the body that is sent.
        read: for each wait for bytes of the answer.
        total: for all of it, except the resolution of the host's name.
        body: of an answer with a 2xx status.
    """

    connect: float
    read: float
    total: float
    body: int


_current = threading.local()  # .exchange: the exchange of this thread; urllib3 works in its caller's thread


class Exchange:
    """One request and its answer, under watch.

    Attributes:
        ended: "deadline" or "cancelled" once the watchdog has ended it, else None.
    """

    def __init__(self, deadline: float, cancelled: threading.Event) -> None:
        self.ended: str | None = None
        self._deadline = deadline
        self._cancelled = cancelled
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None

    def attach(self, connection: HTTPConnection) -> None:
        """Note the connection in use, and its socket: http.client forgets it if the answer says "close"."""
        self._connection = connection
        if connection.sock is not None:
            self._socket = connection.sock

    def check(self) -> None:
        """End the exchange if it is over time or cancelled."""
        if self._cancelled.is_set():
            self.ended = self.ended or "cancelled"
        elif Clock.monotonic() >= self._deadline:
            self.ended = self.ended or "deadline"
        if self.ended:
            # Shut at each tick anew: the socket may have come into being after the last one.
            _shut(self._socket)
            _shut(self._connection.sock if self._connection else None)


def _shut(sock: socket.socket | None) -> None:
    if sock is not None:
        # Of the plain class: SSLSocket's own first takes the TLS layer away from the blocked reader.
        with contextlib.suppress(OSError):  # not connected yet, or closed already
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Watchdog:
    """Watches the exchanges of all threads of one connection pool."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._exchanges: set[Exchange] = set()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self, deadline: float, cancelled: threading.Event) -> Iterator[Exchange]:
        """Put what this thread exchanges under watch.

        Args:
            deadline: by `Clock.monotonic`.
            cancelled: ends the exchange when set.
        """
        exchange = Exchange(deadline, cancelled)
        with self._condition:
            self._exchanges.add(exchange)
            if self._thread is None or not self._thread.is_alive():
                self._thread = System.thread(target=self._watch, name="famacase-watchdog", daemon=True)
                self._thread.start()
        _current.exchange = exchange
        try:
            yield exchange
        finally:
            _current.exchange = None
            with self._condition:
                self._exchanges.discard(exchange)
                if not self._exchanges:
                    self._condition.notify_all()

    def _watch(self) -> None:
        with self._condition:
            while self._exchanges:
                self._condition.wait(_TICK)
                for exchange in self._exchanges:
                    exchange.check()
            self._thread = None


def _attach(connection: HTTPConnection) -> None:
    exchange = getattr(_current, "exchange", None)
    if exchange is not None:
        exchange.attach(connection)


class _Connection(HTTPConnection):
    """Tells the exchange of its thread which socket it uses."""

    def connect(self) -> None:
        _attach(self)
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        _attach(self)
        super().request(*args, **kwargs)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        _attach(self)
        return super().getresponse()


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class _Session(requests.Session):
    # Bound here, at import: libraries that fake HTTP in tests replace them in requests' own class.
    request = requests.Session.request
    send = requests.Session.send
    get_adapter = requests.Session.get_adapter

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[requests.Response]:
        # requests prepares the next request even where none is to be sent: it would read the whole body of
        # the answer, whatever its size, and look into ~/.netrc.
        return iter(())


_send: Callable[..., requests.Response] = HTTPAdapter.send


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, blocksize=_CHUNK, **kwargs)
        self.poolmanager.pool_classes_by_scheme = dict(_POOLS)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # those bring connections of their own
            manager.pool_classes_by_scheme = dict(_POOLS)
        return manager

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        return _send(self, *args, **kwargs)


class Http:
    """The connection pool that all threads share.

    Sharing one requests.Session is safe as it is used here: after the constructor nothing in it changes,
    since cookies are neither kept nor sent, and authentication belongs to the request; urllib3's pools are
    made for threads. Not to be used across a fork.
    """

    def __init__(self, connections: int, user_agent: str) -> None:
        self._session = _Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update({"User-Agent": user_agent, "Accept": "application/json"})
        if not any(map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))):
            # Those two requests reads itself, this one it does not.
            self._session.verify = os.environ.get("SSL_CERT_FILE") or True
        adapter = _Adapter(pool_connections=connections, pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._watchdog = Watchdog()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        auth: TokenAuth,
        bounds: Bounds,
        cancelled: threading.Event,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | MultipartEncoder | None = None,
    ) -> Answer:
        """Send one request and read the answer, whatever its status.

        Args:
            method: of HTTP.
            url: without a query.
            auth: the token.
            bounds: in time and in bytes.
            cancelled: ends the exchange when set.
            params: the query.
            headers: beside those that each request has.
            body: bytes, or an object with `read` and `len` that is streamed.

        Raises:
            NoAnswer: there is no complete answer; its text is free of secrets.
        """
        if cancelled.is_set():
            raise NoAnswer("it was cancelled", again=False)
        with self._watchdog.watching(Clock.monotonic() + bounds.total, cancelled) as exchange:
            try:
                response = self._session.request(
                    method,
                    url,
                    params=params,
                    headers=headers,
                    data=body,
                    auth=auth,
                    timeout=(bounds.connect, bounds.read),
                    allow_redirects=False,
                    stream=True,
                )
                with response:
                    answer = _read(response, bounds.body)
                # A connection that is shut in the middle of a body without a length looks like its end.
                if exchange.ended is None:
                    return answer
                failure = NoAnswer("")
            except PartUnreadable:
                raise  # of the body, not of the exchange
            except Exception as error:  # noqa: BLE001 (a library that fakes HTTP may raise anything)
                failure = _failure(error, auth.scrub)
        # Raised here, where the library's exception is out of sight: its text, its request and its frames
        # hold the Authorization header and the proxy's password.
        raise _ended(exchange, bounds) or failure

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()


def _read(response: requests.Response, limit: int) -> Answer:
    if not 200 <= response.status_code < 300:
        limit = min(limit, _CHUNK)
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > limit:
            break
    return Answer(response.status_code, response.headers, bytes(body[:limit]), len(body) > limit)


def _ended(exchange: Exchange, bounds: Bounds) -> NoAnswer | None:
    if exchange.ended == "deadline":
        return NoAnswer(f"no complete answer within {bounds.total:.3g} s")
    if exchange.ended == "cancelled":
        return NoAnswer("it was cancelled", again=False)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, from the outside in: requests and urllib3 nest up to five of them."""
    seen: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in seen:
        seen.append(step)
        yield step
        inner = [getattr(step, "reason", None), *step.args, step.__cause__]
        step = next((one for one in inner if isinstance(one, BaseException)), None)


def _failure(error: BaseException, scrub: Callable[[str], str]) -> NoAnswer:
    """What an exchange that an exception has ended is told as."""
    chain = list(_chain(error))
    inmost = chain[-1]
    text = _describe(error)
    if isinstance(inmost, ssl.SSLCertVerificationError):
        return NoAnswer(
            f"the server's certificate is not trusted ({inmost.verify_message})",
            again=False,
            sent=False,
            remedy="If your own authority has signed it, name the file of that authority's certificate in "
            "REQUESTS_CA_BUNDLE, SSL_CERT_FILE or CURL_CA_BUNDLE.",
        )
    if isinstance(inmost, ssl.SSLError) and inmost.reason in _NO_TLS:
        return NoAnswer(
            "https was spoken to a port that does not speak it",
            again=False,
            sent=False,
            remedy="Write http:// instead of https:// into FAMACASE_API_URL, or the port of https.",
        )
    if isinstance(inmost, socket.gaierror):
        where = "the proxy's host" if text.startswith("the proxy: ") else "the host"
        return NoAnswer(
            f"{where} cannot be resolved ({inmost.strerror})",
            sent=False,
            remedy="Check the address (FAMACASE_API_URL), and the network of this machine.",
        )
    if "Tunnel connection failed: 407" in str(inmost):
        return NoAnswer(
            "the proxy: it wants a user name and a password (407)",
            again=False,
            sent=False,
            remedy="Put them into HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT), or the host into NO_PROXY.",
        )
    unsent = any(isinstance(one, _UNSENT) for one in chain)
    return NoAnswer(scrub(text), _may_pass(error), sent=not unsent)


def _may_pass(error: BaseException) -> bool:
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in _chain(error)):
        return False
    # A plain OSError is requests' complaint about a CA bundle that does not exist.
    return isinstance(error, (requests.RequestException, HTTPError)) and not isinstance(error, _PERMANENT)


def _describe(error: BaseException) -> str:
    """The innermost message, without the representation of objects that urllib3 puts before it."""
    chain = list(_chain(error))
    inmost = chain[-1]
    text = re.sub(r"^<?[\w.]+(\([^)]*\)| object at \w+>?): ", "", str(inmost)) or type(inmost).__name__
    text = re.sub(r"^\[Errno -?\d+\] ", "", text)
    return f"the proxy: {text}" if any(isinstance(one, ProxyError) for one in chain) else text
