"""The Alert, which every receiver produces, whatever its sender."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert in one state, as its sender reports it.

    `key`: its identity across time and BigPanda's `incident_identifier`, always the same on firing and resolved.
    `severity`: the sender's word, "" if missing. Times are epoch seconds; `ends_at` is None while firing. `at`: the
    sender's own time of this state, if the sender's times order its states: then an older state never replaces a newer
    one. Alertmanager's do not: a stale peer and a genuine re-fire look alike. `level`: the urgency
    within its status; an escalation raises it. `volatile`: members of the event whose change alone is no update: a
    measured value, a rendered image.

    `identity`: the key of the BigPanda alert that it shares with others, "" if none. `primary`, `secondary`: the labels
    that its sender names as BigPanda's properties, "" to use the receiver's settings. `silence`: who silenced it, until
    when and why, as tags; it is then acknowledged.
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
    level: float = 0.0
    volatile: Mapping[str, str] = field(default_factory=dict)
    identity: str = ""
    primary: str = ""
    secondary: str = ""

    def resolved(self, now: float) -> Self:
        """Return it as resolved by us, who know no time of its sender's; with it ends whatever silenced it."""
        return replace(self, firing=False, ends_at=now, at=None, silence={})

    def precedes(self, starts_at: float, now: float) -> bool:
        """Return whether it ends an earlier episode than the one that began at `starts_at`: a late copy.

        Its own start decides too, because a clock may have stepped back between start and end. A start in the future
        is by a clock that was ahead, and says nothing.
        """
        return self.ends_at is not None and max(self.starts_at, self.ends_at) < starts_at <= now


@dataclass(frozen=True, slots=True)
class UnreadableAlert:
    """One unreadable alert of a readable body: the reason, and its JSON as text."""

    reason: str
    body: str
