"""BigPanda's Notifications Webhook as Incidents: v1, bare or under `incident`, and v2 with a body of our template.

BigPanda documents half of what it sends, and a v2 template makes a string of everything. So whatever is missing,
strange or an unfilled placeholder counts as not said, and only a body without an incident's id is unreadable.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Self

from pydantic import Field, field_validator, model_validator

from bridge.domain.incident import Incident
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.settings import Headers, HeaderSecret, HttpCredentials, ReceiverSettings
from exporter.toolkit.config_types import Duration, Size
from exporter.toolkit.http_settings import HttpClientSettings, HttpUrl

KEY_TAG: Final = "vendorwatch_key"
STATUSES: Final = frozenset({"critical", "warning", "unknown", "ok", "acknowledged"})
_MILLISECONDS: Final = 1e11
"""From here on a number is no date in seconds: that would be in the year 5138."""
_LATEST: Final = 1e14
_LONGEST: Final = 512
_PLACEHOLDER: Final = "{{"
_NOTHING: Final = frozenset({"", "null", "none", "undefined"})
_TRIGGERS: Final = {"incident#closed": False, "incident#reopen": True}
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


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
    del now
    if not isinstance(body, dict):
        raise Unreadable("the body is not an object")
    told = body.get("incident", body)
    if not isinstance(told, dict):
        raise Unreadable("incident: not an object")
    number = _text(told.get("id")) or _text(told.get("incident_id"))
    if number is None:
        raise Unreadable("incident: id: missing")
    return settings.notification(incidents=(_incident(number, told, body),), confirm=settings.callback is not None)


def _incident(number: str, told: Mapping[str, Any], body: Mapping[str, Any]) -> Incident:
    metadata = {**_object(body.get("metadata")), **_object(told.get("metadata"))}
    snoozed, until = _snooze(told.get("snooze"))
    status = _word(told.get("status"))
    event = _text(body.get("event")) or _text(told.get("event")) or ""
    return Incident(
        id=number,
        status=status if status in STATUSES else None,
        severity=_word(told.get("severity")),
        active=_active(told, event),
        environment=_text(metadata.get("environment")) or _text(told.get("environment")),
        started_at=_first_time(told, "startedOn", "started_at", "start"),
        updated_at=_first_time(told, "updatedOn", "updated_at"),
        ended_at=_first_time(told, "endedOn", "ended_at", "end"),
        snoozed=snoozed,
        snoozed_until=until,
        keys=_keys(told),
        acknowledged=status == "acknowledged" or bool(_person(_either(body, told, metadata, "assignee"))),
        who=_who(body, told, metadata),
        link=_link(_either(body, told, metadata, "links")),
        event=event,
        digest=_digest(body),
    )


def _active(told: Mapping[str, Any], event: str) -> bool | None:
    """Return whether it is open, by what triggered the webhook where the body does not say."""
    said = _flag(told.get("active"))
    return _TRIGGERS.get(event) if said is None else said


def _digest(body: Mapping[str, Any]) -> str:
    try:
        return hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=12).hexdigest()
    except RecursionError:
        raise Unreadable("the body is nested too deeply") from None


def _snooze(found: Any) -> tuple[bool | None, float | None]:
    """Return whether it is snoozed, and until when; the end is absent where a snooze has none."""
    if not isinstance(found, dict):
        return _flag(found), None
    return _flag(found.get("snoozed")), _first_time(found, "end_time", "endTime", "wake")


def _keys(told: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the identities of our alerts; None when the body does not list its alerts."""
    alerts = told.get("alerts")
    if isinstance(alerts, list):
        found = [key for alert in alerts for key in _tagged(_object(alert))]
    else:
        named = told.get(KEY_TAG)
        listed = named if isinstance(named, list) else [named]
        found = [key for one in listed if (key := _text(one))]
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
            yield from (key for one in (value if isinstance(value, list) else [value]) if (key := _text(one)))


def _who(body: Mapping[str, Any], told: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """Return whom BigPanda names: who assigned it, whom it is assigned to, or who shared it."""
    for role in ("snoozed_by", "assigner", "assignee", "sender"):
        if name := _person(_either(body, told, metadata, role)):
            return name
    return None


def _either(body: Mapping[str, Any], told: Mapping[str, Any], metadata: Mapping[str, Any], name: str) -> Any:
    return told.get(name) or metadata.get(name) or body.get(name)


def _person(found: Any) -> str | None:
    if not isinstance(found, dict):
        return _text(found)
    return next((name for member in ("name", "username", "email") if (name := _text(found.get(member)))), None)


def _link(found: Any) -> str | None:
    told = found.get("landingPage") or found.get("landing_page") if isinstance(found, dict) else found
    link = _text(told)
    return link if link and link.startswith(("http://", "https://")) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    """Return a word, None for what says nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)[:_LONGEST] if abs(value) < _LATEST else None
    if not isinstance(value, str) or _PLACEHOLDER in value or value.strip().lower() in _NOTHING:
        return None
    return value.strip()[:_LONGEST]


def _word(value: Any) -> str | None:
    found = _text(value)
    return found.lower() if found else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None


def _first_time(told: Mapping[str, Any], *names: str) -> float | None:
    return next((time for name in names if (time := _time(told.get(name))) is not None), None)


def _time(value: Any) -> float | None:
    """Return epoch seconds of a number, of one written as a string, or of a date; milliseconds are recognized."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    except ValueError:
        return _date(str(value))
    if not 0 < found < _LATEST:
        return None
    return found / 1000 if found >= _MILLISECONDS else found


def _date(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
