"""Vigilmon's webhooks as Alerts: monitors that are down and up again, and certificates that expire.

The vendor's own times put its messages in order, whatever arrives first. An escalation bears the time at which its
incident began: it never outlives an `up` seen since, however its minutes were rounded, and never holds one up. A
certificate is put in order by its date: one whose date moved out is newer, and so is one with fewer days left.
Its documentation leaves out much (test messages, values that may be null), so only what identifies is required.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import Field

from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.lenient import text_of
from bridge.receivers.settings import HeaderSecret, ReceiverSettings
from exporter.toolkit.config_types import Duration

_DAY = 86400.0
_UP_AFTER = 0.5
"""Seconds: what bears the same second as an `up` came before it."""
_PER_MINUTE = 1e-5
_PER_DAY = 1e-4
"""Seconds by which a longer incident, or a day less, is newer: too little to reach another second."""
_MOST = 10_000
_LONGEST = 2048
"""Characters of a text that are kept: no member of an event holds more."""
_LONGEST_ID = 128
_LONGEST_HOST = 253
_TLS_PORT = 443
_LATEST = 1e11
_MONITORED = ("monitor_down", "monitor_up", "monitor_escalation")
_CERTIFICATE = "ssl.expiring"
_ABOUT = frozenset({"monitor", "monitor_url"})


class Settings(ReceiverSettings):
    """One Vigilmon account. `secret`: what it sends as `X-Vigilmon-Secret`.

    `certificate_critical_days`: a certificate with so many days left, or fewer, is critical.
    `certificate_resolve_after`: seconds of silence after which an alert about a certificate ends; 0: never.
    """

    secret: HeaderSecret | None = None
    certificate_critical_days: int = Field(7, ge=0)
    certificate_resolve_after: Duration = Field(0.0, ge=0)

    @property
    def lapses(self) -> Mapping[str, float]:
        """Certificates only: of a monitor that is up again the vendor tells."""
        after = self.certificate_resolve_after
        return {"certificate": after} if after else {}

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the header that proves the sender."""
        return () if self.secret is None else (("X-Vigilmon-Secret", self.secret.read()),)


def translate(body: Any, settings: Settings, now: float) -> Notification:
    """Return what one webhook says; test messages and unknown events are ignored. Unreadable names what is wrong."""
    if not isinstance(body, dict):
        raise Unreadable("the body is not an object")
    event = body.get("event")
    if event is None and (not body or not _ABOUT.isdisjoint(body)):
        raise Unreadable("event: missing")
    if body.get("test") is True:
        return settings.notification(ignored=1)
    if event in _MONITORED:
        return settings.notification(alerts=(_monitored(body, event, settings, now),))
    if event == _CERTIFICATE:
        return settings.notification(alerts=(_expiring(body, settings, now),))
    return settings.notification(ignored=1)


def _monitored(body: Mapping[str, Any], event: str, settings: Settings, now: float) -> Alert:
    monitor = body.get("monitor")
    if not isinstance(monitor, dict):
        raise Unreadable("monitor: not an object" if "monitor" in body else "monitor: missing")
    number = _id(monitor.get("id"))
    url = _split(_text(monitor.get("url")))
    name = _text(monitor.get("name")) or (url.hostname if url and url.hostname else f"monitor {number}")
    minutes = _whole(body.get("down_minutes")) if event == "monitor_escalation" else None
    time = _time(body, "incident_started_at" if event == "monitor_escalation" else "checked_at")
    firing = event != "monitor_up"
    tags = {
        "host": name,
        "monitor_id": number,
        "severity": "critical",
        "region": _regions(body.get("region")),
        "error": _text(body.get("error")),
        "down_minutes": "" if minutes is None else str(minutes),
    }
    return Alert(
        receiver=settings.receiver,
        source=settings.source,
        key=f"{settings.source}:monitor:{number}",
        name="uptime",
        firing=firing,
        severity="critical",
        labels={tag: value for tag, value in tags.items() if value},
        annotations={"description": _described(name, tags["error"], minutes, firing=firing)},
        links={"url": _page(url)} if url else {},
        starts_at=now if time is None else time,
        ends_at=None if firing else time,
        at=None if time is None else time + (_PER_MINUTE * (minutes or 0) if firing else _UP_AFTER),
        ordered=time is not None,
        level=max(1, minutes or 0) if event == "monitor_escalation" else 0,
    )


