"""Conversion between domain objects and rows."""

import json
from dataclasses import asdict
from typing import Any

import msgspec
from sqlalchemy import Row

from bridge.domain.alert import Alert
from bridge.domain.alert_state import AlertState, Kind, Member, PendingEvent
from bridge.domain.event import Status

PRIORITY = {Status.CRITICAL: 0, Status.OK: 1}
"""Priority across alerts; 2 for every other status."""
_json = msgspec.json.Encoder(enc_hook=dict).encode


def alert_json(alert: Alert) -> str:
    """Return an alert as JSON."""
    try:
        return _json(alert).decode()
    except UnicodeEncodeError:  # a lone surrogate, which only the standard library can write
        return json.dumps(asdict(alert))


def alert_of(text: str) -> Alert:
    """Return the alert written by `alert_json`."""
    return Alert(**json.loads(text))


def state_of(row: Row[Any]) -> AlertState:
    """Return the state in a row of `alert_states`."""
    return AlertState(
        alert=alert_of(row.alert),
        status=Status(row.status),
        content_hash=row.content,
        timestamp=row.timestamp,
        seq=row.seq,
        queued_at=row.told_at,
        starts_at=row.starts_at,
        ended_at=row.ended_at,
        at=row.at,
        possibly_stale=bool(row.doubtful),
        updated_at=row.updated_at,
        destination=row.destination,
        app_key=row.app_key,
    )


def state_row(state: AlertState) -> dict[str, Any]:
    """Return the row of `alert_states` for a state. Enums become plain strings, as drivers require."""
    return {
        "key": state.key,
        "receiver": state.alert.receiver,
        "source": state.alert.source,
        "status": state.status.value,
        "content": state.content_hash,
        "timestamp": state.timestamp,
        "seq": state.seq,
        "told_at": state.queued_at,
        "starts_at": state.starts_at,
        "ended_at": state.ended_at,
        "at": state.at,
        "doubtful": state.possibly_stale,
        "alert": alert_json(state.alert),
        "updated_at": state.updated_at,
        "destination": state.destination,
        "app_key": state.app_key,
    }


def member_of(row: Row[Any]) -> Member:
    """Return the member in a row of `members`."""
    return Member(alert_of(row.alert), Status(row.status))


def pending_of(row: Row[Any]) -> PendingEvent:
    """Return the pending event in a row of `events`."""
    return PendingEvent(
        kind=Kind(row.kind),
        timestamp=row.timestamp,
        not_before=row.not_before,
        replaces=row.replaces,
        queued_at=row.queued_at,
    )
