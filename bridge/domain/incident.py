"""BigPanda's incident: as one webhook reports it, and the record merged from all webhooks. Pure.

Webhooks are ordered by BigPanda's own time of the last change, however they arrive. It has whole seconds, so of two
with the same one the later arrival counts, unless it is a replay of one already received. A body received before the
snooze of the same second may be the end of the snooze or a replay. It is taken as the end: a silence that ends too
early shows too much, one that stays hides firing alerts. Bodies without a time are ordered by arrival: only a repeat of
the last one counts as a replay then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

NEW = "incident#new"
"""The trigger of a new share, which is confirmed by callback."""
_MOST_SEEN = 20
_SETTLED = 60.0
"""Seconds within which BigPanda reports the effect of one of our events."""
_COMMENTS: Final = 50
_EVENTS: Final = 100
"""Most that are kept, the newest ones."""
_KEPT = ("status", "severity", "environment", "started_at", "updated_at", "snoozed", "keys", "who", "link")
"""Members of an incident that a webhook replaces individually."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident as one webhook reports it; None for missing values.

    Times are epoch seconds by BigPanda's clock. `keys`: the identities of our alerts in it, by their tag
    `vendorwatch_key`. `event`: the trigger of the webhook, if given. `digest`: of the whole body.
    `details`: the members of IncidentDetails in the body. `quota`: shares left for its integration until BigPanda
    resets the count.
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
class RelatedChange:
    """A change that BigPanda relates to an incident. `certainty`: how sure it is."""

    id: str
    summary: str = ""
    status: str = ""
    link: str = ""
    certainty: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignAlert:
    """An alert in an incident that did not come from this bridge. `source`: BigPanda's name of its sender."""

    id: str
    status: str = ""
    source: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentDetails:
    """The details as of the newest webhooks; "" and empty: unknown.

    `comments`, `events`: (epoch seconds, text), ascending. `assignee` and `snoozed_by` are never the sender of the
    share, who may be anyone, or AutoShare.
    """

    environment_id: str = ""
    assignee: str = ""
    assigner: str = ""
    snoozed_by: str = ""
    flapping: bool = False
    comments: tuple[tuple[float, str], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[RelatedChange, ...] = ()
    events: tuple[tuple[float, str], ...] = ()
    foreign: tuple[ForeignAlert, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRecord:
    """An incident as of the newest webhook.

    `first_heard_at`, `heard_at`, `closed_at` and `acknowledged_at` are by our clock. `closed_manually`: our alerts that
    still fired when it was closed, with the last update of their states. `seen`: digests of the bodies received with
    this `updated_at`.
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
    """Return the record after a webhook received at `now`; None if it brings nothing new."""
    before = known or IncidentRecord(source=source, id=incoming.id, first_heard_at=now, heard_at=now)
    # Members missing from the body keep their known value.
    reported = {name: value for name in _KEPT if (value := getattr(incoming, name)) is not None}
    after = replace(before, **reported)
    if incoming.status == "ok":
        active = False
    elif incoming.active is not None:
        active = incoming.active
    else:
        active = before.active or incoming.status is not None
    same_second = after.updated_at == before.updated_at
    seen = before.seen[-1:] if incoming.updated_at is None else before.seen
    # The end of a snooze may equal the body before the snooze: take it as the end.
    wakes = before.snoozed and incoming.snoozed is False and active
    if after.updated_at < before.updated_at or (same_second and incoming.digest in seen and not wakes):
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


def merge_details(known: IncidentDetails, reported: Mapping[str, Any]) -> IncidentDetails:
    """Return the details after a webhook with these members; missing ones keep their known value."""
    comments = (*known.comments, *reported.get("comments", ()))[-_COMMENTS:]
    events = tuple(sorted({*known.events, *reported.get("events", ())}))[-_EVENTS:]
    return replace(known, **{**reported, "comments": comments, "events": events})


def fires_still(queued_at: float, ended_at: float | None, kept: IncidentRecord, now: float) -> bool:
    """Return whether an open alert has been firing all the time when its incident is closed.

    The resolution of one that ended during the incident may have closed it, and it may have fired again since: then it
    counts only after it has been open for a while. `queued_at`, `ended_at`: when it was last queued, and when its last
    episode ended.
    """
    began = kept.first_heard_at if kept.started_at is None else min(kept.first_heard_at, kept.started_at)
    return ended_at is None or ended_at < began or queued_at + _SETTLED < now


def lasted(kept: IncidentRecord, since: float | None) -> float | None:
    """Return the seconds from the start of an incident to a time by our clock; None if either is unknown."""
    if since is None or kept.started_at is None:
        return None
    return max(0.0, since - kept.started_at)
