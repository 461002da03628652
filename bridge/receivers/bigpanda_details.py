"""The dataset options of BigPanda's Notifications Webhook: assignments, comments, tags, changes, events, share quota.

They stand beside the incident, in it or in `metadata`, depending on option and version. Whatever is missing or strange
counts as not said.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bridge.domain.incident_details import ForeignAlert, RelatedChange
from bridge.receivers.bigpanda_values import flag, object_of, person, text, time_of

KEY_TAG: Final = "vendorwatch_key"
_ANY: Final = "default"
"""The trigger of a v2 body that no other trigger has: it says nothing of what happened."""
_MOST: Final = 100
"""Changes, tags and alerts of others that are kept of one webhook."""


def details(body: Mapping[str, Any], incident: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return the members of IncidentDetails that a webhook says."""
    places = (incident, object_of(incident.get("metadata")), object_of(body.get("metadata")), body)
    found = _people(places, object_of(incident.get("snooze")))
    if environment := text(_first(places, "environment_id")):
        found["environment_id"] = environment
    if (flapping := flag(incident.get("flapping"))) is not None:
        found["flapping"] = flapping
    if (tags := _first(places, "incidentTags", "incident_tags")) is not None:
        found["tags"] = dict(list(_tags(tags))[:_MOST])
    if isinstance(changes := _first(places, "relatedChanges", "related_changes"), list):
        found["changes"] = tuple(_changes(changes))[:_MOST]
    if isinstance(alerts := incident.get("alerts"), list):
        found["foreign"] = tuple(_foreign(alerts))[:_MOST]
    at = time_of(incident.get("updatedOn")) or time_of(incident.get("updated_at")) or now
    if comments := tuple((at, words) for words in _comments(_first(places, "comment", "comments"))):
        found["comments"] = comments
    if events := tuple(_events(_first(places, "event_types", "eventTypes"), _first(places, "event"), at)):
        found["events"] = events
    return found


def _people(places: Sequence[Mapping[str, Any]], snooze: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("assignee", "assigner", "snoozed_by"):
        said = [place[name] for place in places if name in place]
        who = next((found_name for value in said if (found_name := person(value))), "")
        # An assignee of null says that there is none any more; a placeholder that was not filled says nothing.
        if who or None in said:
            found[name] = who
    if snoozer := person(snooze.get("snoozed_by")):
        found["snoozed_by"] = snoozer
    return found


def quota_available(body: Mapping[str, Any], incident: Mapping[str, Any]) -> float | None:
    """Return how many shares the integration has left until the next reset; None: the webhook does not say."""
    for place in (body, object_of(body.get("metadata")), incident, object_of(incident.get("metadata"))):
        available = object_of(place.get("quota")).get("available")
        if isinstance(available, int | float) and not isinstance(available, bool):
            return float(available)
        if (words := text(available)) and words.lstrip("-").isdecimal():
            return float(words)
    return None


def _first(places: Sequence[Mapping[str, Any]], *names: str) -> Any:
    return next((place[name] for place in places for name in names if place.get(name) is not None), None)


def _tags(found: Any) -> Iterator[tuple[str, str]]:
    pairs = found.items() if isinstance(found, dict) else _pairs(found)
    for name, value in pairs:
        values = value if isinstance(value, list) else [value]
        words = ", ".join(word for one in values if (word := text(one)))
        if (tag := text(name)) and words:
            yield tag, words


def _pairs(found: Any) -> Iterator[tuple[Any, Any]]:
    for tag in found if isinstance(found, list) else ():
        if isinstance(tag, dict):
            yield tag.get("id") or tag.get("tag_id") or tag.get("name"), tag.get("value", tag.get("tag_value"))


def _changes(found: Sequence[Any]) -> Iterator[RelatedChange]:
    for related in found:
        change = object_of(object_of(related).get("change"))
        if number := text(change.get("identifier")) or text(change.get("id")) or text(object_of(related).get("id")):
            yield RelatedChange(
                id=number,
                summary=text(change.get("summary")) or "",
                status=text(change.get("status")) or "",
                link=text(change.get("ticket_url")) or "",
                certainty=text(related.get("match_certainty")) or "",
                comment=text(related.get("comment")) or "",
            )


def _foreign(alerts: Sequence[Any]) -> Iterator[ForeignAlert]:
    for found in alerts:
        alert = object_of(found)
        tags = dict(_tags(alert.get("tags") if isinstance(alert.get("tags"), dict) else _named(alert.get("tags"))))
        number = text(alert.get("id"))
        if KEY_TAG in tags or not number:
            continue
        properties = [alert.get("primaryProperty", alert.get("primary_property")), alert.get("secondaryProperty")]
        subject = " ".join(tags[name] for name in properties if isinstance(name, str) and name in tags)
        said = text(alert.get("description")) or ""
        yield ForeignAlert(
            id=number,
            status=(text(alert.get("status")) or "").lower(),
            source=text(alert.get("sourceSystem")) or text(alert.get("source_system")) or "",
            description=": ".join(part for part in (subject, said) if part),
        )


def _named(tags: Any) -> list[dict[str, Any]]:
    """Return an alert's tags in the form of an incident's: `name` is what those call `id`."""
    listed = tags if isinstance(tags, list) else ()
    return [{"id": tag.get("name"), "value": tag.get("value")} for tag in listed if isinstance(tag, dict)]


def _comments(found: Any) -> Iterator[str]:
    for one in found if isinstance(found, list) else [found]:
        said = one.get("comment", one.get("text")) if isinstance(one, dict) else one
        if words := text(said):
            yield words


def _events(listed: Any, single: Any, at: float) -> Iterator[tuple[float, str]]:
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and (words := text(one.get("event"))):
            yield time_of(one.get("time")) or at, words
    if (words := text(single)) and words != _ANY:
        yield at, words
