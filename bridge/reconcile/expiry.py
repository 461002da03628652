"""Ends that nobody tells: an alert whose sender falls silent when it is over is resolved after a configured silence.

Whatever the sender tells meanwhile overtakes it: the end counts only while its key is as it was when it was judged.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from bridge.domain.alert import Alert
from bridge.domain.event import Mapping
from bridge.outbox.ingest import Notification, Outcome
from bridge.outbox.status import OpenKey
from bridge.periodic import Rounds
from bridge.receivers.settings import ReceiverSettings

_LONGEST_TICK: Final = 60.0
"""Seconds between two looks."""
_SHORTEST_TICK: Final = 0.25
_LOOKS: Final = 8
"""Looks within the shortest silence."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Falling:
    """One receiver of which alerts may end by silence, and how its alerts become events."""

    settings: ReceiverSettings
    mapping: Mapping


class Store(Protocol):
    """What is needed of the outbox."""

    def accept(self, batch: Sequence[Notification], now: float) -> list[Outcome]:
        """Make a batch durable."""

    def open_keys(self, source: str) -> list[OpenKey]:
        """Return what is open of a source."""


def lapsed(held: Iterable[OpenKey], settings: ReceiverSettings, now: float) -> Iterator[tuple[Alert, float]]:
    """Give the end of each open alert that was not heard of for too long, and when it was last heard of."""
    for one in held:
        after = settings.lapses.get(one.alert.name)
        if one.alert.receiver == settings.receiver and after is not None and now - one.updated_at >= after:
            yield replace(one.alert, firing=False, ends_at=now, at=None, ordered=False), one.updated_at


class Lapses:
    """Looks after every receiver of which alerts may lapse, in one thread: `start`, `change`, `stop`."""

    def __init__(
        self,
        store: Store,
        falling: Iterable[Falling],
        *,
        wake: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take every receiver. `wake`: called when something was queued."""
        self._store, self._wake, self._clock = store, wake, clock
        self._rounds = Rounds("lapses", "Looking for alerts that lapsed", self.run)
        self.change(falling)

    def change(self, falling: Iterable[Falling]) -> None:
        """Look after these from now on."""
        self._falling = [one for one in falling if one.settings.lapses]
        self._rounds.hint()

    def start(self) -> None:
        """Begin to look."""
        self._rounds.start()

    def stop(self, patience: float = 1.0) -> None:
        """End."""
        self._rounds.stop(patience)

    def run(self) -> None:
        """Look until stopped."""
        while not self._rounds.ended:
            self._rounds.guarded(self.turn)
            self._rounds.rest(self.tick)

    @property
    def tick(self) -> float | None:
        """Seconds between two looks, None when there is nothing to look for."""
        silences = [after for one in self._falling for after in one.settings.lapses.values()]
        return min(max(min(silences) / _LOOKS, _SHORTEST_TICK), _LONGEST_TICK) if silences else None

    def turn(self) -> None:
        """Look once. Unavailable when the database cannot be used."""
        now = self._clock()
        for one in self._falling:
            if ends := list(lapsed(self._store.open_keys(one.settings.source), one.settings, now)):
                self._end(one, ends, now)

    def _end(self, one: Falling, ends: Sequence[tuple[Alert, float]], now: float) -> None:
        notification = Notification(
            receiver=one.settings.receiver,
            source=one.settings.source,
            alerts=[alert for alert, _ in ends],
            mapping=one.mapping,
            seen={alert.key: heard_at for alert, heard_at in ends},
        )
        (outcome,) = self._store.accept([notification], now)
        if outcome.queued:
            _log.info("%d alerts of %s ended by silence", outcome.queued, one.settings.source)
            self._wake()
