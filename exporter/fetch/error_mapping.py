"""What an attempt to ask came to: a foreign exception or a status → the kind of error it is. Pure.

No message repeats a URL, a header or a body: that is where secrets live.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, Final

from requests import exceptions
from urllib3 import exceptions as urllib3

from exporter.collectors.contract import Get, Response
from exporter.errors import (
    ClientError,
    ConnectFailed,
    Malformed,
    PollError,
    RateLimited,
    Refused,
    ServerError,
    TimedOut,
    TlsFailed,
)

KINDS: Final[tuple[tuple[type[Exception], type[PollError], str], ...]] = (
    (exceptions.ConnectTimeout, TimedOut, "no connection in time"),
    (exceptions.ReadTimeout, TimedOut, "no whole answer in time"),
    (exceptions.Timeout, TimedOut, "no whole answer in time"),
    (exceptions.SSLError, TlsFailed, "the vendor's certificate is not to be trusted"),
    (exceptions.ProxyError, ConnectFailed, "the proxy does not connect"),
    (exceptions.ChunkedEncodingError, ConnectFailed, "the connection broke before the answer was whole"),
    (exceptions.RetryError, ConnectFailed, "no connection"),
    (exceptions.ConnectionError, ConnectFailed, "no connection"),
    (exceptions.ContentDecodingError, Malformed, "the body's compression is broken"),
    (exceptions.StreamConsumedError, Malformed, "the body cannot be read"),
    (exceptions.JSONDecodeError, Malformed, "not JSON"),
    (exceptions.InvalidJSONError, Malformed, "not JSON"),
    (exceptions.InvalidProxyURL, ClientError, "the proxy's URL cannot be used"),
    (exceptions.InvalidURL, ClientError, "the URL cannot be used"),
    (exceptions.MissingSchema, ClientError, "the URL cannot be used"),
    (exceptions.InvalidSchema, ClientError, "the URL cannot be used"),
    (exceptions.URLRequired, ClientError, "the URL cannot be used"),
    (exceptions.InvalidHeader, ClientError, "the credentials cannot be put in a header"),
    (exceptions.TooManyRedirects, ClientError, "redirected"),
    (exceptions.UnrewindableBodyError, ClientError, "the request cannot be sent"),
    (exceptions.HTTPError, ConnectFailed, "no usable answer"),
    (exceptions.RequestException, ConnectFailed, "no usable answer"),
    (urllib3.NewConnectionError, ConnectFailed, "no connection"),
    (urllib3.TimeoutError, TimedOut, "no whole answer in time"),
    (urllib3.SSLError, TlsFailed, "the vendor's certificate is not to be trusted"),
    (urllib3.LocationValueError, ClientError, "the URL cannot be used"),
    (urllib3.DecodeError, Malformed, "the body's compression is broken"),
    (urllib3.HTTPError, ConnectFailed, "the connection broke"),
    (ssl.SSLError, TlsFailed, "TLS failed, or ca_file cannot be read"),
    (TimeoutError, TimedOut, "no whole answer in time"),
    (ConnectionError, ConnectFailed, "the connection broke"),
    (UnicodeError, ClientError, "the URL or the credentials cannot be sent"),
    (OSError, TlsFailed, "ca_file cannot be read"),
)
"""Foreign exceptions → ours, and what to say. The first that fits counts, so the narrow ones stand first."""


UNCERTAIN: Final = 60.0
"""Seconds; the most that is waited for a date that cannot be compared with the vendor's own clock."""


def translated(error: Exception) -> PollError:
    """Return what `error`, of requests, urllib3 or the socket below, means here. Its own message is not repeated."""
    for cause in _causes(error):
        if isinstance(cause, urllib3.TimeoutError | TimeoutError) and not isinstance(cause, urllib3.NewConnectionError):
            return TimedOut("no whole answer in time")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TlsFailed(f"the vendor's certificate is not to be trusted: {cause.verify_message}")
        if isinstance(cause, socket.gaierror):
            return ConnectFailed("the name does not resolve")
        if isinstance(cause, ConnectionRefusedError):
            return ConnectFailed("connection refused")
    for foreign, kind, message in KINDS:
        if isinstance(error, foreign):
            return kind(message)
    return ConnectFailed(f"unexpected {type(error).__name__}")


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


def check(ask: Get, answer: Response) -> None:
    """Raise the PollError that the answer's status means; 200 and `ask.expected_statuses` are answers."""
    status = answer.status
    if status == 200 or status in ask.expected_statuses:  # noqa: PLR2004  the status everybody knows
        return
    if status in (401, 403):
        raise Refused(f"{status}: the vendor does not accept the credentials")
    if status == 429:  # noqa: PLR2004  see above
        raise RateLimited("429: too many requests", _retry_after(answer))
    if 500 <= status <= 599:  # noqa: PLR2004  see above
        raise ServerError(f"{status}")
    if 300 <= status <= 399:  # noqa: PLR2004  see above
        raise ClientError(f"{status}: redirects are not followed")
    if 400 <= status <= 499:  # noqa: PLR2004  see above
        raise ClientError(f"{status}")
    raise Malformed(f"status {status}")


def _retry_after(answer: Response) -> float | None:
    """Return the seconds that the vendor asks for. A date is of its clock, and compared with its own `Date`."""
    text = answer.headers.get("retry-after", "").strip()
    if text[:1].isdigit():
        with contextlib.suppress(ValueError):
            return float(text)
    moment, vendors_now = _date(text), _date(answer.headers.get("date", ""))
    if moment is None:
        return None
    if vendors_now is None:
        # Only our own clock to compare with: whichever of them is wrong, limits are per minute.
        return min(max(0.0, moment - answer.at), UNCERTAIN)
    return max(0.0, moment - vendors_now)


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
