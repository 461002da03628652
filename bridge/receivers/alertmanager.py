"""Alertmanager's webhook, payload version 4, as Alerts.

Fields are added to that payload without a new version, so it is read leniently: what is not needed may be missing or
strange. Read by hand: it is the hot path, and one bad alert is set aside alone.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bridge.domain.alert import Alert, UnreadableAlert
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.lenient import MOST_KEPT, strings_of, text_of
from bridge.receivers.settings import HttpAuthSettings, HttpCredentials
from exporter.toolkit.config_types import Duration, Section, Size
from exporter.toolkit.http_settings import HttpClientSettings, http_url

_LONGEST_FINGERPRINT = 128
_ANNOTATED_LINKS = ("runbook_url", "dashboard_url")
_LINKS = {
    "generatorURL": "generator_url",
    "dashboardURL": "dashboard_url",
    "panelURL": "panel_url",
    "silenceURL": "silence_url",
}
"""Members of an alert that are links; all but the first are Grafana's own."""
_LATEST = 1e11
_MOST_BODIES = 100
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


class Identity(Section):
    """Which labels an alert's identity leaves out: alerts that then share one are one alert in BigPanda."""

    without: tuple[str, ...] = ()


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
    identity: Identity = Identity()
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
    alerts: list[Alert] = []
    unreadable: list[UnreadableAlert] = []
    for entry in entries:
        try:
            alerts.append(read(entry, settings, text_of(body.get("externalURL")), now))
        except Unreadable as error:
            # Of many the first tell enough: the store keeps no more.
            body_of_one = json.dumps(entry)[:MOST_KEPT] if len(unreadable) < _MOST_BODIES else ""
            unreadable.append(UnreadableAlert(str(error), body_of_one))
    route_labels = strings_of(body.get("routeLabels"))
    alerts = [_with_labels(alert, route_labels) for alert in alerts] if route_labels else alerts
    sent_on = [alert for alert in alerts if not (_heartbeat(alert, settings) or _grafana_test(alert))]
    return settings.notification(
        alerts=_firing_first(sent_on) if settings.identity.without else tuple(sent_on),
        unreadable=tuple(unreadable),
        truncated=_count(body.get("truncatedAlerts")),
        receiver_name=text_of(body.get("receiver")),
        heartbeats=tuple(alert for alert in alerts if _heartbeat(alert, settings)),
        ignored=len(alerts) - len(sent_on),
    )


def read(entry: Any, settings: Settings, external_url: str, now: float) -> Alert:
    """Return one alert, as webhooks and `GET /api/v2/alerts` write it. Unreadable only where it has no identity."""
    if not isinstance(entry, dict):
        raise Unreadable("the alert is not an object")
    labels = strings_of(entry.get("labels"))
    told = entry.get("fingerprint")
    if not (isinstance(entry.get("labels"), dict) or _is_fingerprint(told)):
        raise Unreadable("labels: missing" if entry.get("labels") is None else "labels: not an object")
    status = entry.get("status")
    if status not in ("firing", "resolved"):
        raise Unreadable("status: neither firing nor resolved")
    firing = status == "firing"
    annotations = strings_of(entry.get("annotations"))
    starts_at = time_of(entry, "startsAt")
    return Alert(
        receiver=settings.receiver,
        source=settings.source,
        key=f"{settings.source}:{told if _is_fingerprint(told) else fingerprint(labels)}",
        name=labels.get("alertname", ""),
        firing=firing,
        severity=labels.get(settings.severity_label, ""),
        labels=labels,
        annotations=annotations,
        links=_links(entry, annotations, external_url),
        starts_at=now if starts_at is None else starts_at,
        ends_at=None if firing else time_of(entry, "endsAt"),
        volatile=_grafana_values(entry),
        identity=_identity(labels, settings),
    )


def _identity(labels: Mapping[str, str], settings: Settings) -> str:
    without = settings.identity.without
    if not without:
        return ""
    return f"{settings.source}:{fingerprint({name: value for name, value in labels.items() if name not in without})}"


def _firing_first(alerts: Sequence[Alert]) -> tuple[Alert, ...]:
    """Return the last state of each, ends after the rest: what goes on firing as another never seems to end between."""
    return tuple(sorted({alert.key: alert for alert in alerts}.values(), key=lambda alert: not alert.firing))


def _with_labels(alert: Alert, more: Mapping[str, str]) -> Alert:
    """Return the alert with labels of its route; they say nothing of what it is."""
    return replace(alert, annotations={**{f"route_{name}": value for name, value in more.items()}, **alert.annotations})


def _heartbeat(alert: Alert, settings: Settings) -> bool:
    return settings.watchdog is not None and alert.name == settings.watchdog.alertname


def _grafana_test(alert: Alert) -> bool:
    """Tell whether this is the alert that Grafana makes up to test a contact point; it never ends."""
    return alert.name == "TestAlert" and alert.labels.get("instance") == "Grafana"


def time_of(entry: Mapping[str, Any], member: str) -> float | None:
    """Return epoch seconds, None when it is not told, cannot be read, or is Go's zero time: "not ended"."""
    value = entry.get(member)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 < value < _LATEST else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return None if moment.year == 1 else moment.timestamp()
    except (ValueError, OverflowError):
        return None


def _links(entry: Mapping[str, Any], annotations: Mapping[str, str], external_url: str) -> dict[str, str]:
    """Return the links of an alert; Grafana's own members, where there are any, before the rule's annotations."""
    links = {name: annotations[name] for name in _ANNOTATED_LINKS if annotations.get(name)}
    for member, name in _LINKS.items():
        if url := text_of(entry.get(member)):
            links[name] = url
    if external_url:
        links["alertmanager_url"] = external_url
    return links


def _grafana_values(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return what Grafana measured: another number with every evaluation, and another picture."""
    found = {f"value_{name}": value for name, value in strings_of(entry.get("values")).items()}
    for member, name in (("valueString", "value_string"), ("imageURL", "image_url")):
        if value := text_of(entry.get(member)):
            found[name] = value
    return found


def _is_fingerprint(told: Any) -> bool:
    return isinstance(told, str) and 0 < len(told) <= _LONGEST_FINGERPRINT and told.isascii() and told.isprintable()


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return the hash by which Alertmanager names a label set: FNV-1a, 64 bits, in hex."""
    found = _FNV_OFFSET
    for name, value in sorted(labels.items()):
        for byte in b"%s\xff%s\xff" % (name.encode("utf-8", "replace"), value.encode("utf-8", "replace")):
            found = (found ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"


def _count(value: Any) -> int:
    return math.floor(value) if isinstance(value, int | float) and 0 < value < math.inf else 0
