"""The client of BigPanda's Alerts API: a call returns its acceptance or raises a DeliveryError."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Final

from bridge.delivery.answers import Answer, judge
from bridge.errors import Unreached
from bridge.outbox.queue import ClaimedEvent
from exporter.toolkit.config_types import Secret
from exporter.toolkit.http_client import HttpClient
from exporter.toolkit.http_errors import HttpError
from exporter.toolkit.http_settings import HttpClientSettings

MOST_BYTES: Final = 1_000_000
"""Most bytes in one request. BigPanda publishes no limit for this call, and 6 MB for a similar one: stay well below."""


class BigPanda:
    """The Alerts API at one URL, for one thread. `http`: proxy and roots."""

    def __init__(self, url: str, token: Secret, timeout: float, http: HttpClientSettings | None = None) -> None:
        self._url = url
        self._token = token
        self._client = HttpClient(http or HttpClientSettings(), timeout)

    def send(self, events: Sequence[str], app_key: str) -> Answer:
        """Send `events`, each as JSON, all of one integration.

        Raises DeliveryError, also if there is no complete response within the timeout.
        """
        try:
            token = self._token.read()
        except OSError as error:
            raise Unreached(f"the token cannot be read: {error.strerror}") from None
        except ValueError:
            raise Unreached("the token cannot be read") from None
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        content = body(events, app_key)
        try:
            # Sending the same bytes twice is harmless: the second time they are a duplicate.
            answer = self._client.request("POST", self._url, headers=headers, body=content, retry_dead_connection=True)
        except HttpError as error:
            raise Unreached(str(error)) from None
        return judge(answer, time.time(), secrets=[token])

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def body(events: Sequence[str], app_key: str) -> bytes:
    """Return the request body for `events`, ascending by timestamp; each goes in byte for byte as frozen."""
    ascending = sorted(events, key=lambda event: int(json.loads(event).get("timestamp", 0)))
    return f'{{"app_key":{json.dumps(app_key)},"alerts":[{",".join(ascending)}]}}'.encode()


def packed(events: Iterable[ClaimedEvent], most: int = MOST_BYTES) -> list[list[ClaimedEvent]]:
    """Split events into requests of at most `most` bytes, or of a single larger event."""
    requests: list[list[ClaimedEvent]] = []
    room = 0
    for event in events:
        weight = len(event.body.encode()) + 1
        if not requests or weight > room:
            requests.append([])
            room = most
        requests[-1].append(event)
        room -= weight
    return requests
