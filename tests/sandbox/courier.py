"""Outbound webhooks: each channel tries again by its vendor's own rule, and everything it does is on record."""

import heapq
import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import requests

_TIMEOUT = 10


@dataclass(slots=True)
class Delivery:
    """One message: the status of each try (None: no answer), and whether it was acknowledged; None while it waits."""

    channel: str
    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    tries: list[int | None] = field(default_factory=list)
    delivered: bool | None = None

    def described(self) -> dict[str, Any]:
        """Without the headers' values, which hold secrets."""
        return {**asdict(self), "headers": sorted(self.headers)}


class Courier:
    """One channel: `waits` are the seconds before each further try, `accepts` what acknowledges."""

    def __init__(
        self, channel: str, waits: Sequence[float], accepts: Callable[[int], bool], scale: Callable[[], float]
    ) -> None:
        self._channel, self._waits, self._accepts, self._scale = channel, waits, accepts, scale
        self._wake = threading.Condition()
        self._due: list[tuple[float, int, Delivery]] = []
        self._numbers = itertools.count()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.record: list[Delivery] = []

    def post(self, url: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> None:
        """Send soon; returns at once."""
        delivery = Delivery(self._channel, url, json.loads(json.dumps(body)), dict(headers or {}))
        with self._wake:
            self.record.append(delivery)
            self._push(0, delivery)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=f"courier {self._channel}", daemon=True)
                self._thread.start()

    def clear(self) -> None:
        """Forget what waits and what was sent."""
        with self._wake:
            self._due.clear()
            self.record.clear()

    def close(self) -> None:
        """Give up what waits."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread:
            self._thread.join()

    def _push(self, wait: float, delivery: Delivery) -> None:
        heapq.heappush(self._due, (time.monotonic() + wait, next(self._numbers), delivery))
        self._wake.notify_all()

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while delivery := self._next():
                self._try(session, delivery)

    def _next(self) -> Delivery | None:
        with self._wake:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._wake.wait(wait)
        return None

    def _try(self, session: requests.Session, delivery: Delivery) -> None:
        status = _post(session, delivery)
        with self._wake:
            delivery.tries.append(status)
            made = len(delivery.tries)
            if status is not None and self._accepts(status):
                delivery.delivered = True
            elif made > len(self._waits):
                delivery.delivered = False
            else:
                self._push(self._waits[made - 1] * self._scale(), delivery)


def _post(session: requests.Session, delivery: Delivery) -> int | None:
    """Redirects are not followed."""
    try:
        answer = session.post(
            delivery.url, json=delivery.body, headers=delivery.headers, timeout=_TIMEOUT, allow_redirects=False
        )
    except requests.RequestException:
        return None
    return answer.status_code
