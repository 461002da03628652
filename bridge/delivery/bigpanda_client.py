"""The client of BigPanda's Alerts API: a call returns its acceptance or raises a DeliveryError."""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from bridge.config import BigPanda as Settings
from bridge.delivery.http_api import HttpApi
from bridge.outbox.queue import ClaimedEvent

MOST_BYTES: Final = 1_000_000
"""Most bytes in one request. BigPanda publishes no limit for this call, and 6 MB for a similar one: stay well below."""


class BigPanda(HttpApi):
    """The Alerts API at one URL, for one thread."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, settings.timeout, settings.token)
        self._url = settings.url

    def send(self, events: Sequence[str], app_key: str) -> str:
        """Send events of one integration, as JSON; return "accepted", or "duplicate". Raises DeliveryError."""
        # Sending the same bytes twice is harmless: the second time they are a duplicate.
        answer = self.request("POST", self._url, body(events, app_key), repeatable=True)
        return "duplicate" if answer.status == 204 else "accepted"  # noqa: PLR2004  No Content


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
        if weight > room:
            requests.append([])
            room = most
        requests[-1].append(event)
        room -= weight
    return requests
