"""The Notification: one webhook as translated by its receiver, on its way into the store; and its outcome."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.domain.alert import Alert, UnreadableAlert
from bridge.domain.event import EventMapping
from bridge.domain.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One webhook, or one correction of our own, to be stored.

    `update_interval`: seconds between two events that differ only in content. `unreadable`: unreadable alerts of a
    readable body. `truncated`: the number of alerts that the sender left out. `ignored`: the number of test messages
    and events that mean nothing to BigPanda, which are answered with 200 but not sent. `receiver_name`: Alertmanager's
    own name of its receiver. `heartbeats`: the watchdog's alerts, never among `alerts`. `note_heard`: record repeats
    too, because the alerts expire when they stop. `incidents`: BigPanda's; `confirm`: BigPanda waits for a callback
    after a new share.

    Corrections only: `resend`: queue firing alerts again although nothing has changed. `if_unmodified`: give way to any
    webhook that came first: an alert is applied only if its state was last updated at the time given here for its key
    (None: if the key is unknown).
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
    """The outcome of one notification: the numbers of its alerts.

    `acknowledged`, `resolved`: for each incident that just was, its environment and the seconds since it began.
    `closed_manually`: the number of alerts that still fire although their incident was closed, by source.
    `duplicates`: those of `unchanged` that repeat the same alert with the same time.
    """

    queued: int = 0
    duplicates: int = 0
    unchanged: int = 0
    superseded: int = 0
    skipped: int = 0
    quarantined: int = 0
    unmapped: int = 0
    acknowledged: list[tuple[str, float]] = field(default_factory=list)
    resolved: list[tuple[str, float]] = field(default_factory=list)
    closed_manually: Counter[str] = field(default_factory=Counter)
