"""BigPanda's incident: what one webhook says of it, and what is kept of all that were heard. Pure.

BigPanda's own time of the last change puts webhooks in order, whichever way they arrive; it has whole seconds, so of
two that bear the same one the later arrival counts, unless it is a replay of one that was heard already. A body that
was heard before the snooze of the same second may be the snooze's end or a replay. It is taken as the end: a silence
that ends too early shows too much, one that stays hides what still fires. Bodies without a time count as they arrive:
only what was heard last is a replay then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.domain.incident_details import IncidentDetails, merge_details

NEW = "incident#new"
"""The trigger of a new share, which the callback service confirms."""
_MOST_SEEN = 20
"""Bodies of one second that are remembered."""
_SETTLED = 60.0
"""Seconds within which BigPanda reports what an event of ours has changed."""
_KEPT = ("status", "severity", "environment", "started_at", "updated_at", "snoozed", "keys", "who", "link")
"""Members of an incident that a webhook replaces one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident as one webhook reports it; None: the body does not say.

    Times are epoch seconds by BigPanda's clock. `keys`: the identities of our alerts in it, by their tag
    `vendorwatch_key`. `event`: what triggered the webhook, where it says so. `digest`: of the whole body.
    `details`: the members of IncidentDetails that the body says. `quota`: shares that are left to its integration until
    BigPanda resets the count.
    """

    id: str
    status: str | None = None
    severity: str | None = None
    active: bool | None = None
    environment: str | None = None
    started_at: float | None = None
    updated_at: float | None = None
    ended_at: float | None = None
    snoozed: bool | None = None
    snoozed_until: float | None = None
    keys: tuple[str, ...] | None = None
    acknowledged: bool = False
    who: str | None = None
    link: str | None = None
    event: str = ""
    digest: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    quota: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord:
    """An incident as the newest webhook left it.

    `first_heard_at`, `heard_at`, `closed_at` and `acknowledged_at` are by our clock. `closed_manually`: the alerts of
    ours that still fired when it was closed, each with when its state was last updated. `seen`: digests of what was
    heard with this `updated_at`.
    """

    source: str
    id: str
    status: str = "unknown"
    severity: str = ""
    active: bool = True
    environment: str = ""
    started_at: float | None = None
    updated_at: float = 0.0
    ended_at: float | None = None
    snoozed: bool = False
    snoozed_until: float | None = None
    keys: tuple[str, ...] = ()
    who: str = ""
    link: str = ""
    closed_manually: Mapping[str, float] = field(default_factory=dict)
    closed_at: float | None = None
    acknowledged_at: float | None = None
    details: IncidentDetails = field(default_factory=IncidentDetails)
    first_heard_at: float
    heard_at: float
    seen: tuple[str, ...] = ()


def merge(known: IncidentRecord | None, incoming: Incident, source: str, now: float) -> IncidentRecord | None:
    """Return what is known after a webhook that arrived at `now`; None when it brings nothing new."""
    before = known or IncidentRecord(source=source, id=incoming.id, first_heard_at=now, heard_at=now)
    # What the body does not say stays as it was known.
    said = {name: value for name in _KEPT if (value := getattr(incoming, name)) is not None}
    after = replace(before, **said)
    if incoming.status == "ok":
        active = False
    elif incoming.active is not None:
        active = incoming.active
    else:
        active = before.active or incoming.status is not None
    same_second = after.updated_at == before.updated_at
    heard = before.seen[-1:] if incoming.updated_at is None else before.seen
    # The end of a snooze may read like the body before the snooze: it is believed to be the end.
    wakes = before.snoozed and incoming.snoozed is False and active
    if after.updated_at < before.updated_at or (same_second and incoming.digest in heard and not wakes):
        return None
    snooze = before if incoming.snoozed is None else incoming
    return replace(
        after,
        active=active,
        ended_at=None if active else incoming.ended_at or before.ended_at,
        snoozed=after.snoozed and active,
        snoozed_until=snooze.snoozed_until if after.snoozed and active else None,
        details=merge_details(before.details, incoming.details),
        closed_manually={} if active else before.closed_manually,
        closed_at=None if active else before.closed_at or now,
        acknowledged_at=before.acknowledged_at or (now if incoming.acknowledged or after.snoozed else None),
        heard_at=now,
        seen=(*(before.seen if same_second else ()), incoming.digest)[-_MOST_SEEN:],
    )


def is_new_share(known: IncidentRecord | None, incoming: Incident) -> bool:
    """Tell whether a webhook that brings news is the first of a share, for which BigPanda may wait to be called."""
    return known is None or incoming.event == NEW


def fires_still(queued_at: float, ended_at: float | None, kept: IncidentRecord, now: float) -> bool:
    """Tell whether an alert that is open was open all the while, when its incident is closed.

    One that ended while the incident lasted may be what closed it, and may have fired again since: only what has been
    open for a while then counts. `queued_at`, `ended_at`: when it was last queued, and when its last episode ended.
    """
    began = kept.first_heard_at if kept.started_at is None else min(kept.first_heard_at, kept.started_at)
    return ended_at is None or ended_at < began or queued_at + _SETTLED < now


def lasted(kept: IncidentRecord, since: float | None) -> float | None:
    """Return the seconds from the beginning of an incident to a moment of our clock; None when one is not known."""
    if since is None or kept.started_at is None:
        return None
    return max(0.0, since - kept.started_at)
