"""Vigilmon's webhooks as Alerts: monitors that are down and up again, and certificates that expire.

Messages are ordered by the vendor's own times, in whichever order they arrive. An escalation has the time at which its
incident began, so it never replaces a later `up`, however its minutes were rounded, and never delays one. Certificate
messages are ordered by expiry: a later date is newer, and so are fewer days left.
The documentation leaves out much (test messages, nullable values), so only identifying members are required.
"""

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import Field

from bridge.domain.alert import Alert
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.lenient import identifier_of, short_text_of
from bridge.receivers.settings import ReceiverSettings
from exporter.toolkit.config_types import Duration
from exporter.toolkit.http_settings import HeaderSecret
from exporter.toolkit.lenient import flag_of, number_of, time_of
from exporter.toolkit.text import counted

_DAY = 86400.0
_UP_AFTER = 0.5
"""Seconds: a `down` with the same second as an `up` came before it."""
_PER_MINUTE = 1e-5
_PER_DAY = 1e-4
"""Seconds by which a longer incident, or a day less, counts as newer: too little to reach another second."""
_MOST = 10_000
_LONGEST_HOST = 253
_TLS_PORT = 443
_SCHEMES = ("http", "https")
_MONITORED = ("monitor_down", "monitor_up", "monitor_escalation")
_CERTIFICATE = "ssl_expiring"
_ABOUT = frozenset({"monitor", "monitor_url"})


class Settings(ReceiverSettings):
    """One Vigilmon account. `secret`: the value of its header `X-Vigilmon-Secret`.

    `certificate_critical_days`: a certificate with this many days left, or fewer, is critical.
    `certificate_resolve_after`: seconds of silence after which a certificate alert is resolved; 0: never.
    """

    secret: HeaderSecret | None = None
    certificate_critical_days: int = Field(7, ge=0)
    certificate_resolve_after: Duration = Field(0.0, ge=0)

    @property
    def lapses(self) -> Mapping[str, float]:
        """Only certificates: the vendor reports when a monitor is up again."""
        after = self.certificate_resolve_after
        return {"certificate": after} if after else {}

    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Return the header that authenticates the sender."""
        return () if self.secret is None else (("X-Vigilmon-Secret", self.secret.read()),)


def translate(body: dict[str, Any], settings: Settings, now: float) -> Notification:
    """Translate one webhook; test messages and unknown events are ignored. Raises Unreadable with the reason."""
    event = body.get("event")
    # The vendor writes `monitor_down`, but `ssl.expiring`.
    event = event.strip().lower().replace(".", "_") if isinstance(event, str) else event
    if event is None and (not body or not _ABOUT.isdisjoint(body)):
        raise Unreadable("event: missing")
    if flag_of(body.get("test")):
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
    number = identifier_of(monitor.get("id"))
    if not number:
        raise Unreadable("monitor.id: missing" if monitor.get("id") is None else "monitor.id: not an id")
    url = _split(monitor.get("url"))
    name = short_text_of(monitor.get("name")) or (url.hostname if url and url.hostname else f"monitor {number}")
    firing, escalation = event != "monitor_up", event == "monitor_escalation"
    minutes = _whole(body.get("down_minutes")) if escalation else None
    time = time_of(body.get("incident_started_at" if escalation else "checked_at"))
    regions, error = body.get("region"), short_text_of(body.get("error"))
    tags = {
        "host": name,
        "monitor_id": number,
        "severity": "critical",
        "region": ",".join(filter(None, map(short_text_of, regions if isinstance(regions, list) else [regions]))),
        "error": error,
        "down_minutes": "" if minutes is None else str(minutes),
    }
    lasting = "is down" if minutes is None else f"has been down for {counted(minutes, 'minute')}"
    down = f"{name} {lasting}: {error}" if error else f"{name} {lasting}"
    return settings.alert(
        f"monitor:{number}",
        name="uptime",
        firing=firing,
        severity="critical",
        labels={tag: value for tag, value in tags.items() if value},
        annotations={"description": down if firing else f"{name} is up"},
        links={"url": url.geturl()} if url else {},
        starts_at=now if time is None else time,
        ends_at=None if firing else time,
        at=None if time is None else time + (_PER_MINUTE * (minutes or 0) if firing else _UP_AFTER),
        level=max(1, minutes or 0) if escalation else 0,
    )


def _expiring(body: Mapping[str, Any], settings: Settings, now: float) -> Alert:
    url = _split(body.get("monitor_url"))
    if url is None:
        raise Unreadable("monitor_url: not a URL" if body.get("monitor_url") is not None else "monitor_url: missing")
    host, port = url.netloc.removesuffix(f":{url.port}"), url.port or _TLS_PORT
    date = short_text_of(body.get("expires_at"))
    expires_at, days = time_of(body.get("expires_at")), _whole(body.get("days_remaining"))
    if days is None and expires_at is not None:
        days = _whole((expires_at - now) / _DAY)
    critical = days is not None and days <= settings.certificate_critical_days
    when = "expires soon" if days is None else f"expires in {counted(days, 'day')}" if days >= 0 else "has expired"
    tags = {
        "host": host,
        "port": str(port),
        "severity": "critical" if critical else "warning",
        "days_remaining": "" if days is None else str(days),
        "expires_at": date,
    }
    return settings.alert(
        f"certificate:{host}:{port}",
        name="certificate",
        firing=True,
        severity=tags["severity"],
        labels={tag: value for tag, value in tags.items() if value},
        annotations={"description": f"The certificate of {host}:{port} {when}" + (f": {date}" if date else "")},
        links={"url": url._replace(path="").geturl()},
        starts_at=now,
        at=None if expires_at is None else expires_at - _PER_DAY * (days or 0),
    )


def _whole(value: Any) -> int | None:
    count = number_of(value)
    return None if count is None else math.floor(max(-_MOST, min(count, _MOST)))


def _split(value: Any) -> SplitResult | None:
    """Return the parts of a URL, which may lack its scheme; None for anything else.

    Without its user, query and fragment, which may contain secrets.
    """
    text = short_text_of(value)
    try:
        url = urlsplit(text if "://" in text else f"https://{text}")
        host, port = url.hostname or "", "" if url.port is None else f":{url.port}"
    except ValueError:
        return None
    if not (0 < len(host) <= _LONGEST_HOST and host.isprintable() and " " not in host and url.scheme in _SCHEMES):
        return None
    return url._replace(netloc=(f"[{host}]" if ":" in host else host) + port, query="", fragment="")
