"""Ends that nobody tells: an alert whose sender falls silent when it is over is resolved after a configured silence.

Whatever the sender tells meanwhile overtakes it: the end counts only while its key is as it was when it was judged.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.ingest import Ingest
from bridge.periodic import Rounds
from bridge.receivers.settings import ReceiverSettings

_LONGEST_TICK: Final = 60.0
"""Seconds between two looks."""
_SHORTEST_TICK: Final = 0.25
_LOOKS: Final = 8
"""Looks within the shortest silence."""
_log = logging.getLogger(__name__)


def lapsed(held: Iterable[AlertState], settings: ReceiverSettings, now: float) -> Iterator[tuple[Alert, float]]:
    """Give the end of each open alert that was not heard of for too long, and when it was last heard of."""
    for one in held:
        after = settings.lapses.get(one.alert.name)
        if one.alert.receiver == settings.receiver and after is not None and now - one.updated_at >= after:
            yield replace(one.alert, firing=False, ends_at=now, at=None, ordered=False), one.updated_at


class Lapses:
    """Looks after every receiver of which alerts may lapse, in one thread: `start`, `change`, `stop`."""

    def __init__(
        self,
        database: Database,
        falling: Iterable[ReceiverSettings],
        *,
        wake: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take every receiver. `wake`: called when something was queued."""
        self._alerts, self._ingest, self._wake, self._clock = Alerts(database), Ingest(database), wake, clock
        self._rounds = Rounds("lapses", "Looking for alerts that lapsed", self.run)
        self.change(falling)

    def change(self, falling: Iterable[ReceiverSettings]) -> None:
        """Look after these from now on."""
        self._falling = [one for one in falling if one.lapses]
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
        silences = [after for one in self._falling for after in one.lapses.values()]
        return min(max(min(silences) / _LOOKS, _SHORTEST_TICK), _LONGEST_TICK) if silences else None

    def turn(self) -> None:
        """Look once. Unavailable when the database cannot be used."""
        now = self._clock()
        for one in self._falling:
            if ends := list(lapsed(self._alerts.open_alerts(one.source), one, now)):
                self._end(one, ends, now)

    def _end(self, one: ReceiverSettings, ends: Sequence[tuple[Alert, float]], now: float) -> None:
        notification = one.notification(
            alerts=[alert for alert, _ in ends], if_unmodified={alert.key: heard_at for alert, heard_at in ends}
        )
        (outcome,) = self._ingest.accept([notification], now)
        if outcome.queued:
            _log.info("%d alerts of %s ended by silence", outcome.queued, one.source)
            self._wake()
