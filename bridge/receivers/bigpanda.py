"""BigPanda's Notifications Webhook as Incidents: v1, bare or under `incident`, and v2 with a body of our template.

BigPanda documents only half of its payload, so only a body without an incident id is unreadable. A template turns
everything into strings and may leave placeholders unfilled: those, and what is missing or malformed, count as absent.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, Final

from pydantic import Field

from bridge.domain.incident import ForeignAlert, Incident, RelatedChange
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.settings import AlertmanagerClientSettings, HeaderCredentials, ReceiverSettings
from exporter.toolkit.config_types import Duration
from exporter.toolkit.http_settings import BaseUrl, HeaderSecret, HttpClientSettings, HttpUrl
from exporter.toolkit.lenient import flag_of, number_of, object_of, objects_of, time_of

STATUSES: Final = frozenset({"critical", "warning", "unknown", "ok", "acknowledged"})
CREATED_BY: Final = "vendorwatch-bridge"
"""The creator of our silences for snoozes."""
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
_TRIGGERS: Final = {"incident#closed": False, "incident#reopen": True}


class Callback(HttpClientSettings):
    """BigPanda's callback service, which waits for the confirmation of a new share.

    `api_key`: a user's; `app_key`: the outbound integration's. `timeout`: seconds for one call.
    """

    url: HttpUrl = "https://api.bigpanda.io/resources/v2.1/outbound/callback"
    api_key: HeaderSecret
    app_key: str = Field(min_length=1)
    timeout: Duration = Field(10.0, gt=0)


class Silences(AlertmanagerClientSettings):
    """The Alertmanager that gets silences for snoozes in BigPanda; its peers share them among themselves.

    `sources`: whose alerts it knows; by default every Alertmanager receiver's. `timeout`: seconds for one request.
    """

    alertmanager: BaseUrl
    sources: tuple[str, ...] | None = Field(None, min_length=1)
    timeout: Duration = Field(10.0, gt=0)


class Settings(HeaderCredentials, ReceiverSettings):
    """One outbound integration of BigPanda. A request must have all of `headers`.

    `reopen_after`: seconds after which a still firing alert is resent if its incident was closed manually; 0: never.
    """

    needs_all: ClassVar[bool] = True

    callback: Callback | None = None
    silences: Silences | None = None
    reopen_after: Duration = Field(0.0, ge=0)


def translate(body: dict[str, Any], settings: Settings, now: float) -> Notification:
    """Translate one webhook into an incident. Raises Unreadable if the body has none."""
    reported = body.get("incident", body)
    if not isinstance(reported, dict):
        raise Unreadable("incident: not an object")
    number = text(reported.get("id")) or text(reported.get("incident_id"))
    if not number:
        raise Unreadable("incident: id: missing")
    try:
        digest = hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=12).hexdigest()
    except RecursionError:
        raise Unreadable("the body is nested too deeply") from None
    incident = replace(_incident(number, reported, body, now), digest=digest)
    return settings.notification(incidents=(incident,), confirm=settings.callback is not None)


def _incident(number: str, reported: Mapping[str, Any], body: Mapping[str, Any], now: float) -> Incident:
    # Where the dataset options may be, by option and version; the incident's own first.
    where = reported, object_of(reported.get("metadata")), object_of(body.get("metadata")), body
    metadata = {**object_of(body.get("metadata")), **object_of(reported.get("metadata"))}
    event = text(body.get("event")) or text(reported.get("event"))
    active = flag_of(reported.get("active"))
    status = text(reported.get("status")).lower()
    # Only an object has the end of the snooze: an older body has just a flag.
    snooze = reported.get("snooze")
    snoozed = flag_of(snooze.get("snoozed") if isinstance(snooze, dict) else snooze)
    quotas = (object_of(place.get("quota")).get("available") for place in where)
    links = [place.get("links") for place in where]
    pages = [one.get("landingPage") or one.get("landing_page") if isinstance(one, dict) else one for one in links]
    updated_at = first_time(reported, "updatedOn", "updated_at")
    known = _details(reported, where, updated_at or now)
    return Incident(
        id=number,
        status=status if status in STATUSES else None,
        severity=text(reported.get("severity")).lower() or None,
        active=_TRIGGERS.get(event) if active is None else active,
        environment=text(metadata.get("environment")) or text(reported.get("environment")) or None,
        started_at=first_time(reported, "startedOn", "started_at", "start"),
        updated_at=updated_at,
        ended_at=first_time(reported, "endedOn", "ended_at", "end"),
        snoozed=snoozed,
        snoozed_until=first_time(object_of(snooze), "end_time", "endTime", "wake"),
        keys=_keys(reported),
        acknowledged=status == "acknowledged" or bool(known.get("assignee")),
        # Never the sender of the share, who may be anyone, or AutoShare.
        who=next(filter(None, map(known.get, ("snoozed_by", "assigner", "assignee"))), None),
        link=next((page for page in texts(pages) if page.startswith(("http://", "https://"))), None),
        event=event,
        details=known,
        quota=number_of(next(filter(None, map(text, quotas)), None)),
    )


def _keys(reported: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the identities of our alerts; None if the body does not list its alerts."""
    alerts = reported.get("alerts")
    if not isinstance(alerts, list):
        # A template may contain only the tag.
        return tuple(dict.fromkeys(texts(reported.get(KEY_TAG)))) or None
    tags = [tag for alert in alerts for tag in tags_of(object_of(alert).get("tags"), "name")]
    return tuple(dict.fromkeys(key for name, value in tags if name == KEY_TAG for key in texts(value)))


def list_of(value: Any) -> list[Any]:
    """Return a list; a list of just the value for anything else."""
    return value if isinstance(value, list) else [value]


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


def _details(incident: Mapping[str, Any], where: Places, at: float) -> dict[str, Any]:
    """Return the members of IncidentDetails that a webhook of this time contains."""
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
