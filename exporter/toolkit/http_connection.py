"""Connections of outgoing requests: every address of a name is tried, the deadline cuts them, none is kept for long.

A socket's own timeout restarts with each byte, so a server that drips bytes could hold a request for ever. Here the
waiting thread shuts the socket instead, which ends the reading thread.
"""

import contextlib
import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import truststore
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from exporter.toolkit.config_types import stamp
from exporter.toolkit.http_errors import ConnectFailed, HttpError, TlsFailed, translated
from exporter.toolkit.http_settings import load_authorities
from exporter.toolkit.logs import Conditions

KEEP_IDLE: Final = 50.0
"""Seconds for which an idle connection is reused: load balancers and NATs silently drop one after a minute or more.
A handshake costs 25 ms of CPU here, most of it for reading the system's roots."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, whatever its status. A redirect's body is not read. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Attempt:
    """One attempt at a request, in a thread of its own; the caller that waits for it can cut it.

    `connected`: its connection is new, not kept from an earlier request; `answered`: the response's head has arrived.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.outcome: Future[HttpResponse] = Future()
        self.stage = "waiting for the response"
        self.connected = self.answered = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def start(self, exchange: Callable[["Attempt"], HttpResponse]) -> None:
        """Run the exchange in a thread, which ends by itself when the attempt is cut."""
        try:
            threading.Thread(target=self._run, args=(exchange,), daemon=True).start()
        except RuntimeError:
            self.outcome.set_exception(ConnectFailed("cannot start another thread"))

    def _run(self, exchange: Callable[["Attempt"], HttpResponse]) -> None:
        CURRENT.set(self)
        try:
            self.outcome.set_result(exchange(self))
        except HttpError as error:
            self.outcome.set_exception(error)
        except Exception as error:  # noqa: BLE001  whatever it is, the one who waits gets its kind
            self.outcome.set_exception(translated(error))

    def is_dead(self, patience: float) -> bool:
        """Return whether a kept connection broke, or stayed silent for `patience` seconds."""
        try:
            # OpenSSL reports a connection lost while writing with errors of its own.
            broken = isinstance(self.outcome.exception(patience), ConnectFailed | TlsFailed)
        except NotInTime:
            broken = True
        return broken and not self.connected and not self.answered

    def left(self) -> float:
        """Return the seconds until the deadline, never 0, which sockets take to mean "non-blocking"."""
        return max(0.001, self.deadline - time.monotonic())

    def hold(self, held: Any) -> None:
        """Remember the socket in use; shut it if the attempt was cut meanwhile."""
        with self._lock:
            # TLS inside a TLS proxy is not a socket: the one to the proxy, held before, is the one that can be shut.
            if isinstance(held, socket.socket):
                self._socket = held
            if self._is_cut:
                self._shut()

    def cut(self) -> None:
        """Shut the socket, now or as soon as there is one, unless the response is there: then others may reuse it."""
        with self._lock:
            self._is_cut = not self.outcome.done()
            if self._is_cut:
                self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # already closed
                # SSLSocket.shutdown would drop the TLS state while the other thread reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


CURRENT: ContextVar[Attempt] = ContextVar("attempt")


class _FinalResponse(http.client.HTTPResponse):
    """A response that skips every 1xx, and whose head is whole.

    Python skips only 100 and takes 103 for the final response; it takes the end of the connection for the head's.
    """

    def begin(self) -> None:
        received = self.fp

        def readline(size: int) -> bytes:
            line = received.readline(size)
            # No line at all, instead of the status, is an error of Python's.
            if not line.endswith(b"\n") and len(line) < size and (line or isinstance(self.status, int)):
                raise ConnectFailed("the connection broke before the response was complete")
            return line

        # All that begin() uses.
        self.fp = SimpleNamespace(readline=readline, close=received.close)  # type: ignore[assignment]
        try:
            super().begin()
            while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:  # noqa: PLR2004  1xx
                self.headers = None  # type: ignore[assignment]  # begin() reads a head only where there is none yet
                super().begin()
        finally:
            if self.fp is not None:  # it is once begin() has closed it
                self.fp = received


class _Plain(HTTPConnection):
    response_class = _FinalResponse
    _used_at = 0.0
    _held: Any = None

    @property
    def sock(self) -> Any:
        """The socket, held as soon as there is one: before a proxy or a TLS handshake is waited for."""
        return self._held

    @sock.setter
    def sock(self, sock: Any) -> None:
        self._held = sock
        if sock is not None:
            CURRENT.get().hold(sock)

    @property
    def is_connected(self) -> bool:
        """Return whether the pool may reuse it."""
        return time.monotonic() - self._used_at < KEEP_IDLE and super().is_connected

    def connect(self) -> None:
        """Connect to the first address that answers, all of them within the deadline."""
        attempt = CURRENT.get()
        attempt.connected = True
        attempt.stage = "resolving the name"
        addresses = socket.getaddrinfo(self.host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        attempt.stage = "connecting"
        # urllib3 applies this timeout to each address: one that drops packets must leave time for the next.
        self.timeout = attempt.left() / len(addresses)
        super().connect()
        attempt.stage = "waiting for the response"

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request, and hold its socket so that the deadline can cut it."""
        CURRENT.get().hold(self.sock)
        super().request(*args, **kwargs)

    def getresponse(self) -> Any:
        """Wait for the response's head."""
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


class _FileContext(ssl.SSLContext):
    """A context whose handshake ends within the deadline, on a socket that can be cut."""

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        secure = super().wrap_socket(*args, **kwargs | {"do_handshake_on_connect": False})
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


class _SystemContext(_FileContext, truststore.SSLContext):  # type: ignore[misc]  # its get_ca_certs is typed narrower
    """The same with the system's roots."""


class Adapter(HTTPAdapter):
    """The transport adapter: no retries, connections as above, roots from `ca_file` or the system's roots."""

    def __init__(self, ca_file: str | None) -> None:
        """Load the roots. Raises TlsFailed if `ca_file` cannot be read."""
        self._file = Path(ca_file) if ca_file else None
        self._conditions = Conditions(_log)
        self._context = (_FileContext if ca_file else _SystemContext)(ssl.PROTOCOL_TLS_CLIENT)
        if self._file:
            self._loaded = stamp(self._file)
            try:
                load_authorities(self._context, self._file)
            except ValueError as error:
                raise TlsFailed(f"ca_file: {error}") from None
        super().__init__(max_retries=0)

    def renewed(self) -> "Adapter":
        """Return an adapter with the roots that `ca_file` has now, itself while they are the same or cannot be read."""
        if self._file is None or stamp(self._file) == self._loaded:
            return self
        try:
            found = Adapter(str(self._file))
        except TlsFailed as error:
            self._conditions.report("roots", f"Keeping the roots that {self._file} held before: {error}")
            return self
        self.close()
        return found

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
        """Verify with the context alone: requests would add certifi's roots to it."""
        conn.cert_reqs = "CERT_REQUIRED"
