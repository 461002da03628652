"""The Alert: what every receiver produces, whoever sent it; and the Translation of a whole webhook."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.domain.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert in one state, as its sender tells it.

    `key` is its identity across time and BigPanda's `incident_identifier`: the same on firing and resolved, for
    ever. `severity` is the sender's word, "" when missing. Times are epoch seconds; `ends_at` is None while firing.
    `at` is the sender's own time of this state where the sender's times put states in order (`ordered`): then an
    older state never replaces a newer one. Alertmanager's do not: a stale peer and a genuine re-fire look alike.
    """

    receiver: str
    source: str
    key: str
    name: str
    firing: bool
    severity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    starts_at: float
    ends_at: float | None = None
    at: float | None = None
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class SetAside:
    """One alert of a readable body that cannot be understood: why, and its own JSON as text."""

    reason: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What one webhook says, in our words.

    `truncated` counts the alerts its sender cut off; `receiver_name` is Alertmanager's name of its receiver;
    `heartbeat` tells that the watchdog's alert was in it, which is never one of `alerts`. `ignored` counts test
    messages and events that mean nothing to BigPanda: they are answered 200 and not sent. `incidents` are what
    BigPanda tells of its own; `confirm`: it waits to hear that a new share has arrived.
    """

    alerts: tuple[Alert, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    truncated: int = 0
    receiver_name: str = ""
    heartbeat: bool = False
    ignored: int = 0
    incidents: tuple[Incident, ...] = ()
    confirm: bool = False


def clean(text: str) -> str:
    """Return the text without what no database and no strict JSON reader takes: NUL and lone surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
