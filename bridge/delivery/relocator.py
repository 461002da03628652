"""When events begin to go elsewhere, what is open is stated there, and closed where it was opened if that answers.

The old destination is asked with what was configured for it, where this process has read that, else with what is
configured now. After an hour, or once it refuses, nothing more is tried there.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import uuid4

from bridge.config import BigPanda as Settings
from bridge.delivery.bigpanda_client import BigPanda
from bridge.domain.event import EventMapping
from bridge.errors import DeliveryError, Fault
from bridge.outbox.database import Database
from bridge.outbox.queue import ClaimedEvent, Queue
from bridge.outbox.relocation import Relocation
from bridge.periodic import PeriodicThread
from bridge.receivers.settings import ReceiverSettings

_AGAIN: Final = 30.0
"""Seconds between two tries at a destination that does not answer."""
_PATIENCE: Final = 3600.0
"""Seconds for which it is tried."""
_LEASE: Final = 120.0
_log = logging.getLogger(__name__)


class Client(Protocol):
    """What takes events."""

    def send(self, events: Sequence[str], app_key: str) -> object:
        """Send events; raises a DeliveryError."""

    def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where events go: the destination's name in the outbox, and its settings."""

    name: str
    settings: Settings


def client_of(settings: Settings) -> Client:
    """Return the client of a destination."""
    return BigPanda(settings.url, settings.token, settings.timeout, settings)


class Relocator:
    """One thread: `start`, `change` with new settings, `stop`."""

    def __init__(  # noqa: PLR0913  the parts it is wired to; each is replaced alone in tests
        self,
        database: Database,
        place: Place,
        receivers: Iterable[ReceiverSettings],
        *,
        wake: Callable[[], object] = lambda: None,
        client: Callable[[Settings], Client] = client_of,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`wake`: called when something was queued."""
        self._queue, self._relocation, self._owner = Queue(database), Relocation(database), uuid4().hex
        self._wake, self._client, self._clock = wake, client, clock
        self._former: dict[str, Settings] = {}
        self._loop = PeriodicThread("relocator", "Closing alerts at a former destination", self.tick)
        self._place = place
        self._use(place, receivers)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def change(self, place: Place, receivers: Iterable[ReceiverSettings]) -> None:
        """Let events go to `place` from now on."""
        self._former[self._place.name] = self._place.settings
        self._use(place, receivers)
        self._loop.wake()

    def stop(self, patience: float = 1.0) -> None:
        """End."""
        self._loop.stop(patience)

    def _use(self, place: Place, receivers: Iterable[ReceiverSettings]) -> None:
        self._place, self._moved = place, False
        self._mappings = {(one.receiver, one.source): one.mapping for one in receivers}

    def tick(self) -> float | None:
        """Move what is open elsewhere, then close it there; return the seconds until the next try; None: done."""
        place = self._place
        if not self._moved:
            moved = self._relocation.move(place.name, place.settings.url, self._mapping_of, self._clock())
            self._moved = place is self._place
            if moved:
                _log.warning("Events go elsewhere now: resending %d open alerts, closing them where they were", moved)
                self._wake()
        former = {name: url for name, url in self._queue.bound_destinations().items() if name != place.name}
        for name, url in former.items():
            settings = self._former.get(name) or self._place.settings.model_copy(update={"url": url})
            if settings.url:
                self._close_at(name, settings)
        return _AGAIN if former else None

    def _mapping_of(self, receiver: str, source: str) -> EventMapping | None:
        return self._mappings.get((receiver, source))

    def _close_at(self, name: str, settings: Settings) -> None:
        client = self._client(settings)
        try:
            while claimed := self._claim(settings, name):
                if not self._sent(client, claimed):
                    return
        finally:
            client.close()

    def _claim(self, settings: Settings, name: str) -> list[ClaimedEvent]:
        return self._queue.claim(settings.batch_size, self._owner, self._clock(), _LEASE, name, bound=True)

    def _sent(self, client: Client, claimed: list[ClaimedEvent]) -> bool:
        """Send one batch; tell whether the next may be tried now."""
        now = self._clock()
        try:
            client.send([one.body for one in claimed], claimed[0].app_key)
        except DeliveryError as error:
            if error.fault is Fault.TRANSIENT and now - min(one.accepted_at for one in claimed) < _PATIENCE:
                self._queue.postpone(claimed, now + _AGAIN, str(error))
                return False
            self._queue.abandon(claimed, f"the former destination does not take it: {error}", now)
            _log.warning("%d alerts stay open at a former destination: %s", len(claimed), error)
            return True
        self._queue.record(accepted=claimed, now=self._clock())
        return True
