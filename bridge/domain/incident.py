"""BigPanda's incident: what one webhook says of it, and what is kept of all that were heard. Pure.

BigPanda's own time of the last change puts webhooks in order, whichever way they arrive; it has whole seconds, so of
two that bear the same one the later arrival counts, unless it is a replay of one that was heard already. A body that
was heard before the snooze of the same second may be the snooze's end or a replay. It is taken as the end: a silence
that ends too early tells too much, one that stays tells nothing. Bodies without a time count as they arrive: only what
was heard last is a replay then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.domain.incident_details import IncidentDetails, merge_details

NEW = "incident#new"
"""The trigger of a new share, which the callback service confirms."""
_MOST_SEEN = 20
"""Bodies of one second that are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident as one webhook tells it; None: the body does not say.

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


def merge(known: IncidentRecord | None, told: Incident, source: str, now: float) -> IncidentRecord | None:
    """Return what is known after a webhook that arrived at `now`; None when it brings nothing new.

    What the body does not say stays as it was known.
    """
    before = known or IncidentRecord(source=source, id=told.id, first_heard_at=now, heard_at=now)
    updated_at = before.updated_at if told.updated_at is None else told.updated_at
    active = _active(before, told)
    heard = before.seen[-1:] if told.updated_at is None else before.seen
    replayed = told.digest in heard and not _wakes(before, told, active=active)
    if updated_at < before.updated_at or (updated_at == before.updated_at and replayed):
        return None
    snoozed = before.snoozed if told.snoozed is None else told.snoozed
    earlier = before.seen if updated_at == before.updated_at else ()
    return replace(
        before,
        status=before.status if told.status is None else told.status,
        severity=before.severity if told.severity is None else told.severity,
        active=active,
        environment=before.environment if told.environment is None else told.environment,
        started_at=before.started_at if told.started_at is None else told.started_at,
        updated_at=updated_at,
        ended_at=None if active else told.ended_at or before.ended_at,
        snoozed=snoozed and active,
        snoozed_until=_until(before, told) if snoozed and active else None,
        keys=before.keys if told.keys is None else told.keys,
        who=before.who if told.who is None else told.who,
        link=before.link if told.link is None else told.link,
        details=merge_details(before.details, told.details),
        closed_manually={} if active else before.closed_manually,
        closed_at=None if active else before.closed_at or now,
        acknowledged_at=before.acknowledged_at or (now if told.acknowledged or snoozed else None),
        heard_at=now,
        seen=(*earlier, told.digest)[-_MOST_SEEN:],
    )


def _active(before: IncidentRecord, told: Incident) -> bool:
    if told.active is not None:
        return told.active and told.status != "ok"
    return before.active if told.status is None else told.status != "ok"


def _wakes(before: IncidentRecord, told: Incident, *, active: bool) -> bool:
    return before.snoozed and told.snoozed is False and active


def _until(before: IncidentRecord, told: Incident) -> float | None:
    return told.snoozed_until if told.snoozed is not None else before.snoozed_until


def is_new_share(known: IncidentRecord | None, told: Incident) -> bool:
    """Tell whether a webhook that brings news is the first of a share, for which BigPanda may wait to be called."""
    return known is None or told.event == NEW


def fires_still(told_at: float, ended_at: float | None, kept: IncidentRecord, now: float) -> bool:
    """Tell whether an alert that the ledger holds open was open all the while, when its incident is closed.

    One that ended while the incident lasted may be what closed it, and may have fired anew since: only what has been
    open for a while then counts. `told_at`, `ended_at`: when it was last told, and when its last episode ended.
    """
    began = kept.first_heard_at if kept.started_at is None else min(kept.first_heard_at, kept.started_at)
    return ended_at is None or ended_at < began or told_at + _SETTLED < now


_SETTLED = 60.0
"""Seconds within which BigPanda tells what an event of ours has changed."""


def lasted(kept: IncidentRecord, since: float | None) -> float | None:
    """Return the seconds from the beginning of an incident to a moment of our clock; None when one is not known."""
    if since is None or kept.started_at is None:
        return None
    return max(0.0, since - kept.started_at)
