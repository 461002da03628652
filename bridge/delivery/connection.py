"""Connections out of the bridge: a deadline for the whole answer, and what goes wrong below HTTP in words.

A secret goes to the configured URL alone: no proxy or `.netrc` of the environment is used.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import requests
from requests import exceptions as broken
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool
from urllib3 import exceptions as torn
from urllib3.connection import HTTPConnection, HTTPSConnection

UNREACHED: Final[tuple[tuple[type[Exception], str], ...]] = (
    (broken.ConnectTimeout, "no connection in time"),
    (broken.ReadTimeout, "no answer in time"),
    (broken.Timeout, "no answer in time"),
    (broken.SSLError, "the TLS certificate is not to be trusted"),
    (broken.ProxyError, "the proxy does not connect"),
    (broken.ConnectionError, "the connection failed"),
    (broken.ChunkedEncodingError, "the answer broke off"),
    (broken.ContentDecodingError, "the answer cannot be decoded"),
    (broken.StreamConsumedError, "the answer broke off"),
    (broken.RetryError, "the connection failed"),
    (broken.TooManyRedirects, "the answer is a redirect"),
    (broken.InvalidHeader, "the token holds characters that no header may hold"),
    (broken.InvalidProxyURL, "the proxy's URL cannot be used"),
    (broken.InvalidURL, "the URL cannot be used"),
    (broken.MissingSchema, "the URL cannot be used"),
    (broken.InvalidSchema, "the URL cannot be used"),
    (broken.URLRequired, "the URL cannot be used"),
    (broken.UnrewindableBodyError, "the request could not be repeated"),
    (broken.InvalidJSONError, "the answer is not JSON"),
    (broken.HTTPError, "the connection failed"),
    (broken.RequestException, "the connection failed"),
    (torn.TimeoutError, "no answer in time"),
    (torn.HTTPError, "the answer broke off"),
)
"""What went wrong below HTTP, in the operator's words; the first that fits is said."""


def session() -> requests.Session:
    """Return a session that keeps the deadline of a whole answer; for one thread."""
    made = requests.Session()
    made.trust_env = False
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter())
    return made


def content_of(response: requests.Response, deadline: float, most: int) -> bytes:
    """Read an answer, about `most` bytes of it, until `deadline` (monotonic seconds). ReadTimeout after that."""
    content = bytearray()
    while len(content) < most and (piece := response.raw.read1(65_536, decode_content=True)):
        content += piece
        if time.monotonic() > deadline:
            raise broken.ReadTimeout
    return bytes(content)


def below_http(error: Exception) -> str:
    """Return in words what failed below HTTP."""
    return next((told for kind, told in UNREACHED if isinstance(error, kind)), "the connection failed")


def _in_time(connection: HTTPConnection, answered: Callable[[], BaseHTTPResponse]) -> BaseHTTPResponse:
    """Wait for an answer, and cut the connection when it has not begun in time.

    A socket's own timeout counts anew with each byte, so an answer that drips would hold the sender for hours.
    """
    sock, timeout = connection.sock, connection.timeout
    if sock is None or not isinstance(timeout, int | float):
        return answered()
    timer = threading.Timer(timeout, _cut, [sock])
    timer.daemon = True
    timer.start()
    try:
        return answered()
    finally:
        timer.cancel()


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:
        return _in_time(self, super().getresponse)


class _TlsConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        return _in_time(self, super().getresponse)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """What `requests` uses, with connections that keep the deadline of a whole answer."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
