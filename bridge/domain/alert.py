"""The Alert: what every receiver produces, whoever sent it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert in one state, as its sender reports it.

    `key` is its identity across time and BigPanda's `incident_identifier`: the same on firing and resolved, for
    ever. `severity` is the sender's word, "" when missing. Times are epoch seconds; `ends_at` is None while firing.
    `at` is the sender's own time of this state where the sender's times put states in order (`ordered`): then an
    older state never replaces a newer one. Alertmanager's do not: a stale peer and a genuine re-fire look alike.
    `level`: how urgent it is within its status; an escalation raises it. `volatile` are members of the event whose
    change alone is no news: a measured value, a rendered image.

    `identity`: the key of the alert that it is one with in BigPanda, "" when it stands alone. `primary`, `secondary`:
    the labels that its sender names as BigPanda's properties, "" where the receiver's settings choose.
    `silence`: who silenced it, until when and why, as tags; it is then acknowledged.
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
    silence: Mapping[str, str] = field(default_factory=dict)
    starts_at: float
    ends_at: float | None = None
    at: float | None = None
    ordered: bool = False
    level: float = 0.0
    volatile: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    primary: str = ""
    secondary: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableAlert:
    """One alert of a readable body that cannot be understood: why, and its own JSON as text."""

    reason: str
    body: str


def clean(text: str) -> str:
    """Return the text without what no database and no strict JSON reader takes: NUL and lone surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
