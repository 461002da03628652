"""The Alerts API's validation, with its messages. Pure."""

from collections.abc import Mapping
from typing import Any

STATUSES = ("ok", "critical", "warning", "unknown", "acknowledged")
PRIMARY = ("host", "service", "application", "device")
SECONDARY = ("check", "sensor")
_LATEST = 10**11  # beyond it a timestamp is in milliseconds


def errors_of(alert: Any, place: int) -> list[str]:
    """Tell what is wrong with the alert at `place`, counted from 1; nothing when it is sound."""
    if not isinstance(alert, Mapping):
        return [f"alert {place}: must be an object"]
    wrong = [*_status(alert), *_timestamp(alert), *_primary(alert), *_members(alert)]
    return [f"alert {place}: {what}" for what in wrong]


def _status(alert: Mapping[str, Any]) -> list[str]:
    return [] if alert.get("status") in STATUSES else [f"'status' must exist and be one of {', '.join(STATUSES)}"]


def _timestamp(alert: Mapping[str, Any]) -> list[str]:
    when = alert.get("timestamp", 1)
    sound = isinstance(when, int) and not isinstance(when, bool) and 0 < when < _LATEST
    return [] if sound else ["'timestamp' must be a time in Unix format"]


def _primary(alert: Mapping[str, Any]) -> list[str]:
    if property_of(alert, "primary_property", PRIMARY):
        return []
    return [f"one of {', '.join(PRIMARY)} or the member that 'primary_property' names must exist"]


def _members(alert: Mapping[str, Any]) -> list[str]:
    return [f"'{name}' must be a string, an integer or an array of them" for name in alert if not _flat(alert[name])]


def _flat(value: Any) -> bool:
    return all(map(_scalar, value)) if isinstance(value, list) else _scalar(value)


def _scalar(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def property_of(alert: Mapping[str, Any], name: str, defaults: tuple[str, ...]) -> str:
    """Give the value of the member that `name` names, else of the first default that is there; "" for none."""
    candidates = [alert.get(name), *defaults]
    found = (str(alert[c]) for c in candidates if isinstance(c, str) and alert.get(c) not in (None, ""))
    return next(found, "")


def identity_of(alert: Mapping[str, Any]) -> str:
    """`incident_identifier`, else primary and secondary value."""
    given = alert.get("incident_identifier")
    if given:
        return str(given)
    primary = property_of(alert, "primary_property", PRIMARY)
    secondary = property_of(alert, "secondary_property", SECONDARY)
    return f"{primary}\n{secondary}"
