"""BigPanda's Notifications Webhook as Incidents: v1, bare or under `incident`, and v2 with a body of our template.

BigPanda documents half of what it sends, and a v2 template makes a string of everything. So whatever is missing,
strange or an unfilled placeholder counts as not said, and only a body without an incident's id is unreadable.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Self

from pydantic import Field, field_validator, model_validator

from bridge.domain.incident import Incident
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.bigpanda_details import KEY_TAG, details, quota_available
from bridge.receivers.bigpanda_values import first_time, flag, object_of, person, text, word
from bridge.receivers.settings import Headers, HeaderSecret, HttpCredentials, ReceiverSettings
from exporter.toolkit.config_types import Duration, Size
from exporter.toolkit.http_settings import HttpClientSettings, HttpUrl

STATUSES: Final = frozenset({"critical", "warning", "unknown", "ok", "acknowledged"})
_TRIGGERS: Final = {"incident#closed": False, "incident#reopen": True}


class Callback(HttpClientSettings):
    """BigPanda's callback service, which waits to hear that a new share has arrived.

    `api_key` is a user API key, `app_key` the outbound integration's. `timeout`: seconds for one call.
    """

    url: HttpUrl = "https://api.bigpanda.io/resources/v2.1/outbound/callback"
    api_key: HeaderSecret
    app_key: str = Field(min_length=1)
    timeout: Duration = Field(10.0, gt=0)


class Silences(HttpCredentials, HttpClientSettings):
    """The Alertmanager that is silenced while BigPanda snoozes; its peers hear of it from one another.

    `sources`: whose alerts it knows; every Alertmanager receiver's when not given. `timeout`: seconds for one request.
    """

    alertmanager: HttpUrl
    sources: tuple[str, ...] | None = Field(None, min_length=1)
    max_response: Size = Field(64_000_000, gt=0)
    timeout: Duration = Field(10.0, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set & {"bearer_token", "username"}) > 1:
            raise ValueError("give bearer_token or username and password, not both")
        return self

    @field_validator("alertmanager")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")


class Settings(ReceiverSettings):
    """One outbound integration of BigPanda. A request must carry every one of `headers`.

    `reopen_after`: seconds after which an alert that still fires is sent anew when its incident was closed by hand;
    0: never.
    """

    needs_all: ClassVar[bool] = True

    headers: Headers = Field(default_factory=dict)
    callback: Callback | None = None
    silences: Silences | None = None
    reopen_after: Duration = Field(0.0, ge=0)

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the configured headers with their values."""
        return tuple((name, secret.read()) for name, secret in self.headers.items())


def translate(body: Any, settings: Settings, now: float) -> Notification:
    """Return the incident that one webhook tells of. Unreadable when the body names none."""
    if not isinstance(body, dict):
        raise Unreadable("the body is not an object")
    told = body.get("incident", body)
    if not isinstance(told, dict):
        raise Unreadable("incident: not an object")
    number = text(told.get("id")) or text(told.get("incident_id"))
    if number is None:
        raise Unreadable("incident: id: missing")
    return settings.notification(incidents=(_incident(number, told, body, now),), confirm=settings.callback is not None)


def _incident(number: str, told: Mapping[str, Any], body: Mapping[str, Any], now: float) -> Incident:
    metadata = {**object_of(body.get("metadata")), **object_of(told.get("metadata"))}
    snoozed, until = _snooze(told.get("snooze"))
    status = word(told.get("status"))
    event = text(body.get("event")) or text(told.get("event")) or ""
    return Incident(
        id=number,
        status=status if status in STATUSES else None,
        severity=word(told.get("severity")),
        active=_active(told, event),
        environment=text(metadata.get("environment")) or text(told.get("environment")),
        started_at=first_time(told, "startedOn", "started_at", "start"),
        updated_at=first_time(told, "updatedOn", "updated_at"),
        ended_at=first_time(told, "endedOn", "ended_at", "end"),
        snoozed=snoozed,
        snoozed_until=until,
        keys=_keys(told),
        acknowledged=status == "acknowledged" or bool(person(_either(body, told, metadata, "assignee"))),
        who=_who(body, told, metadata),
        link=_link(_either(body, told, metadata, "links")),
        event=event,
        digest=_digest(body),
        details=details(body, told, now),
        quota=quota_available(body, told),
    )


def _active(told: Mapping[str, Any], event: str) -> bool | None:
    """Return whether it is open, by what triggered the webhook where the body does not say."""
    said = flag(told.get("active"))
    return _TRIGGERS.get(event) if said is None else said


def _digest(body: Mapping[str, Any]) -> str:
    try:
        return hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=12).hexdigest()
    except RecursionError:
        raise Unreadable("the body is nested too deeply") from None


def _snooze(found: Any) -> tuple[bool | None, float | None]:
    """Return whether it is snoozed, and until when; the end is absent where a snooze has none."""
    if not isinstance(found, dict):
        return flag(found), None
    return flag(found.get("snoozed")), first_time(found, "end_time", "endTime", "wake")


def _keys(told: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the identities of our alerts; None when the body does not list its alerts."""
    alerts = told.get("alerts")
    if isinstance(alerts, list):
        found = [key for alert in alerts for key in _tagged(object_of(alert))]
    else:
        named = told.get(KEY_TAG)
        listed = named if isinstance(named, list) else [named]
        found = [key for one in listed if (key := text(one))]
        if not found:
            return None
    return tuple(dict.fromkeys(found))


def _tagged(alert: Mapping[str, Any]) -> Iterator[str]:
    tags = alert.get("tags")
    pairs: list[tuple[Any, Any]] = list(tags.items()) if isinstance(tags, dict) else []
    if isinstance(tags, list):
        pairs = [(tag.get("name"), tag.get("value")) for tag in tags if isinstance(tag, dict)]
    for name, value in pairs:
        if name == KEY_TAG:
            yield from (key for one in (value if isinstance(value, list) else [value]) if (key := text(one)))


def _who(body: Mapping[str, Any], told: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """Return whom BigPanda names: who snoozed, who assigned it, or whom it is assigned to. Never who shared it."""
    for role in ("snoozed_by", "assigner", "assignee"):
        if name := person(_either(body, told, metadata, role)):
            return name
    return None


def _either(body: Mapping[str, Any], told: Mapping[str, Any], metadata: Mapping[str, Any], name: str) -> Any:
    return told.get(name) or metadata.get(name) or body.get(name)


def _link(found: Any) -> str | None:
    told = found.get("landingPage") or found.get("landing_page") if isinstance(found, dict) else found
    link = text(told)
    return link if link and link.startswith(("http://", "https://")) else None
