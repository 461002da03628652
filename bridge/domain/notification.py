"""The Notification: one webhook as its receiver translated it, on its way into the store; and what became of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.domain.alert import Alert, UnreadableAlert
from bridge.domain.event import EventMapping
from bridge.domain.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One webhook, or one correction of our own, to be made durable.

    `update_interval`: seconds between two events that differ only in content. `unreadable`: alerts of a readable body
    that cannot be understood. `truncated` counts the alerts that the sender cut off, `ignored` test messages and
    events that mean nothing to BigPanda: they are answered 200 and not sent. `receiver_name` is Alertmanager's own
    name of its receiver. `heartbeats`: the watchdog's alerts in it, which are never among `alerts`. `note_heard`: also
    a repeat is noted, for its alert ends when it is not heard of any more. `incidents` are BigPanda's own; `confirm`:
    it waits for a callback when a new share has arrived.

    Corrections only: `resend` queues what still fires again, though nothing has changed. `if_unmodified` gives way to
    any webhook that came first: an alert counts only while its state was last updated at the time that this holds for
    its key (None: while the key is unknown).
    """

    receiver: str
    source: str
    mapping: EventMapping
    update_interval: float = 0.0
    alerts: Sequence[Alert] = ()
    unreadable: Sequence[UnreadableAlert] = ()
    truncated: int = 0
    ignored: int = 0
    receiver_name: str = ""
    heartbeats: Sequence[Alert] = ()
    note_heard: bool = False
    incidents: Sequence[Incident] = ()
    confirm: bool = False
    resend: bool = False
    if_unmodified: Mapping[str, float | None] | None = None


@dataclass(slots=True)
class Outcome:
    """What became of one notification, counted. `statuses` and `reasons` count its alerts.

    `acknowledged`, `resolved`: for each incident that just was, its environment and the seconds since it began.
    `closed_manually` counts the alerts that still fire though their incident was closed, by their source. `duplicates`,
    of those `unchanged`: the same alert of the same time once more.
    """

    queued: int = 0
    duplicates: int = 0
    unchanged: int = 0
    superseded: int = 0
    skipped: int = 0
    quarantined: int = 0
    unmapped: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    acknowledged: list[tuple[str, float]] = field(default_factory=list)
    resolved: list[tuple[str, float]] = field(default_factory=list)
    closed_manually: Counter[str] = field(default_factory=Counter)
