"""Alertmanager's webhook, payload version 4, as Alerts.

Fields may be added to that payload without a new version, so it is read leniently: optional members may be missing or
malformed. It is parsed by hand because it is the hot path, and so that one bad alert does not fail the others.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from bridge.domain.alert import Alert, UnreadableAlert
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.lenient import beginning_of, identifier_of, short_text_of, strings_of, text_of
from bridge.receivers.settings import AlertmanagerClientSettings, HttpAuthSettings
from exporter.toolkit.config_types import Duration, Section
from exporter.toolkit.http_settings import base_url
from exporter.toolkit.lenient import number_of, time_of

_ANNOTATED_LINKS = ("runbook_url", "dashboard_url")
_LINKS = {
    "generatorURL": "generator_url",
    "dashboardURL": "dashboard_url",
    "panelURL": "panel_url",
    "silenceURL": "silence_url",
}
"""Members of an alert that are links; all but the first are Grafana's and take precedence over annotations."""
_MEASURED = {"valueString": "value_string", "imageURL": "image_url"}
"""Grafana's measured values and images, which change with every evaluation."""
_MOST_BODIES = 100
_LONGEST_NAME = 256
_MOST_ROUTE_LABELS = 20
_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211


class Reconcile(AlertmanagerClientSettings):
    """The peers of one Alertmanager cluster that the reconciler polls, and when to trust them.

    `interval`: seconds. Two of them should not be shorter than Alertmanager's group_interval: otherwise an alert that
    waits for its group is found before the group is sent, and counted as a correction.
    `receiver`: Alertmanager's name of the receiver that sends to us; by default learned from its webhooks, and counted
    while Alertmanager's configuration has a webhook for it.
    `min_uptime`: seconds until a restarted Alertmanager can be expected to know all alerts.
    `open_missed`: set to false to only resolve. Nothing is opened either while an Alertmanager before 0.28, which does
    not show alerts muted by time intervals, has a route with some.
    """

    urls: tuple[str, ...] = Field(min_length=1)
    interval: Duration = Field(60.0, gt=0)
    receiver: str | None = Field(None, min_length=1)
    min_uptime: Duration = Field(300.0, ge=0)
    open_missed: bool = True

    @field_validator("urls")
    @classmethod
    def _http(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(base_url, urls))


class Identity(Section):
    """The labels left out of an alert's identity: alerts that then share one are one alert in BigPanda."""

    without: tuple[str, ...] = ()


class Watchdog(Section):
    """The always-firing alert. A label set may be silent for `max_silence`; after `forget_after` it is forgotten."""

    alertname: str = Field("Watchdog", min_length=1)
    max_silence: Duration = Field(300.0, gt=0)
    forget_after: Duration = Field(7 * 86400.0, gt=0, validate_default=True)

    @field_validator("forget_after")
    @classmethod
    def _silent_first(cls, forget_after: float, info: ValidationInfo) -> float:
        if forget_after <= info.data.get("max_silence", 0.0):
            raise ValueError("must be longer than max_silence: otherwise no silence is ever reported")
        return forget_after


class Settings(HttpAuthSettings):
    """One Alertmanager, or one cluster of peers.

    `silenced`: BigPanda's status of an alert silenced in Alertmanager: unchanged, or acknowledged.
    """

    severity_label: str = Field("severity", min_length=1)
    reconcile: Reconcile | None = None
    watchdog: Watchdog | None = None
    identity: Identity = Identity()
    silenced: Literal["keep", "acknowledge"] = "keep"

    @field_validator("silenced")
    @classmethod
    def _asks(cls, silenced: str, info: ValidationInfo) -> str:
        if silenced == "acknowledge" and info.data.get("reconcile", ...) is None:
            raise ValueError("acknowledge needs reconcile, which reads Alertmanager's silences")
        return silenced


