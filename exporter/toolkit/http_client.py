"""The HTTP client for every outgoing request: returns the whole response within a deadline.

It sends only what the caller gives: it follows no redirect, keeps no cookie and uses nothing of the environment
(proxies, `.netrc`, CA bundles). Responses are bounded in time and size. Errors are those of `http_errors`.
"""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import TimeoutError as NotInTime
from concurrent.futures import as_completed
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import requests

from exporter.toolkit.flags import release
from exporter.toolkit.http_connection import Adapter, Attempt, HttpResponse
from exporter.toolkit.http_errors import ClientError, ConnectFailed, Malformed, TimedOut
from exporter.toolkit.http_settings import HEADER_NAME, HEADER_VALUE, HttpClientSettings

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_CHUNK: Final = 65536


class HttpClient:
    """Sends requests of one purpose; keeps idle connections for less than a minute. For one thread at a time.

    `timeout`: seconds for a whole response, including name resolution, connecting and TLS.
    """

    def __init__(self, settings: HttpClientSettings, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self._adapter: Adapter | None = None
        self._attempts: list[Attempt] = []
        self._closed = threading.Event()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        repeatable: bool = False,
    ) -> HttpResponse:
        """Return the response, whatever its status, or raise an HttpError.

        If a kept connection turns out to be dead, a request that is safe to repeat is sent once more on a new one,
        within the same deadline: one whose method HTTP calls idempotent, or that is `repeatable`.
        """
        if self._closed.is_set():
            raise ConnectFailed("the client is closed")
        prepared = _prepared(method, url, headers or {}, body)
        adapter = self._adapter = self._adapter.renewed() if self._adapter else Adapter(self._settings.ca_file)
        first = Attempt(time.monotonic() + self._timeout)
        self._attempts = [first]
        try:
            first.start(partial(self._exchange, adapter, prepared))
            if (repeatable or method in _IDEMPOTENT) and first.is_dead(self._timeout / 2) and not self._closed.is_set():
                adapter.close()  # other kept connections may be dead too
                # The first attempt goes on: a server that is merely slow may still answer on the kept connection.
                self._attempts.append(Attempt(first.deadline))
                self._attempts[-1].start(partial(self._exchange, adapter, prepared))
            if self._closed.is_set():
                self._cut()
            return self._first_answer(first.deadline)
        finally:
            self._cut()
            self._attempts = []  # otherwise the last response would stay in memory until the next

    def close(self) -> None:
        """Abort the request in flight, if any, and close all connections for good."""
        self._closed.set()
        self._cut()
        if self._adapter is not None:
            self._adapter.close()

    def _cut(self) -> None:
        for attempt in self._attempts:
            attempt.cut()

    def _first_answer(self, deadline: float) -> HttpResponse:
        outcomes = [attempt.outcome for attempt in self._attempts]
        try:
            for outcome in as_completed(outcomes, max(0.0, deadline - time.monotonic())):
                if outcome.exception() is None:
                    break
            return outcome.result()
        except (NotInTime, TimedOut):  # the socket's own timeout may be the first to notice
            stage = self._attempts[-1].stage
            raise TimedOut(f"no complete response within {self._timeout:g} s ({stage})") from None

    def _exchange(self, adapter: Adapter, request: requests.PreparedRequest, attempt: Attempt) -> HttpResponse:
        proxy = self._settings.proxy_url
        proxies = dict.fromkeys(("http", "https"), proxy.read()) if proxy else None
        # The deadline aborts it; should that fail, the socket's own timeout ends the thread a second later.
        with adapter.send(request, stream=True, timeout=attempt.left() + 1.0, proxies=proxies) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            if 300 <= response.status_code < 400:  # noqa: PLR2004  3xx, whichever
                return HttpResponse(response.status_code, headers, b"")
            if proxy and response.status_code == requests.codes.proxy_authentication_required:
                raise ConnectFailed("the proxy does not accept the credentials (407)")
            body = bytearray()
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > self._settings.max_response:
                    raise Malformed(f"response larger than {self._settings.max_response:,} bytes")
            return HttpResponse(response.status_code, headers, bytes(body))


def _prepared(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> requests.PreparedRequest:
    """Return the request, ready to send. Raises ClientError, which names a header but never its value."""
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ClientError("a header's name cannot be sent")
        if not HEADER_VALUE.fullmatch(value):
            raise ClientError(f"the value of header {name} cannot be sent: printable ASCII only")
    try:
        if "@" in urlsplit(url).netloc:
            # requests would send it in place of the token.
            raise ClientError("the URL holds a user name or password")
        always = {"User-Agent": f"vendorwatch/{release()}", "Accept-Encoding": "gzip, deflate"}
        return requests.Request(method, url, headers=always | dict(headers), data=body).prepare()
    except (requests.RequestException, ValueError):
        raise ClientError("the URL cannot be used") from None
