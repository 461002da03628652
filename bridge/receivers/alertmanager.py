"""Alertmanager's webhook, payload version 4, as Alerts.

Fields are added to that payload without a new version, so it is read leniently: what is not needed may be missing or
strange. Read by hand: it is the hot path, and one bad alert is set aside alone.
"""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bridge.domain.alert import Alert, UnreadableAlert, clean
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.settings import HttpAuthSettings, HttpCredentials
from exporter.toolkit.config_types import Duration, Section, Size
from exporter.toolkit.http_settings import HttpClientSettings, http_url

_LONGEST_FINGERPRINT = 128
_ANNOTATED_LINKS = ("runbook_url", "dashboard_url")
_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211


class Reconcile(HttpCredentials, HttpClientSettings):
    """Which Alertmanagers, together one, are asked what still fires, and how carefully they are believed.

    `interval`: seconds. Two of them are best not shorter than Alertmanager's group_interval: else what waits there for
    its group is told before the group is, and counted as a correction.
    `receiver`: Alertmanager's name of the receiver that sends to us; learned from its webhooks when not given.
    `min_uptime`: seconds; one that runs shorter may not know all yet.
    `open_missed`: false where Alertmanager is older than 0.28, which does not show what its time intervals mute.
    """

    urls: tuple[str, ...] = Field(min_length=1)
    interval: Duration = Field(60.0, gt=0)
    receiver: str | None = Field(None, min_length=1)
    min_uptime: Duration = Field(300.0, ge=0)
    open_missed: bool = True
    max_response: Size = Field(64_000_000, gt=0)

    @field_validator("urls")
    @classmethod
    def _http(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(http_url(url).rstrip("/") for url in urls)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set & {"bearer_token", "username"}) > 1:
            raise ValueError("give bearer_token or username and password, not both")
        return self


class Watchdog(Section):
    """The alert that must keep coming, each label set of it, and for how long it may be silent.

    `forget_after`: seconds of silence after which a label set is looked after no more.
    """

    alertname: str = Field("Watchdog", min_length=1)
    max_silence: Duration = Field(300.0, gt=0)
    forget_after: Duration = Field(7 * 86400.0, gt=0)

    @model_validator(mode="after")
    def _silent_first(self) -> Self:
        if self.forget_after <= self.max_silence:
            raise ValueError("forget_after must be longer than max_silence: else no silence is ever reported")
        return self


class Settings(HttpAuthSettings):
    """One Alertmanager, or one set of Alertmanagers that are peers.

    `silenced`: what BigPanda shows of an alert that Alertmanager has silenced: its status as before, or acknowledged.
    """

    severity_label: str = Field("severity", min_length=1)
    reconcile: Reconcile | None = None
    watchdog: Watchdog | None = None
    silenced: Literal["keep", "acknowledge"] = "keep"

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if self.silenced == "acknowledge" and self.reconcile is None:
            raise ValueError("silenced: acknowledge needs reconcile, which asks Alertmanager what is silenced")
        return self


def translate(body: Any, settings: Settings, now: float) -> Notification:
    """Return what one webhook says. `body` is its parsed JSON. Unreadable when it holds no list of alerts."""
    if not isinstance(body, dict):
        raise Unreadable("the body is not an object")
    entries = body.get("alerts")
    if not isinstance(entries, list):
        raise Unreadable("alerts: not a list" if "alerts" in body else "alerts: missing")
    read = list(_each(entries, settings, _text(body.get("externalURL")), now))
    alerts = [found for found in read if isinstance(found, Alert)]
    sent_on = [alert for alert in alerts if not _heartbeat(alert, settings)]
    return settings.notification(
        alerts=tuple(sent_on),
        unreadable=tuple(found for found in read if isinstance(found, UnreadableAlert)),
        truncated=_count(body.get("truncatedAlerts")),
        receiver_name=_text(body.get("receiver")),
        heartbeats=tuple(alert for alert in alerts if _heartbeat(alert, settings)),
        ignored=len(alerts) - len(sent_on),
    )


def _each(entries: list[Any], settings: Settings, external_url: str, now: float) -> Iterator[Alert | UnreadableAlert]:
    for entry in entries:
        try:
            yield read(entry, settings, external_url, now)
        except Unreadable as error:
            yield UnreadableAlert(str(error), json.dumps(entry))


def read(entry: Any, settings: Settings, external_url: str, now: float) -> Alert:
    """Return one alert, as webhooks and `GET /api/v2/alerts` write it. Unreadable names the member that is wrong."""
    if not isinstance(entry, dict):
        raise Unreadable("the alert is not an object")
    labels = _strings(entry, "labels")
    annotations = _strings(entry, "annotations") if entry.get("annotations") is not None else {}
    firing = _firing(entry)
    starts_at = time_of(entry, "startsAt")
    return Alert(
        receiver=settings.receiver,
        source=settings.source,
        key=f"{settings.source}:{_fingerprint(entry.get('fingerprint'), labels)}",
        name=labels.get("alertname", ""),
        firing=firing,
        severity=labels.get(settings.severity_label, ""),
        labels=labels,
        annotations=annotations,
        links=_links(entry, annotations, external_url),
        starts_at=now if starts_at is None else starts_at,
        ends_at=None if firing else time_of(entry, "endsAt"),
    )


def _heartbeat(alert: Alert, settings: Settings) -> bool:
    return settings.watchdog is not None and alert.name == settings.watchdog.alertname


def _firing(entry: Mapping[str, Any]) -> bool:
    status = entry.get("status")
    if status not in ("firing", "resolved"):
        raise Unreadable("status: neither firing nor resolved")
    return bool(status == "firing")


def _strings(entry: Mapping[str, Any], member: str) -> dict[str, str]:
    found = entry.get(member)
    if not isinstance(found, dict):
        raise Unreadable(f"{member}: not an object")
    try:
        text = "".join((*found, *found.values()))
    except TypeError as error:
        raise Unreadable(f"{member}: a value is not a string") from error
    if text.isascii() and "\0" not in text:
        return found
    return {clean(name): clean(value) for name, value in found.items()}


def time_of(entry: Mapping[str, Any], member: str) -> float | None:
    """Return epoch seconds, None when missing or Go's zero time, which is how "not ended" is written."""
    text = entry.get(member)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise Unreadable(f"{member}: not a time") from error
    if moment.year == 1:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _links(entry: Mapping[str, Any], annotations: Mapping[str, str], external_url: str) -> dict[str, str]:
    links = {name: annotations[name] for name in _ANNOTATED_LINKS if annotations.get(name)}
    if generator_url := _text(entry.get("generatorURL")):
        links["generator_url"] = generator_url
    if external_url:
        links["alertmanager_url"] = external_url
    return links


def _fingerprint(told: Any, labels: Mapping[str, str]) -> str:
    if isinstance(told, str) and 0 < len(told) <= _LONGEST_FINGERPRINT and told.isascii() and told.isprintable():
        return told
    return fingerprint(labels)


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return the hash by which Alertmanager names a label set: FNV-1a, 64 bits, in hex."""
    found = _FNV_OFFSET
    for name, value in sorted(labels.items()):
        for byte in b"%s\xff%s\xff" % (name.encode(), value.encode()):
            found = (found ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"


def _count(value: Any) -> int:
    return math.floor(value) if isinstance(value, int | float) and 0 < value < math.inf else 0


def _text(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""
