"""The one way out over HTTP: an ask → its answer, within a deadline, with the target's credentials.

Only GET, no redirect, no retry, no cookie, nothing from the environment: what leaves here is what the ask says.
No message holds a URL, a header or a body: that is where secrets live.
"""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import unquote_plus, urlencode, urlsplit, urlunsplit

import requests

from exporter.collectors.contract import Get, Response
from exporter.collectors.settings import TargetSettings
from exporter.errors import ClientError, Malformed, PollError, Refused, TimedOut
from exporter.fetch.cancellable_socket import Adapter, Line, use
from exporter.fetch.error_mapping import translated
from exporter.toolkit.config_types import Secret

BACKSTOP: Final = 1.0
"""Seconds after the deadline at which the thread of a request gives up by itself, should nothing have cut it."""
MOST_BYTES: Final = 64_000_000
"""An answer that is longer is not read to its end."""
CHUNK: Final = 65536


def located(base: str, ask: Get) -> str:
    """Return the URL of `ask` below `base`, whose own query stays except for what the ask's params replace."""
    parts = urlsplit(base)
    replaced = {name for name, _ in ask.params}
    kept = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.split("=")[0]) not in replaced]
    query = "&".join([*kept, *([urlencode(ask.params)] if ask.params else [])])
    path = f"{parts.path.rstrip('/')}/{ask.path.lstrip('/')}" if ask.path else parts.path
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


class Session:
    """The connection to one target's vendor. One request at a time; `close` cuts one that is under way."""

    def __init__(self, settings: TargetSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._http = _http(settings)
        self._line = Line()

    def get(self, ask: Get) -> Response:
        """Return the vendor's answer, whatever its status; `outcome.check` says what that means.

        TimedOut when it is not whole within the target's `timeout`, name resolution and connecting included;
        else the PollError that `outcome.KINDS` names.
        """
        at = self._clock()
        url, headers = self._address(ask), self._headers(ask)
        self._line = line = Line()
        outcome: Future[Response] = Future()
        threading.Thread(target=self._carry, args=(line, url, headers, at, outcome), daemon=True).start()
        try:
            return outcome.result(self._settings.timeout)
        except FutureTimeout:
            self._abandon(line)
            raise TimedOut(f"no whole answer within {self._settings.timeout:g} s") from None

    def credentials(self) -> str:
        """Return what differs whenever the credentials differ, and says nothing of them."""
        secrets = (self._settings.bearer(), self._settings.url())
        try:
            read = [secret.read() for secret in secrets if isinstance(secret, Secret)]
        except (OSError, ValueError):
            return ""
        return hashlib.sha256("\0".join(read).encode()).hexdigest()

    def close(self) -> None:
        """Cut the request that is under way, if any, and let the connections go."""
        self._line.cut()
        self._http.close()

    def _abandon(self, line: Line) -> None:
        """Leave a request to its thread, which ends once its socket is shut; the next one starts afresh."""
        line.cut()
        self._http, left = _http(self._settings), self._http
        left.close()

    def _carry(self, line: Line, url: str, headers: dict[str, str], at: float, outcome: Future[Response]) -> None:
        try:
            outcome.set_result(self._exchange(line, url, headers, at))
        except PollError as error:
            outcome.set_exception(error)
        except Exception as error:  # noqa: BLE001  whatever it is, the one who waits is told its kind
            outcome.set_exception(translated(error))

    def _exchange(self, line: Line, url: str, headers: dict[str, str], at: float) -> Response:
        timeout = self._settings.timeout + BACKSTOP
        use(line)
        with self._http.get(url, headers=headers, timeout=timeout, stream=True, allow_redirects=False) as response:
            body = bytearray()
            for chunk in response.iter_content(CHUNK):
                body += chunk
                if len(body) > MOST_BYTES:
                    raise Malformed(f"an answer of more than {MOST_BYTES:,} bytes")
            named = {name.lower(): value for name, value in response.headers.items()}
            return Response(at, response.status_code, bytes(body), named)

    def _address(self, ask: Get) -> str:
        base = self._settings.url()
        try:
            return located(base.read() if isinstance(base, Secret) else base or "", ask)
        except OSError as error:
            raise Refused("the file that holds the URL cannot be read") from error
        except ValueError as error:
            raise ClientError("the URL cannot be used") from error

    def _headers(self, ask: Get) -> dict[str, str]:
        bearer = self._settings.bearer()
        try:
            token = {"Authorization": f"Bearer {bearer.read()}"} if bearer else {}
        except (OSError, ValueError) as error:
            raise Refused("the file that holds the token cannot be read") from error
        return {"Accept": ask.accept, "User-Agent": _AGENT, **token}


def _agent() -> str:
    try:
        return f"vendorwatch/{version('vendorwatch')}"
    except PackageNotFoundError:
        return "vendorwatch"


_AGENT = _agent()


class _Straight(requests.Session):
    """Does not even look where a redirect points to: that would read its body before the size is known."""

    def get_redirect_target(self, _response: requests.Response) -> None:
        return None


def _http(settings: TargetSettings) -> requests.Session:
    http = _Straight()
    http.trust_env = False
    http.verify = settings.ca_file or True
    http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if settings.proxy_url:
        http.proxies = dict.fromkeys(("http", "https"), settings.proxy_url.read())
    for scheme in ("http://", "https://"):
        http.mount(scheme, Adapter(max_retries=0))
    return http
