"""The dataset options of BigPanda's Notifications Webhook: assignments, comments, tags, changes, events, share quota.

Missing and malformed values count as absent.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bridge.domain.incident_details import ForeignAlert, RelatedChange
from bridge.receivers.bigpanda_values import (
    Places,
    first_time,
    flag,
    list_of,
    object_of,
    person,
    places,
    tags_of,
    text,
    texts,
    word,
)
from bridge.receivers.lenient import time_of

KEY_TAG: Final = "vendorwatch_key"
_ANY: Final = "default"
"""The default trigger of a v2 body, which says nothing about what happened."""
_MOST: Final = 100
"""Most changes, tags and foreign alerts kept of one webhook."""


def details(body: Mapping[str, Any], incident: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return the members of IncidentDetails that a webhook contains."""
    where = places(body, incident)
    found: dict[str, Any] = {}
    for role in ("assignee", "assigner", "snoozed_by"):
        who = person(where, role)
        # An assignee of null means that it is no longer assigned; an unfilled placeholder means nothing.
        if who or any(role in place and place[role] is None for place in where):
            found[role] = who or ""
    if snoozer := person([object_of(incident.get("snooze"))], "snoozed_by"):
        found["snoozed_by"] = snoozer
    if environment := text(_first(where, "environment_id")):
        found["environment_id"] = environment
    if (flapping := flag(incident.get("flapping"))) is not None:
        found["flapping"] = flapping
    if (tags := _first(where, "incidentTags", "incident_tags")) is not None:
        found["tags"] = dict(list(_tags(tags, "id", "tag_id", "name").items())[:_MOST])
    if isinstance(changes := _first(where, "relatedChanges", "related_changes"), list):
        found["changes"] = tuple(_changes(changes))[:_MOST]
    if isinstance(alerts := incident.get("alerts"), list):
        found["foreign"] = tuple(_foreign(alerts))[:_MOST]
    at = first_time(incident, "updatedOn", "updated_at") or now
    comments = [
        one.get("comment", one.get("text")) if isinstance(one, dict) else one
        for one in list_of(_first(where, "comment", "comments"))
    ]
    found["comments"] = tuple((at, words) for words in texts(comments))
    happened = map(object_of, list_of(_first(where, "event_types", "eventTypes")))
    events = [(time_of(one.get("time")) or at, words) for one in happened if (words := text(one.get("event")))]
    if (trigger := text(_first(where, "event"))) and trigger != _ANY:
        events.append((at, trigger))
    found["events"] = tuple(events)
    return found


def quota_available(body: Mapping[str, Any], incident: Mapping[str, Any]) -> float | None:
    """Return the integration's remaining shares until the next reset; None if the webhook does not have it."""
    for place in places(body, incident):
        available = object_of(place.get("quota")).get("available")
        if isinstance(available, int | float) and not isinstance(available, bool):
            return float(available)
        if (words := text(available)) and words.lstrip("-").isdecimal():
            return float(words)
    return None


def _first(where: Places, *names: str) -> Any:
    return next((place[name] for place in where for name in names if place.get(name) is not None), None)


def _tags(found: Any, *naming: str) -> dict[str, str]:
    """Return non-empty tags as text."""
    tags = {text(name): ", ".join(texts(value)) for name, value in tags_of(found, *naming)}
    return {name: value for name, value in tags.items() if name and value}


def _changes(found: Sequence[Any]) -> Iterator[RelatedChange]:
    for related in map(object_of, found):
        change = object_of(related.get("change"))
        if number := text(change.get("identifier")) or text(change.get("id")) or text(related.get("id")):
            yield RelatedChange(
                id=number,
                summary=text(change.get("summary")) or "",
                status=text(change.get("status")) or "",
                link=text(change.get("ticket_url")) or "",
                certainty=text(related.get("match_certainty")) or "",
                comment=text(related.get("comment")) or "",
            )


def _foreign(found: Sequence[Any]) -> Iterator[ForeignAlert]:
    for alert in map(object_of, found):
        tags, number = _tags(alert.get("tags"), "name"), text(alert.get("id"))
        if KEY_TAG in tags or not number:
            continue
        properties = [alert.get("primaryProperty", alert.get("primary_property")), alert.get("secondaryProperty")]
        subject = " ".join(tags[name] for name in properties if isinstance(name, str) and name in tags)
        description = text(alert.get("description")) or ""
        yield ForeignAlert(
            id=number,
            status=word(alert.get("status")) or "",
            source=text(alert.get("sourceSystem")) or text(alert.get("source_system")) or "",
            description=": ".join(part for part in (subject, description) if part),
        )
