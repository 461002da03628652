"""BigPanda's own Alerts API as a receiver: its clients gain durability, ordering and rate limiting.

A body is one alert, or `alerts` with one `app_key` for all. A body that BigPanda would reject is rejected as a whole,
with its messages, so that a batch never succeeds partially. Tags are passed on unchanged; the identity is BigPanda's.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from pydantic import Field

from bridge.domain.alert import Alert
from bridge.domain.event import Status
from bridge.domain.notification import Notification
from bridge.errors import Unreadable
from bridge.receivers.lenient import short_text_of, strings_of, text_of
from bridge.receivers.settings import BigPandaStatus, HttpAuthSettings
from exporter.toolkit.config_types import Duration
from exporter.toolkit.lenient import LATEST, time_of

_STATUSES: Final = tuple(status.value for status in Status)
_SUSPECT: Final = re.compile(r"[ _-]?suspect$")
"""BigPanda's addition to a status that is not certain, which it also accepts: `critical-suspect`, `ok suspect`."""
_PRIMARY: Final = ("host", "service", "application", "device")
_SECONDARY: Final = ("check", "sensor")
_IDENTITIES: Final = ("incident_identifier", "incident_key")
_OURS: Final = frozenset(
    {"alerts", "app_key", "description", "primary_property", "secondary_property", "status", "timestamp", *_IDENTITIES}
)
"""Members that are not tags."""
_LINKS: Final = (
    "alertmanager_url", "dashboard_url", "generator_url", "panel_url", "permalink", "runbook_url", "silence_url",
)  # fmt: skip
"""Tags that every event has as members of its own."""
_MOST_ERRORS: Final = 20
_LONGEST_IDENTITY: Final = 512


class Settings(HttpAuthSettings):
    """One source of events that uses BigPanda's Alerts API. The body's `app_key` is replaced by the receiver's.

    Events are passed on at once, as BigPanda would process them, unless `update_interval` is set.
    """

    severities: ClassVar[Mapping[str, BigPandaStatus]] = {"unknown": "unknown", "acknowledged": "acknowledged"}

    update_interval: Duration = Field(0.0, ge=0)


def translate(body: dict[str, Any], settings: Settings, now: float) -> Notification:
    """Translate one request. Raises Unreadable with everything that BigPanda would reject, separated by "; "."""
    entries = body.get("alerts", [body])
    if not (isinstance(entries, list) and entries):
        raise Unreadable("alerts: empty" if entries == [] else "alerts: not a list")
    errors: list[str] = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            errors.append(f"alert {number}: not an object")
            continue
        if _status(entry) not in _STATUSES:
            errors.append(f"alert {number}: 'status' must exist and be one of {', '.join(_STATUSES)}")
        if entry.get("timestamp") is not None and _time(entry["timestamp"]) is None:
            errors.append(f"alert {number}: 'timestamp' must be a time in Unix format")
        if not _property(entry, "primary_property", _PRIMARY):
            named = f"{', '.join(_PRIMARY)}, or what 'primary_property' names"
            errors.append(f"alert {number}: a primary property must exist: {named}")
    if more := errors[_MOST_ERRORS:]:
        errors[_MOST_ERRORS:] = [f"and {len(more)} more"]
    if errors:
        raise Unreadable("; ".join(errors))
    return settings.notification(alerts=tuple(_alert(entry, settings, now) for entry in entries))


def _property(entry: Mapping[str, Any], member: str, default: tuple[str, ...]) -> str:
    """Return the name of a property that is present: the one named by `member`, else the first of the defaults."""
    named = text_of(entry.get(member))
    return next((name for name in (named, *default) if name not in _OURS and text_of(entry.get(name)).strip()), "")


def _status(entry: Mapping[str, Any]) -> str:
    return _SUSPECT.sub("", short_text_of(entry.get("status")).lower())


def _time(value: Any) -> float | None:
    """Return epoch seconds; stricter than for other receivers, because BigPanda does not guess either."""
    written = value.strip() if isinstance(value, str) else ""
    if written[10:11] == "T":
        return time_of(written)  # Kapacitor's handler writes RFC 3339.
    number = int(written[:20]) if written.isascii() and written.isdigit() else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < LATEST:
        return None
    return float(number)


def _alert(entry: Mapping[str, Any], settings: Settings, now: float) -> Alert:
    primary = _property(entry, "primary_property", _PRIMARY)
    secondary = _property(entry, "secondary_property", _SECONDARY)
    members = strings_of(entry, (primary, secondary))
    tags = {name: text for name, text in members.items() if name not in _OURS and text}
    name = tags.get(secondary, "")
    # BigPanda identifies an alert by its own identifier, else by the pair of its properties.
    own = next((text for name in _IDENTITIES if (text := text_of(entry.get(name)).strip())), "")
    identity = own or f"{tags[primary]}:{name}"
    if len(identity) > _LONGEST_IDENTITY or not identity.isprintable():
        identity = hashlib.blake2b(identity.encode("utf-8", "replace"), digest_size=16).hexdigest()
    status, at = _status(entry), _time(entry.get("timestamp"))
    description = text_of(entry.get("description"))
    return settings.alert(
        identity,
        name=name,
        firing=status != Status.OK,
        severity=status,
        labels={tag: text for tag, text in tags.items() if tag not in _LINKS and tag != "check"},
        annotations={"description": description} if description else {},
        links={tag: tags[tag] for tag in _LINKS if tag in tags},
        starts_at=now if at is None else at,
        ends_at=at if status == Status.OK else None,
        # A clock that is ahead must not let its event outlast the resolution by one that is right.
        at=None if at is None else min(at, math.floor(now)),
        primary=primary,
        secondary="" if secondary == "check" else secondary,
    )
