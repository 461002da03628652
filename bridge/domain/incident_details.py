"""What BigPanda's webhooks say of an incident beyond its state: people, comments, tags, changes, other alerts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

_COMMENTS: Final = 50
_EVENTS: Final = 100
"""The newest that are kept."""


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
    """An alert of an incident that did not come from this bridge. `source`: BigPanda's name of what sent it."""

    id: str
    status: str = ""
    source: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentDetails:
    """As the newest webhooks left them; "" and empty: not known.

    `comments`, `events`: (epoch seconds, words), ascending. Neither `assignee` nor `snoozed_by` is ever the sender of
    the share, who may be anyone, or AutoShare.
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


def merge_details(known: IncidentDetails, said: Mapping[str, Any]) -> IncidentDetails:
    """Return the details after a webhook that says these members; what it does not say stays as it was known."""
    comments = (*known.comments, *said.get("comments", ()))[-_COMMENTS:]
    events = tuple(sorted({*known.events, *said.get("events", ())}))[-_EVENTS:]
    return replace(known, **{**said, "comments": comments, "events": events})
