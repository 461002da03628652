"""The watchdog: an always-firing alert that must keep arriving, and an event of our own if it does not.

Prometheus always fires it, so its silence means that alerts may not reach us. Each of its label sets is a heartbeat of
its own: one for each Prometheus, or each cluster, behind an Alertmanager. One thread in one replica checks all
receivers; the time of each last heartbeat is in the outbox, so a restart neither forgets nor alarms.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

from bridge.domain.alert import Alert
from bridge.domain.event import Status
from bridge.metrics import Metrics
from bridge.outbox.outbox import Outbox
from bridge.outbox.status import Heartbeat, Role
from bridge.receivers.alertmanager import Settings
from bridge.receivers.alertmanager import Watchdog as WatchdogSettings
from exporter.toolkit.periodic import CLOCK, Clock, PeriodicThread

_LONGEST_TICK: Final = 5.0
"""Seconds between two checks."""
_SHORTEST_TICK: Final = 0.1
_LOOKS: Final = 8
"""Checks within the shortest max_silence."""
_MISSED: Final = 4
"""Missed checks in a row after which our own downtime, not the sender's, may explain a silence."""
_LEASE: Final = 15.0
_log = logging.getLogger(__name__)


class Change(StrEnum):
    """The result of checking a heartbeat."""

    ALARM = "is silent"
    RECOVERED = "is firing again"
    UNWATCHED = "is no longer watched"
    FORGOTTEN = "is forgotten"


def judge(
    heartbeat: Heartbeat | None, settings: WatchdogSettings, *, now: float, awake: float, alarmed: bool
) -> Change | None:
    """Decide about one heartbeat; None: one never received.

    `awake`: for how many seconds we could have received it: downtime of our own is not a silence. A time far ahead of
    the clock is ignored.
    """
    if heartbeat is None:
        return Change.ALARM if awake > settings.max_silence and not alarmed else None
    believed = heartbeat.heard_at <= now + settings.max_silence
    quiet = now - heartbeat.heard_at if believed else awake
    if quiet > settings.forget_after and awake > settings.max_silence:
        return Change.FORGOTTEN
    # A heartbeat sent as resolved counts as silent, however recent.
    if not heartbeat.firing:
        return None if alarmed else Change.ALARM
    if alarmed:
        return Change.RECOVERED if believed and quiet <= settings.max_silence else None
    return Change.ALARM if min(quiet, awake) > settings.max_silence else None


