"""BigPanda's Alerts API: one call, one meaning. Accepted, or a DeliveryError that says whose fault it is.

The token goes to the configured URL alone: no redirect is followed, no proxy or `.netrc` of the environment is used.
"""

import json
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

import requests
from urllib3 import exceptions as torn

from bridge.delivery.connection import below_http, content_of, session
from bridge.errors import DeliveryError, Overloaded, Rejected, Stopped, Unreached
from exporter.toolkit.config_types import Secret

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


class BigPanda:
    """The Alerts API at one URL, spoken to by one thread."""

    def __init__(self, url: str, token: Secret, timeout: float) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._session = session()

    def send(self, events: Sequence[str], app_key: str) -> Answer:
        """Send `events`, each the JSON of one, all of one integration.

        Raises a DeliveryError; no whole answer within the timeout is one too.
        """
        try:
            status, retry_after, text = self._post(body(events, app_key))
        except (requests.RequestException, torn.HTTPError) as error:
            raise Unreached(below_http(error)) from None
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
            text = content_of(response, deadline, _MOST_ANSWER).decode("utf-8", "replace")
            return response.status_code, response.headers.get("Retry-After"), text


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
