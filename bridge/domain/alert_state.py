"""The state of one alert: what BigPanda shows of it, or will once everything that is queued was sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.domain.alert import Alert
from bridge.domain.event import Status


class Kind(StrEnum):
    """What an event does to its alert: OPEN states a firing status, UPDATE only what is shown of it."""

    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """The newest event of an alert while it is queued and was never sent: a newer one may still supersede it.

    `replaces` is the content hash that BigPanda shows, or will show, without it; "" when it shows nothing open.
    `queued_at` is its position in the queue.
    """

    kind: Kind
    timestamp: int
    not_before: float
    replaces: str
    queued_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Member:
    """One of the firing alerts that share an identity, with the status that it asks for."""

    alert: Alert
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """What is known of one alert. Times in epoch seconds.

    `seq` and `timestamp` are its newest event's. `queued_at`: when what BigPanda shows was last queued. `starts_at`:
    of the newest episode, `ended_at`: of the last one that ended. `at`: the sender's time of the state, where that
    puts states in order. `possibly_stale`: it fired before its last resolution, and a stale sender and a genuine
    re-fire look alike. `updated_at`: when anything here last changed. `pending` is known to ingest only.

    `members`: those that fire of the alerts that share this identity, by their own keys; empty where the alert stands
    alone. `destination`, `app_key`: where BigPanda took in that it is open; "" when that is not known, or it is not.
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
        """Tell whether BigPanda has, or will have, an open alert."""
        return self.status is not Status.OK

    @property
    def firing(self) -> Mapping[str, Alert]:
        """Return the alerts of its sender that fire, by their own keys."""
        if self.members:
            return {key: member.alert for key, member in self.members.items()}
        return {self.key: self.alert} if self.open else {}

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels that all of its firing alerts have in common."""
        common = dict(self.alert.labels)
        for alert in self.firing.values():
            common = {name: value for name, value in common.items() if alert.labels.get(name) == value}
        return common
