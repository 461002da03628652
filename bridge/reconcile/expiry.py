"""Expiry: resolves an alert after a configured silence, for senders that report no resolution.

Any webhook in between takes precedence: the resolution is valid only while the alert's state is unchanged. Time during
which nothing could be received, because we did not run or the clock was set, does not count as silence; it is in the
outbox, for the next process and for other replicas.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.outbox.outbox import Outbox
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit.periodic import CLOCK, Clock, PeriodicThread
from exporter.toolkit.text import counted

_LONGEST_TICK: Final = 60.0
"""Seconds between two checks."""
_SHORTEST_TICK: Final = 0.25
_LOOKS: Final = 8
"""Checks within the shortest silence."""
_MISSED: Final = 4
"""Missed checks in a row after which webhooks may have been missed too."""
_log = logging.getLogger(__name__)


def expired(
    states: Iterable[AlertState],
    settings: ReceiverSettings,
    now: float,
    heard: Mapping[str, float],
    deaf: Sequence[tuple[float, float]],
) -> Iterator[tuple[Alert, float]]:
    """Yield the resolution of each open alert that was silent for too long, and when its state was last updated.

    `heard`: when each alert was last repeated. `deaf`: the periods during which nothing could be received.
    """
    for state in states:
        if state.alert.receiver != settings.receiver:
            continue
        # What is in the future was recorded by a clock that has been set back since.
        times = (state.updated_at, *(heard.get(key, 0.0) for key in (state.key, *state.firing)))
        last = max(at for at in times if at <= now)
        quiet = now - last - sum(end - max(begin, last) for begin, end in deaf if last < end <= now)
        lapses = settings.lapses.get(state.alert.name)
        ended = lapses is not None and now - state.updated_at >= lapses
        if ended or (settings.resolve_after and quiet >= settings.resolve_after):
            yield state.alert.resolved(now), state.updated_at


class Expiry(PeriodicThread):
    """Expires the alerts of every receiver, in one thread: `start`, `change`, `stop`."""

    def __init__(self, outbox: Outbox, receivers: Iterable[ReceiverSettings], *, clock: Clock = CLOCK) -> None:
        """`receivers`: all of them."""
        self._outbox, self._clock = outbox, clock
        super().__init__("expiry", "Resolving expired alerts", self.tick)
        self.change(receivers)

    def change(self, receivers: Iterable[ReceiverSettings]) -> None:
        """Replace the receivers."""
        self._expiring = [one for one in receivers if one.lapses or one.resolve_after]
        self.wake()

    @property
    def interval(self) -> float | None:
        """Seconds between two checks, None if no alert can expire."""
        silences = [after for one in self._expiring for after in (*one.lapses.values(), one.resolve_after) if after]
        return min(max(min(silences) / _LOOKS, _SHORTEST_TICK), _LONGEST_TICK) if silences else None

    def tick(self) -> float | None:
        """Check once; return the seconds until the next check. Raises Unavailable if the database cannot be used."""
        now, interval = self._clock.wall(), self.interval
        if interval is not None and any(one.resolve_after for one in self._expiring):
            self._outbox.status.note_receiving(now, _MISSED * interval)
        deaf = self._outbox.status.deaf() if self._expiring else []
        for one in self._expiring:
            states = self._outbox.alerts.open_alerts(one.source)
            keys = [key for state in states for key in (state.key, *state.firing)]
            # Before resolve_after was set nothing was recorded, and the last update stands in.
            updated = {state.key: state.updated_at for state in states}
            heard = updated | self._outbox.alerts.heard_at(keys) if one.resolve_after else {}
            if ahead := [key for key, at in heard.items() if at > now]:
                self._outbox.alerts.note_heard(ahead, now)
                heard |= dict.fromkeys(ahead, now)
            ends = (one.correction(alert, at) for alert, at in expired(states, one, now, heard, deaf))
            if queued := len(list(self._outbox.correct(ends, now))):
                _log.info("Resolved %s of %s: no longer reported by its sender", counted(queued, "alert"), one.source)
        return interval
