"""BigPanda's Notifications Webhook as Incidents: v1, bare or under `incident`, and v2 with a body of our template.

BigPanda documents half of what it sends, and a v2 template makes a string of everything. So whatever is missing,
strange or an unfilled placeholder counts as not said, and only a body without an incident's id is unreadable.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from pydantic import Field, ValidationInfo, field_validator

from bridge.domain.incident import Incident
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.bigpanda_details import KEY_TAG, details, quota_available
from bridge.receivers.bigpanda_values import (
    first_time,
    flag,
    object_of,
    person,
    places,
    tags_of,
    text,
    texts,
    word,
)
from bridge.receivers.settings import AlertmanagerClientSettings, HeaderSecret, ReceiverSettings
from exporter.toolkit.config_types import Duration, Secret, fold_files
from exporter.toolkit.http_settings import HttpClientSettings, HttpUrl

STATUSES: Final = frozenset({"critical", "warning", "unknown", "ok", "acknowledged"})
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TRIGGERS: Final = {"incident#closed": False, "incident#reopen": True}


class Callback(HttpClientSettings):
    """BigPanda's callback service, which waits to hear that a new share has arrived.

    `api_key` is a user API key, `app_key` the outbound integration's. `timeout`: seconds for one call.
    """

    url: HttpUrl = "https://api.bigpanda.io/resources/v2.1/outbound/callback"
    api_key: HeaderSecret
    app_key: str = Field(min_length=1)
    timeout: Duration = Field(10.0, gt=0)


class Silences(AlertmanagerClientSettings):
    """The Alertmanager that is silenced while BigPanda snoozes; its peers hear of it from one another.

    `sources`: whose alerts it knows; every Alertmanager receiver's when not given. `timeout`: seconds for one request.
    """

    alertmanager: HttpUrl
    sources: tuple[str, ...] | None = Field(None, min_length=1)
    timeout: Duration = Field(10.0, gt=0)

    @field_validator("alertmanager")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")


class Settings(ReceiverSettings):
    """One outbound integration of BigPanda. A request must carry every one of `headers`; `NAME_file: PATH` reads one.

    `reopen_after`: seconds after which an alert that still fires is resent when its incident was closed by hand;
    0: never.
    """

    needs_all: ClassVar[bool] = True

    headers: dict[str, HeaderSecret] = Field(default_factory=dict)
    callback: Callback | None = None
    silences: Silences | None = None
    reopen_after: Duration = Field(0.0, ge=0)

    @field_validator("headers", mode="before")
    @classmethod
    def _read_files(cls, headers: Any, info: ValidationInfo) -> Any:
        if not isinstance(headers, Mapping):
            return headers
        return fold_files(headers, frozenset(str(name).removesuffix("_file") for name in headers), info)

    @field_validator("headers")
    @classmethod
    def _arrives(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        """See that a request can carry every one of them."""
        for name in headers:
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header is there twice: upper and lower case are the same")
        return headers

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the configured headers with their values."""
        return tuple((name, secret.read()) for name, secret in self.headers.items())


def translate(body: Any, settings: Settings, now: float) -> Notification:
    """Return the incident that one webhook brings. Unreadable when the body names none."""
    if not isinstance(body, dict):
        raise Unreadable("the body is not an object")
    said = body.get("incident", body)
    if not isinstance(said, dict):
        raise Unreadable("incident: not an object")
    number = text(said.get("id")) or text(said.get("incident_id"))
    if number is None:
        raise Unreadable("incident: id: missing")
    try:
        digest = hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=12).hexdigest()
    except RecursionError:
        raise Unreadable("the body is nested too deeply") from None
    incident = replace(_incident(number, said, body), digest=digest, details=details(body, said, now))
    return settings.notification(incidents=(incident,), confirm=settings.callback is not None)


def _incident(number: str, said: Mapping[str, Any], body: Mapping[str, Any]) -> Incident:
    where = places(body, said)
    metadata = {**object_of(body.get("metadata")), **object_of(said.get("metadata"))}
    event = text(body.get("event")) or text(said.get("event")) or ""
    active = flag(said.get("active"))
    status = word(said.get("status"))
    # Only an object says until when: an older body has the bare word.
    snooze = said.get("snooze")
    snoozed = flag(snooze.get("snoozed") if isinstance(snooze, dict) else snooze)
    links = [place.get("links") for place in where]
    pages = [one.get("landingPage") or one.get("landing_page") if isinstance(one, dict) else one for one in links]
    # Never who shared it, who may be anyone, or AutoShare.
    roles = (([object_of(snooze)], "snoozed_by"), (where, "snoozed_by"), (where, "assigner"), (where, "assignee"))
    names = (person(place, role) for place, role in roles)
    return Incident(
        id=number,
        status=status if status in STATUSES else None,
        severity=word(said.get("severity")),
        active=_TRIGGERS.get(event) if active is None else active,
        environment=text(metadata.get("environment")) or text(said.get("environment")),
        started_at=first_time(said, "startedOn", "started_at", "start"),
        updated_at=first_time(said, "updatedOn", "updated_at"),
        ended_at=first_time(said, "endedOn", "ended_at", "end"),
        snoozed=snoozed,
        snoozed_until=first_time(object_of(snooze), "end_time", "endTime", "wake"),
        keys=_keys(said),
        acknowledged=status == "acknowledged" or person(where, "assignee") is not None,
        who=next(filter(None, names), None),
        link=next((page for page in texts(pages) if page.startswith(("http://", "https://"))), None),
        event=event,
        quota=quota_available(body, said),
    )


def _keys(said: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the identities of our alerts; None when the body does not list its alerts."""
    alerts = said.get("alerts")
    if not isinstance(alerts, list):
        # A template may write the tag alone.
        return tuple(dict.fromkeys(texts(said.get(KEY_TAG)))) or None
    tags = [tag for alert in alerts for tag in tags_of(object_of(alert).get("tags"), "name")]
    return tuple(dict.fromkeys(key for name, value in tags if name == KEY_TAG for key in texts(value)))
