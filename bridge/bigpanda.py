"""BigPanda's Alerts API: one call, one meaning. Accepted, or a DeliveryError that says whose fault it is.

The token goes to the configured URL alone: no redirect is followed, no proxy or `.netrc` of the environment is used.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Final

import requests
from requests import exceptions as broken
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool
from urllib3 import exceptions as torn
from urllib3.connection import HTTPConnection, HTTPSConnection

from bridge.errors import DeliveryError, Overloaded, Rejected, Stopped, Unreached
from bridge.notation import Secret

MOST_BYTES: Final = 1_000_000
"""Bytes in one request. BigPanda publishes no limit for this call and 6 MB for its neighbour: stay well below."""
_MOST_WORDS: Final = 500
_MOST_ANSWER: Final = 65_536


class Answer(StrEnum):
    """How BigPanda took a request."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


FAULTS: Final[Mapping[int, type[DeliveryError]]] = {
    400: Rejected,
    401: Stopped,
    403: Stopped,
    404: Stopped,
    408: Overloaded,
    409: Rejected,
    410: Stopped,
    413: Rejected,
    422: Rejected,
    425: Overloaded,
    429: Overloaded,
}
"""By status. Every other 5xx is Overloaded; every other answer is not this API's: Stopped, and nothing is lost."""

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


class BigPanda:
    """The Alerts API at one URL, spoken to by one thread."""

    def __init__(self, url: str, token: Secret, timeout: float) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter())

    def send(self, events: Sequence[str], app_key: str) -> Answer:
        """Send `events`, each the JSON of one, all of one integration.

        Raises a DeliveryError; no whole answer within the timeout is one too.
        """
        try:
            status, retry_after, text = self._post(body(events, app_key))
        except (requests.RequestException, torn.HTTPError) as error:
            raise Unreached(_below_http(error)) from None
        except OSError as error:
            raise Unreached(f"the token cannot be read: {error.strerror}") from None
        except ValueError:
            raise Unreached("the token cannot be read") from None
        return judge(status, retry_after, text, time.time())

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _post(self, content: bytes) -> tuple[int, str | None, str]:
        deadline = time.monotonic() + self._timeout
        with self._session.post(
            self._url,
            data=content,
            headers={"Authorization": f"Bearer {self._token.read()}", "Content-Type": "application/json"},
            timeout=self._timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            text = _answer(response, deadline)
            return response.status_code, response.headers.get("Retry-After"), text


def _answer(response: requests.Response, deadline: float) -> str:
    """Read what an answer says, as far as it is of use, until `deadline` (monotonic seconds)."""
    content = bytearray()
    while len(content) < _MOST_ANSWER and (piece := response.raw.read1(8192, decode_content=True)):
        content += piece
        if time.monotonic() > deadline:
            raise broken.ReadTimeout
    return content.decode("utf-8", "replace")


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


def body(events: Sequence[str], app_key: str) -> bytes:
    """Return the request for `events`, ascending by timestamp; each goes in to the byte as it was frozen."""
    alerts = ",".join(sorted(events, key=_timestamp))
    return f'{{"app_key":{json.dumps(app_key)},"alerts":[{alerts}]}}'.encode()


def _timestamp(event: str) -> int:
    return int(json.loads(event).get("timestamp", 0))


def judge(status: int, retry_after: str | None, text: str, now: float) -> Answer:
    """Return what an answer means, or raise the DeliveryError it stands for."""
    if 200 <= status < 300:  # noqa: PLR2004  2xx, whichever
        return Answer.DUPLICATE if status == 204 else Answer.ACCEPTED  # noqa: PLR2004  No Content
    kind = FAULTS.get(status, Overloaded if status >= 500 else Stopped)  # noqa: PLR2004  5xx
    said = words(text) if kind is Rejected else ""
    told = f"BigPanda answered {status}: {said}" if said else f"BigPanda answered {status}"
    raise kind(told, status=status, retry_after=_seconds(retry_after, now))


def words(text: str) -> str:
    """Return BigPanda's own words from the body of a refusal, cut to a length that a log line can carry."""
    try:
        answer = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    found = answer.get("errors") or answer.get("error") or answer.get("message") or ""
    parts = found if isinstance(found, list) else [found]
    told = "; ".join(part if isinstance(part, str) else json.dumps(part) for part in parts if part)
    return told if len(told) <= _MOST_WORDS else told[: _MOST_WORDS - 1] + "…"


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Read a `Retry-After`: seconds, or a date. None when it is missing or unreadable."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except ValueError:
        return None


def _below_http(error: Exception) -> str:
    return next((told for kind, told in UNREACHED if isinstance(error, kind)), "the connection failed")