class Watchdog(PeriodicThread):
    """Checks every watchdog, in one thread: `start`, `change` with new settings, `stop`."""

    def __init__(self, outbox: Outbox, watched: Iterable[Settings], metrics: Metrics, *, clock: Clock = CLOCK) -> None:
        """`watched`: all Alertmanager receivers, to end the alarm of one whose watchdog is gone."""
        self._outbox, self._metrics, self._clock = outbox, metrics, clock
        self._role = Role(outbox.database, "watchdog", _LEASE)
        self._watched: dict[str, Settings] = {}
        self._since: dict[str, float] = {}
        self._looked_at, self._offset = clock.steady(), clock.wall() - clock.steady()
        super().__init__(self._role.name, "Watching heartbeats", self.tick, at_end=self._role.close)
        self.change(watched)

    def change(self, watched: Iterable[Settings]) -> None:
        """Replace the receivers; the metric of others is removed."""
        before, self._watched = self._watched, {found.source: found for found in watched}
        kept = {source for source, found in self._watched.items() if found.watchdog}
        for source in before.keys() - kept:
            self._metrics.watchdog_silent.remove(source)

    @property
    def interval(self) -> float:
        """Seconds between two checks."""
        silences = [found.watchdog.max_silence for found in self._watched.values() if found.watchdog]
        return min(max(min(silences, default=math.inf) / _LOOKS, _SHORTEST_TICK), _LONGEST_TICK)

    def tick(self) -> float:
        """Check once; return the seconds until the next check. Raises Unavailable if the database cannot be used."""
        now, steady = self._clock.wall(), self._clock.steady()
        offset, self._offset = self._offset, now - steady
        if max(steady - self._looked_at, abs(self._offset - offset)) > _MISSED * self.interval:
            # We were down, or the clock was set: heartbeats may have been missed, or have wrong times.
            self._since.clear()
        heartbeats = self._outbox.status.heartbeats() if self._watched else []
        for source, settings in self._watched.items():
            awake = steady - self._since.setdefault(source, steady)
            ours = heartbeats_of(settings, heartbeats)
            self._look(settings, ours, now, awake)
            if settings.watchdog:
                self._resolve(settings, settings.watchdog.alertname, ours.values(), now)
        self._looked_at = steady
        return self.interval

    def _look(self, receiver: Settings, heartbeats: Mapping[str, Heartbeat | None], now: float, awake: float) -> None:
        alone, settings = watchdog_key(receiver.source), receiver.watchdog
        other_names = [alone, *(alone + beat.key.removeprefix(receiver.source) for beat in heartbeats.values() if beat)]
        watched: dict[str, Heartbeat | None] = {**dict.fromkeys(other_names), **heartbeats}
        states, silent = self._outbox.alerts.states(list(watched)), False
        for key, heartbeat in watched.items():
            state = states.get(key)
            alarmed = state is not None and state.open
            if settings is None:
                change = Change.UNWATCHED if alarmed else None
            elif key not in heartbeats:
                # End alarms reported under another name, from when there were more or fewer label sets.
                change = Change.RECOVERED if alarmed else None
            else:
                change = judge(heartbeat, settings, now=now, awake=awake, alarmed=alarmed)
            silent |= change is Change.ALARM or (alarmed and change is None)
            if change is None or not self._role.lead(now):
                continue
            if change is Change.ALARM or alarmed:
                firing = alarm(receiver, key, heartbeat, now)
                alert = firing if change is Change.ALARM else firing.resolved(now)
                notification = receiver.correction(alert, state.updated_at if state else None)
                # Critical, whatever the receiver's severity mapping.
                mapping = replace(receiver.mapping, statuses={"critical": Status.CRITICAL})
                if any(self._outbox.correct([replace(notification, mapping=mapping)], now)):
                    which = heartbeat.distinction if heartbeat else ""
                    _log.warning("Watchdog %s of %s%s %s", alert.name, receiver.source, which, change)
            if change is Change.FORGOTTEN and heartbeat is not None:
                self._outbox.status.forget_heartbeat(heartbeat)
        if settings is not None:
            self._metrics.watchdog_silent.labels(receiver.source).set(silent)

    def _resolve(self, receiver: Settings, name: str, heartbeats: Iterable[Heartbeat | None], now: float) -> None:
        """Resolve the watchdog's own alert if it was sent before it became the watchdog: nothing else would."""
        states = self._outbox.alerts.states([heartbeat.key for heartbeat in heartbeats if heartbeat])
        corrections = [
            receiver.correction(state.alert.resolved(now), state.updated_at)
            for state in states.values()
            if state.open and state.alert.name == name
        ]
        for alert in self._outbox.correct(corrections, now):
            _log.info("Resolved %s: %s is the watchdog now", alert.key, name)


def heartbeats_of(receiver: Settings, heartbeats: Iterable[Heartbeat]) -> Mapping[str, Heartbeat | None]:
    """Return the heartbeats of a receiver by the identities of our alerts about them; one is None until received."""
    alone = watchdog_key(receiver.source)
    ours = [beat for beat in heartbeats if (beat.receiver, beat.source) == (receiver.receiver, receiver.source)]
    # A single label set needs no name of its own.
    named = {alone if len(ours) == 1 else alone + beat.key.removeprefix(receiver.source): beat for beat in ours}
    return named or {alone: None}


def arriving(receiver: Settings, heartbeats: Iterable[Heartbeat], now: float) -> set[str]:
    """Return Alertmanager's keys of the receiver's heartbeats that fire and are not silent; none without a watchdog."""
    longest = receiver.watchdog.max_silence if receiver.watchdog else 0.0
    ours = (beat for beat in heartbeats_of(receiver, heartbeats).values() if beat and beat.firing)
    return {beat.key for beat in ours if 0 <= now - beat.heard_at < longest}


def watchdog_key(source: str) -> str:
    """Return the identity of our alert about a watchdog; with several label sets, the prefix of theirs."""
    return f"{source}:watchdog"


def alarm(receiver: Settings, key: str, heartbeat: Heartbeat | None, now: float) -> Alert:
    """Return the alert about a silent heartbeat. It stays the same while it lasts."""
    watchdog = receiver.watchdog or WatchdogSettings()
    name, source, which = watchdog.alertname, receiver.source, heartbeat.distinction if heartbeat else ""
    described = (
        f"The alert {name}{which}, which always fires, has not come from Alertmanager ({source}) for longer than "
        f"{watchdog.max_silence:g} seconds. Until it does, other alerts of {source} may not arrive either. "
        f"Check in this order: does Prometheus run and show {name} as firing; does Alertmanager show it, not silenced, "
        "and routed to this bridge often enough; does Alertmanager's log show why it cannot notify."
    )
    return Alert(
        receiver=receiver.receiver,
        source=source,
        key=key,
        name=name,
        firing=True,
        severity="critical",
        labels={**(heartbeat.labels if heartbeat else {}), "alertname": name, "severity": "critical"},
        annotations={"summary": f"{name} of {source}{which} is silent", "description": described},
        starts_at=now,
    )