def _described(name: str, error: str, minutes: int | None, *, firing: bool) -> str:
    if not firing:
        return f"{name} is up"
    lasting = "is down" if minutes is None else f"has been down for {minutes} minutes"
    return f"{name} {lasting}: {error}" if error else f"{name} {lasting}"


def _expiring(body: Mapping[str, Any], settings: Settings, now: float) -> Alert:
    url = _split(_text(body.get("monitor_url")))
    if url is None:
        raise Unreadable("monitor_url: not a URL" if body.get("monitor_url") is not None else "monitor_url: missing")
    host, port = _host(url), url.port or _TLS_PORT
    expires_at, days = _time(body, "expires_at"), _whole(body.get("days_remaining"))
    if days is None and expires_at is not None:
        days = _bounded(math.floor((expires_at - now) / _DAY))
    severity = "critical" if days is not None and days <= settings.certificate_critical_days else "warning"
    tags = {
        "host": host,
        "port": str(port),
        "severity": severity,
        "days_remaining": "" if days is None else str(days),
        "expires_at": _text(body.get("expires_at")),
    }
    return Alert(
        receiver=settings.receiver,
        source=settings.source,
        key=f"{settings.source}:certificate:{host}:{port}",
        name="certificate",
        firing=True,
        severity=severity,
        labels={tag: value for tag, value in tags.items() if value},
        annotations={"description": _dated(f"{host}:{port}", days, tags["expires_at"])},
        links={"url": _page(url._replace(path=""))},
        starts_at=now,
        at=None if expires_at is None else expires_at - _PER_DAY * (days or 0),
        ordered=expires_at is not None,
    )


def _dated(endpoint: str, days: int | None, date: str) -> str:
    when = "expires soon" if days is None else f"expires in {days} days" if days >= 0 else "has expired"
    return f"The certificate of {endpoint} {when}" + (f": {date}" if date else "")


def _id(value: Any) -> str:
    """Return a monitor's id: it is a number, and as text the same."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_ID and value.isascii() and value.isprintable():
        return value.strip()
    raise Unreadable("monitor.id: missing" if value is None else "monitor.id: not an id")


def _time(body: Mapping[str, Any], member: str) -> float | None:
    """Return epoch seconds, None when they are missing or cannot be read: then the message counts as it arrives."""
    value = body.get(member)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 < value < _LATEST else None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        return None
    return _bounded(math.floor(value))


def _bounded(count: int) -> int:
    return max(-_MOST, min(count, _MOST))


def _regions(value: Any) -> str:
    return _text(",".join(filter(None, map(_text, value)))) if isinstance(value, list) else _text(value)


def _split(text: str) -> SplitResult | None:
    """Return the parts of a URL, which may lack its scheme; None when it is none."""
    try:
        url = urlsplit(text if "://" in text else f"https://{text}")
        _ = url.port
    except ValueError:
        return None
    host = url.hostname or ""
    named = 0 < len(host) <= _LONGEST_HOST and host.isprintable() and " " not in host
    return url if named and url.scheme in {"http", "https"} else None


def _host(url: SplitResult) -> str:
    host = url.hostname or ""
    return f"[{host}]" if ":" in host else host


def _page(url: SplitResult) -> str:
    """Return a URL that may be shown: without its user, query and fragment, where secrets are found."""
    port = "" if url.port is None else f":{url.port}"
    return f"{url.scheme}://{_host(url)}{port}{url.path}"


def _text(value: Any) -> str:
    return text_of(value)[:_LONGEST].strip()
