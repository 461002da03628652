"""The details of an incident in BigPanda's webhooks: people, comments, tags, changes, other alerts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

_COMMENTS: Final = 50
_EVENTS: Final = 100
"""Most that are kept, the newest ones."""


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


def merge_details(known: IncidentDetails, reported: Mapping[str, Any]) -> IncidentDetails:
    """Return the details after a webhook with these members; missing ones keep their known value."""
    comments = (*known.comments, *reported.get("comments", ()))[-_COMMENTS:]
    events = tuple(sorted({*known.events, *reported.get("events", ())}))[-_EVENTS:]
    return replace(known, **{**reported, "comments": comments, "events": events})
