"""What is handed to the store, one webhook or one correction at a time, and what the store made of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.domain.alert import Alert, SetAside
from bridge.domain.event import Mapping as EventMapping
from bridge.domain.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One webhook to be made durable. `update_interval`: seconds between two events that differ only in content.

    `incidents` are what BigPanda tells of its own; `confirm`: it is to be told that new shares have arrived. `resend`:
    what still fires is sent anew, though nothing has changed.
    `seen` makes it a correction that any webhook overtakes: an alert counts only while its key was last touched when
    `seen` says (None: the key is not known).
    """

    receiver: str
    source: str
    alerts: Sequence[Alert]
    mapping: EventMapping
    update_interval: float = 0.0
    set_aside: Sequence[SetAside] = ()
    receiver_name: str = ""
    heartbeat: bool = False
    incidents: Sequence[Incident] = ()
    confirm: bool = False
    resend: bool = False
    seen: Mapping[str, float | None] | None = None


@dataclass(slots=True)
class Outcome:
    """What became of one notification, counted. `statuses` and `reasons` count its alerts.

    `acknowledged`, `resolved`: for each incident that just was, the seconds since it began. `by_hand` counts the alerts
    that still fire though their incident was closed, by their source.
    """

    queued: int = 0
    unchanged: int = 0
    superseded: int = 0
    skipped: int = 0
    quarantined: int = 0
    unmapped: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    acknowledged: list[float] = field(default_factory=list)
    resolved: list[float] = field(default_factory=list)
    by_hand: Counter[str] = field(default_factory=Counter)
