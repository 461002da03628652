"""The connections of outgoing requests: shared among the addresses of a name, cut at the deadline, not kept for long.

A socket's own timeout counts anew with each byte, so a server that drips could hold a request for ever. Here the
one who waits shuts the socket instead, and the thread that reads from it ends.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import truststore
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from exporter.toolkit.http_errors import ConnectionFailed, HttpError, TlsFailed, translated

KEEP_IDLE: Final = 50.0
"""Seconds an idle connection is used again: load balancers and NATs forget one, in silence, after a minute or more.
A handshake costs both sides: 25 ms of processor here, most of it for reading the system's roots."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer, whatever its status. A redirect's body is not read. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Attempt:
    """One attempt to get an answer, in a thread of its own; the one who waits for it can cut it.

    `kept`: it was sent on a connection that an earlier request had left; `answered`: the answer's head has arrived.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.outcome: Future[HttpResponse] = Future()
        self.stage = "waiting for the answer"
        self.connected = self.kept = self.answered = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def start(self, exchange: Callable[["Attempt"], HttpResponse]) -> None:
        """Carry the exchange out in a thread, which ends by itself when the attempt is cut."""
        try:
            threading.Thread(target=self._run, args=(exchange,), daemon=True).start()
        except RuntimeError:
            self.outcome.set_exception(ConnectionFailed("the system gives no more threads"))

    def _run(self, exchange: Callable[["Attempt"], HttpResponse]) -> None:
        CURRENT.set(self)
        try:
            self.outcome.set_result(exchange(self))
        except HttpError as error:
            self.outcome.set_exception(error)
        except Exception as error:  # noqa: BLE001  whatever it is, the one who waits gets its kind
            self.outcome.set_exception(translated(error))

    def is_dead(self, patience: float) -> bool:
        """Tell whether a kept connection broke, or said nothing within `patience` seconds."""
        try:
            # OpenSSL has words of its own for a connection that is gone while it writes.
            broken = isinstance(self.outcome.exception(patience), ConnectionFailed | TlsFailed)
        except NotInTime:
            broken = True
        return broken and self.kept and not self.answered

    def left(self) -> float:
        """Return the seconds until the deadline, never 0, which sockets take for "do not wait"."""
        return max(0.001, self.deadline - time.monotonic())

    def hold(self, held: Any) -> None:
        """Take the socket that is in use now; shut it when the attempt was cut meanwhile."""
        with self._lock:
            # TLS through a TLS proxy is no socket: the one to the proxy, which was held before, is what can be shut.
            if isinstance(held, socket.socket):
                self._socket = held
            if self._is_cut:
                self._shut()

    def cut(self) -> None:
        """Shut the socket, now or as soon as there is one, unless the answer is there: then others may use it."""
        with self._lock:
            self._is_cut = not self.outcome.done()
            if self._is_cut:
                self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it was closed already
                # SSLSocket.shutdown would take the TLS state from under the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


CURRENT: ContextVar[Attempt] = ContextVar("attempt")
"""The attempt of the running thread."""


class _FinalResponse(http.client.HTTPResponse):
    """A response that passes over 1xx: Python knows only 100, and takes 103 for the answer."""

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:  # noqa: PLR2004  1xx
            self.headers = None  # type: ignore[assignment]  # begin() reads a head only where there is none yet
            super().begin()


class _Plain(HTTPConnection):
    response_class = _FinalResponse
    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether the pool may use it again."""
        return time.monotonic() - self._used_at < KEEP_IDLE and super().is_connected

    def connect(self) -> None:
        """Connect to the first address that answers, all of them within the deadline."""
        attempt = CURRENT.get()
        attempt.connected = True
        attempt.stage = "resolving the name"
        addresses = socket.getaddrinfo(self.host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        attempt.stage = "connecting"
        # urllib3 gives each address this timeout: the first that swallows everything must leave time for the next.
        self.timeout = attempt.left() / len(addresses)
        super().connect()
        attempt.stage = "waiting for the answer"
        attempt.hold(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request, and let the deadline know on which socket."""
        attempt = CURRENT.get()
        attempt.kept = not (attempt.connected or self.is_closed)
        attempt.hold(self.sock)
        super().request(*args, **kwargs)

    def getresponse(self) -> Any:
        """Wait for the answer's head."""
        response = super().getresponse()
        CURRENT.get().answered = True
        self._used_at = time.monotonic()
        return response


class _Secure(_Plain, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


_POOLS: Final = {"http": _PlainPool, "https": _SecurePool}


class _SystemContext(truststore.SSLContext):
    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return _handshaken(super().wrap_socket(*args, **kwargs | {"do_handshake_on_connect": False}))


class _FileContext(ssl.SSLContext):
    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return _handshaken(super().wrap_socket(*args, **kwargs | {"do_handshake_on_connect": False}))


def _handshaken(secure: ssl.SSLSocket) -> ssl.SSLSocket:
    """Shake hands within the deadline, on a socket that can be cut."""
    attempt = CURRENT.get()
    attempt.stage = "TLS handshake"
    try:
        secure.settimeout(attempt.left())
        attempt.hold(secure)
        secure.do_handshake()
    except BaseException:
        secure.close()
        raise
    return secure


def _context(ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return _SystemContext(ssl.PROTOCOL_TLS_CLIENT)
    context = _FileContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    return context


class Adapter(HTTPAdapter):
    """What carries requests out: no retries, connections as above, certificates by `ca_file` or the system's roots."""

    def __init__(self, ca_file: str | None) -> None:
        """Load the roots. OSError when `ca_file` cannot be read."""
        self._context = _context(ca_file)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy."""
        found = super().proxy_manager_for(proxy, ssl_context=self._context, proxy_ssl_context=self._context, **kwargs)
        found.pool_classes_by_scheme = _POOLS
        return found

    def cert_verify(self, conn: Any, _url: str, _verify: Any, _cert: Any) -> None:
        """Verify by the context alone: requests would add certifi's roots to it."""
        conn.cert_reqs = "CERT_REQUIRED"
