"""From a request's alerts to events, from events to alerts and incidents: duplicates, order, reopening."""

import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.sandbox.bigpanda.records import MAX_ALERTS, Alert, Event, Incident, rank
from tests.sandbox.bigpanda.validation import identity_of
from tests.sandbox.settings import BigPanda as BigPandaSettings

Changed = Callable[[Incident, str], object]
Dropped = Callable[[str, str, Any], object]
"""Told the app key, why and what."""


class Intake:
    """Holds everything that came in. The caller holds `lock`."""

    def __init__(
        self, clock: Callable[[], float], settings: BigPandaSettings, changed: Changed, dropped: Dropped
    ) -> None:
        self._clock, self._settings, self._changed, self._dropped = clock, settings, changed, dropped
        self.lock = threading.RLock()
        self._arrived = threading.Condition(self.lock)
        self.clear()

    def clear(self) -> None:
        """Nothing ever came in."""
        self.events: list[Event] = []
        self.duplicates = 0
        self.requests = 0
        self.dropped: list[Mapping[str, Any]] = []
        self._offered = 0
        self.alerts: dict[tuple[str, str], Alert] = {}
        self.incidents: dict[str, Incident] = {}
        self._home: dict[str, Incident] = {}
        self._gathering: dict[str, Incident] = {}
        self._seen: set[int] = set()
        self._seconds: set[tuple[str, int, str]] = set()

    def take(self, app_key: str, alerts: Sequence[Mapping[str, Any]]) -> int:
        """Take the alerts of one request; how many were not duplicates."""
        self.requests += 1
        fresh = sum(self._take_one(app_key, alert) for alert in alerts)
        self.duplicates += len(alerts) - fresh
        self._arrived.notify_all()
        return fresh

    def wait_for(self, enough: Callable[[list[Event]], bool], timeout: float = 30) -> bool:
        """Wait until `enough` holds of the events, at most `timeout` seconds."""
        with self.lock:
            return self._arrived.wait_for(lambda: enough(self.events), timeout)

    def _take_one(self, app_key: str, alert: Mapping[str, Any]) -> bool:
        now = self._clock()
        stamped = {"timestamp": int(now), **alert}
        self._offered += 1
        if self._settings.drops_one_in and self._offered % self._settings.drops_one_in == 0:
            self.dropped.append(stamped)
            self._dropped(app_key, "alert 1: dropped while processing", stamped)
            return True
        if self._duplicate(app_key, stamped):
            return False
        self.events.append(Event(len(self.events) + 1, now, self.requests, app_key, stamped))
        self._fold(app_key, stamped, now)
        return True

    def _duplicate(self, app_key: str, alert: Mapping[str, Any]) -> bool:
        whole = hash(json.dumps([app_key, alert], sort_keys=True))
        second = (app_key, int(alert["timestamp"]), identity_of(alert))
        dropped = whole in self._seen or (self._settings.strict_old_dedup and second in self._seconds)
        self._seen.add(whole)
        self._seconds.add(second)
        return dropped

    def _fold(self, app_key: str, event: Mapping[str, Any], now: float) -> None:
        key = (app_key, identity_of(event))
        alert = self.alerts.get(key)
        stale = alert and alert.ended is not None and now - alert.ended > self._settings.reopen_seconds
        if alert is None or (stale and event["status"] != "ok"):
            self._first(key, event, now)
        elif event["timestamp"] >= alert.timestamp:
            self._newer(alert, event, now)

    def _first(self, key: tuple[str, str], event: Mapping[str, Any], now: float) -> None:
        """Begin an alert; an ok for one that nobody knows makes a closed alert and no incident."""
        status = "warning" if event["status"] == "acknowledged" else event["status"]
        when = int(event["timestamp"])
        alert = Alert(secrets.token_hex(12), *key, status, when, dict(event), started=when, changed=now)
        alert.acknowledged = event["status"] == "acknowledged"
        self.alerts[key] = alert
        if status == "ok":
            alert.ended = when
        else:
            self._admit(alert, now)

    def _newer(self, alert: Alert, event: Mapping[str, Any], now: float) -> None:
        before = alert.status
        alert.acknowledged = event["status"] == "acknowledged"
        alert.status = before if alert.acknowledged else event["status"]
        alert.timestamp, alert.tags, alert.changed = int(event["timestamp"]), dict(event), now
        alert.ended = float(event["timestamp"]) if alert.status == "ok" else None
        home = self._home.get(alert.id)
        if home is None and alert.status != "ok":
            self._admit(alert, now)
        elif home is not None:
            reopened = home.resolved_by_hand and alert.status != "ok"
            self._touch(home, before != alert.status or reopened, now)

    def _admit(self, alert: Alert, now: float) -> None:
        tag = self._settings.correlate_by
        correlation = f"{tag}={alert.tags[tag]}" if tag and tag in alert.tags else ""
        incident = self._gathering.get(correlation) if correlation else None
        if incident is None or not incident.active or len(incident.alerts) >= MAX_ALERTS:
            incident = Incident(secrets.token_hex(12), alert.started, now, now, correlation=correlation)
            incident.note("created", now)
            self.incidents[incident.id] = incident
        if correlation:
            self._gathering[correlation] = incident
        incident.alerts.append(alert)
        self._home[alert.id] = incident
        self._touch(incident, changed=True, now=now, event="incident#new" if len(incident.alerts) == 1 else "")

    def _touch(self, incident: Incident, changed: bool, now: float, event: str = "") -> None:  # noqa: FBT001  private
        closed_before = incident.ended is not None
        incident.updated = now
        if changed:
            incident.changed, incident.resolved_by_hand = now, False
            if incident.cancel_snooze_on_updates:
                incident.snoozed_until = None
        incident.severity = max(incident.severity, incident.status, key=rank)
        incident.ended = None if incident.active else now
        if incident.ended is not None and not closed_before:
            incident.note("resolved_by_alerts", now)
            event = "incident#closed"
        elif closed_before and incident.ended is None:
            incident.note("reopen", now)
            event = "incident#reopen"
        if changed:
            self._changed(incident, event or "incident#updated")

    def join(self, target: Incident, source: Incident, now: float) -> None:
        """Move the alerts of `source` to `target` and drop it."""
        for alert in source.alerts:
            target.alerts.append(alert)
            self._home[alert.id] = target
        del self.incidents[source.id]
        target.note("merged_destination", now, source=source.id)
        self._touch(target, changed=True, now=now)
