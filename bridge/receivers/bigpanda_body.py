"""Reading of BigPanda's webhooks: their values and dataset options (people, comments, tags, changes, events, quota).

A v2 template turns everything into strings and may leave placeholders unfilled: those, and what is missing or
malformed, count as absent.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from bridge.domain.incident import ForeignAlert, RelatedChange
from exporter.toolkit.lenient import flag_of, number_of, object_of, objects_of, time_of

KEY_TAG: Final = "vendorwatch_key"
_ANY: Final = "default"
"""The default trigger of a v2 body, which says nothing about what happened."""
_MOST: Final = 100
"""Most changes, tags and foreign alerts kept of one webhook."""
_LARGEST: Final = 1e14
_LONGEST: Final = 512
_PLACEHOLDER: Final = "{{"
_NOTHING: Final = frozenset({"", "null", "none", "undefined"})

Places = Sequence[Mapping[str, Any]]


def list_of(value: Any) -> list[Any]:
    """Return a list; a list of just the value for anything else."""
    return value if isinstance(value, list) else [value]


def places(body: Mapping[str, Any], incident: Mapping[str, Any]) -> Places:
    """Return the objects that may contain the dataset options, by option and version; the incident's own first."""
    return incident, object_of(incident.get("metadata")), object_of(body.get("metadata")), body


def text(value: Any) -> str:
    """Return text; "" for an empty value or placeholder."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)[:_LONGEST] if abs(value) < _LARGEST else ""
    if not isinstance(value, str) or _PLACEHOLDER in value or value.strip().lower() in _NOTHING:
        return ""
    return value.strip()[:_LONGEST]


def texts(value: Any) -> list[str]:
    """Return the texts of a list, or of a single value."""
    return [found for one in list_of(value) if (found := text(one))]


def first_time(found: Mapping[str, Any], *names: str) -> float | None:
    """Return the first of these members that is a time."""
    return next((time for name in names if (time := time_of(found.get(name))) is not None), None)


def person(where: Places, role: str) -> str:
    """Return the name of the person with a role, or another identification; "" for none."""
    people = (place.get(role) for place in where)
    known = (map(one.get, ("name", "username", "email")) if isinstance(one, dict) else (one,) for one in people)
    return next(filter(None, map(text, chain.from_iterable(known))), "")


def tags_of(found: Any, *naming: str) -> Iterator[tuple[Any, Any]]:
    """Yield names and values of tags: an object's members, or a list of objects, named by the first of `naming`."""
    if isinstance(found, dict):
        yield from found.items()
    for tag in objects_of(found):
        yield next((tag[name] for name in naming if tag.get(name)), None), tag.get("value", tag.get("tag_value"))


def details(body: Mapping[str, Any], incident: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return the members of IncidentDetails that a webhook contains."""
    where = places(body, incident)
    found: dict[str, Any] = {}
    for role in ("assignee", "assigner", "snoozed_by"):
        who = person(where, role)
        # An assignee of null means that it is no longer assigned; an unfilled placeholder means nothing.
        if who or any(role in place and place[role] is None for place in where):
            found[role] = who
    if snoozer := person([object_of(incident.get("snooze"))], "snoozed_by"):
        found["snoozed_by"] = snoozer
    if environment := text(_first(where, "environment_id")):
        found["environment_id"] = environment
    if (flapping := flag_of(incident.get("flapping"))) is not None:
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
    quotas = (object_of(place.get("quota")).get("available") for place in places(body, incident))
    return number_of(next(filter(None, map(text, quotas)), None))


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
                summary=text(change.get("summary")),
                status=text(change.get("status")),
                link=text(change.get("ticket_url")),
                certainty=text(related.get("match_certainty")),
                comment=text(related.get("comment")),
            )


def _foreign(found: Sequence[Any]) -> Iterator[ForeignAlert]:
    for alert in map(object_of, found):
        tags, number = _tags(alert.get("tags"), "name"), text(alert.get("id"))
        if KEY_TAG in tags or not number:
            continue
        named = ("primaryProperty", "primary_property"), ("secondaryProperty", "secondary_property")
        # Of each either the tag that has it, or the value itself.
        properties = [next(filter(None, map(text, map(alert.get, names))), "") for names in named]
        subject = " ".join(tags.get(name, name) for name in properties if name)
        yield ForeignAlert(
            id=number,
            status=text(alert.get("status")).lower(),
            source=text(alert.get("sourceSystem")) or text(alert.get("source_system")),
            description=": ".join(filter(None, (subject, text(alert.get("description"))))),
        )
