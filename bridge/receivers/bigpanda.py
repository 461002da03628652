"""BigPanda's Notifications Webhook as Incidents: v1, bare or under `incident`, and v2 with a body of our template.

BigPanda documents only half of its payload, so only a body without an incident id is unreadable.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field

from bridge.domain.incident import Incident
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers import bigpanda_body as read
from bridge.receivers.settings import AlertmanagerClientSettings, HeaderCredentials, ReceiverSettings
from exporter.toolkit.config_types import Duration
from exporter.toolkit.http_settings import HeaderSecret, HttpClientSettings, HttpUrl
from exporter.toolkit.lenient import flag_of, object_of

STATUSES: Final = frozenset({"critical", "warning", "unknown", "ok", "acknowledged"})
CREATED_BY: Final = "vendorwatch-bridge"
"""The creator of our silences for snoozes."""
_TRIGGERS: Final = {"incident#closed": False, "incident#reopen": True}


class Callback(HttpClientSettings):
    """BigPanda's callback service. `api_key`: a user's; `app_key`: the outbound integration's; `timeout`: of a call."""

    url: HttpUrl = "https://api.bigpanda.io/resources/v2.1/outbound/callback"
    api_key: HeaderSecret
    app_key: str = Field(min_length=1)
    timeout: Duration = Field(10.0, gt=0)


class Silences(AlertmanagerClientSettings):
    """The Alertmanager (one of its peers) that gets silences. `sources`: whose alerts it knows; None: all."""

    alertmanager: Annotated[HttpUrl, AfterValidator(lambda url: url.rstrip("/"))]
    sources: tuple[str, ...] | None = Field(None, min_length=1)
    timeout: Duration = Field(10.0, gt=0)


class Settings(HeaderCredentials, ReceiverSettings):
    """One outbound integration. `reopen_after`: seconds until alerts that outlive an incident are resent; 0: never."""

    needs_all: ClassVar[bool] = True

    callback: Callback | None = None
    silences: Silences | None = None
    reopen_after: Duration = Field(0.0, ge=0)


def translate(body: dict[str, Any], settings: Settings, now: float) -> Notification:
    """Translate one webhook into an incident. Raises Unreadable if the body has none."""
    reported = body.get("incident", body)
    if not isinstance(reported, dict):
        raise Unreadable("incident: not an object")
    number = read.text(reported.get("id")) or read.text(reported.get("incident_id"))
    if not number:
        raise Unreadable("incident: id: missing")
    try:
        digest = hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=12).hexdigest()
    except RecursionError:
        raise Unreadable("the body is nested too deeply") from None
    incident = replace(_incident(number, reported, body), digest=digest, details=read.details(body, reported, now))
    return settings.notification(incidents=(incident,), confirm=settings.callback is not None)


def _incident(number: str, reported: Mapping[str, Any], body: Mapping[str, Any]) -> Incident:
    where = read.places(body, reported)
    metadata = {**object_of(body.get("metadata")), **object_of(reported.get("metadata"))}
    event = read.text(body.get("event")) or read.text(reported.get("event"))
    active = flag_of(reported.get("active"))
    status = read.text(reported.get("status")).lower()
    # Only an object has the end of the snooze: an older body has just a flag.
    snooze = reported.get("snooze")
    snoozed = flag_of(snooze.get("snoozed") if isinstance(snooze, dict) else snooze)
    links = [place.get("links") for place in where]
    pages = [one.get("landingPage") or one.get("landing_page") if isinstance(one, dict) else one for one in links]
    # Never the sender of the share, who may be anyone, or AutoShare.
    roles = (([object_of(snooze)], "snoozed_by"), (where, "snoozed_by"), (where, "assigner"), (where, "assignee"))
    names = (read.person(place, role) for place, role in roles)
    return Incident(
        id=number,
        status=status if status in STATUSES else None,
        severity=read.text(reported.get("severity")).lower() or None,
        active=_TRIGGERS.get(event) if active is None else active,
        environment=read.text(metadata.get("environment")) or read.text(reported.get("environment")) or None,
        started_at=read.first_time(reported, "startedOn", "started_at", "start"),
        updated_at=read.first_time(reported, "updatedOn", "updated_at"),
        ended_at=read.first_time(reported, "endedOn", "ended_at", "end"),
        snoozed=snoozed,
        snoozed_until=read.first_time(object_of(snooze), "end_time", "endTime", "wake"),
        keys=_keys(reported),
        acknowledged=status == "acknowledged" or bool(read.person(where, "assignee")),
        who=next(filter(None, names), None),
        link=next((page for page in read.texts(pages) if page.startswith(("http://", "https://"))), None),
        event=event,
        quota=read.quota_available(body, reported),
    )


def _keys(reported: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the identities of our alerts; None if the body does not list its alerts."""
    alerts = reported.get("alerts")
    if not isinstance(alerts, list):
        # A template may contain only the tag.
        return tuple(dict.fromkeys(read.texts(reported.get(read.KEY_TAG)))) or None
    tags = [tag for alert in alerts for tag in read.tags_of(object_of(alert).get("tags"), "name")]
    return tuple(dict.fromkeys(key for name, value in tags if name == read.KEY_TAG for key in read.texts(value)))
