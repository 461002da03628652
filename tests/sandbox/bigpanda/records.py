"""BigPanda's records: events as they arrived, the alerts they merge into, the incidents that group alerts."""

from dataclasses import dataclass, field
from typing import Any

_RANK = {"ok": 0, "unknown": 1, "warning": 2, "critical": 3}
MAX_ALERTS = 300


@dataclass(frozen=True, slots=True)
class Event:
    """An accepted event: `number` counts from 1 in order of arrival, `request` is the number of its POST."""

    number: int
    received_at: float
    request: int
    app_key: str
    alert: dict[str, Any]


@dataclass(slots=True)
class Alert:
    """The alert of one identity. Times are epoch seconds."""

    id: str
    app_key: str
    identity: str
    status: str
    timestamp: int
    tags: dict[str, Any]
    started: float
    changed: float
    ended: float | None = None
    acknowledged: bool = False


@dataclass(slots=True)
class Incident:
    """Alerts that belong together. `folders` are worked out, not kept."""

    id: str
    started: float
    changed: float
    updated: float
    alerts: list[Alert] = field(default_factory=list)
    severity: str = "unknown"
    ended: float | None = None
    shared: bool = False
    flapping: bool = False
    snoozed_until: float | None = None
    cancel_snooze_on_updates: bool = False
    maintenance: str | None = None
    assignee: str | None = None
    correlation: str = ""
    resolved_by_hand: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    activities: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The most severe current status of its alerts; ok once resolved by hand."""
        worst = max((alert.status for alert in self.alerts), key=rank, default="ok")
        return "ok" if self.resolved_by_hand else worst

    @property
    def active(self) -> bool:
        """At least one alert is active, and nobody resolved it by hand."""
        return self.status != "ok"

    def snoozed(self, now: float) -> bool:
        """Whether a snooze holds."""
        return self.snoozed_until is not None and now < self.snoozed_until

    def folders(self, now: float) -> list[str]:
        """Every folder that it is in."""
        if not self.active:
            return ["resolved"]
        if self.maintenance == "active":
            return ["maintenance"]
        quiet = self.snoozed(now)
        inside = {"active": True, "unhandled": not (self.shared or quiet), "shared": self.shared, "snoozed": quiet}
        return [name for name, holds in inside.items() if holds]

    def note(self, kind: str, now: float, by: str = "system", **params: Any) -> None:
        """Add an activity."""
        number = f"{self.id}-{len(self.activities) + 1}"
        entry = {"id": number, "type": f"incident_{kind}", "timestamp": int(now), "created_by": by, "params": params}
        self.activities.append(entry)


def rank(status: str) -> int:
    """Return the rank of a status by severity."""
    return _RANK.get(status, 0)


@dataclass(frozen=True, slots=True)
class Environment:
    """A view on incidents: those with an alert whose tag `tag` is `value`; without a tag, all."""

    id: str
    name: str
    tag: str = ""
    value: str = ""

    def holds(self, incident: Incident) -> bool:
        """Whether it shows an incident."""
        return not self.tag or any(str(alert.tags.get(self.tag)) == self.value for alert in incident.alerts)
