"""The errors of an outgoing HTTP request, by kind. No message contains a URL, a header's value or a body: secrets."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead
from typing import Any, ClassVar, Final

from requests import exceptions
from urllib3 import exceptions as urllib3


class HttpError(Exception):
    """No usable response to an HTTP request; `reason` is one word."""

    reason: ClassVar[str]


class TimedOut(HttpError):
    """No complete response arrived within the deadline."""

    reason = "timeout"


class ConnectFailed(HttpError):
    """No connection could be made, or it broke before the response was complete."""

    reason = "connect"


class TlsFailed(HttpError):
    """The TLS handshake failed, usually for want of a trusted root; the message has OpenSSL's reason."""

    reason = "tls"


class ClientError(HttpError):
    """The request is wrong: its URL or a header cannot be sent, or the server rejects it."""

    reason = "client_error"


class Malformed(HttpError):
    """The response is not HTTP, cannot be decompressed, is too large, or is not what the caller can read."""

    reason = "malformed"


class Refused(HttpError):
    """401 or 403: the server rejects the credentials, or denies access."""

    reason = "auth"


class Unavailable(HttpError):
    """The server may say when it takes requests again: `retry_after` holds the seconds, or None."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Unavailable):
    """429."""

    reason = "rate_limited"


class ServerError(Unavailable):
    """5xx: the server is having problems."""

    reason = "server_error"


_BROKE: Final = "the connection broke before the response was complete"
_KINDS: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], type[HttpError], str], ...]] = (
    (exceptions.Timeout, TimedOut, "no complete response in time"),
    ((exceptions.SSLError, urllib3.SSLError, ssl.SSLError), TlsFailed, "TLS handshake failed"),
    (exceptions.ProxyError, ConnectFailed, "cannot connect through the proxy"),
    (exceptions.ChunkedEncodingError, ConnectFailed, _BROKE),
    (exceptions.ContentDecodingError, Malformed, "the body's compression is broken"),
    (exceptions.InvalidProxyURL, ClientError, "the proxy's URL cannot be used"),
    ((exceptions.InvalidURL, exceptions.InvalidSchema), ClientError, "the URL cannot be used"),
    (urllib3.LocationValueError, ClientError, "the URL cannot be used"),
    (exceptions.InvalidHeader, Malformed, "the response's head contradicts itself"),
    ((urllib3.HTTPError, ConnectionError), ConnectFailed, "the connection broke"),
    (UnicodeError, ClientError, "the URL or the credentials cannot be sent"),
    (OSError, ConnectFailed, "no connection"),
)
"""What an adapter of requests raises → ours, with the message, unless a cause says more. The first match wins."""

_UNREACHED: Final = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH})
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")


def translated(error: Exception) -> HttpError:  # noqa: PLR0911  one for each cause
    """Map an error of requests, urllib3 or the socket to ours. Its own message is not repeated."""
    where = "cannot reach the proxy: " if isinstance(error, exceptions.ProxyError) else ""
    for cause in _causes(error):
        if isinstance(cause, urllib3.TimeoutError | TimeoutError) and not isinstance(cause, urllib3.NewConnectionError):
            return TimedOut("no complete response in time")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TlsFailed(f"{where}the server's certificate is not trusted: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return TlsFailed(f"{where}TLS handshake failed: {cause.reason.replace('_', ' ').lower()}")
        if isinstance(cause, socket.gaierror):
            return ConnectFailed(f"{where}the name does not resolve")
        if isinstance(cause, OSError) and cause.errno in _UNREACHED:
            return ConnectFailed(where + os.strerror(cause.errno).lower())
        if isinstance(cause, ConnectionResetError | BrokenPipeError) and not where:
            return ConnectFailed(_BROKE)
        if isinstance(cause, HTTPException) and not isinstance(cause, ConnectionError | IncompleteRead):
            return Malformed("the response is not HTTP, or its head is too large")
        if isinstance(cause, OSError) and (refusal := _TUNNEL.match(str(cause))):
            return ConnectFailed(f"the proxy refuses to connect ({refusal[1]})")
    known = (kind(message) for foreign, kind, message in _KINDS if isinstance(error, foreign))
    return next(known, ConnectFailed(f"unexpected {type(error).__name__}"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it wraps: requests and urllib3 hide the cause in `args`, `reason` or the context."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
