"""The watchdog: an alert that must keep coming, and an event of our own when it does not.

Prometheus fires it always, so its silence tells that alerts may not reach us. One thread of one replica looks after
every receiver's; when it was last heard is in the outbox, so a restart neither forgets nor alarms.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Final
from uuid import uuid4

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.event import Status
from bridge.domain.notification import Notification
from bridge.metrics import Metrics
from bridge.outbox.alerts import Alerts
from bridge.outbox.database import Database
from bridge.outbox.ingest import Ingest
from bridge.outbox.status import OutboxStatus
from bridge.periodic import Rounds
from bridge.receivers.alertmanager import Settings
from bridge.receivers.alertmanager import Watchdog as WatchdogSettings

_ROLE: Final = "watchdog"
_LONGEST_TICK: Final = 5.0
"""Seconds between two looks."""
_SHORTEST_TICK: Final = 0.1
_LOOKS: Final = 8
"""Looks within the shortest max_silence."""
_MISSED: Final = 4
"""Looks missed in a row, after which our own rest, not the sender's, may explain a silence."""
_LEASE: Final = 15.0
"""Seconds for which one replica alone speaks for the watchdogs."""
_log = logging.getLogger(__name__)


class Change(StrEnum):
    """What a look at a watchdog leads to."""

    ALARM = "is silent"
    RECOVERED = "is heard again"
    UNWATCHED = "is not looked after any more"


def judge(heard_at: float | None, *, now: float, awake: float, max_silence: float, alarmed: bool) -> Change | None:
    """Tell what to do about one watchdog.

    `heard_at`, `now`: epoch seconds, None: never. `awake`: for how many seconds we could have heard it: what came
    while we did not run is no silence. A time far ahead of the clock is not believed.
    """
    believed = heard_at is not None and heard_at <= now + max_silence
    quiet = now - heard_at if heard_at is not None and believed else awake
    if alarmed:
        return Change.RECOVERED if believed and quiet <= max_silence else None
    return Change.ALARM if min(quiet, awake) > max_silence else None


class Watchdog:
    """Looks after every watchdog, in one thread: `start`, `change` with new settings, `stop`."""

    def __init__(  # noqa: PLR0913  the parts it is wired to; each is replaced alone in tests
        self,
        database: Database,
        watched: Iterable[Settings],
        metrics: Metrics,
        *,
        wake: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take every receiver of Alertmanagers: of one that has no watchdog any more, an alarm ends.

        `wake`: called when something was queued.
        """
        self._alerts, self._ingest, self._status = Alerts(database), Ingest(database), OutboxStatus(database)
        self._metrics, self._wake = metrics, wake
        self._clock, self._steady, self._owner = clock, steady, uuid4().hex
        self._watched: dict[str, Settings] = {}
        self._since: dict[str, float] = {}
        self._looked_at = steady()
        self._rounds = Rounds("watchdog", "Looking after the watchdog", self.run)
        self.change(watched)

    def change(self, watched: Iterable[Settings]) -> None:
        """Look after these from now on; of others the metric says nothing any more."""
        before, self._watched = self._watched, {found.source: found for found in watched}
        kept = {source for source, found in self._watched.items() if found.watchdog}
        for source in before.keys() - kept:
            self._metrics.watchdog_silent.remove(source)

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
            self._rounds.pause(self.tick)
        self._rounds.guarded(lambda: self._status.yield_role(_ROLE, self._owner))

    @property
    def tick(self) -> float:
        """Seconds between two looks."""
        silences = [found.watchdog.max_silence for found in self._watched.values() if found.watchdog]
        return min(max(min(silences, default=math.inf) / _LOOKS, _SHORTEST_TICK), _LONGEST_TICK)

    def turn(self) -> None:
        """Look once. Unavailable when the database cannot be used."""
        now, steady = self._clock(), self._steady()
        if steady - self._looked_at > _MISSED * self.tick:
            self._since.clear()
        if watched := self._watched:
            heard = {(found.receiver, found.source): found.heard_at for found in self._status.heartbeats()}
            known = self._alerts.states([key_of(source) for source in watched])
            for source, found in watched.items():
                awake = steady - self._since.setdefault(source, steady)
                heard_at = heard.get((found.receiver, source))
                self._look(found, heard_at, known.get(key_of(source)), now, awake)
        self._looked_at = steady

    def _look(
        self, watched: Settings, heard_at: float | None, known: AlertState | None, now: float, awake: float
    ) -> None:
        settings, alarmed = watched.watchdog, known is not None and known.open
        if settings is None:
            change = Change.UNWATCHED if alarmed else None
        else:
            change = judge(heard_at, now=now, awake=awake, max_silence=settings.max_silence, alarmed=alarmed)
            silent = change is Change.ALARM or (alarmed and change is None)
            self._metrics.watchdog_silent.labels(watched.source).set(silent)
        if change is not None and self._status.lead(_ROLE, self._owner, now, _LEASE):
            self._tell(watched, change, known, now)

    def _tell(self, settings: Settings, change: Change, known: AlertState | None, now: float) -> None:
        firing = alarm(settings, settings.watchdog or WatchdogSettings(), now)
        notification = Notification(
            receiver=settings.receiver,
            source=settings.source,
            alerts=(firing if change is Change.ALARM else replace(firing, firing=False, ends_at=now),),
            mapping=replace(settings.mapping, statuses={"critical": Status.CRITICAL}),
            if_unmodified={firing.key: known.updated_at if known else None},
        )
        (outcome,) = self._ingest.accept([notification], now)
        if outcome.queued:
            _log.warning("The watchdog %s of %s %s", firing.name, settings.source, change)
            self._wake()


def key_of(source: str) -> str:
    """Return the identity of a watchdog's own alert."""
    return f"{source}:watchdog"


def alarm(receiver: Settings, watchdog: WatchdogSettings, now: float) -> Alert:
    """Return what BigPanda is told when the watchdog is silent. It never changes while it lasts."""
    name, source = watchdog.alertname, receiver.source
    described = (
        f"The alert {name}, which fires always, has not come from Alertmanager ({source}) for longer than "
        f"{watchdog.max_silence:g} seconds. Until it does, other alerts of {source} may not arrive either. "
        f"Look, in this order: does Prometheus run and show {name} as firing; does Alertmanager show it, not silenced, "
        "and routed to this bridge often enough; does Alertmanager's log tell why it cannot notify."
    )
    return Alert(
        receiver=receiver.receiver,
        source=source,
        key=key_of(source),
        name=name,
        firing=True,
        severity="critical",
        labels={"alertname": name, "severity": "critical"},
        annotations={"summary": f"{name} of {source} is silent", "description": described},
        starts_at=now,
    )
