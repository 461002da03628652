"""Conversion between domain objects and rows."""

import json
from dataclasses import asdict
from typing import Any

import msgspec

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState
from bridge.domain.event import Draft, Status
from bridge.outbox.schema import alert_states

PRIORITY, OTHER_PRIORITY = {Status.CRITICAL: 0, Status.OK: 1}, 2
_PLAIN = [one.key for one in alert_states.c if one.key not in ("key", "receiver", "source", "alert", "status")]
_json = msgspec.json.Encoder(enc_hook=dict).encode


def alert_json(alert: Alert) -> str:
    """Return an alert as JSON."""
    try:
        return _json(alert).decode()
    except UnicodeEncodeError:  # a lone surrogate, which only the standard library can write
        return json.dumps(asdict(alert))


def alert_of(text: str) -> Alert:
    """Return the alert written by `alert_json`."""
    members = json.loads(text)
    members.pop("ordered", None)  # of a version in which it repeated whether `at` was known
    return Alert(**members)


def untried(event: Draft, status: Status, timestamp: int, app_key: str) -> dict[str, Any]:
    """Return the columns of a queued event that follow from its content. Drivers require plain strings for enums."""
    return {
        "app_key": app_key,
        "status": status.value,
        "priority": PRIORITY.get(status, OTHER_PRIORITY),
        "timestamp": timestamp,
        "body": event.freeze(timestamp),
        "content": event.content_hash,
        "state": "waiting",
        "attempts": 0,
        "closed_at": None,
    }


def state_of(*, alert: str, status: str, **columns: Any) -> AlertState:
    """Return the state in the columns of a row of `alert_states`, without its members."""
    return AlertState(alert=alert_of(alert), status=Status(status), **columns)


def state_row(state: AlertState) -> dict[str, Any]:
    """Return the row of `alert_states` for a state. Enums become plain strings, as drivers require."""
    alert = state.alert
    own = {"key": alert.key, "receiver": alert.receiver, "source": alert.source, "alert": alert_json(alert)}
    return own | {"status": state.status.value} | {name: getattr(state, name) for name in _PLAIN}
