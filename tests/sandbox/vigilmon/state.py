"""Vigilmon's monitors as they are now, and what can happen to them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.sandbox.moments import offset
from tests.sandbox.settings import Vigilmon as VigilmonSettings

Announce = Callable[[Mapping[str, Any]], object]


@dataclass(slots=True)
class Monitor:
    """`current_status` is up, down, paused, pending or None (never checked); `theirs`: it belongs to someone else."""

    id: int
    name: str
    url: str
    method: str = "GET"
    check_interval_seconds: int = 60
    is_active: bool = True
    current_status: str | None = "up"
    uptime: dict[str, float | None] = field(default_factory=lambda: {"24h": 100.0, "7d": 99.98, "30d": 99.95})
    theirs: bool = False
    paused_at: float | None = None
    """No check since then; None: it is checked."""


@dataclass(slots=True)
class Incident:
    """One outage of a monitor, epoch seconds."""

    id: int
    monitor_id: int
    started_at: float
    resolved_at: float | None
    cause: str
    confirmed_regions: list[str]


class VigilmonState:
    """Thread-safe. Changes send the webhooks that the vendor would send. LookupError for an unknown monitor."""

    def __init__(self, clock: Callable[[], float], settings: VigilmonSettings, announce: Announce) -> None:
        self._clock, self._settings, self._announce = clock, settings, announce
        self.lock = threading.RLock()
        self.monitors: dict[int, Monitor] = {}
        self.incidents: list[Incident] = []
        self._told: dict[int, float] = {}

    def clear(self) -> None:
        """No monitors, no incidents."""
        with self.lock:
            self.monitors.clear()
            self.incidents.clear()
            self._told.clear()

    def add(self, name: str, url: str, **members: Any) -> int:
        """Add a monitor and get its id; members as in `Monitor`."""
        with self.lock:
            number = members.pop("id", max(self.monitors, default=0) + 1)
            self.monitors[number] = Monitor(number, name, url, **members)
            return int(number)

    def remove(self, id: int) -> None:  # noqa: A002  the vendor's name for it
        """Delete a monitor; its incidents go with it, and no webhook says so."""
        with self.lock:
            del self.monitors[id]
            self.incidents = [incident for incident in self.incidents if incident.monitor_id != id]

    def change(self, id: int, **members: Any) -> None:  # noqa: A002  the vendor's name for it
        """Set members of a monitor (rename it, give it another URL or status) without a webhook."""
        with self.lock:
            monitor = self.monitors[id]
            for name, value in members.items():
                if name not in Monitor.__slots__:
                    raise TypeError(f"a monitor has no {name}")
                setattr(monitor, name, value)

    def pause(self, id: int) -> None:  # noqa: A002  the vendor's name for it
        """No more checks."""
        self.change(id, is_active=False, current_status="paused", paused_at=self._clock())

    def resume(self, id: int) -> None:  # noqa: A002  the vendor's name for it
        """Check again; it is not known to be up until then."""
        self.change(id, is_active=True, current_status="pending", paused_at=None)

    def down(
        self,
        id: int,  # noqa: A002  the vendor's name for it
        cause: str = "Connection timed out",
        regions: list[str] | None = None,
    ) -> int:
        """Open an incident and get its id; a monitor that is down already keeps its incident."""
        with self.lock:
            monitor = self.monitors[id]
            monitor.current_status, monitor.is_active, monitor.paused_at = "down", True, None
            incident = self._ongoing(id)
            if incident is None:
                where = regions if regions is not None else ["za-vps", "eu-west"]
                incident = Incident(len(self.incidents) + 1, id, self._clock(), None, cause, where)
                self.incidents.append(incident)
                self._tell(incident, self._event("monitor_down", monitor, incident, cause))
            return incident.id

    def up(self, id: int, response_time_ms: int = 212) -> None:  # noqa: A002  the vendor's name for it
        """Close the incident."""
        with self.lock:
            monitor = self.monitors[id]
            monitor.current_status, monitor.is_active, monitor.paused_at = "up", True, None
            incident = self._ongoing(id)
            if incident:
                incident.resolved_at = self._clock()
                said = self._event("monitor_up", monitor, incident, None)
                self._tell(incident, {**said, "response_time_ms": response_time_ms})

    def escalate(self, id: int, down_minutes: int) -> None:  # noqa: A002  the vendor's name for it
        """Say that a monitor is still down."""
        with self.lock:
            monitor, incident = self.monitors[id], self._ongoing(id)
            if incident is None:
                raise LookupError(f"monitor {id} is not down")
            said = self._event("monitor_escalation", monitor, incident, None)
            named = {name: said[name] for name in ("event", "monitor", "status", "region")}
            started = offset(incident.started_at)
            self._announce({**named, "down_minutes": down_minutes, "incident_started_at": started})

    def certificate_expires(self, monitor_url: str, days_remaining: int, threshold: int = 30) -> None:
        """Send `ssl.expiring`: it has no monitor, no id and no status."""
        expires = offset(self._clock() + days_remaining * 86400)
        said = {"event": "ssl.expiring", "monitor_url": monitor_url, "days_remaining": days_remaining}
        self._announce({**said, "threshold": threshold, "expires_at": expires})

    def _ongoing(self, monitor_id: int) -> Incident | None:
        open_ones = (i for i in reversed(self.incidents) if i.monitor_id == monitor_id and i.resolved_at is None)
        return next(open_ones, None)

    def _tell(self, incident: Incident, said: Mapping[str, Any]) -> None:
        """Keep the vendor's throttle: one alert per incident and channel in so many seconds; the others are lost."""
        now = self._clock()
        if now - self._told.get(incident.id, float("-inf")) >= self._settings.webhook_throttle_seconds:
            self._told[incident.id] = now
            self._announce(said)

    def _event(self, event: str, monitor: Monitor, incident: Incident, error: str | None) -> dict[str, Any]:
        return {
            "event": event,
            "monitor": {"id": monitor.id, "name": monitor.name, "url": monitor.url},
            "status": "up" if event == "monitor_up" else "down",
            "checked_at": offset(self._clock()),
            "region": ",".join(incident.confirmed_regions) or None,
            "response_time_ms": None,
            "error": error,
        }