def translate(body: dict[str, Any], settings: Settings, now: float) -> Notification:
    """Translate one webhook. `body` is its parsed JSON. Raises Unreadable if it has no list of alerts."""
    entries = body.get("alerts")
    if not isinstance(entries, list):
        raise Unreadable("alerts: not a list" if "alerts" in body else "alerts: missing")
    # Keep short what every alert of the body repeats.
    external_url = short_text_of(body.get("externalURL"))
    # A route's labels do not identify an alert: they become tags beside its annotations.
    routed = islice(strings_of(body.get("routeLabels")).items(), _MOST_ROUTE_LABELS)
    route_labels = {f"route_{name}"[:_LONGEST_NAME]: short_text_of(value) for name, value in routed}
    watchdog = settings.watchdog.alertname if settings.watchdog else None
    alerts: list[Alert] = []
    heartbeats: list[Alert] = []
    unreadable: list[UnreadableAlert] = []
    for entry in entries:
        try:
            alert = read(entry, settings, external_url, now)
        except Unreadable as error:
            # The first few are enough: the store keeps no more.
            kept = beginning_of(entry) if len(unreadable) < _MOST_BODIES else ""
            unreadable.append(UnreadableAlert(str(error), kept))
            continue
        if route_labels:
            alert = replace(alert, annotations={**route_labels, **alert.annotations})
        if alert.name == watchdog:
            heartbeats.append(alert)
        # Grafana's test of a contact point sends an alert that never resolves, so it is not passed on.
        elif not (alert.name == "TestAlert" and alert.labels.get("instance") == "Grafana"):
            alerts.append(alert)
    ignored = len(entries) - len(alerts) - len(unreadable)
    if settings.identity.without:
        # The last state of each, resolutions last, so that an alert that goes on as another never seems to end.
        alerts = sorted({alert.key: alert for alert in alerts}.values(), key=lambda alert: not alert.firing)
    return settings.notification(
        alerts=tuple(alerts),
        unreadable=tuple(unreadable),
        truncated=max(0, int(number_of(body.get("truncatedAlerts")) or 0)),
        receiver_name=text_of(body.get("receiver"))[:_LONGEST_NAME],
        heartbeats=tuple(heartbeats),
        ignored=ignored,
    )


def read(entry: Any, settings: Settings, external_url: str, now: float) -> Alert:
    """Read one alert, as in webhooks and `GET /api/v2/alerts`. Raises Unreadable only if it has no identity."""
    if not isinstance(entry, dict):
        raise Unreadable("the alert is not an object")
    # Of very many, or very long labels those that decide name, status and properties are kept.
    labels = strings_of(entry.get("labels"), ("alertname", settings.severity_label, *settings.primary_property))
    annotations = strings_of(entry.get("annotations"))
    given = identifier_of(entry["fingerprint"]) if isinstance(entry.get("fingerprint"), str) else ""
    if not (given or isinstance(entry.get("labels"), dict)):
        raise Unreadable("labels: missing" if entry.get("labels") is None else "labels: not an object")
    status = entry["status"].strip().lower() if isinstance(entry.get("status"), str) else ""
    if status not in ("firing", "resolved"):
        raise Unreadable("status: neither firing nor resolved")
    firing = status == "firing"
    starts_at = time_of(entry.get("startsAt"))
    links = {name: annotations[name] for name in _ANNOTATED_LINKS if annotations.get(name)} | _texts(entry, _LINKS)
    identity = ""
    if without := settings.identity.without:
        shared = {name: value for name, value in labels.items() if name not in without}
        identity = f"{settings.source}:{fingerprint(shared)}"
    return settings.alert(
        given or fingerprint(labels),
        name=labels.get("alertname", ""),
        firing=firing,
        severity=labels.get(settings.severity_label, ""),
        labels=labels,
        annotations=annotations,
        links=links | {"alertmanager_url": external_url} if external_url else links,
        starts_at=now if starts_at is None else starts_at,
        ends_at=None if firing else time_of(entry.get("endsAt")),
        volatile={f"value_{name}": value for name, value in strings_of(entry.get("values")).items()}
        | _texts(entry, _MEASURED),
        identity=identity,
    )


def _texts(entry: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return the non-empty members of an alert, under their names in an event."""
    return {name: text for member, name in names.items() if (text := text_of(entry.get(member)))}


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return Alertmanager's fingerprint of a label set: FNV-1a, 64 bits, in hex."""
    found = _FNV_OFFSET
    for name, value in sorted(labels.items()):
        for byte in b"%s\xff%s\xff" % (name.encode("utf-8", "replace"), value.encode("utf-8", "replace")):
            found = (found ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"
