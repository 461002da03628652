"""The state of one alert: as BigPanda shows it, or will once all queued events are sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.domain.alert import Alert
from bridge.domain.event import Status


class Kind(StrEnum):
    """The effect of an event on its alert: OPEN sets a firing status, UPDATE only changes the content."""

    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """The newest event of an alert while it is queued and untried: a newer one may still supersede it.

    `replaces`: the content hash that BigPanda shows, or will show, without it; "" if nothing is open. `queued_at`: its
    position in the queue.
    """

    kind: Kind
    not_before: float
    replaces: str
    queued_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Member:
    """One of the firing alerts that share an identity, with its own status."""

    alert: Alert
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """The known state of one alert. Times are epoch seconds.

    `seq` and `timestamp`: of its newest event. `queued_at`: when its current content was last queued. `starts_at`: of
    the newest episode, `ended_at`: of the last one that ended. `at`: the sender's time of the state, if that orders
    states. `possibly_stale`: it fired before its last resolution, and a stale sender and a genuine re-fire look alike.
    `updated_at`: when anything here last changed. `pending`: set only in ingest.

    `members`: the firing alerts that share this identity, by their own keys; empty if none do. `destination`,
    `app_key`: where BigPanda accepted it as open; "" if unknown or not open.
    """

    alert: Alert
    status: Status
    content_hash: str = ""
    timestamp: int = 0
    seq: int = 0
    queued_at: float = 0.0
    starts_at: float = 0.0
    ended_at: float | None = None
    at: float | None = None
    possibly_stale: bool = False
    updated_at: float = 0.0
    pending: PendingEvent | None = None
    members: Mapping[str, Member] = field(default_factory=dict)
    destination: str = ""
    app_key: str = ""

    @property
    def key(self) -> str:
        """Return the alert's identity."""
        return self.alert.key

    @property
    def open(self) -> bool:
        """Whether BigPanda has, or will have, an open alert."""
        return self.status is not Status.OK

    @property
    def since(self) -> float:
        """Return when its status began: when it began to fire, or ended."""
        ended = self.updated_at if self.alert.ends_at is None else self.alert.ends_at
        return self.starts_at if self.open else ended

    @property
    def firing(self) -> Mapping[str, Alert]:
        """Return the sender's firing alerts, by their own keys."""
        if self.members:
            return {key: member.alert for key, member in self.members.items()}
        return {self.key: self.alert} if self.open else {}

    def is_newer_than(self, alert: Alert, now: float) -> bool:
        """Return whether an alert is a late copy of an earlier state, as far as its sender's times tell."""
        if alert.at is not None:
            older = self.at is not None and alert.at < self.at
            # An escalation has the time at which its incident began, which may precede the check that reported it.
            escalated = alert.level > self.alert.level and alert.starts_at > (self.ended_at or 0.0)
            return older and not escalated
        return self.open and alert.precedes(self.starts_at, now)

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels common to all of its firing alerts."""
        common = dict(self.alert.labels)
        for alert in self.firing.values():
            common = {name: value for name, value in common.items() if alert.labels.get(name) == value}
        return common
